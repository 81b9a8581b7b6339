"""Files written by earlier versions: each format's golden file is read, and means what it meant."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import hecc
from hecc.runtime.ckks.ciphertexts import CiphertextFile, ResultFile
from hecc.runtime.ckks.client.client import Client
from hecc.runtime.ckks.client.notes import REQUESTS
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile
from hecc.runtime.ckks.server import Server
from hecc.runtime.plan.plan import Plan

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
OUTPUT = np.load(GOLDEN / "output.npy")


@pytest.fixture(params=["native", "seal"])
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy with the permissions that a checkout does not keep."""
    for path in (GOLDEN / request.param).glob("*.bin"):
        shutil.copyfile(path, tmp_path / path.name)
        (tmp_path / path.name).chmod(0o600)
    shutil.copytree(GOLDEN / request.param / REQUESTS, tmp_path / REQUESTS)
    return tmp_path


def test_the_golden_result_decrypts(golden: Path) -> None:
    client = Client.open(golden / "plan.client.bin", golden)
    found = client.decrypt(ResultFile.load(golden / "result.bin"))["y"]
    np.testing.assert_allclose(found, OUTPUT, atol=2.0**-10)


def test_the_golden_plan_runs_on_golden_ciphertexts_with_golden_keys(golden: Path) -> None:
    plan = Plan.load(golden / "plan.bin")
    with Server(plan, EvaluationKeyFile.load(golden / "evaluation.bin")) as server:
        result = server.run(CiphertextFile.load(golden / "encrypted.bin"))
    found = Client.open(golden / "plan.client.bin", golden).decrypt(result)["y"]
    np.testing.assert_allclose(found, OUTPUT, atol=2.0**-10)


def test_the_golden_public_key_encrypts(golden: Path) -> None:
    (golden / "secret.bin").rename(golden / "elsewhere.bin")
    request = Client.open(golden / "plan.client.bin", golden).encrypt(np.zeros((1, 3)))
    (golden / "elsewhere.bin").rename(golden / "secret.bin")
    with Server(Plan.load(golden / "plan.bin"), EvaluationKeyFile.load(golden / "evaluation.bin")) as server:
        result = server.run(request)
    found = Client.open(golden / "plan.client.bin", golden).decrypt(result)["y"]
    np.testing.assert_allclose(found, 0.0, atol=2.0**-10)


def test_golden_keys_prove_one_another(golden: Path) -> None:
    found = hecc.verify([golden / name for name in ("secret.bin", "public.bin", "evaluation.bin")])
    assert found.ok
    assert len(found.proved) == 2


@pytest.mark.parametrize("name", ["secret.bin", "public.bin", "evaluation.bin", "encrypted.bin", "result.bin"])
def test_files_of_the_version_before_are_refused_in_a_sentence(golden: Path, name: str) -> None:
    data = bytearray((golden / name).read_bytes())
    data[8:12] = (1).to_bytes(4, "little")
    (golden / name).write_bytes(data)
    (found,) = hecc.verify(golden / name).files
    assert found.fault is not None
    assert "of format version 1, but this hecc reads version 2; make the file again with this hecc, or" in found.fault


def test_saving_what_was_loaded_gives_the_same_bytes(golden: Path) -> None:
    Plan.load(golden / "plan.bin").save(golden / "again.bin")
    assert (golden / "again.bin").read_bytes() == (golden / "plan.bin").read_bytes()

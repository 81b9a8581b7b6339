"""A server runs a plan with neither SEAL nor anything of the compiler installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hecc.runtime.ckks.ciphertexts import ResultFile
from hecc.runtime.ckks.circuit.security import InsecureLevel
from hecc.runtime.ckks.client.client import Client
from hecc.runtime.ckks.client.keygen import generate_keys
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, SecretKeyFile
from hecc.runtime.ckks.server import Server
from hecc.runtime.errors import FileFormatError, KeyMismatchError

ABSENT = ("tenseal", "onnx", "sympy", "networkx", "scipy", "torch")

PROGRAM = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}")

sys.meta_path.insert(0, Absent())
from hecc.runtime.ckks.ciphertexts import CiphertextFile
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile
from hecc.runtime.plan.plan import Plan
from hecc.runtime.ckks.server import Server

plan, keys, request, result = sys.argv[1:]
with Server(Plan.load(plan), EvaluationKeyFile(keys), device="native", threads=2) as server:
    server.run(CiphertextFile.load(request)).save(result)
assert not [name for name in {absent!r} if name in sys.modules]
"""


@pytest.fixture
def world(plans: Any, tmp_path: Path) -> Any:
    """A plan on an insecure ring, its keys of shape "native", and two encrypted rows."""
    plan = plans.square(plans.specification(2048, plans.insecure_evidence))
    insecure = InsecureLevel.INSECURE_FOR_TESTS_ONLY
    keys = generate_keys(plan.header.keys, tmp_path / "keys", shape="native", min_security=insecure)
    client = Client(plan, secret=SecretKeyFile.load(keys.secret), min_security=insecure)
    x = np.random.default_rng(2).uniform(-1, 1, (2, 4, 16))
    return plan, keys, client, x


def test_a_server_process_needs_neither_seal_nor_the_compiler(plans: Any, world: Any, tmp_path: Path) -> None:
    plan, keys, client, x = world
    plan.save(tmp_path / "plan.bin")
    client.encrypt({"x": x}).save(tmp_path / "request.bin")
    files = [str(tmp_path / "plan.bin"), str(keys.evaluation), str(tmp_path / "request.bin"), str(tmp_path / "out.bin")]
    program = PROGRAM.format(absent=ABSENT)
    done = subprocess.run([sys.executable, "-c", program, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = client.decrypt(ResultFile.load(tmp_path / "out.bin"))["y"]
    np.testing.assert_allclose(found, plans.expected(x), atol=1e-5)


def test_the_blocked_modules_are_blocked() -> None:
    program = (
        PROGRAM.format(absent=ABSENT).partition("plan, keys")[0] + "import hecc.runtime.ckks.devices.seal.evaluator"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "No module named 'tenseal" in done.stderr


def test_one_row_after_another_gives_what_each_gives_alone(plans: Any, world: Any) -> None:
    plan, keys, client, x = world
    with Server(plan, EvaluationKeyFile(keys.evaluation), device="native", threads=1) as server:
        seen: list[tuple[int, int]] = []
        result = server.run(client.encrypt({"x": x}), progress=lambda row, done, total, ins: seen.append((row, done)))
    np.testing.assert_allclose(client.decrypt(result)["y"], plans.expected(x), atol=1e-5)
    assert seen == [(row, done) for row in range(2) for done in range(1, 10)]


def test_an_altered_key_file_is_refused(world: Any, tmp_path: Path) -> None:
    plan, keys, client, x = world
    content = bytearray(keys.evaluation.read_bytes())
    content[len(content) // 2] ^= 1
    altered = tmp_path / "altered.bin"
    altered.write_bytes(content)
    with (
        Server(plan, EvaluationKeyFile(altered), device="native") as server,
        pytest.raises(FileFormatError, match="was altered"),
    ):
        server.run(client.encrypt({"x": x}))


def test_keys_of_seals_shape_are_refused(world: Any, tmp_path: Path) -> None:
    plan, _, _, _ = world
    insecure = InsecureLevel.INSECURE_FOR_TESTS_ONLY
    keys = generate_keys(plan.header.keys, tmp_path / "seal", shape="seal", min_security=insecure)
    with pytest.raises(KeyMismatchError, match="needs shape 'native'"):
        Server(plan, EvaluationKeyFile(keys.evaluation), device="native")

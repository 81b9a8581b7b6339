"""Dealer, server and client as processes of the command line, against the network in clear."""

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

HECC = Path(sys.executable).with_name("hecc")
DATA = resources.files("hecc") / "data"

pytestmark = pytest.mark.skipif(not HECC.exists(), reason="needs hecc as a command")


def hecc(folder, *arguments, code=0):
    done = subprocess.run(
        [HECC, *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("sharing")
    with np.load(str(DATA / "digits.npz")) as digits:
        for name in ("images", "labels", "calibration"):
            np.save(made / f"{name}.npy", digits[name])
    hecc(made, "compile", DATA / "digits.onnx", "--calibration", "calibration.npy", "--scheme", "sharing")
    hecc(made, "authority")
    hecc(made, "deal", "plan.client.bin", "--count", "20")
    return made


@pytest.fixture(scope="module")
def server(folder):
    serving = subprocess.Popen(
        [HECC, "serve", "plan.bin", "--listen", "localhost:0"], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    try:
        yield serving.stdout.readline().partition("listening on ")[2].partition(",")[0]
    finally:
        serving.terminate()
        serving.wait()
        serving.stdout.close()


def test_a_query_says_what_the_network_says(folder, server):
    hecc(folder, "prepare", server, "--count", "18")
    answer = json.loads(hecc(folder, "query", server, "images.npy", "--json").stdout)
    assert answer["predictions"]["logits"] == np.load(folder / "labels.npy").tolist()
    assert answer["left"] == 2
    assert "4 are left" in hecc(folder, "query", server, "images.npy", code=1).stderr


def test_without_a_server_there_is_a_sentence(folder):
    assert "no server there" in hecc(folder, "prepare", "localhost:9", code=1).stderr


def test_material_that_is_there_is_not_replaced(folder):
    before = (folder / "server.material").read_bytes()
    assert "perhaps in use" in hecc(folder, "deal", "plan.client.bin", "--count", "3", code=1).stderr
    assert (folder / "server.material").read_bytes() == before

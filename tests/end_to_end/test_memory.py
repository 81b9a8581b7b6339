"""The memory that is predicted is what a server takes at its worst, whatever its kernels are, or a little more."""

import os
import subprocess
import sys
from importlib.resources import files

import numpy as np
import pytest

import hecc
from hecc.runtime.native._native import implementations

pytestmark = pytest.mark.skipif(not hasattr(os, "wait4"), reason="no rusage of a child here")

MEASURE = """
import os, sys
child = os.fork()
if child == 0:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""
"""From a process of its own: a child's peak begins with the memory of whoever forked it."""

KERNELS = [name for name in ("portable", "avx2") if name in implementations()]

LARGEST = 1.2
"""What is predicted over what is measured."""


@pytest.fixture(scope="module", params=["one row", "throughput"])
def served(request, tmp_path_factory):
    """A plan with keys and encrypted rows, in a folder."""
    folder = tmp_path_factory.mktemp("served")
    data = files("hecc") / "data"
    digits = np.load(data / "digits.npz")
    options = {"optimize": "throughput"} if request.param == "throughput" else {}
    plan = hecc.compile((data / "digits.onnx").read_bytes(), calibration=digits["calibration"], **options)
    plan.save(folder / "plan.bin")
    client = hecc.Client(plan)
    client.keygen(folder / "keys")
    client.encrypt_to(folder / "encrypted.bin", digits["images"][:2])
    return folder, plan.header.peak_memory


@pytest.mark.parametrize("kernels", KERNELS)
def test_a_server_takes_no_more_memory_than_predicted_and_not_much_less(served, kernels):
    folder, predicted = served
    command = [sys.executable, "-m", "hecc", "run", "plan.bin", "encrypted.bin", "--output", f"{kernels}.bin"]
    measured = subprocess.run(
        [sys.executable, "-S", "-E", "-c", MEASURE, *command],
        cwd=folder,
        env={**os.environ, "HECC_KERNELS": kernels},
        capture_output=True,
        text=True,
        check=True,
    )
    code, used = map(int, measured.stdout.split())
    assert code == 0, measured.stderr
    assert 1.0 <= predicted / used <= LARGEST, f"{predicted / 1e6:.0f} MB predicted, {used / 1e6:.0f} MB measured"

"""The memory that is predicted is what a server takes at its worst, whatever its kernels are, or a little more."""

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

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

LENET = Path(__file__).resolve().parents[2] / "examples" / "mnist" / "lenet.onnx"

LARGEST = 1.15
"""What is predicted over what is measured."""


def digits(**options):
    """The network that is shipped, with rows that it was made for."""
    data = files("hecc") / "data"
    return (data / "digits.onnx").read_bytes(), np.load(data / "digits.npz")["calibration"], options


def deep():
    """Dense layers of 32 with a tanh behind each: a chain that needs a ring of 32768."""
    generator = np.random.default_rng(0)
    layers = " ".join(f"d{i} = Gemm({f'a{i - 1}' if i else 'x'}, w{i}) a{i} = Tanh(d{i})" for i in range(3))
    text = f"g (float[N, 64] x) => (float[N, 10] y) {{ {layers} y = Gemm(a2, w3) }}"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
    for i, (inner, outer) in enumerate([(64, 32), (32, 32), (32, 32), (32, 10)]):
        weight = generator.normal(size=(inner, outer)) / np.sqrt(inner)
        model.graph.initializer.append(numpy_helper.from_array(weight.astype(np.float32), f"w{i}"))
    return model, generator.uniform(-1, 1, (200, 64)).astype(np.float32), {}


def lenet():
    """A network of which the encoded weights are most, with strokes that are none."""
    generator = np.random.default_rng(0)
    return LENET, (generator.random((40, 1, 28, 28)) * (generator.random((40, 1, 28, 28)) < 0.2)).astype("f4"), {}


NETWORKS = {
    "one row": digits,
    "throughput": lambda: digits(optimize="throughput"),
    "deep": deep,
    "LeNet": lenet,
}
SLOW = {"deep", "LeNet"}


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in NETWORKS],
)
def served(request, tmp_path_factory):
    """A plan with keys and encrypted rows, in a folder."""
    folder = tmp_path_factory.mktemp("served")
    network, rows, options = NETWORKS[request.param]()
    plan = hecc.compile(network, calibration=rows, **options)
    plan.save(folder / "plan.bin")
    client = hecc.Client(plan)
    client.keygen(folder / "keys")
    client.encrypt_to(folder / "encrypted.bin", rows[:2])
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

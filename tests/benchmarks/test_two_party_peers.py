"""Peers of the scheme sharing: a network as they are given it computes what its file does; links are counted."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

FAKE = """
import sys
from pathlib import Path
import parties.links

parties.links.STATISTICS = Path(sys.argv[2])
from two_party_systems.workers.party import run

def prepare(program):
    print("what a system prints is no report")
    for way, number in (("tx", 300), ("rx", 200)):
        (parties.links.STATISTICS / f"{way}_bytes").write_text(str(number))

    def answer(row):
        sent = parties.links.STATISTICS / "tx_bytes"
        sent.write_text(str(int(sent.read_text()) + 40))
        return 2 * row

    return answer

run(int(sys.argv[1]), Path(sys.argv[2]), ("numpy",), prepare)
"""


class Numpy:
    """Functions of NumPy, straight from their definitions."""

    def conv(self, x, weight, bias, strides, pads):
        x = np.pad(x, ((0, 0), (0, 0), (pads[0], pads[1]), (pads[2], pads[3])))
        windows = self._windows(x, weight.shape[2:], strides)
        return np.einsum("nchwij,ocij->nohw", windows, weight) + bias[None, :, None, None]

    def dense(self, x, weight, bias):
        return x @ weight + bias

    def relu(self, x):
        return np.maximum(x, 0)

    def add(self, x, y):
        return x + y

    def max_pool(self, x, kernel, strides):
        return self._windows(x, kernel, strides).max(axis=(4, 5))

    def average_pool(self, x, kernel, strides):
        return self._windows(x, kernel, strides).mean(axis=(4, 5))

    def reshape(self, x, shape):
        return x.reshape(shape)

    @staticmethod
    def _windows(x, kernel, strides):
        windows = np.lib.stride_tricks.sliding_window_view(x, tuple(kernel), axis=(2, 3))
        return windows[:, :, :: strides[0], :: strides[1]]


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


def part(name):
    return importlib.import_module(f"two_party_systems.{name}")


def model_of(nodes, arrays):
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("row", TensorProto.FLOAT, ["rows", 2, 9, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 3])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("pooling", ["AveragePool", "GlobalAveragePool"])
def test_steps_compute_what_the_file_does(pooling, transposed, tmp_path):
    generator = np.random.default_rng(0)

    def numbers(*shape):
        return generator.normal(size=shape).astype(np.float32)

    # After the pooling by two of 9x8, 4x4 is left, and 2x2 or one number of that.
    size = 16 if pooling == "AveragePool" else 4
    dense = numbers(3, size) if transposed else numbers(size, 3)
    arrays = {"k0": numbers(4, 2, 3, 3), "c0": numbers(4), "k1": numbers(4, 4, 1, 3), "c1": numbers(4)}
    arrays |= {"w": dense, "b": numbers(3), "shape": np.array([0, -1])}
    kernel = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        helper.make_node("Conv", ["row", "k0", "c0"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b0"]),
        helper.make_node("MaxPool", ["b0"], ["c"], **kernel),
        helper.make_node("Conv", ["c", "k1", "c1"], ["d"], pads=[0, 2, 0, 0]),
        helper.make_node("Add", ["c", "d"], ["e"]),
        helper.make_node(pooling, ["e"], ["f"], **(kernel if pooling == "AveragePool" else {})),
        helper.make_node("Reshape", ["f", "shape"], ["g"]),
        helper.make_node("Gemm", ["g", "w", "b"], ["scores"], transB=transposed),
    ]
    path = tmp_path / "network.onnx"
    onnx.save(model_of(nodes, arrays), path)
    rows = numbers(3, 2, 9, 8)
    part("written").write(path, rows, tmp_path)
    steps = part("steps")
    program = steps.Program.load(tmp_path)
    assert np.array_equal(np.load(tmp_path / steps.ROWS), rows)
    weights = program.weights(tmp_path, known=True)
    found = np.concatenate([steps.evaluate(program, Numpy(), rows[at : at + 1], weights) for at in range(3)])
    (exact,) = onnxruntime.InferenceSession(path).run(None, {"row": rows})
    assert np.allclose(found, exact, atol=1e-4)
    # Who does not own the weights sees their shapes, and no number of them.
    (tmp_path / steps.WEIGHTS).unlink()
    hidden = program.weights(tmp_path, known=False)
    assert {name: array.shape for name, array in hidden.items()} == {k: v.shape for k, v in weights.items()}
    assert not any(array.any() for array in hidden.values())


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (helper.make_node("Sigmoid", ["row"], ["scores"]), "the operator Sigmoid"),
        (helper.make_node("Conv", ["row", "k"], ["scores"], group=2), "groups"),
        (helper.make_node("Conv", ["row", "k"], ["scores"]), "without a bias"),
        (helper.make_node("MaxPool", ["row"], ["scores"], kernel_shape=[2, 2], strides=[2, 2], pads=[1] * 4), "border"),
    ],
)
def test_what_the_peers_are_not_given_is_refused(node, words, tmp_path):
    path = tmp_path / "network.onnx"
    onnx.save(model_of([node], {"k": np.ones((2, 1, 3, 3), np.float32)}), path)
    with pytest.raises(ValueError, match=words):
        part("written").write(path, np.zeros((1, 2, 9, 8), np.float32), tmp_path)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_party_writes_down_its_stages(rank, tmp_path):
    steps = part("steps")
    steps.Program([], "row", {}).save(tmp_path)
    np.save(tmp_path / steps.ROWS, np.arange(6, dtype=np.float32).reshape(3, 2))
    for way in ("tx", "rx"):
        (tmp_path / f"{way}_bytes").write_text("100")
    script = tmp_path / "fake.py"
    script.write_text(textwrap.dedent(FAKE))
    done = subprocess.run(
        [sys.executable, script, str(rank), tmp_path],
        env={**os.environ, "PYTHONPATH": str(BENCHMARKS)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "is no report" in done.stderr
    if rank == 0:
        assert not done.stdout
        return
    found = json.loads(done.stdout)
    assert (found["rows"], found["row_bytes"], found["setup_bytes"]) == (2, 40, 340)
    assert found["outputs"] == [[4.0, 6.0], [8.0, 10.0]]
    assert len(found["seconds"]) == 2


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("tc"), reason="network namespaces need root, ip and tc")
def test_joined_namespaces_reach_each_other_and_count():
    links = importlib.import_module("parties.links")
    listen = (
        "import socket; s = socket.create_server(({0!r}, {1})); print('ready', flush=True); s.accept()[0].recv(1 << 20)"
    )
    send = "import socket; s = socket.create_connection(({0!r}, {1})); s.sendall(bytes(5000)); s.close()"
    with links.joined("100mbit", 7321) as made:
        for at, listener, sender in (
            (made.listening, made.server, made.client),
            (made.client_listening, made.client, made.server),
        ):
            host, _, port = at.rpartition(":")
            before = made.bytes_sent(sender)
            with subprocess.Popen(
                made.inside(listener, sys.executable, "-c", listen.format(host, port)), stdout=subprocess.PIPE
            ) as listening:
                assert listening.stdout.readline() == b"ready\n"
                subprocess.run(made.inside(sender, sys.executable, "-c", send.format(host, port)), check=True)
            assert 5000 < made.bytes_sent(sender) - before < 7000
    namespaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert made.server not in namespaces


def test_the_line_of_a_peer_says_how_many_times_as_much_it_sends():
    page, catalogue = part("page"), part("catalogue")
    common = {"rows": 2, "seconds": [0.1, 0.2], "largest_error": 0.01, "same": 2, "setup_bytes": 9}
    report = {
        "systems": {
            "hecc": {"title": "hecc", "row_bytes": 700, "connection_bytes": 500, "ahead_bytes": 300, **common},
            "slow": {"title": "Slow", "row_bytes": 20_000, **common},
            "broken": {"title": "Broken", "failure": "it ended with status 1"},
        }
    }
    network = catalogue.Network("dense", "6-4-3", "numbers", 1e3)
    ours, theirs = page.peer_lines(network, report)
    at = [page.PEERS_HEADING.index(name) for name in ("times hecc's", "connections apart")]
    assert [ours[each] for each in at] == ["", ""]
    assert [theirs[each] for each in at] == ["**20.0**", "**40.0**"]
    assert list(page.missing([(network, report)])) == ["\n6-4-3, numbers: Broken is missing: it ended with status 1.\n"]


def test_every_peer_is_pinned():
    for system in part("comparison").PEERS.values():
        assert all(version[0].isdigit() for version in system.peer.requirements.values())
        worker = BENCHMARKS / f"{system.peer.module.replace('.', '/')}.py"
        assert worker.exists()

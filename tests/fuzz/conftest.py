"""What the fuzzers share: plans on rings that are far too small to be secure, and one good file of each format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx.parser
import pytest
from onnx import numpy_helper

import hecc
from hecc.runtime.ckks.circuit.parameters import GaloisElement, KeyShape, SecurityEvidence
from hecc.runtime.ckks.circuit.security import InsecureLevel
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.ckks.readings.types import verify
from hecc.runtime.more.training.file import TrainedFile
from hecc.runtime.more.training.loop import train
from hecc.runtime.training.settings import TrainingSettings

INSECURE = InsecureLevel.INSECURE_FOR_TESTS_ONLY
SMALLEST_RING = 1 << 11
"""The native evaluator has none below."""

NETWORK = """<ir_version: 8, opset_import: ["" : 13]> small (float[N,1,6,6] x) => (float[N,3] y, float[N,3] z) {
    c = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
    s = Mul (c, c)
    l = Mul (slope, c)
    a = Add (s, l)
    p = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (a)
    f = Flatten (p)
    z = Gemm (f, w2, b2)
    q = Mul (z, z)
    y = Add (q, z)
}"""
"""Two squares, one with a slope of its own in each channel, a fold, a sum of different levels, two outputs."""


def on_smaller_ring(plan: CkksPlan) -> CkksPlan:
    """The same circuit and the same primes on a ring that anyone can break, but on which everything is fast.

    A prime that is 1 modulo 2N is so modulo every smaller power of two, so scales stay as exact as they are.
    The ring is the smallest that the layouts fit.
    """
    keys, circuit = plan.header.keys, plan.require_circuit()
    signatures = (*plan.header.inputs, *plan.header.outputs)
    needed = max(2 * signature.layout.slots * signature.layout.lanes for signature in signatures)
    ring_degree = max(needed, SMALLEST_RING)
    limbs = [kind.limbs for kind in verify(circuit, keys)]
    galois = tuple(
        GaloisElement(element, max(limbs[user] for user in users))
        for element, users in sorted(circuit.galois_uses(ring_degree).items())
    )
    security = SecurityEvidence(level=0, adversary="classical", table="INSECURE test parameters", log2_limit=0)
    small = msgspec.structs.replace(keys, ring_degree=ring_degree, galois=galois, security=security)
    return CkksPlan(msgspec.structs.replace(plan.header, keys=small), circuit)


@pytest.fixture(scope="session")
def smaller_ring() -> Callable[[CkksPlan], CkksPlan]:
    """:func:`on_smaller_ring`."""
    return on_smaller_ring


def network() -> onnx.ModelProto:
    """The network of the good files."""
    draw = np.random.default_rng(3)
    model = onnx.parser.parse_model(NETWORK)
    shapes = {"w1": (2, 1, 3, 3), "b1": (2,), "slope": (1, 2, 1, 1), "w2": (18, 3), "b2": (3,)}
    for name, shape in shapes.items():
        model.graph.initializer.append(numpy_helper.from_array(draw.uniform(-0.5, 0.5, shape).astype(np.float32), name))
    return model


@pytest.fixture(scope="session")
def specimens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a folder for each kind of plan, and in each one file of every format, all of one key set."""
    root = tmp_path_factory.mktemp("specimens")
    inputs = np.random.default_rng(4).uniform(-1, 1, (40, 1, 6, 6)).astype(np.float32)
    kinds: dict[str, dict[str, Any]] = {"native": {}, "batch": {"batch": 3}, "seal": {"device": "seal"}}
    for kind, options in kinds.items():
        folder = root / kind
        plan = on_smaller_ring(hecc.compile(network(), calibration=inputs, precision=8, **options))
        folder.mkdir()
        plan.save(folder / "plan.bin")
        plan.client().save(folder / "plan.client.bin")
        client = hecc.Client(plan, min_security=INSECURE)
        shape: KeyShape = "seal" if kind == "seal" else "native"
        keys = client.keygen(folder, device=shape)
        client.encrypt(inputs[:2]).save(folder / "encrypted.bin")
        with hecc.Server(plan, keys.evaluation) as server:
            server.run(folder / "encrypted.bin").save(folder / "result.bin")
    return root


TRAINED = """<ir_version: 8, opset_import: ["" : 13]> small (float[N,1,6,6] x) => (float[N,3] y) {
    c = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
    n = BatchNormalization (c, g, o, m, v)
    s = Softplus (n)
    p = AveragePool <kernel_shape = [2, 2]> (s)
    f = Flatten (p)
    y = Gemm (f, w2, b2)
}"""


@pytest.fixture(scope="session")
def more_specimens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As :func:`specimens`, under MORE: a plan that trains, and one with larger matrices."""
    root = tmp_path_factory.mktemp("more")
    draw = np.random.default_rng(7)
    rows = draw.uniform(-1, 1, (8, 1, 6, 6))
    model = onnx.parser.parse_model(TRAINED)
    for name, shape in {"w1": (2, 1, 3, 3), "b1": (2,), "w2": (50, 3), "b2": (3,)}.items():
        model.graph.initializer.append(numpy_helper.from_array(draw.uniform(-0.5, 0.5, shape).astype(np.float32), name))
    for name in "gomv":
        model.graph.initializer.append(numpy_helper.from_array(draw.uniform(0.5, 1.5, 2).astype(np.float32), name))
    for size in (2, 3):
        folder = root / f"size {size}"
        folder.mkdir()
        plan = hecc.compile(model, scheme="more", train="cross-entropy", calibration=rows, matrix_size=size)
        plan.save(folder / "plan.bin")
        plan.client().save(folder / "plan.client.bin")
        client = hecc.Client(plan, min_security="none")
        keys = client.keygen(folder)
        request = client.encrypt_to(folder / "encrypted.bin", rows, labels=draw.integers(0, 3, 8))
        with hecc.Server(plan, keys.evaluation) as server:
            server.run_to(folder / "result.bin", request)
        done: list[TrainedFile] = []
        train(plan, request, TrainingSettings(epochs=2, batch_size=4), after_epoch=done.append)
        done[0].save(folder / "checkpoint.bin", whole=False)
        done[1].save(folder / "trained.bin")
    return root

"""Disclosed results of networks with functions: no input leaves an interval, and no error is beyond the bound.

Flooding takes scales at which errors are far below what a decrypted double can show. So these plans are flooded with
next to nothing, and differ in nothing else from real ones.
"""

import numpy as np
import pytest

import hecc
from hecc.runtime.ckks import disclosure
from hecc.runtime.ckks.circuit.instructions import Polynomial
from hecc.runtime.ckks.readings.clear import Simulator
from hecc.runtime.ckks.readings.noise_bound import worst_errors
from hecc.runtime.ckks.readings.types import verify
from hecc.runtime.plan.plan import Plan

NETWORKS = {
    "sigmoids": (("gemm", 6), ("Sigmoid",), ("gemm", 5), ("Sigmoid",), ("gemm", 2)),
    "wide tanh": (("gemm", 6), ("Tanh",), ("gemm", 3)),
    "unbounded": (("gemm", 5), ("Softplus",), ("gemm", 4), ("Tanh",), ("gemm", 2)),
    "with a square": (("gemm", 4), ("square",), ("gemm", 3), ("Sigmoid",), ("gemm", 2)),
}


@pytest.fixture(scope="module", autouse=True)
def _hardly_flooded():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disclosure, "STATISTICAL_BITS", 0)
        yield


@pytest.fixture(scope="module", params=[pytest.param(layers, id=name) for name, layers in NETWORKS.items()])
def functional(request, network) -> Plan:
    """A plan whose inputs may be far larger than those that it was calibrated on."""
    rows = np.random.default_rng(8).normal(size=(128, 4)) * 0.4
    model = network((4,), *request.param)
    return hecc.compile(model, calibration=np.clip(rows, -1, 1), input_range=(-2, 2), precision=7, disclose=20)


class Arguments:
    """Watches a simulation: the largest magnitude of what goes into a polynomial."""

    def __init__(self, circuit):
        self._watched = {ins.x for ins in circuit.instructions if isinstance(ins, Polynomial)}
        self.largest = 0.0

    def noise(self, index, instruction, value, operands):
        if index in self._watched:
            self.largest = max(self.largest, float(np.abs(value).max()))


def test_no_input_in_the_range_leaves_an_interval(functional):
    circuit = functional.require_circuit()
    watch = Arguments(circuit)
    # The corners are among them, at which the first layer's interval ends.
    every = np.stack(np.meshgrid(*[np.linspace(-2, 2, 9)] * 4), axis=-1).reshape(-1, 4)
    layout = functional.header.inputs[0].layout
    Simulator(circuit).run({"x": np.stack([layout.pack(row) for row in every])}, watch)
    assert 0.5 < watch.largest <= 1


def test_they_are_never_off_by_more_than_the_bound(functional, tmp_path):
    circuit, keys = functional.require_circuit(), functional.header.keys
    ((name, bound),) = worst_errors(circuit, verify(circuit, keys), keys, {"x": (-2.0, 2.0)}).items()
    generator = np.random.default_rng(9)
    rows = generator.choice([-2.0, 2.0], (8, 4))
    rows[4:] *= generator.random((4, 4)) > 0.3
    client = hecc.Client(functional)
    made = client.keygen(tmp_path / "keys")
    with hecc.Server(functional, made.evaluation) as server:
        decrypted = client.decrypt(server.run(client.encrypt(rows)))[name]
    observed = np.abs(decrypted - hecc.simulate(functional, rows, noise=False)[name]).max()
    assert 0 < observed < bound < 2**30 * observed

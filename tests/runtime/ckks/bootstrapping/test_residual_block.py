"""A residual block with a bootstrap in it, from a client's row to a client's result; INSECURE, at N = 2^12.

``y = x + relu(W x)``: the sine's distortion is in the fit of the activation, and the skip connection waits at the limbs
that the activation leaves.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.runtime.ckks.bootstrapping.small import MESSAGE_SCALE, SLOTS, bootstrap, keys_for
from tests.runtime.conftest import INSECURE_EVIDENCE, insecure_small_specification

from hecc.runtime.ckks.ciphertexts import CiphertextFile, ResultFile
from hecc.runtime.ckks.circuit.instructions import (
    Add,
    Circuit,
    Diagonals,
    Input,
    LinearTransform,
    Output,
    Polynomial,
    Rescale,
)
from hecc.runtime.ckks.circuit.layout import vector_layout
from hecc.runtime.ckks.circuit.security import InsecureLevel
from hecc.runtime.ckks.client.client import Client
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, SecretKeyFile
from hecc.runtime.ckks.plan.header import CkksHeader, CkksInput, CkksOutput, Estimate
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.ckks.server import Server
from hecc.runtime.ckks.simulation import simulate_rows

INSECURE = InsecureLevel.INSECURE_FOR_TESTS_ONLY
PHASE = float(bootstrap().phase)
WEIGHTS = (0.5, -0.25, 0.25)
DEGREE = 31
LEFT = 3
"""Limbs that a bootstrap and the activation leave, and at which the input comes in."""


def activation() -> NDArray[np.float64]:
    """Chebyshev coefficients of ReLU, as a function of the sine."""
    u = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 4001))
    s = np.sin(2 * np.pi * PHASE * u)
    return np.ascontiguousarray(np.polynomial.chebyshev.chebfit(s, np.maximum(u, 0), DEGREE))


def matrix() -> dict[str, NDArray[np.generic]]:
    """Three diagonals that are the same all along."""
    number = len(WEIGHTS)
    diagonals = Diagonals(
        row=np.zeros(number, "<i4"),
        column=np.zeros(number, "<i4"),
        baby=np.arange(number, dtype="<i4"),
        giant=np.zeros(number, "<i4"),
        offsets=np.arange(number + 1, dtype="<i8") * SLOTS,
        slots=np.tile(np.arange(SLOTS, dtype="<u2"), number),
        values=np.repeat(np.array(WEIGHTS, "<f4"), SLOTS),
    )
    return {f"w.{name}": getattr(diagonals, name) for name in Diagonals.FIELDS}


def make_plan() -> CkksPlan:
    """The block as a plan, written by hand: the compiler does not place bootstraps yet."""
    spec = insecure_small_specification()
    layout = vector_layout((SLOTS,), SLOTS)
    dropped = Fraction(spec.data_primes[LEFT - 1])
    circuit = Circuit(
        SLOTS,
        (
            Input(name="x", count=1, occupied="all", period=layout.period, limbs=LEFT, scale=MESSAGE_SCALE),
            LinearTransform(x=0, count=1, diagonals="w", scale=dropped, source="/conv"),
            Rescale(x=1, source="/conv"),
            bootstrap(x=2),
            Polynomial(x=3, coefficients="relu", basis="chebyshev", dropped=(1,) * 5, scale=MESSAGE_SCALE, source="/r"),
            Add(x=4, y=0, source="/add"),
            Output(x=5, name="y", occupied="all"),
        ),
        {"all": np.ones((1, SLOTS), np.uint8), "relu": activation(), **matrix()},
    )
    limbs = [LEFT, LEFT, LEFT - 1, 8, LEFT, LEFT, LEFT]
    spec = keys_for(circuit, limbs, spec)
    assert spec.security == INSECURE_EVIDENCE
    header = CkksHeader(
        producer="test",
        model="0" * 64,
        inputs=(CkksInput(name="x", shape=(SLOTS,), layout=layout, limbs=LEFT, scale=MESSAGE_SCALE, low=-1, high=1),),
        outputs=(
            CkksOutput(
                name="y", shape=(SLOTS,), layout=layout, limbs=LEFT, scale=MESSAGE_SCALE, bound=2.5, error=2.0**-14
            ),
        ),
        keys=spec,
        estimate=Estimate(
            depth=7,
            rotations=70,
            seconds=0.1,
            peak_memory=1,
            evaluation_key_bytes=1,
            input_bytes=1,
            output_bytes=1,
            precision_bits=12.0,
            device="native",
        ),
    )
    return CkksPlan(header, circuit)


def exact(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The block with the ReLU that it stands for."""
    products = sum(weight * np.roll(x, -step, axis=1) for step, weight in enumerate(WEIGHTS))
    return np.asarray(x + np.maximum(products, 0))


def fitted(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The block with the polynomial, of the exact sine."""
    products = sum(weight * np.roll(x, -step, axis=1) for step, weight in enumerate(WEIGHTS))
    s = np.sin(2 * np.pi * PHASE * np.asarray(products))
    return np.asarray(x + np.polynomial.chebyshev.chebval(s, activation()))


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> CkksPlan:
    """Through a file."""
    path = tmp_path_factory.mktemp("plan") / "plan.bin"
    make_plan().save(path)
    return CkksPlan.load(path)


def test_a_block_is_computed_for_a_client(plan: CkksPlan, tmp_path: Path) -> None:
    keys = Client.keygen(plan, tmp_path / "keys", shape="native", min_security=INSECURE)
    client = Client(plan, secret=SecretKeyFile.load(keys.secret), min_security=INSECURE)
    x = np.random.default_rng(3).uniform(-1, 1, (1, SLOTS))
    client.encrypt(x).save(tmp_path / "encrypted.bin")
    with Server(plan, EvaluationKeyFile(keys.evaluation)) as server:
        server.run(CiphertextFile.load(tmp_path / "encrypted.bin")).save(tmp_path / "result.bin")
    y = client.decrypt(ResultFile.load(tmp_path / "result.bin"))["y"]
    errors = y - fitted(x)
    # The bootstrap's 2^-17, times the slope of the activation.
    assert errors.std() < 2**-15.5
    assert np.abs(y - exact(x)).max() < 0.05
    simulated = simulate_rows(plan, {"x": x})["y"] - fitted(x)
    assert 1 / 1.5 < errors.std() / simulated.std() < 1.5


def test_the_simulator_names_what_leaves_the_sines_interval(plan: CkksPlan) -> None:
    """W x may be as large as 1; 1.2 of it is folded back, which is counted, and does not spread."""
    x = np.random.default_rng(4).uniform(-1, 1, (3, SLOTS))
    x[1, 5:8] = (1.2, -1.2, 1.2)
    found = simulate_rows(plan, {"x": x})
    assert list(found.outside) == [1]
    assert found.outside[1] == "/relu: a value is not within -1.111 to 1.111, where its polynomial holds"
    others = np.ones(SLOTS, dtype=bool)
    others[5] = False
    errors = np.abs(found["y"] - fitted(x))
    assert errors[:, others].max() < 2**-7

"""Encrypted polynomials: their errors are the noise model's, and with SEAL's keys the results are SEAL's to the bit."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.instructions import Circuit, Input, Instruction, Output, Polynomial
from hecc.runtime.ckks.devices.native.engine import NativeEngine
from hecc.runtime.ckks.devices.native.streams import read_ciphertext
from hecc.runtime.ckks.devices.seal.engine import SealEngine
from hecc.runtime.ckks.readings.clear import Simulator
from hecc.runtime.ckks.readings.noise_drawn import GaussianNoise, RingNoise
from hecc.runtime.ckks.readings.types import verify_expanded
from hecc.runtime.depth import polynomial_depth

SLOTS = 32
SCALE = Fraction(1 << 40)
BASES = ("power", "chebyshev")


def coefficients(degree: int, kind: str, *, per_slot: bool = False) -> NDArray[np.float64]:
    """Such that the result is of magnitude one, as an activation's is."""
    rng = np.random.default_rng(degree)
    values = rng.uniform(-1, 1, (degree + 1, 1, SLOTS) if per_slot else degree + 1)
    if kind != "general":
        values[(degree + 1) % 2 :: 2] = 0
    return values


def program(values: NDArray[np.float64], basis: str, limbs: int) -> Circuit:
    dropped = (1,) * polynomial_depth(len(values) - 1)
    instructions = (
        Input(name="x", count=1, occupied="all", period=SLOTS, limbs=limbs, scale=SCALE),
        Polynomial(x=0, coefficients="c", basis=basis, dropped=dropped, scale=SCALE),  # type: ignore[arg-type]
        Output(x=1, name="y", occupied="all"),
    )
    return Circuit(SLOTS, instructions, {"all": np.ones((1, SLOTS), np.uint8), "c": values})


class SecretKeyNoise(GaussianNoise):
    """The model, but of inputs encrypted with the secret key: one polynomial less is rounded."""

    def noise(
        self, index: int, instruction: Instruction, value: NDArray[Any], operands: Sequence[NDArray[Any]]
    ) -> NDArray[Any] | None:
        if not isinstance(instruction, Input):
            return super().noise(index, instruction, value, operands)
        ring = RingNoise(2048, SLOTS)
        variance = ring.fresh - ring.rounding + ring.encoding
        return np.random.default_rng(3).normal(0.0, np.sqrt(variance) / float(SCALE), size=value.shape)


def run(circuit: Circuit, client: Any, x: NDArray[np.float64], engine: Any, source: Any) -> list[bytes]:
    limbs = next(ins.limbs for _, ins in circuit.inputs())
    streams = {"x": client.encrypt(x, limbs=limbs)}
    with engine(circuit, client.specification(circuit)).session(source) as session:
        found: list[bytes] = session.run(streams)["y"]
    return found


def errors(circuit: Circuit, client: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measured errors of one run, and the standard deviations that the model predicts; shape (slots,)."""
    keys = client.specification(circuit)
    expanded, types = verify_expanded(circuit, keys, bounds={0: 1.0})
    x = np.random.default_rng(5).uniform(-1, 1, (1, SLOTS))
    found = run(circuit, client, x, NativeEngine, client)
    scale = types[-1].scale
    decrypted = client.decrypt(found, SLOTS, limbs=types[-1].limbs, scale=scale)
    repeated = {"x": np.repeat(x[np.newaxis], 100, axis=0)}
    exact = Simulator(circuit).run(repeated)["y"]
    noisy = Simulator(expanded).run(repeated, SecretKeyNoise(expanded, types, keys, np.random.default_rng(9)))["y"]
    # Not the simulator: by the definition.
    basis = next(ins.basis for ins in circuit.instructions if isinstance(ins, Polynomial))
    c = circuit.constants["c"]
    direct = sum(c[i] * (x**i if basis == "power" else np.cos(i * np.arccos(x))) for i in range(len(c)))
    np.testing.assert_allclose(exact[0], direct, atol=1e-11)
    return (decrypted - direct)[0], np.sqrt(np.mean((noisy - exact) ** 2, axis=(0, 1)))


@pytest.mark.parametrize("per_slot", [False, True], ids=["one set", "a set per slot"])
@pytest.mark.parametrize("kind", ["general", "odd", "even"])
@pytest.mark.parametrize("basis", BASES)
def test_every_degree_errs_as_predicted(deep_client: Any, basis: str, kind: str, per_slot: bool) -> None:
    measured, predicted = [], []
    for degree in range(1, 32):
        if per_slot and degree not in (2, 5, 8, 15, 26, 31):
            continue
        if kind != "general" and degree % 2 != (kind == "odd"):
            continue
        values = coefficients(degree, kind, per_slot=per_slot)
        found, expected = errors(program(values, basis, 7), deep_client)
        assert (abs(found) < 16 * expected).all(), (degree, abs(found / expected).max())
        measured.append(float(np.sqrt(np.mean(found**2))))
        predicted.append(float(np.sqrt(np.mean(expected**2))))
    ratios = np.array(measured) / predicted
    # A ratio is of one run each: what few random numbers decide strays by a factor.
    assert (ratios < 4).all(), ratios
    assert 0.4 < np.exp(np.log(ratios).mean()) < 2, ratios


@pytest.mark.parametrize("limbs", range(4, 8))
def test_every_level_errs_as_predicted(deep_client: Any, limbs: int) -> None:
    found, expected = errors(program(coefficients(7, "general"), "chebyshev", limbs), deep_client)
    assert np.sqrt(np.mean(found**2)) < 3 * np.sqrt(np.mean(expected**2)) < 2.0**-28


@pytest.mark.parametrize("kind", ["general", "odd", "even"])
@pytest.mark.parametrize("basis", BASES)
def test_the_result_is_seals_to_the_bit(deep_client: Any, deep_twin: Any, basis: str, kind: str) -> None:
    x = np.random.default_rng(5).uniform(-1, 1, (1, SLOTS))
    for degree in {"general": (1, 2, 5, 13, 31), "odd": (3, 9, 31), "even": (4, 14, 30)}[kind]:
        circuit = program(coefficients(degree, kind), basis, 7)
        streams = {"x": deep_client.encrypt(x)}
        residues = []
        for engine, source in ((NativeEngine, deep_client), (SealEngine, deep_twin)):
            with engine(circuit, deep_client.specification(circuit)).session(source) as session:
                (stream,) = session.run(streams)["y"]
            limbs = 7 - polynomial_depth(degree)
            parsed = read_ciphertext(stream, ring_degree=2048, limbs=limbs, polynomials=2, where="a result")
            residues.append(parsed.residues)
        assert np.array_equal(*residues), degree

"""Bootstraps of ciphertexts, INSECURE at N = 2^12: the sine as promised, noise as predicted, kernels to the bit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.runtime.ckks.bootstrapping.small import MESSAGE_SCALE, QUIET, SLOTS, circuit, keys, quiet_keys

from hecc.runtime.ckks.circuit.instructions import Bootstrap, Circuit
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.circuit.security import InsecureLevel
from hecc.runtime.ckks.client.keygen import generate_keys, secret_residues
from hecc.runtime.ckks.client.seal_bridge import LevelCipher
from hecc.runtime.ckks.devices.native.engine import NativeEngine
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, SecretKeyFile
from hecc.runtime.ckks.readings.bootstrap_noise import BootstrapNoise
from hecc.runtime.ckks.readings.clear import Simulator
from hecc.runtime.ckks.readings.noise_drawn import GaussianNoise, RingNoise
from hecc.runtime.ckks.readings.types import verify
from hecc.runtime.native import implementations

HALF_A_BIT = math.sqrt(2)

Array = NDArray[np.float64]


class Owner:
    """A secret and evaluation keys; encrypts, runs and decrypts."""

    def __init__(self, spec: KeySpecification, folder: Path) -> None:
        self.spec = spec
        made = generate_keys(self.spec, folder, shape="native", min_security=InsecureLevel.INSECURE_FOR_TESTS_ONLY)
        self.evaluation = EvaluationKeyFile(made.evaluation)
        self._secret = secret_residues(SecretKeyFile.load(made.secret), None)

    def encrypt(self, u: Array) -> list[bytes]:
        """One ciphertext a row."""
        cipher = LevelCipher(self.spec, 2, enforce_128=False, secret=self._secret)
        return [cipher.encrypt(row, float(MESSAGE_SCALE)) for row in u]

    def run(self, program: Circuit, streams: list[bytes], **options: Any) -> list[bytes]:
        """The bootstrapped ciphertexts."""
        with NativeEngine(program, self.spec, **options).session(self.evaluation) as session:
            found: list[bytes] = session.run({"x": streams})["y"]
        return found

    def decrypt(self, program: Circuit, streams: list[bytes]) -> NDArray[np.complex128]:
        """Slots of what came back, one row a ciphertext."""
        kind = verify(program, self.spec)[1]
        assert kind.scale is not None
        cipher = LevelCipher(self.spec, kind.limbs, enforce_128=False, secret=self._secret)
        return np.array([cipher.decrypt(stream, float(kind.scale)) for stream in streams])


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Owner:
    return Owner(keys(), tmp_path_factory.mktemp("bootstrap") / "keys")


def messages(count: int) -> Array:
    return np.random.default_rng(count).uniform(-1, 1, (count, SLOTS))


def sine(u: Array) -> Array:
    """What is promised, from its definition."""
    return np.asarray(np.sin(2 * np.pi * 0.225 * u))


def prediction(u: Array, program: Circuit, spec: KeySpecification) -> BootstrapNoise:
    ((_, bootstrap),) = program.every(Bootstrap)
    ring = RingNoise(spec.ring_degree, SLOTS)
    operand = verify(program, spec)[0]
    assert operand.scale is not None
    return BootstrapNoise.of(bootstrap, operand.limbs, operand.scale, spec, ring, float(np.mean(u**2)))


def test_a_bootstrap_is_the_sine_within_the_predicted_noise(owner: Owner) -> None:
    """Six ciphertexts of all slots: standard deviation and worst slot within half a bit of the prediction."""
    program, u = circuit(count=6), messages(6)
    found = owner.decrypt(program, owner.run(program, owner.encrypt(u)))
    errors = found.real - sine(u)
    fresh = RingNoise(keys().ring_degree, SLOTS).fresh / float(MESSAGE_SCALE) ** 2
    slope = 2 * np.pi * 0.225 * np.cos(2 * np.pi * 0.225 * u)
    model, rng = prediction(u, program, keys()), np.random.default_rng(0)
    drawn = model.draw(np.broadcast_to(u, (10, *u.shape)), rng)
    drawn += rng.normal(size=drawn.shape) * np.sqrt(slope**2 * fresh)
    assert 1 / HALF_A_BIT < errors.std() / drawn.std() < HALF_A_BIT
    assert 1 / HALF_A_BIT < errors.std() / model.deviation(u) < HALF_A_BIT
    # Of most slots, of few, and the worst of each ciphertext, on average: a single one varies by more than half a bit.
    for share in (0.5, 0.9, 0.99, 0.999):
        found_one, drawn_one = np.quantile(np.abs(errors), share), np.quantile(np.abs(drawn), share)
        assert 1 / HALF_A_BIT < found_one / drawn_one < HALF_A_BIT
    worst, expected = (np.log2(np.abs(e).max(axis=-1)).mean() for e in (errors, drawn))
    assert worst == pytest.approx(expected, abs=0.5)
    # The absolute figure, so that a wrong prediction cannot hide a wrong result: 2^-17 is what was first measured.
    assert errors.std() < 2**-16.5
    assert found.imag.std() < 2 * errors.std()


def test_the_noise_of_the_transforms_is_predicted_too(tmp_path: Path) -> None:
    """With a polynomial whose rescales matter less, most of the noise is that of the argument."""
    owner, program, u = Owner(quiet_keys(), tmp_path / "keys"), circuit(count=2, **QUIET), messages(2)
    model = prediction(u, program, owner.spec)
    assert model.argument > 4 * model.rescales
    errors = owner.decrypt(program, owner.run(program, owner.encrypt(u))).real - sine(u)
    assert 1 / HALF_A_BIT < errors.std() / model.deviation(u) < HALF_A_BIT
    assert errors.std() < 2**-18


def test_the_simulator_draws_the_noise_that_is_measured(owner: Owner) -> None:
    program, u = circuit(), messages(1)
    measured = owner.decrypt(program, owner.run(program, owner.encrypt(u))).real - sine(u)
    types = verify(program, keys())
    noise = GaussianNoise(program, types, keys(), np.random.default_rng(4))
    drawn = Simulator(program).run({"x": np.repeat(u[np.newaxis], 8, axis=0)}, noise)["y"] - sine(u)
    assert 1 / HALF_A_BIT < measured.std() / drawn.std() < HALF_A_BIT


def test_all_kernels_and_any_number_of_threads_agree_to_the_bit(owner: Owner) -> None:
    """And whatever memory there is for weights."""
    program, streams = circuit(), owner.encrypt(messages(1))
    first = owner.run(program, streams, threads=1, kernels="portable")
    others = [{"kernels": name, "threads": 2} for name in implementations()]
    for options in [*others, {"memory": 0}]:
        assert owner.run(program, streams, **options) == first


def test_a_value_beyond_the_interval_folds_back(owner: Owner) -> None:
    """The sine saturates: what a polynomial would blow up is off by as much as itself, in its own slot alone."""
    u = messages(1)
    u[0, 7] = 1.3
    program = circuit()
    found = owner.decrypt(program, owner.run(program, owner.encrypt(u))).real
    others = np.arange(SLOTS) != 7
    assert abs(found[0, 7]) < 1.1
    assert np.abs(found - sine(u))[0, others].max() < 2**-8

"""The bootstrap that is meant: N = 2^15, 128 bits by both tables, all 2^14 slots."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.runtime.ckks.bootstrapping.small import MESSAGE_SCALE, bootstrap, keys_for

from hecc.runtime.ckks.circuit.instructions import Bootstrap, Circuit, Input, Output
from hecc.runtime.ckks.circuit.parameters import Encapsulation, KeySpecification, SecurityEvidence, SparseEvidence
from hecc.runtime.ckks.circuit.security import (
    SPARSE_TABLE_SOURCE,
    TABLE_SOURCE,
    check_keys,
    limit,
    ntt_primes,
    sparse_limit,
)
from hecc.runtime.ckks.client.keygen import generate_keys, secret_residues
from hecc.runtime.ckks.client.seal_bridge import LevelCipher
from hecc.runtime.ckks.devices.native.engine import NativeEngine
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, SecretKeyFile
from hecc.runtime.ckks.readings.bootstrap_noise import BootstrapNoise
from hecc.runtime.ckks.readings.noise_drawn import RingNoise
from hecc.runtime.ckks.readings.types import verify

DEGREE = 1 << 15
SLOTS = DEGREE // 2


def program() -> Circuit:
    """One bootstrap of all slots."""
    source = Input(name="x", count=1, occupied="all", period=SLOTS, limbs=2, scale=MESSAGE_SCALE)
    steps = (source, bootstrap(to_coefficients=(7, 7), to_slots=(5, 5, 4)), Output(x=1, name="y", occupied="all"))
    return Circuit(SLOTS, steps, {"all": np.ones((1, SLOTS), dtype=np.uint8)})


def secure_keys() -> KeySpecification:
    """18 data primes and 5 special ones: 852.0 of 868 bits; 76 bits under the sparse secret."""
    first, *message = ntt_primes(32, DEGREE, 7)
    data = (first, *ntt_primes(48, DEGREE, 1), *message, *ntt_primes(36, DEGREE, 10))
    spec = KeySpecification(
        ring_degree=DEGREE,
        data_primes=data,
        special_primes=ntt_primes(44, DEGREE, 5, exclude=data),
        digit_limbs=6,
        relinearization_limbs=0,
        galois=(),
        security=SecurityEvidence(level=128, adversary="classical", table=TABLE_SOURCE, log2_limit=limit(DEGREE, 128)),
        encapsulation=Encapsulation(
            weight=32,
            limbs=len(data),
            security=SparseEvidence(level=128, table=SPARSE_TABLE_SOURCE, log2_limit=sparse_limit(DEGREE, 32, 128)),
        ),
    )
    return keys_for(program(), [2, 8, 8], spec)


def test_it_is_secure_by_both_tables() -> None:
    spec = secure_keys()
    check_keys(spec, 128)
    verify(program(), spec, bounds={0: 1.0})
    assert spec.log2_qp == pytest.approx(852.0, abs=0.1)
    # Baby and giant steps: 44 for coefficients to slots, 61 for slots to coefficients, some of them the same.
    assert len(spec.galois) == 76


@pytest.mark.slow
def test_its_noise_is_what_is_predicted(tmp_path: Path) -> None:
    circuit, spec = program(), secure_keys()
    made = generate_keys(spec, tmp_path / "keys", shape="native", min_security=128)
    secret = secret_residues(SecretKeyFile.load(made.secret), None)
    u = np.random.default_rng(0).uniform(-1, 1, SLOTS)
    kinds = verify(circuit, spec)
    stream = LevelCipher(spec, 2, enforce_128=True, secret=secret).encrypt(u, float(MESSAGE_SCALE))
    with NativeEngine(circuit, spec).session(EvaluationKeyFile(made.evaluation)) as session:
        (result,) = session.run({"x": [stream]})["y"]
    assert kinds[0].scale is not None
    assert kinds[1].scale is not None
    found = LevelCipher(spec, kinds[1].limbs, enforce_128=True, secret=secret).decrypt(result, float(kinds[1].scale))
    errors = found.real - np.sin(2 * np.pi * 0.225 * u)
    ((_, ins),) = circuit.every(Bootstrap)
    model = BootstrapNoise.of(ins, kinds[0].limbs, kinds[0].scale, spec, RingNoise(DEGREE, SLOTS), float(np.mean(u**2)))
    assert np.log2(errors.std()) == pytest.approx(np.log2(model.deviation(u)), abs=0.5)
    assert errors.std() < 2**-13.5
    drawn = np.abs(model.draw(np.broadcast_to(u, (5, SLOTS)), np.random.default_rng(1)))
    for share in (0.5, 0.9, 0.99, 0.999):
        measured, predicted = (np.log2(np.quantile(e, share)) for e in (np.abs(errors), drawn))
        assert measured == pytest.approx(predicted, abs=0.5)

"""Small plans for tests of files, keys and the client; those on a small ring are insecure, and called so."""

import functools
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from hecc.runtime.ckks.circuit.instructions import (
    Add,
    Circuit,
    Input,
    MultiplyPlain,
    Output,
    Relinearize,
    Rescale,
    Rotate,
    Square,
)
from hecc.runtime.ckks.circuit.layout import vector_layout
from hecc.runtime.ckks.circuit.parameters import (
    Encapsulation,
    GaloisElement,
    KeySpecification,
    SecurityEvidence,
    SparseEvidence,
    conjugation_element,
    galois_element,
)
from hecc.runtime.ckks.circuit.security import TABLE_SOURCE, limit, ntt_primes
from hecc.runtime.ckks.plan.header import CkksHeader, CkksInput, CkksOutput, Estimate
from hecc.runtime.ckks.plan.plan import CkksPlan

SLOTS = 64
SCALE = Fraction(1 << 35)
WEIGHT_SCALE = Fraction(1 << 40)
INSECURE_EVIDENCE = SecurityEvidence(level=0, adversary="classical", table="INSECURE test parameters", log2_limit=0)


def specification(ring_degree: int, security: SecurityEvidence) -> KeySpecification:
    primes = ntt_primes(40, ring_degree, 4)
    return KeySpecification(
        ring_degree=ring_degree,
        data_primes=primes[:3],
        special_primes=primes[3:],
        relinearization_limbs=3,
        galois=(GaloisElement(galois_element(1, ring_degree), 2),),
        security=security,
    )


INSECURE_SMALL_DEGREE = 4096


@functools.cache
def insecure_small_specification(alpha: int = 6, special: int = 5) -> KeySpecification:
    """Keys that raise, INSECURE: the primes of a bootstrap that is secure at N = 2^15, of 852 bits, at N = 2^12.

    Of 32 bits the first prime and six for messages, one of 48 in between, ten of 36, and special ones of 44.
    """
    degree = INSECURE_SMALL_DEGREE
    first, *message = ntt_primes(32, degree, 7)
    middle = ntt_primes(48, degree, 1)
    upper = ntt_primes(36, degree, 10)
    data = (first, *middle, *message, *upper)
    return KeySpecification(
        ring_degree=degree,
        data_primes=data,
        special_primes=ntt_primes(44, degree, special, exclude=data),
        digit_limbs=alpha,
        relinearization_limbs=14,
        galois=(GaloisElement(galois_element(1, degree), 3), GaloisElement(conjugation_element(degree), 15)),
        security=INSECURE_EVIDENCE,
        encapsulation=Encapsulation(
            weight=32,
            limbs=len(data),
            security=SparseEvidence(level=0, table="INSECURE test parameters", log2_limit=0),
        ),
    )


def square_plan(keys: KeySpecification, *, model: str = "0" * 64) -> CkksPlan:
    """``y[s] = w[s] * x[s]^2 + w[s + 1] * x[s + 1]^2``, with the weights ``w = 0, 1/64, …, 63/64``."""
    layout = vector_layout((4, 16), SLOTS)
    weights = np.arange(SLOTS).reshape(1, SLOTS) / SLOTS
    last, middle = keys.data_primes[2], keys.data_primes[1]
    result = SCALE * SCALE / last * WEIGHT_SCALE / middle
    circuit = Circuit(
        SLOTS,
        (
            Input(name="x", count=1, occupied="all", period=layout.period, limbs=3, scale=SCALE),
            Square(x=0),
            Relinearize(x=1),
            Rescale(x=2),
            MultiplyPlain(x=3, vector="w", scale=WEIGHT_SCALE, source="/layer/Mul"),
            Rotate(x=4, step=1),
            Add(x=4, y=5),
            Rescale(x=6),
            Output(x=7, name="y", occupied="all"),
        ),
        {"all": np.ones((1, SLOTS), dtype=np.uint8), "w": weights},
    )
    header = CkksHeader(
        producer="test",
        model=model,
        inputs=(CkksInput(name="x", shape=(4, 16), layout=layout, limbs=3, scale=SCALE, low=-1, high=1),),
        outputs=(CkksOutput(name="y", shape=(4, 16), layout=layout, limbs=1, scale=result, bound=2.5, error=4e-6),),
        keys=keys,
        estimate=Estimate(
            depth=2,
            rotations=1,
            seconds=0.1,
            peak_memory=1,
            evaluation_key_bytes=1,
            input_bytes=1,
            output_bytes=1,
            precision_bits=12.0,
        ),
    )
    return CkksPlan(header, circuit)


def expected(x: np.ndarray) -> np.ndarray:
    """What :func:`square_plan` computes, of rows of shape (4, 16)."""
    flat = x.reshape(-1, SLOTS) ** 2 * np.arange(SLOTS) / SLOTS
    return (flat + np.roll(flat, -1, axis=1)).reshape(-1, 4, 16)


@dataclass(frozen=True)
class Plans:
    """What tests make plans with."""

    specification = staticmethod(specification)
    square = staticmethod(square_plan)
    insecure_small = staticmethod(insecure_small_specification)
    expected = staticmethod(expected)
    insecure_evidence = INSECURE_EVIDENCE
    primes = staticmethod(ntt_primes)


@pytest.fixture(scope="session")
def plans() -> Plans:
    return Plans()


@pytest.fixture(scope="session")
def insecure_plan() -> CkksPlan:
    """N = 1024 with 160 bits of modulus: anyone can break it."""
    return square_plan(specification(1024, INSECURE_EVIDENCE))


@pytest.fixture(scope="session")
def secure_plan() -> CkksPlan:
    """N = 8192 with 160 of the 214 bits that 128-bit security allows."""
    return square_plan(specification(8192, SecurityEvidence(128, "classical", TABLE_SOURCE, limit(8192, 128))))

"""Transforms with complex diagonals that repeat, on ciphertexts: against numpy, and equal for all kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hecc.runtime.ckks.bootstrapping.fourier import fourier_factors, split_steps
from hecc.runtime.ckks.circuit.parameters import galois_element
from hecc.runtime.ckks.devices.native.streams import parms_id, read_ciphertext, write_ciphertext
from hecc.runtime.native import _evaluator, implementations

DEGREE = 2048
SLOTS = DEGREE // 2
SCALE = 2.0**40
LIMBS = 3

Complex = NDArray[np.complex128]


def apply(
    client: Any,
    x: Complex,
    split: list[tuple[int, int]],
    values: Complex,
    *,
    kernels: str = "",
    threads: int = 1,
    memory: int = 1 << 26,
    rotations: int = 1 << 26,
) -> tuple[NDArray[np.uint64], Complex]:
    """Residues and slots of the transform of an encrypted vector."""
    context = _evaluator.Context(DEGREE, client.data_primes, client.special, client.alpha, threads, kernels)
    baby, giant = (np.array(steps, dtype=np.int32) for steps in zip(*split, strict=True))
    transform = _evaluator.LinearTransform(
        context, limbs=LIMBS, scale=SCALE, baby=baby, giant=giant, complex_values=values, memory=memory
    )
    elements = [galois_element(step, DEGREE) for step in transform.steps]
    keys = [_evaluator.SwitchingKey(context, client.galois(element)) for element in elements]
    stream = client.cipher(LIMBS).encrypt(x, SCALE)
    parsed = read_ciphertext(stream, ring_degree=DEGREE, limbs=LIMBS, polynomials=2, where="x")
    value = context.read_ciphertext(parsed.residues.reshape(-1).view(np.uint8), 2, LIMBS, parsed.seed)
    for _ in range(2):  # encoded at first, and kept as far as memory goes
        residues = transform.apply(value, keys, elements, rotations).array()
    assert transform.kept_bytes <= memory
    identity = parms_id(DEGREE, client.data_primes[:LIMBS])
    return residues[0], client.cipher(LIMBS).decrypt(write_ciphertext(identity, SCALE**2, residues[0]), SCALE**2)


def expected(x: Complex, split: list[tuple[int, int]], values: Complex) -> Complex:
    times = SLOTS // values.shape[1]
    return np.asarray(
        sum(np.tile(d, times) * np.roll(x, -(baby + giant)) for (baby, giant), d in zip(split, values, strict=True))
    )


def vector(seed: int, *shape: int) -> Complex:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.uniform(-1, 1, shape) + 1j * rng.uniform(-1, 1, shape))


@pytest.fixture
def client(hybrid_client: Callable[[int, int], Any]) -> Any:
    return hybrid_client(2, 3)


@pytest.mark.parametrize("period", [1, 2, 32, 64, 128, 256, 512, 1024])
def test_complex_diagonals_of_any_period(client: Any, period: int) -> None:
    """Noise of a transform is about 2^-28 here; an end that is off would show as 1."""
    split = [(baby, giant) for giant in (0, 4, SLOTS - 8) for baby in range(3)]
    x, values = vector(1, SLOTS), vector(2, len(split), period)
    _, found = apply(client, x, split, values)
    assert np.abs(found - expected(x, split, values)).max() < 2**-22


@pytest.mark.parametrize("memory", [0, 9 * 256 * 16, 1 << 26])
def test_what_is_kept_does_not_change_a_bit(client: Any, memory: int) -> None:
    """Nothing, coefficients or residues; and rotations a few at a time."""
    split = [(baby, giant) for giant in (0, 4, SLOTS - 8) for baby in range(3)]
    x, values = vector(1, SLOTS), vector(2, len(split), 256)
    stream = client.cipher(LIMBS).encrypt(x, SCALE)
    client = Replayed(client, stream)
    residues, _ = apply(client, x, split, values)
    again, _ = apply(client, x, split, values, memory=memory, rotations=0, threads=2)
    assert np.array_equal(residues, again)


@pytest.mark.parametrize("inverse", [False, True])
def test_a_fourier_factor(client: Any, inverse: bool) -> None:
    """All factors one after another would be a transform; each is what it is in clear."""
    x, groups = vector(3, SLOTS), (4, 3, 3)
    ends = np.cumsum(groups).tolist()
    factors = fourier_factors(SLOTS, groups, inverse=inverse)
    for end, size, factor in zip(ends, groups, reversed(factors) if inverse else factors, strict=True):
        split = split_steps(SLOTS, end - size, end)
        order = sorted(range(len(split)), key=lambda k: (split[k][1], split[k][0]))
        ordered = np.ascontiguousarray(factor.values[order])
        _, found = apply(client, x, [split[k] for k in order], ordered)
        assert np.abs(found - factor.apply(x)).max() < 2**-21


def test_all_kernels_agree_to_the_bit(client: Any) -> None:
    split = [(baby, giant) for giant in (0, 16) for baby in range(16)]
    for period in (32, 1024):
        x, values = vector(4, SLOTS), vector(5, len(split), period)
        replayed = Replayed(client, client.cipher(LIMBS).encrypt(x, SCALE))
        found = [apply(replayed, x, split, values, kernels=name)[0] for name in implementations()]
        assert len(found) > 1
        assert all(np.array_equal(found[0], other) for other in found)


class Replayed:
    """A client whose every ciphertext is the same."""

    def __init__(self, client: Any, stream: bytes) -> None:
        self._client, self._stream = client, stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def cipher(self, limbs: int) -> Any:
        """That of the client, whose encryptions are one."""
        return _Cipher(self._client.cipher(limbs), self._stream)


class _Cipher:
    def __init__(self, cipher: Any, stream: bytes) -> None:
        self.decrypt = cipher.decrypt
        self._stream = stream

    def encrypt(self, values: Complex, scale: float) -> bytes:
        """The stream, whatever is asked for."""
        return self._stream


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"complex_values": np.ones((2, 3), dtype=np.complex128)}, "3 slots of a period are not a power of two"),
        ({"complex_values": np.ones((2, 2 * SLOTS), dtype=np.complex128)}, "are not a power of two up to 1024"),
        ({"complex_values": np.ones((3, 4), dtype=np.complex128)}, "shape"),
        ({"complex_values": np.full((2, 4), np.inf * 1j)}, "not finite"),
        ({"baby": np.array([0, SLOTS], dtype=np.int32)}, "baby is outside"),
        ({"giant": np.array([0, -1], dtype=np.int32)}, "giant is outside"),
        ({"scale": 0.0}, "scale is not positive"),
        ({"limbs": 9}, "limbs"),
    ],
)
def test_what_is_refused(client: Any, changed: dict[str, Any], words: str) -> None:
    context = _evaluator.Context(DEGREE, client.data_primes, client.special, 2, 1, "")
    arguments: dict[str, Any] = {
        "limbs": LIMBS,
        "scale": SCALE,
        "baby": np.array([0, 1], dtype=np.int32),
        "giant": np.array([0, 0], dtype=np.int32),
        "complex_values": np.ones((2, 4), dtype=np.complex128),
        "memory": 0,
    }
    with pytest.raises(ValueError, match=words):
        _evaluator.LinearTransform(context, **{**arguments, **changed})

"""The transforms between slots and coefficients, against dense matrices of the definition."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hecc.runtime.ckks.bootstrapping.fourier import PeriodicDiagonals, fourier_factor, fourier_factors, split_steps
from hecc.runtime.errors import CircuitError

LOG_DEGREES = range(4, 9)


def embedding(degree: int) -> NDArray[np.complex128]:
    """Slots of the polynomials X^k, k < N: the canonical embedding in SEAL's order, from its definition."""
    powers = np.array([pow(3, j, 2 * degree) for j in range(degree // 2)])
    return np.asarray(np.exp(1j * np.pi / degree * (np.outer(powers, np.arange(degree)) % (2 * degree))))


def dense(matrix: PeriodicDiagonals) -> NDArray[np.complex128]:
    """A matrix with all its zeros."""
    result = np.zeros((matrix.slots, matrix.slots), dtype=np.complex128)
    for step, diagonal in zip(matrix.steps, matrix.values, strict=True):
        for j in range(matrix.slots):
            result[j, (j + step) % matrix.slots] += diagonal[j % matrix.period]
    return result


def reversal(slots: int) -> NDArray[np.int64]:
    """Bit reversal of the numbers below ``slots``."""
    bits = slots.bit_length() - 1
    return np.array([int(format(i, f"0{bits}b")[::-1], 2) for i in range(slots)])


def groupings(stages: int) -> list[tuple[int, ...]]:
    """Groups of stages: one by one, two factors, three, and one."""
    half = stages // 2
    return [(1,) * stages, (half, stages - half), (half, stages - half - 1, 1), (stages,)]


@pytest.mark.parametrize("log_degree", LOG_DEGREES)
def test_slots_to_coefficients(log_degree: int) -> None:
    """Slots V x are those of a polynomial with coefficients (x, 0), up to bit reversal."""
    degree = 1 << log_degree
    n = degree // 2
    x = np.random.default_rng(log_degree).normal(size=n)
    slots = embedding(degree)
    for groups in groupings(log_degree - 1):
        found = x.astype(np.complex128)
        for factor in fourier_factors(n, groups, inverse=False):
            found = factor.apply(found)
        coefficients = np.zeros(degree)
        coefficients[reversal(n)] = x
        assert np.allclose(found, slots @ coefficients, atol=1e-11)


@pytest.mark.parametrize("log_degree", LOG_DEGREES)
def test_coefficients_to_slots(log_degree: int) -> None:
    """a = Re(V^H z / n), bit reversed, whatever the high coefficients b are."""
    degree = 1 << log_degree
    n = degree // 2
    rng = np.random.default_rng(log_degree)
    a, b = rng.normal(size=n), 100 * rng.normal(size=n)
    slots = embedding(degree) @ np.concatenate([a, b])
    for groups in groupings(log_degree - 1):
        found = slots
        for factor in fourier_factors(n, groups, inverse=True):
            found = factor.apply(found)
        assert np.allclose(found.real / n, a[reversal(n)], atol=1e-10)


@pytest.mark.parametrize("log_degree", LOG_DEGREES)
def test_the_factors_multiply_to_the_matrix(log_degree: int) -> None:
    n = 1 << (log_degree - 1)
    matrix = embedding(2 * n)[:, :n][:, reversal(n)]
    for groups in groupings(log_degree - 1):
        product = np.eye(n, dtype=np.complex128)
        for factor in fourier_factors(n, groups, inverse=False):
            product = dense(factor) @ product
        assert np.allclose(product, matrix, atol=1e-11)
        product = np.eye(n, dtype=np.complex128)
        for factor in fourier_factors(n, groups, inverse=True):
            product = dense(factor) @ product
        assert np.allclose(product, matrix.conj().T, atol=1e-11)


@pytest.mark.parametrize("inverse", [False, True])
def test_numbers_of_diagonals_and_periods(inverse: bool) -> None:
    """As at N = 2^15: factors of five, five and four stages, and of seven and seven."""

    def shapes(groups: tuple[int, ...]) -> list[tuple[int, int]]:
        factors = fourier_factors(1 << 14, groups, inverse=inverse)
        return [(len(factor.steps), factor.period) for factor in (reversed(factors) if inverse else factors)]

    assert shapes((5, 5, 4)) == [(63, 1 << 5), (63, 1 << 10), (16, 1 << 14)]
    assert shapes((7, 7)) == [(255, 1 << 7), (128, 1 << 14)]


@pytest.mark.parametrize("inverse", [False, True])
def test_steps_are_split(inverse: bool) -> None:
    slots, keys = 1 << 14, set()
    for first, stop, babies, giants in ((0, 5, 16, 4), (5, 10, 16, 4), (10, 14, 8, 2), (0, 7, 32, 8), (7, 14, 16, 8)):
        split = split_steps(slots, first, stop)
        factor = fourier_factor(slots, first, stop)
        steps = (factor.conjugate_transpose() if inverse else factor).steps
        assert tuple((baby + giant) % slots for baby, giant in split) == steps
        assert all(0 <= step < slots for pair in split for step in pair)
        assert len({baby for baby, _ in split}) == babies
        assert len({giant for _, giant in split}) == giants
        if stop - first < 7:
            keys.update((first, step) for pair in split for step in pair if step)
    assert len(keys) == 44


@pytest.mark.parametrize(
    ("slots", "groups", "words"),
    [
        (16, (2, 1), "are not the 4 of a transform"),
        (16, (4, 0), "are not the 4 of a transform"),
        (16, (), "are not the 4 of a transform"),
        (24, (2, 2), "not a power of two"),
    ],
)
def test_groups_that_are_refused(slots: int, groups: tuple[int, ...], words: str) -> None:
    with pytest.raises(CircuitError, match=words):
        fourier_factors(slots, groups, inverse=False)

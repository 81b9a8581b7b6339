"""The transforms between slots and coefficients, as products of few sparse matrices.

A ring of degree N has n = N/2 slots; slot j is the value at zeta^(3^j), zeta = exp(pi i / N), the order of Microsoft
SEAL. With ``V[j, k] = zeta^(3^j k)``, n x n, and D the diagonal matrix of (-1)^j, a polynomial whose low coefficients
are a and whose high ones are b has the slots ``V a + i D V b``. Hence two identities, for real vectors:

* *slots to coefficients*: slots ``V x`` are those of a polynomial with coefficients (x, 0);
* *coefficients to slots*: ``a = Re(V^H z / n)`` for slots z, whatever b is, because ``V^H D V / n`` is real.

V is a fast Fourier transform. Up to a permutation of its columns, bit reversal, it is the product of log2(n) *stages*,
of which each adds and subtracts neighbours at one distance (Cheon, Han and Hhan, "Faster homomorphic discrete Fourier
transforms and improved FHE bootstrapping", IEEE Access 7, 2019, section 3). The permutation is left out: it cancels
between a transform and its inverse, and what is done in between is the same for all coefficients. Neighbouring stages
are multiplied into *factors*: a factor is a level, and a stage more in it doubles its diagonals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import CircuitError

__all__ = ["PeriodicDiagonals", "check_groups", "fourier_factor", "fourier_factors", "split_steps"]


@dataclass(frozen=True, eq=False)
class PeriodicDiagonals:
    """A square matrix with few diagonals, all of which repeat.

    ``y[j] = sum over k of values[k, j % period] * x[(j + steps[k]) % slots]``.

    Attributes
    ----------
    slots
        Rows and columns, a power of two.
    steps
        Distance of each diagonal from the main one, ascending, at least 0 and below ``slots``.
    values
        complex128 of shape (diagonals, period); ``period`` is a power of two up to ``slots``.
    """

    slots: int
    steps: tuple[int, ...]
    values: NDArray[np.complex128]

    @property
    def period(self) -> int:
        """Rows after which all diagonals repeat."""
        return int(self.values.shape[1])

    def __matmul__(self, other: PeriodicDiagonals) -> PeriodicDiagonals:
        """The product of two matrices."""
        period = max(self.period, other.period)
        own, others = (np.tile(m.values, (1, period // m.period)) for m in (self, other))
        sums: dict[int, NDArray[np.complex128]] = {}
        for step, left in zip(self.steps, own, strict=True):
            for more, right in zip(other.steps, np.roll(others, -step, axis=1), strict=True):
                total = (step + more) % self.slots
                sums[total] = sums[total] + left * right if total in sums else left * right
        steps = tuple(sorted(sums))
        return PeriodicDiagonals(self.slots, steps, np.stack([sums[step] for step in steps]))

    def conjugate_transpose(self) -> PeriodicDiagonals:
        """The conjugate of the transposed matrix."""
        moved = {
            -step % self.slots: np.roll(diagonal, step).conj()
            for step, diagonal in zip(self.steps, self.values, strict=True)
        }
        steps = tuple(sorted(moved))
        return PeriodicDiagonals(self.slots, steps, np.stack([moved[step] for step in steps]))

    def apply(self, x: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """The matrix times the last axis of an array."""
        times = self.slots // self.period
        return sum(
            (np.tile(d, times) * np.roll(x, -step, axis=-1) for step, d in zip(self.steps, self.values, strict=True)),
            np.zeros_like(x, dtype=np.complex128),
        )


def check_groups(slots: int, groups: Sequence[int]) -> None:
    """Refuse groups that are not all stages of a transform.

    Raises
    ------
    CircuitError
        Saying what they should be.
    """
    stages = slots.bit_length() - 1
    if slots < 2 or slots & (slots - 1):
        raise CircuitError(f"a Fourier transform of {slots} slots: not a power of two, 2 or more")
    if not groups or min(groups) < 1 or sum(groups) != stages:
        raise CircuitError(f"groups of {tuple(groups)} stages are not the {stages} of a transform of {slots} slots")


@lru_cache(maxsize=32)
def fourier_factor(slots: int, first: int, stop: int) -> PeriodicDiagonals:
    """The product of stages ``first`` to ``stop - 1``; stage 0 is that of the smallest distance, 1.

    With all stages it is V without its bit reversal: column k is column ``reversed(k)`` of V. Where the last stage is
    in it, 2^(stop - first) diagonals result, because distances wrap around, elsewhere 2^(stop - first + 1) - 1; they
    repeat every ``2^stop`` slots.
    """
    check_groups(slots, [stage for stage in (first, stop - first, slots.bit_length() - 1 - stop) if stage])
    product = _stage(slots, 2 << first)
    for stage in range(first + 1, stop):
        product = _stage(slots, 2 << stage) @ product
    product.values.flags.writeable = False
    return product


def fourier_factors(slots: int, groups: Sequence[int], *, inverse: bool) -> list[PeriodicDiagonals]:
    """The factors of a transform, in the order in which they are applied.

    Parameters
    ----------
    slots
        n, half the ring's degree.
    groups
        Stages of each factor, from the smallest distances on: all log2(n) of them.
    inverse
        Whether it is ``V^H``, coefficients to slots, which takes the factors from the other end. It lacks the division
        by n, and its result has both the real part that is wanted and an imaginary one.

    Raises
    ------
    CircuitError
        The groups are not all stages.
    """
    check_groups(slots, groups)
    ends = np.cumsum(groups).tolist()
    factors = [fourier_factor(slots, end - size, end) for end, size in zip(ends, groups, strict=True)]
    return [factor.conjugate_transpose() for factor in reversed(factors)] if inverse else factors


def split_steps(slots: int, first: int, stop: int) -> list[tuple[int, int]]:
    """How each step of a factor, or of its conjugate transpose, is a baby step and a giant step; by ascending step.

    Steps are multiples of the smallest distance, in a range of 2^k of them, which is covered by about twice as many
    baby steps as giant ones or four times as many: a giant step costs more, because nothing of it is shared. Both are
    at least 0 and below ``slots``, and their sum is the step modulo ``slots``.
    """
    unit, size = 1 << first, 1 << (stop - first)
    wraps = 1 << stop == slots
    numbers = list(range(size)) if wraps else [*range(size), *range(1 - size, 0)]
    babies = 1 << math.ceil((stop - first + (not wraps) + 1) / 2)
    start = 0 if wraps else -size
    split = []
    for number in numbers:
        giant, baby = divmod(number - start, babies)
        split.append((baby * unit, (giant * babies + start) * unit % slots))
    return split


def _stage(slots: int, length: int) -> PeriodicDiagonals:
    """Butterflies within blocks of ``length`` slots: their points are the first powers 3^j of a root of order 4 length.

    In each half j of a block, ``y[j] = x[j] + w^(3^j) x[j + half]`` and ``y[j + half] = x[j] + w^(3^(j + half)) x[j +
    half]``, w = exp(pi i / (2 length)).
    """
    half, order = length // 2, 4 * length
    exponents = np.ones(length, dtype=np.int64)
    for j in range(1, length):
        exponents[j] = exponents[j - 1] * 3 % order
    twiddles = np.exp(2j * np.pi * exponents / order)
    main = np.concatenate([np.ones(half), twiddles[half:]])
    ahead = np.concatenate([twiddles[:half], np.zeros(half)])
    behind = np.concatenate([np.zeros(half), np.ones(half)])
    if length == slots:
        return PeriodicDiagonals(slots, (0, half), np.stack([main, ahead + behind]))
    return PeriodicDiagonals(slots, (0, half, slots - half), np.stack([main, ahead, behind]))

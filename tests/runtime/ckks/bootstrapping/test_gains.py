"""The table of what rescales inside the sine cost, drawn again from the expansion's own instructions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hecc.runtime.ckks.bootstrapping.gains import KNOWN, rescaling_gain
from hecc.runtime.ckks.bootstrapping.sine import SineReduction
from hecc.runtime.ckks.circuit.bootstraps import expand_bootstrap
from hecc.runtime.ckks.circuit.instructions import (
    Add,
    AddScalar,
    Bootstrap,
    Conjugate,
    DropLimbs,
    Multiply,
    MultiplyScalar,
    Relinearize,
    Rescale,
    Square,
    Subtract,
)
from hecc.runtime.ckks.circuit.security import ntt_primes
from hecc.runtime.errors import CircuitError

SIZE = 1 << 14
NOISE = 1e-9
"""Standard deviation of one rescale's error, relative to the argument: far below what is not linear."""

RULES: dict[type, Callable[..., Any]] = {
    Add: lambda ins, x, y: x + y,
    Subtract: lambda ins, x, y: x - y,
    Multiply: lambda ins, x, y: x * y,
    Square: lambda ins, x: x * x,
    AddScalar: lambda ins, x: x + ins.value,
    MultiplyScalar: lambda ins, x: x * ins.value,
    Relinearize: lambda ins, x: x,
    Rescale: lambda ins, x: x,
    DropLimbs: lambda ins, x: x,
}


def drawn_gain(reduction: SineReduction) -> float:
    """Standard deviation of the result's error over that of each rescale behind the argument."""
    levels = reduction.levels
    primes = (*ntt_primes(32, 4096, 1), *ntt_primes(48, 4096, 1), *ntt_primes(36, 4096, levels + 3))
    bootstrap = Bootstrap(
        x=0,
        largest=reduction.largest,
        double_angles=reduction.double_angles,
        degree=reduction.degree,
        phase=reduction.phase,
        weight=reduction.weight,
        to_coefficients=(6, 5),
        to_slots=(4, 4, 3),
        limbs=len(primes),
        dropped=(1,) * (4 + levels),
        scale=Fraction(1 << 36),
    )
    expansion = expand_bootstrap(bootstrap, limbs=2, scale=Fraction(1 << 32), primes=primes)
    kinds = [type(step) for step in expansion.instructions]
    argument = kinds.index(Conjugate) + 2
    rng = np.random.default_rng(1)
    u = rng.uniform(-1, 1, SIZE)
    part = float(reduction.phase) * u
    multiples = np.rint(rng.uniform(-0.5, 0.5, (reduction.weight + 1, SIZE)).sum(axis=0) - part)
    start = (multiples + part) / float(reduction.reach)
    exact: dict[int, NDArray[np.float64]] = {argument: start}
    noisy: dict[int, NDArray[np.float64]] = {argument: start}
    unit = float(expansion.scales[argument - 1] or 0)
    for i, step in enumerate(expansion.instructions[argument:], argument):
        exact[i + 1] = RULES[type(step)](step, *(exact[v] for v in step.operands))
        noisy[i + 1] = RULES[type(step)](step, *(noisy[v] for v in step.operands))
        if isinstance(step, Rescale):
            scale = float(expansion.scales[i] or 0)
            noisy[i + 1] = noisy[i + 1] + NOISE * unit / scale * rng.standard_normal(SIZE)
    last = len(kinds)
    # Without noise it is what the reduction says that it computes.
    np.testing.assert_allclose(exact[last], reduction.approximate(multiples + part), atol=1e-9)
    return float((noisy[last] - exact[last]).std() / NOISE)


@pytest.mark.parametrize("known", KNOWN)
def test_the_table_is_what_is_drawn(known: tuple[int, int, int]) -> None:
    reduction = SineReduction(*known, phase=Fraction(9, 40), weight=32)
    assert np.log2(drawn_gain(reduction)) == pytest.approx(np.log2(rescaling_gain(reduction)), abs=0.1)


def test_a_smaller_phase_shows_as_a_larger_error() -> None:
    reduction = SineReduction(13, 2, 31, phase=Fraction(1, 16), weight=32)
    assert np.log2(drawn_gain(reduction)) == pytest.approx(np.log2(rescaling_gain(reduction)), abs=0.25)


def test_unknown_polynomials_are_refused() -> None:
    with pytest.raises(CircuitError, match="unknown bootstrap: of multiples up to 14, 2 double angles and degree 31"):
        rescaling_gain(SineReduction(14, 2, 31, Fraction(9, 40), 32))

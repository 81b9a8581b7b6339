"""What is known of the values within a polynomial holds for every argument, and for what is near one."""

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from hecc.runtime.ckks.circuit.instructions import (
    Add,
    AddPlain,
    AddScalar,
    Multiply,
    MultiplyPlain,
    MultiplyScalar,
    Polynomial,
    Square,
    Subtract,
)
from hecc.runtime.ckks.circuit.polynomials import expand
from hecc.runtime.ckks.readings.inner_ranges import inner_ranges

SLOTS = 16


def prepared(degree, seed, *, vectors=False):
    """An expansion of a polynomial like those of functions, and its coefficients."""
    generator = np.random.default_rng(seed)
    coefficients = generator.normal(size=degree + 1) * 0.9 ** np.arange(degree + 1)
    if vectors:
        # As in a layout with gaps: data and zeros.
        coefficients = coefficients[:, np.newaxis, np.newaxis] * (np.arange(SLOTS) % 4 < 3)[np.newaxis, np.newaxis]
    polynomial = Polynomial(x=0, coefficients="c", basis="chebyshev")
    return expand(polynomial, coefficients, limbs=8, scale=None, prefix="%"), coefficients


def evaluated(expansion, argument):
    """Every value, at (complex) arguments of shape (..., 1, slots)."""
    values = [argument]
    for ins in expansion.instructions:
        x, y = values[ins.operands[0]], values[ins.operands[-1]]
        vector = expansion.constants[ins.vector] if isinstance(ins, AddPlain | MultiplyPlain) else None
        if isinstance(ins, Multiply | Square):
            values.append(x * y)
        elif isinstance(ins, Add | Subtract):
            values.append(x + y if isinstance(ins, Add) else x - y)
        elif isinstance(ins, AddScalar | AddPlain):
            values.append(x + (ins.value if vector is None else vector))
        elif isinstance(ins, MultiplyScalar | MultiplyPlain):
            values.append(x * (ins.value if vector is None else vector))
        else:
            values.append(x)
    return values[1:]


@pytest.mark.parametrize("vectors", [False, True])
@pytest.mark.parametrize("degree", [2, 3, 7, 13, 31, 63, 127])
def test_values_stay_in_their_ranges_and_changes_within_what_is_proved(degree, vectors):
    expansion, coefficients = prepared(degree, degree, vectors=vectors)
    generator = np.random.default_rng(1)
    ends = np.sort(generator.uniform(-1, 1, (2, 1, SLOTS)), axis=0)
    ends[:, 0, 0] = -1, 1
    known = inner_ranges(expansion.instructions, expansion.constants, *ends)
    assert len(known) == len(expansion.instructions)
    arguments = ends[0] + (ends[1] - ends[0]) * generator.random((400, 1, SLOTS))
    arguments[:20], arguments[20:40] = ends
    exact = evaluated(expansion, arguments)
    for one, values in zip(known, exact, strict=True):
        assert np.all(values >= one.low - 1e-9)
        assert np.all(values <= one.high + 1e-9)
    # The last one's follow each slot's own arguments.
    spread = known[-1].high - known[-1].low
    assert np.ptp(spread) > 0
    for distance in (1e-6, 0.05 / degree**2, 0.25 / degree**2):
        turns = np.exp(2j * np.pi * generator.random(arguments.shape))
        moved = evaluated(expansion, arguments + distance * turns)
        for one, before, after in zip(known, exact, moved, strict=True):
            change = np.abs(after - before).max()
            assert change <= one.strays(distance) * (1 + 1e-9) + 1e-12
        series = coefficients.reshape(degree + 1, -1)[:, 0]
        steepest = np.abs(chebyshev.chebval(arguments + distance * turns, chebyshev.chebder(series))).max()
        assert steepest <= known[-1].steepness(distance)
    # While the curvature is small, a change counts with the true slope, and not with that of the instructions.
    true = np.abs(chebyshev.chebval(np.linspace(-1, 1, 9999), chebyshev.chebder(series))).max()
    assert known[-1].steepness(1e-6 / degree**2) == pytest.approx(true, rel=0.01)


def test_a_chebyshev_polynomial_stays_within_one_however_it_is_made():
    coefficients = np.zeros(100)
    coefficients[1::2] = 1 / np.arange(1, 101, 2)
    expansion = expand(
        Polynomial(x=0, coefficients="c", basis="chebyshev"), coefficients, limbs=8, scale=None, prefix="%"
    )
    known = inner_ranges(expansion.instructions, {}, np.full((1, 4), -1.0), np.ones((1, 4)))
    squares = [one for ins, one in zip(expansion.instructions, known, strict=True) if isinstance(ins, AddScalar)]
    assert squares
    for one in squares:
        assert float(one.high.max()) == pytest.approx(1, abs=1e-3)
        assert float(one.low.min()) == pytest.approx(-1, abs=1e-3)


def test_beyond_its_interval_a_polynomial_grows_without_a_proof_failing():
    expansion, _ = prepared(31, 2)
    wide = inner_ranges(expansion.instructions, {}, np.full((1, 4), -1.5), np.full((1, 4), 1.5))
    assert wide[-1].largest > 1e6
    far = inner_ranges(expansion.instructions, {}, np.full((1, 4), -1e300), np.full((1, 4), 1e300))
    assert not np.isfinite(far[-1].largest)


def test_slots_with_coefficients_of_their_own_are_left_alone():
    generator = np.random.default_rng(4)
    coefficients = generator.normal(size=(8, 1, SLOTS))
    expansion = expand(
        Polynomial(x=0, coefficients="c", basis="chebyshev"), coefficients, limbs=8, scale=None, prefix="%"
    )
    assert inner_ranges(expansion.instructions, expansion.constants, -np.ones((1, SLOTS)), np.ones((1, SLOTS))) == []

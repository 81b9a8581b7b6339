"""What the values inside of a polynomial's evaluation can become, from what its argument can.

A polynomial of ciphertexts is evaluated by dozens of products and sums (:mod:`hecc.runtime.ckks.circuit.polynomials`),
every one of which is a polynomial of the argument itself. Interval arithmetic, instruction by instruction, takes the
operands of a product for independent: of ``T_3 = 2 T_2 T_1 - T_1`` on [-1, 1] it proves [-3, 3], and of ``T_127``
nothing of use. So every value is sampled as the function of the one argument that it is, with a proof for what lies
between the samples (:mod:`hecc.runtime.sampling`); and so is its derivative, which says what an error of the argument
makes of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.instructions import (
    Add,
    AddPlain,
    AddScalar,
    DropLimbs,
    Instruction,
    Multiply,
    MultiplyPlain,
    MultiplyScalar,
    Relinearize,
    Rescale,
    Square,
    Subtract,
    constant_names,
    kinds_with,
)
from hecc.runtime.ckks.circuit.traits import Trait
from hecc.runtime.reading import Reading
from hecc.runtime.sampling import Sampled, chebyshev_points, polynomial_slack

__all__ = ["Inner", "inner_ranges"]

MAX_KINDS = 8
"""Of slots with coefficients of their own. The compiler knows two, those with data and those without."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Inner:
    """A value within the evaluation of a polynomial, as a function of the argument.

    Attributes
    ----------
    low, high
        The least and the largest that it can be; they broadcast to the argument's shape.
    degree, largest, slope
        Of the polynomial that it is in ``u = x / reach``: its degree, and the largest magnitudes of itself and of its
        derivative for u in [-1, 1].
    reach
        The largest magnitude of the argument.
    """

    low: Array
    high: Array
    degree: int
    largest: float
    slope: float
    reach: float

    def curvature(self, distance: float) -> float:
        """Such a change of the argument times the square of the degree: well below 1, the value follows it linearly."""
        return self.degree**2 * distance / self.reach

    def strays(self, distance: float) -> float:
        """By how much it changes when the argument changes by at most so much, off the real axis too.

        The k-th derivative of a polynomial of degree n is at most that of T_n at 1 times the largest value (the Markov
        brothers' inequality), which is ``n^2k / (1 * 3 * ... * (2 k - 1))`` at most. All terms of the Taylor series
        from the second on then add up to ``y^2 / 6 cosh(sqrt(2 y))`` at most, where y is n^2 times the change.
        """
        y = self.curvature(distance)
        return distance / self.reach * self.slope + self.largest * y * y / 6 * _cosh(2 * y)

    def steepness(self, distance: float) -> float:
        """The largest magnitude of its derivative within such a distance of what the argument can be."""
        y = self.curvature(distance)
        return (self.slope + self.largest * self.degree**2 * y / 3 * _cosh(2 * y)) / self.reach


def inner_ranges(
    instructions: Sequence[Instruction], constants: Mapping[str, NDArray[Any]], low: Array, high: Array
) -> list[Inner]:
    """What is known of every instruction's result.

    Parameters
    ----------
    instructions, constants
        An expansion: operand 0 is the argument, operand ``i + 1`` the result of instruction ``i``.
    low, high
        What the argument can be, each of shape (count, slots).

    Returns
    -------
    list
        The range of the last result follows each slot's own argument, that of the others all arguments together. Empty
        where too many slots have coefficients of their own.
    """
    kinds = _kinds(instructions, constants, low.shape)
    if kinds is None:
        return []
    number, kind = kinds
    degrees = _degrees(instructions)
    reach = max(float(np.abs(low).max()), float(np.abs(high).max()), 1e-300)
    points = chebyshev_points(max(degrees), reach)
    found: list[Inner] = []
    with np.errstate(over="ignore", invalid="ignore"):
        sampled = _sampled(instructions, constants, points, _representatives(number, kind))
        for i, (degree, (values, derivatives)) in enumerate(zip(degrees[1:], sampled, strict=True)):
            slack, bend = polynomial_slack(values, degree), polynomial_slack(derivatives, degree)
            least, largest = (values.min(axis=1) - slack)[kind], (values.max(axis=1) + slack)[kind]
            size = float((np.abs(values).max(axis=1) + slack).max())
            slope = float((np.abs(derivatives).max(axis=1) + bend).max()) * reach
            if i == len(instructions) - 1 and math.isfinite(size):
                least, largest = low.copy(), high.copy()
                for k in range(number):
                    here = np.broadcast_to(kind == k, low.shape)
                    one = Sampled(points, values[k], float(slack[k]))
                    least[here], largest[here] = one.image(low[here], high[here])
            found.append(Inner(least, largest, degree, size, slope, reach))
    return found


def _cosh(square: float) -> float:
    """Of the root of a number; infinite where it is too large."""
    return math.cosh(min(math.sqrt(square), 700.0)) if square < math.inf else math.inf


def _degrees(instructions: Sequence[Instruction]) -> list[int]:
    """Of every value as a polynomial of the argument."""
    degrees = [1]
    for ins in instructions:
        found = [degrees[v] for v in ins.operands]
        degrees.append(found[0] + found[-1] if Trait.PRODUCT in ins.traits else max(found))
    return degrees


def _kinds(
    instructions: Sequence[Instruction], constants: Mapping[str, NDArray[Any]], shape: tuple[int, ...]
) -> tuple[int, NDArray[np.int64]] | None:
    """How many kinds of slots there are, and the kind of each: slots of one kind have the same coefficients."""
    names = dict.fromkeys(name for ins in instructions for name in constant_names(ins))
    if not names:
        return 1, np.zeros((1, 1), dtype=np.int64)
    kind = np.zeros(shape, dtype=np.int64)
    number = 1
    for name in names:
        values, places = np.unique(np.broadcast_to(constants[name], shape), return_inverse=True)
        if len(values) > MAX_KINDS:
            return None
        # Of the pairs of an old kind and a value, those that occur.
        found, kind = np.unique(kind * len(values) + places.reshape(shape), return_inverse=True)
        kind, number = kind.reshape(shape), len(found)
        if number > MAX_KINDS:
            return None
    return number, kind


def _representatives(number: int, kind: NDArray[np.int64]) -> NDArray[np.int64]:
    """A slot of each kind, by its flat index."""
    return np.array([int(np.argmax(kind.reshape(-1) == k)) for k in range(number)])


def _sampled(
    instructions: Sequence[Instruction],
    constants: Mapping[str, NDArray[Any]],
    points: Array,
    slots: NDArray[np.int64],
) -> Iterator[tuple[Array, Array]]:
    """Every instruction's result and its derivative at the points, of shape (slots, points)."""
    values: list[Array] = [np.broadcast_to(points, (len(slots), len(points)))]
    derivatives: list[Array] = [np.ones_like(values[0])]
    vectors = {
        name: np.asarray(constants[name], dtype=np.float64).reshape(-1)[slots][:, np.newaxis]
        for ins in instructions
        for name in constant_names(ins)
    }
    for ins in instructions:
        operands = [(values[v], derivatives[v]) for v in ins.operands]
        value, derivative = _RULES.of(ins)(ins, vectors, *operands)
        values.append(value)
        derivatives.append(derivative)
        yield value, derivative


Pair = tuple[Array, Array]
"""A value and its derivative."""


def _same(ins: Instruction, vectors: Mapping[str, Array], x: Pair) -> Pair:
    return x


def _product(ins: Instruction, vectors: Mapping[str, Array], x: Pair, y: Pair) -> Pair:
    return x[0] * y[0], x[1] * y[0] + x[0] * y[1]


_RULES: Reading[Callable[..., Pair]] = Reading(
    "the values within a polynomial, with their derivatives",
    kinds_with(Trait.EVALUATES),
    {
        Add: lambda ins, vectors, x, y: (x[0] + y[0], x[1] + y[1]),
        Subtract: lambda ins, vectors, x, y: (x[0] - y[0], x[1] - y[1]),
        Multiply: _product,
        Square: lambda ins, vectors, x: _product(ins, vectors, x, x),
        Relinearize: _same,
        AddPlain: lambda ins, vectors, x: (x[0] + vectors[ins.vector], x[1]),
        MultiplyPlain: lambda ins, vectors, x: (x[0] * vectors[ins.vector], x[1] * vectors[ins.vector]),
        AddScalar: lambda ins, vectors, x: (x[0] + ins.value, x[1]),
        MultiplyScalar: lambda ins, vectors, x: (x[0] * ins.value, x[1] * ins.value),
        Rescale: _same,
        DropLimbs: _same,
    },
)

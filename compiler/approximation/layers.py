"""Layers: a function with the interval of its argument, and the polynomials that may stand for it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.approximation.fits import (
    Structure,
    composition,
    histogram,
    least_squares,
    minimax,
    structure_of,
    trimmed,
)
from hecc.compiler.approximation.intervals import argument_interval, ratio_interval
from hecc.compiler.approximation.sine import argument, reach, sine
from hecc.compiler.graph.function import SINGULAR
from hecc.compiler.graph.intervals import POINTS
from hecc.compiler.graph.nodes import FunctionNode
from hecc.compiler.graph.proofs import Demanded
from hecc.runtime.errors import CompileError
from hecc.runtime.native.series import chebyshev_series

__all__ = ["BEYOND", "CLASSES", "SINGLE", "Fit", "FittedLayer"]

log = logging.getLogger(__name__)

Array = NDArray[np.float64]

CLASSES = ((1,), (2,), (3,), (7,), (15,), (31,), (63,), (127,), (255,), (31, 15), (31, 31), (63, 31), (63, 63))
"""The largest degree of each number of levels, from none on; beyond the largest of all, of two polynomials in a row."""

SINGLE = 8
"""The last class of one polynomial."""

BEYOND = 4e-3
"""Part of the rows that may leave the interval without its fringe in any of the layers; a fifth of those leave the
fringe."""

FLOORS = (0.02, 0.1, 0.4, 1.0)
"""Parts of the weight that bounded least squares spread evenly, the first one first."""

EXCESS = 1.0
"""By how many times what the function spans a polynomial may miss it where no value was seen."""

SYMMETRIC = 1.25
"""An interval may be so many times as wide for the sake of symmetry: half of the products are saved, and no level."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A polynomial in ``u = (x - centre) / radius``, or several, each of the one before.

    With a phase the first is one in the sine of u that a bootstrap makes (:mod:`hecc.compiler.approximation.sine`).
    """

    centre: float
    radius: float
    stages: tuple[Array, ...]
    phase: float | None = None

    def __call__(self, x: Array) -> Array:
        """Its value at x, of the same shape; infinite where it overflows."""
        value = (x - self.centre) / self.radius
        if self.phase is not None:
            value = sine(self.phase, value)
        for coefficients in self.stages:
            value = chebyshev_series(value, coefficients)
        return value

    @property
    def degrees(self) -> tuple[int, ...]:
        """Of each polynomial."""
        return tuple(len(coefficients) - 1 for coefficients in self.stages)


class FittedLayer:
    """A function with its interval and the polynomials that were fitted so far.

    Parameters
    ----------
    node
        The function.
    values
        Its arguments on the calibration inputs, shape (rows, size).
    proved
        What interval arithmetic proves of them.
    margin
        By how much the interval is wider than what was seen, as a part of it.
    demand
        What has to hold for every input in the declared range; then the interval is all that is proved.
    also
        Arguments on other inputs, which the interval holds, too, if the function is finite there.
    beyond
        Part of the rows that may leave the interval without its fringe.
    quiet
        Do not warn of rows that go much farther than the others.
    phase
        Of the bootstrap ahead of the polynomial, if there is one.

    Raises
    ------
    CompileError
        The function is not finite on all of the interval.
    """

    METHODS = ("least squares", "minimax")

    def __init__(
        self,
        node: FunctionNode,
        values: Array,
        proved: tuple[float, float],
        margin: float,
        demand: Demanded | None = None,
        *,
        also: Array | None = None,
        beyond: float = BEYOND,
        quiet: bool = False,
        phase: float | None = None,
    ) -> None:
        self.node, self.demand, self.phase = node, demand, phase
        self.seen = float(values.min()), float(values.max())
        ratios = bool(node.function.primitives() & SINGULAR) and self.seen[0] > 0
        found = (ratio_interval if ratios else argument_interval)(values, proved, margin, beyond)
        low, high = (demand.low, demand.high) if demand else (found.low, found.high)
        if also is not None and not demand:
            wider = min(low, float(also.min())), max(high, float(also.max()))
            if node.function.is_defined(*wider):
                low, high = wider
        if found.strays and not demand and not quiet:
            log.warning(
                "%s: %d of %d calibration inputs take the x of %s from %.4g to %.4g, farther than the others let "
                "expect, %.4g to %.4g; about %.0f rows in a thousand may be like them, and the result of one beyond "
                "%.4g to %.4g is lost: calibrate with more inputs like them, or clip inputs before encryption",
                node.source,
                found.strays,
                len(values),
                node.function,
                *self.seen,
                *found.expected,
                1000 * found.strays / len(values),
                low,
                high,
            )
        # Polynomials in a sine are fitted as far as it goes before it turns back.
        self._reach = 1.0 if phase is None else reach(phase)
        centre, radius = (low + high) / 2, (high - low) / 2
        if not node.function.is_defined(centre - self._reach * radius, centre + self._reach * radius):
            raise CompileError(
                f"{node.source} (opset {node.source.opset}) is not finite everywhere between {low:.4g} and {high:.4g}, "
                "where the values of its argument lie with their margin; scale them down, or add a constant that keeps "
                "them away from zero, and train again"
            )
        self.centre, self.radius = centre, radius
        self.structure = Structure()
        farthest = max(abs(low), abs(high))
        if farthest <= SYMMETRIC * self.radius:
            # Beyond what was looked at it may overflow, and has no symmetry then.
            with np.errstate(invalid="ignore"):
                structure = structure_of(lambda u: node.function(farthest * self._unbent(u)))
            if structure.parity is not None:
                self.centre, self.radius, self.structure = 0.0, farthest, structure
        # What is proved nothing leaves.
        ends = self.centre - self._reach * self.radius, self.centre + self._reach * self.radius
        self.outside = 0.0 if demand else found.outside(*ends)
        self._weights = histogram(self._bent((values - self.centre) / self.radius))
        self._fits: dict[tuple[tuple[int, ...], str], Fit] = {}
        self._admitted: dict[Fit, bool] = {}

    def admits(self, fit: Fit) -> bool:
        """Whether a polynomial does what the proof demands, or stays bounded where no value was seen."""
        if fit not in self._admitted:
            self._admitted[fit] = self.demand.met(fit, self.node.function) if self.demand else self._bounded(fit)
        return self._admitted[fit]

    def _bounded(self, fit: Fit) -> bool:
        points = self.centre + self._reach * self.radius * np.cos(np.linspace(0, np.pi, POINTS))
        values = self.node.function(points)
        unseen = (points < self.seen[0]) | (points > self.seen[1])
        error = np.abs(fit(points[unseen]) - values[unseen])
        return bool((error <= EXCESS * float(values.max() - values.min())).all())

    def _bent(self, u: Array) -> Array:
        """What the polynomial is one in, of the place in the interval."""
        return u if self.phase is None else sine(self.phase, u)

    def _unbent(self, s: Array) -> Array:
        return s if self.phase is None else argument(self.phase, s)

    def _function(self, s: Array) -> Array:
        return self.node.function(self.centre + self.radius * self._unbent(s))

    def _fit(self, stages: tuple[Array, ...]) -> Fit:
        return Fit(self.centre, self.radius, tuple(map(trimmed, stages)), self.phase)

    @cached_property
    def _steep(self) -> bool:
        """Whether a composition can do more than one polynomial: of an even function, or an exact fit, it cannot."""
        single = CLASSES[SINGLE][0]
        return self.structure.parity != 0 and self.fit((single,), "minimax").degrees[0] >= single - 1

    def _bounded_stage(self, degree: int) -> Array:
        """Least squares with as much of the weight on values that were not seen as it takes to stay bounded there."""
        for floor in FLOORS:
            stage = least_squares(self._function, degree, self._weights, self.structure, floor)
            if self.admits(self._fit((stage,))):
                break
        return stage

    def fit(self, degrees: tuple[int, ...], method: str) -> Fit:
        """The polynomial, or the composition, of at most these degrees by a method."""
        if len(degrees) == 2 and not self._steep:
            degrees = CLASSES[SINGLE]
        key = degrees, method
        if key not in self._fits:
            stages: tuple[Array, ...]
            if len(degrees) == 2:
                even = np.ones_like(self._weights)
                weights = even if method == "minimax" else self._weights
                stages = composition(self._function, (degrees[0], degrees[1]), weights, self.structure)
            elif method == "bounded":
                stages = (self._bounded_stage(degrees[0]),)
            elif method == "minimax":
                stages = (minimax(self._function, degrees[0], self.structure),)
            else:
                stages = (least_squares(self._function, degrees[0], self._weights, self.structure),)
            self._fits[key] = self._fit(stages)
        return self._fits[key]

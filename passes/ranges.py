"""Ranges: how large every value can get, proved where possible and observed otherwise.

Two numbers per value matter. ``observed``, the largest magnitude over the calibration inputs, sets the scale: a value
is stored so that its observed magnitude is about one, which keeps the precision of all layers alike without touching a
weight. ``bound``, the largest magnitude that must not overflow, sets the modulus. Interval arithmetic over the declared
input range proves a bound; through a few squares it becomes absurdly large, so ``bound`` is the smaller of it and the
observed magnitude with a margin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.ir.affine import Parameters
from hecc.compiler.ir.graph import AffineNode, Graph, InputNode, PolynomialNode, WindowSumNode

__all__ = ["Range", "value_ranges"]

Interval = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Range:
    """Magnitudes of one value.

    Attributes
    ----------
    observed
        Largest magnitude over the calibration inputs.
    rms
        Root of the mean square over the calibration inputs and the elements.
    proved
        Largest magnitude that any input within the declared range can cause.
    bound
        What the modulus has room for.
    """

    observed: float
    rms: float
    proved: float
    bound: float


def value_ranges(
    graph: Graph,
    calibration: Mapping[str, NDArray[np.float64]],
    declared: Mapping[str, tuple[float, float]],
    margin: float,
) -> dict[str, Range]:
    """Ranges of all values.

    Parameters
    ----------
    calibration
        Inputs by name, shape (rows, ...).
    declared
        Smallest and largest value of each input's elements.
    margin
        How many times the observed magnitude ``bound`` allows, where less is not proved.
    """
    intervals: dict[str, Interval] = {}
    ranges: dict[str, Range] = {}
    for node in graph.nodes:
        name = node.output.name
        if isinstance(node, InputNode):
            low, high = declared[name]
            size = int(np.prod(node.output.shape))
            intervals[name] = (np.full(size, (low + high) / 2), np.full(size, (high - low) / 2))
        elif isinstance(node, AffineNode):
            intervals[name] = _affine(node, intervals, graph.parameters)
        elif isinstance(node, WindowSumNode):
            centre, radius = intervals[node.value]
            sums = (node.taps * node.window.apply(part[np.newaxis], graph.parameters)[0] for part in (centre, radius))
            intervals[name] = (next(sums), next(sums))
        elif isinstance(node, PolynomialNode):
            intervals[name] = _polynomial(node, intervals[node.value], graph.parameters)
    for name, values in graph.evaluate(calibration).items():
        centre, radius = intervals[name]
        proved = float((np.abs(centre) + radius).max())
        # A value that is zero on all calibration inputs still needs a scale.
        observed = float(np.abs(values).max()) or proved or 1.0
        rms = float(np.sqrt(np.mean(values**2)))
        ranges[name] = Range(observed, rms, proved, max(observed, min(proved, margin * observed)))
    return ranges


def _affine(node: AffineNode, intervals: Mapping[str, Interval], parameters: Parameters) -> Interval:
    """Interval arithmetic in centre and radius: the radius goes through the map's absolute values."""
    size = int(np.prod(node.output.shape))
    centre, radius = np.zeros(size), np.zeros(size)
    if node.bias is not None:
        centre += np.broadcast_to(np.asarray(parameters[node.bias], dtype=np.float64), node.output.shape).reshape(-1)
    for term in node.terms:
        term_centre, term_radius = intervals[term.value]
        for rows, columns, values in term.map.entries(parameters):
            centre += np.bincount(rows, values * term_centre[columns], minlength=size)
            radius += np.bincount(rows, np.abs(values) * term_radius[columns], minlength=size)
    return centre, radius


def _polynomial(node: PolynomialNode, interval: Interval, parameters: Parameters) -> Interval:
    """Exact for the monic polynomials of degree two of a canonical graph: ends of the interval and the vertex."""
    low, high = interval[0] - interval[1], interval[0] + interval[1]
    constant, linear, leading = (
        np.broadcast_to(np.asarray(parameters[c], dtype=np.float64), node.output.shape).reshape(-1)
        for c in node.coefficients
    )
    vertex = np.clip(-linear / (2 * leading), low, high)
    candidates = [constant + x * (linear + x * leading) for x in (low, high, vertex)]
    smallest, largest = np.min(candidates, axis=0), np.max(candidates, axis=0)
    return (smallest + largest) / 2, (largest - smallest) / 2

"""Accuracy: the fewest bits of values and weights with which the outputs are as precise as was asked for.

A bit more of each costs a few percent of all bytes, and halves the error. What an output may be off by is a part of the
largest magnitude that it has on the calibration inputs, and it is looked at on these, rounded with fresh coins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.graph import Graph
from hecc.compiler.sharing.lowering import Accuracy, Lowered, lower
from hecc.compiler.sharing.options import Reveal
from hecc.compiler.sharing.simulation import simulated
from hecc.runtime.errors import CompileError, UnsupportedError
from hecc.runtime.sharing.parties.walk import Checked

__all__ = ["Measured", "choose_accuracy"]

MOST_BITS = 30
"""Of values and weights: more are no use for weights in single precision."""

EXTRA_BITS = 2
"""Of values and weights beyond the precision of outputs, to begin with."""

ROWS = 64
"""Calibration inputs that errors are looked at on."""


@dataclass(frozen=True)
class Measured:
    """A program, and how precise it is.

    Attributes
    ----------
    precision
        ``-log2`` of the largest error of an element of an output, relative to the output's largest magnitude.
    """

    lowered: Lowered
    checked: Checked
    accuracy: Accuracy
    precision: float


def choose_accuracy(
    graph: Graph,
    calibration: Mapping[str, NDArray[np.float64]],
    declared: Mapping[str, tuple[float, float]],
    precision: float,
    *,
    margin: float | None,
    reveal: Reveal = "scores",
) -> Measured:
    """Lower a graph with as few bits as are precise enough.

    Parameters
    ----------
    precision
        Bits that were asked for.
    margin, reveal
        As :func:`hecc.compiler.sharing.lowering.lower` takes them. Precision is that of scores, whatever is revealed.

    Raises
    ------
    UnsupportedError
        The graph has a node that cannot be shared.
    CompileError
        No number of bits is precise enough.
    """
    ends = _ends(graph, calibration)
    observed = {name: float(np.maximum(-low, high)) for name, (low, high) in ends.items()}
    rows = {name: each[:ROWS] for name, each in calibration.items()}
    values = graph.evaluate(rows)
    expected = {name: values[name] for name in graph.outputs}

    def measured(accuracy: Accuracy) -> Measured:
        lowered = lower(graph, observed, declared, accuracy, margin=margin, ends=ends)
        checked = Checked.of(lowered.built.program)
        found = simulated(lowered, checked, rows, seed=0)
        error = max(
            float(np.abs(found[name] - each).max()) / (observed[name] or 1.0) for name, each in expected.items()
        )
        return Measured(lowered, checked, accuracy, -math.log2(error) if error > 0 else math.inf)

    bits = math.ceil(precision) + EXTRA_BITS
    best = measured(Accuracy(bits, bits))
    while best.precision < precision:
        # What is missing, as far as errors are halved by a bit.
        bits += max(1, math.ceil(precision - best.precision))
        if bits > MOST_BITS:
            raise CompileError(
                f"outputs are precise to {best.precision:.1f} bits at the most, and {precision:g} were asked for; ask "
                "for less precision"
            )
        try:
            best = measured(Accuracy(bits, bits))
        except (CompileError, UnsupportedError) as error:
            # With the bits before there is a program: it is the precision that cannot be had.
            raise CompileError(
                f"outputs are precise to {best.precision:.1f} bits at the most, and {precision:g} were asked for; ask "
                f"for less precision; with more bits: {error}"
            ) from error
    best = _with_fewer_weight_bits(best, measured, precision)
    if reveal == "scores":
        return best
    lowered = lower(graph, observed, declared, best.accuracy, margin=margin, reveal=reveal, ends=ends)
    return replace(best, lowered=lowered, checked=Checked.of(lowered.built.program))


def _ends(graph: Graph, calibration: Mapping[str, NDArray[np.float64]]) -> dict[str, tuple[float, float]]:
    """The least and the largest element of every value; a few rows at a time, since all values of all fill memories."""
    found: dict[str, tuple[float, float]] = {}
    for at in range(0, len(next(iter(calibration.values()))), ROWS):
        values = graph.evaluate({name: each[at : at + ROWS] for name, each in calibration.items()})
        for name, each in values.items():
            low, high = found.get(name, (math.inf, -math.inf))
            # Not a number stays one, wherever it is.
            found[name] = float(np.minimum(low, each.min())), float(np.maximum(high, each.max()))
    return found


def _with_fewer_weight_bits(best: Measured, measured: Callable[[Accuracy], Measured], precision: float) -> Measured:
    """Rings of layers are as much smaller as weights have fewer bits; values pay for nothing else."""
    while best.accuracy.weight_bits > 2:
        offer = measured(Accuracy(best.accuracy.value_bits, best.accuracy.weight_bits - 1))
        if offer.precision < precision:
            return best
        best = offer
    return best

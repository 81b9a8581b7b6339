"""Maxima as knock-out tournaments: of n numbers in ceil(log2 n) rounds, each a rectifier.

Of two numbers the larger one is ``b + relu(a - b)``, which polynomials follow as far as they follow a rectifier; the
smaller one is ``b - relu(b - a)``. A round compares the numbers of all windows at once: the differences of all pairs
lie in one tensor, behind one another along the channels, so that a round is one affine map and one function, whatever
the window. The winners of a round are sums, of an element that came in and of what rectifiers found it to be exceeded
by. They are no values of their own: the differences of the next round are taken of these sums, which saves a level.

A number without an opponent goes on to the next round as it is. So does one whose opponent lies outside the image: no
made-up number stands for it, and the rectifier of the difference that there is not, which a polynomial errs on, is not
read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.ckks.operators.parts import Parts
from hecc.compiler.ckks.operators.tournament import ABSENT, Ids, Round, Sums, define
from hecc.compiler.graph.nodes import OperatorNode, Value
from hecc.compiler.graph.operators import Extremum, ReducedExtremum, WindowExtremum
from hecc.compiler.importer.building.refusals import RefusedNodeError

__all__ = ["extremum", "reduced_extremum", "window_extremum"]


def extremum(node: OperatorNode, operator: Extremum, parts: Parts) -> None:
    """Of several tensors, of which all that are constants are one number together."""
    shape, choose = node.output.shape, np.maximum if operator.largest else np.minimum
    values = list(dict.fromkeys(node.values))
    known = [np.asarray(parts.parameters[name], dtype=np.float64) for name in operator.constants if name is not None]
    columns, size = [], 0
    for value in map(parts.value, values):
        columns.append(np.broadcast_to(size + np.arange(value.size).reshape(value.shape), shape))
        size += value.size
    constant = None
    if known:
        constant = np.broadcast_to(known[0], shape)
        for other in known[1:]:
            constant = choose(constant, other)
        columns.append(size + np.arange(constant.size).reshape(shape))
    _play(node, [parts.value(name) for name in values], constant, np.stack(columns), parts, largest=operator.largest)


def window_extremum(node: OperatorNode, operator: WindowExtremum, parts: Parts) -> None:
    """Of the pixels in a sliding window."""
    (shape,) = operator.in_shapes
    positions = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    padded = np.pad(positions, [(0, 0), (0, 0), *operator.reach], constant_values=ABSENT)
    windows = operator.windows(padded)
    columns = np.moveaxis(windows.reshape(*operator.out_shape, -1), -1, 0)
    if not (columns >= 0).any(axis=0).all():
        raise RefusedNodeError(
            node.source,
            "one of its windows lies wholly outside the image, where the maximum is none",
            "choose pads and dilations with which every window has a pixel",
        )
    _play(node, [parts.value(node.values[0])], *_joined(columns, operator), parts, largest=operator.largest)


def reduced_extremum(node: OperatorNode, operator: ReducedExtremum, parts: Parts) -> None:
    """Of all numbers along some axes."""
    (shape,) = operator.in_shapes
    positions = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    kept = [axis for axis in range(len(shape)) if axis not in operator.axes]
    columns = positions.transpose(*operator.axes, *kept).reshape(-1, *operator.out_shape)
    _play(node, [parts.value(node.values[0])], *_joined(columns, operator), parts, largest=operator.largest)


def _joined(columns: Ids, operator: WindowExtremum | ReducedExtremum) -> tuple[NDArray[np.float64] | None, Ids]:
    """The constant that is compared as well, if one is, and the columns with that behind the others."""
    if operator.least is None:
        return None, columns
    size = int(np.prod(operator.in_shapes[0]))
    return np.array([operator.least]), np.concatenate([columns, np.full((1, *columns.shape[1:]), size)])


def _play(
    node: OperatorNode,
    values: Sequence[Value],
    constant: NDArray[np.float64] | None,
    columns: Ids,
    parts: Parts,
    *,
    largest: bool,
) -> None:
    """Define the largest or smallest of several numbers, element by element.

    Parameters
    ----------
    values, constant
        What is compared: their elements one behind the other have the positions that ``columns`` names.
    columns
        Of shape (numbers, *shape of the result).
    """
    source, name, sign = node.source, node.output.name, 1.0 if largest else -1.0
    sums, columns, number = Sums.of(values, constant), _seeded(columns), 1
    while len(columns) > 1:
        stem = name if len(columns) == 2 else f"{name}:round {number}"
        drawn = Round.of(columns)
        difference = Value(parts.fresh(f"{stem}:difference"), drawn.first.shape)
        compared = [(sums.at(drawn.first), sign), (sums.at(drawn.second), -sign)]
        define(source, difference, compared, parts)
        beyond = parts.function(source, "relu", difference, f"{stem}:beyond")
        sums = sums.at(drawn.through).plus(beyond.name, drawn.gains, sign)
        columns, number = drawn.winners, number + 1
    define(source, node.output, [(sums.at(columns[0]), 1.0)], parts)


def _seeded(columns: Ids) -> Ids:
    """Without columns that are empty or twice there, and with the numbers moved up where that saves a round.

    Where it does not they stay: pixels that are compared have the same distance then in all windows.
    """
    distinct = dict.fromkeys(column.tobytes() for column in columns if (column >= 0).any())
    kept = np.stack([np.frombuffer(column, dtype=columns.dtype).reshape(columns.shape[1:]) for column in distinct])
    most = int((kept >= 0).sum(axis=0).max())
    if (most - 1).bit_length() < (len(kept) - 1).bit_length():
        order = np.argsort(kept < 0, axis=0, kind="stable")
        kept = np.take_along_axis(kept, order, axis=0)[:most]
    return kept

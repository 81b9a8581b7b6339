"""Contractions: sums of products by Einstein's convention, of one encrypted tensor or of two.

With one encrypted factor it is a linear map. With two, both are repeated along the indices that they lack, multiplied
element by element, and summed over the indices that the result lacks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import Weighted
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.scope import Constant
from hecc.compiler.importer.definitions.maps import select

__all__ = ["contract"]

T = TypeVar("T", np.float64, np.int64)


def contract(
    call: Call, operands: Sequence[tuple[Value | Constant, str]], indices: str, output: str | None = None
) -> Value:
    """Define the output, or an intermediate value of another name, as a sum of products.

    Parameters
    ----------
    operands
        Each with the indices of its axes, a letter each; an axis of extent one is repeated where others are longer.
    indices
        Of the result.
    """
    encrypted = [(operand, labels) for operand, labels in operands if isinstance(operand, Value)]
    if len(encrypted) > 2:
        raise call.refuse("more than two of its factors are encrypted", "split it into products of two")
    extents = _extents(call, operands)
    summed = [label for label in extents if label not in indices]
    space = {label: extents[label] for label in (*dict.fromkeys(indices), *summed)}
    size = math.prod(call.bounded(tuple(space.values())))
    weight = np.ones(size)
    for operand, labels in operands:
        if isinstance(operand, Constant):
            call.parameter(operand)
            weight = weight * _spread(space, labels, operand.array.astype(np.float64))
    name = call.name if output is None else call.scope.fresh(output)
    result = Value(name, tuple(extents[label] for label in indices))
    rows = _positions(space, indices, result)
    if len(encrypted) == 1:
        ((value, labels),) = encrypted
        _weighted(call, result, value, rows, _positions(space, labels, value), weight)
        return result
    factors = []
    for side, (value, labels) in zip(("left", "right"), encrypted, strict=True):
        positions = _positions(space, labels, value)
        repeated = Value(call.scope.fresh(f"{name}:{side}"), tuple(space.values()))
        call.affine(repeated, (value, select(value.shape, positions.reshape(repeated.shape))))
        factors.append(repeated)
    product = call.product(factors[0], factors[1], f"{name}:products")
    _weighted(call, result, product, rows, np.arange(size), weight)
    return result


def _weighted(
    call: Call,
    result: Value,
    value: Value,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    weight: NDArray[np.float64],
) -> None:
    """Define the result as weighted sums of a value's elements."""
    kept = np.flatnonzero(weight)
    name = call.scope.parameter(f"{result.name}:weight", weight[kept])
    call.affine(result, (value, Weighted.of(value.shape, result.shape, rows[kept], columns[kept], name)))


def _extents(call: Call, operands: Sequence[tuple[Value | Constant, str]]) -> dict[str, int]:
    extents: dict[str, int] = {}
    for operand, labels in operands:
        for label, extent in zip(labels, operand.shape, strict=True):
            if extents.setdefault(label, extent) != extent and 1 not in (extents[label], extent):
                raise call.fault(f"index '{label}' has extents {extents[label]} and {extent}")
            extents[label] = max(extents[label], extent)
    return extents


def _spread(space: Mapping[str, int], labels: str, array: NDArray[T]) -> NDArray[T]:
    """An operand over all indices; one that it repeats runs along its diagonal, one it lacks not at all."""
    grid = np.ogrid[tuple(slice(extent) for extent in space.values())]
    order = list(space)
    index = [
        grid[order.index(label)] if size > 1 else np.intp(0) for label, size in zip(labels, array.shape, strict=True)
    ]
    return np.broadcast_to(array[tuple(index)], tuple(space.values())).reshape(-1)


def _positions(space: Mapping[str, int], labels: str, value: Value) -> NDArray[np.int64]:
    """Which element of a value stands at each place of the space."""
    return _spread(space, labels, np.arange(math.prod(value.shape), dtype=np.int64).reshape(value.shape))

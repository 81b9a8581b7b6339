"""Affine maps as steps: those that only pick and add elements are public, those with parameters are private.

Who knows a plan knows its public steps. So poolings, transpositions and paddings cost nothing, and everything that
comes from a parameter of the network is a weight of the server's. A factor for each channel goes into the convolution
or the product next to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph import affine
from hecc.compiler.graph.affine import AffineMap, Composition, MatrixProduct, Parameters, Pool, Reshape, Scale, Select
from hecc.runtime.errors import UnsupportedError
from hecc.runtime.reading import Reading
from hecc.runtime.sharing.program.maps import Convolution, Dense, PrivateMap, Scattered

__all__ = ["MOST_WEIGHTS", "PrivateStep", "PublicStep", "Step", "diagonal", "steps_of"]

MOST_WEIGHTS = 1 << 26
"""Of a map that has a weight of its own for every non-zero."""

MOST_COUNT = 1 << 12
"""Elements that a sum may count an element as, for the sake of averages over windows of several sizes."""


@dataclass(frozen=True)
class PublicStep:
    """Sums of elements, times a factor.

    Attributes
    ----------
    columns
        Elements of the argument, those of the first sum before those of the second.
    starts
        Number of columns ahead of each sum; ``None`` where each has one.
    in_size, out_size
        Elements.
    factor
        What the sums have to be multiplied by; it goes into the unit of the result.
    """

    columns: NDArray[np.int64]
    starts: NDArray[np.int64] | None
    in_size: int
    out_size: int
    factor: float = 1.0

    @property
    def is_identity(self) -> bool:
        """Whether it changes nothing but the unit."""
        return (
            self.starts is None
            and self.in_size == self.out_size
            and np.array_equal(self.columns, np.arange(self.in_size))
        )


@dataclass(frozen=True)
class PrivateStep:
    """A private map with the numbers of its weights.

    Attributes
    ----------
    constants
        Index structure, by the names that the map has for it.
    """

    map: PrivateMap
    weight: NDArray[np.float64]
    constants: dict[str, NDArray[np.int64]]


Step: TypeAlias = PublicStep | PrivateStep


def steps_of(map_: AffineMap, parameters: Parameters) -> list[Step]:
    """The steps of a map, the first one first; a map that does nothing has none.

    Raises
    ------
    UnsupportedError
        It has too many weights.
    """
    merged: list[Step] = []
    for step in _STEPS.of(map_)(map_, parameters):
        joined = _joined(merged[-1], step) if merged else None
        if joined is not None:
            merged.pop()
        merged.append(step if joined is None else joined)
        if isinstance(merged[-1], PublicStep) and merged[-1].is_identity and merged[-1].factor == 1.0:
            merged.pop()
    return merged


def _reshape(map_: Reshape, parameters: Parameters) -> Iterable[Step]:
    return ()


def _select(map_: Select, parameters: Parameters) -> Iterable[Step]:
    return (_picked(map_.index.array, map_.in_size),)


def _picked(index: NDArray[np.int64], in_size: int) -> PublicStep:
    """Elements by their places; zero for negative ones."""
    if bool((index >= 0).all()):
        return PublicStep(index, None, in_size, len(index))
    starts = np.concatenate([[0], np.cumsum(index >= 0)[:-1]]).astype(np.int64)
    return PublicStep(index[index >= 0], starts, in_size, len(index))


def _pool(map_: Pool, parameters: Parameters) -> Iterable[Step]:
    rows, columns, shares = _nonzeros(map_, parameters)
    sizes = np.rint(1 / shares).astype(np.int64)
    # Windows of several sizes count their elements more often, so that all sums have one factor.
    whole = math.lcm(*map(int, np.unique(sizes)))
    counts = whole // sizes
    if int(counts.max(initial=1)) > MOST_COUNT:
        return (_scattered(map_, parameters),)
    rows, columns = np.repeat(rows, counts), np.repeat(columns, counts)
    return (replace(_sums(rows, columns, map_), factor=1 / whole),)


def _sums(rows: NDArray[np.int64], columns: NDArray[np.int64], map_: AffineMap) -> PublicStep:
    starts = np.searchsorted(rows, np.arange(map_.out_size)).astype(np.int64)
    return PublicStep(columns, starts, map_.in_size, map_.out_size)


def _nonzeros(
    map_: AffineMap, parameters: Parameters
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """All of them, ordered by row, each place once."""
    if map_.nonzeros() > MOST_WEIGHTS:
        raise UnsupportedError(
            f"a linear map of {map_.nonzeros()} weights of their own, and at most {MOST_WEIGHTS} can be shared; write "
            "it as convolutions and products of matrices"
        )
    matrix = map_.matrix(parameters).tocoo()
    matrix.sum_duplicates()
    order = np.lexsort((matrix.col, matrix.row))
    return matrix.row[order].astype(np.int64), matrix.col[order].astype(np.int64), matrix.data[order]


def _scattered(map_: AffineMap, parameters: Parameters) -> PrivateStep:
    rows, columns, values = _nonzeros(map_, parameters)
    sums = _sums(rows, columns, map_)
    assert sums.starts is not None, "sums have starts"
    made = Scattered(
        in_size=map_.in_size, out_size=map_.out_size, columns="columns", starts="starts", weights=len(values)
    )
    return PrivateStep(made, values, {"columns": columns, "starts": sums.starts})


def _scale(map_: Scale, parameters: Parameters) -> Iterable[Step]:
    return (_diagonal(map_.diagonal(parameters)),)


def _diagonal(factors: NDArray[np.float64]) -> Step:
    places = np.arange(len(factors))
    if bool((factors == factors[0]).all()) and factors[0] > 0:
        return PublicStep(places, None, len(factors), len(factors), float(factors[0]))
    return diagonal(factors)


def diagonal(factors: NDArray[np.float64]) -> PrivateStep:
    """A weight for each element."""
    places = np.arange(len(factors))
    made = Scattered(
        in_size=len(factors), out_size=len(factors), columns="columns", starts="starts", weights=len(factors)
    )
    return PrivateStep(made, np.array(factors), {"columns": places, "starts": places})


def _matrix_product(map_: MatrixProduct, parameters: Parameters) -> Iterable[Step]:
    weight = np.asarray(parameters[map_.weight], dtype=np.float64)
    weight = np.swapaxes(weight, -1, -2) if map_.transpose else weight
    shape = map_.in_shape
    if weight.ndim < 2 or (len(shape) == 1 and weight.ndim > 2) or math.prod(weight.shape[:-2]) > 1:
        return (_scattered(map_, parameters),)
    matrix = weight.reshape(weight.shape[-2:])
    if not map_.left:
        return (_dense(math.prod(shape[:-1]), matrix),)
    if len(shape) == 1:
        return (_dense(1, np.ascontiguousarray(matrix.T)),)
    # W x is (x^T W^T)^T: columns become rows, and rows columns again.
    images, inner, columns = math.prod(shape[:-2]), shape[-2], shape[-1]
    there = np.arange(map_.in_size).reshape(images, inner, columns).swapaxes(1, 2).reshape(-1)
    back = np.arange(map_.out_size).reshape(images, columns, len(matrix)).swapaxes(1, 2).reshape(-1)
    return (
        PublicStep(there, None, map_.in_size, map_.in_size),
        _dense(images * columns, np.ascontiguousarray(matrix.T)),
        PublicStep(back, None, map_.out_size, map_.out_size),
    )


def _dense(rows: int, matrix: NDArray[np.float64]) -> PrivateStep:
    inner, outer = matrix.shape
    return PrivateStep(Dense(rows=rows, inner=inner, outer=outer), matrix[np.newaxis], {})


def _convolution(map_: affine.Convolution, parameters: Parameters) -> Iterable[Step]:
    size, out = map_.in_shape[2:], map_.out_shape[2:]
    if map_.in_shape[0] != 1 or not 1 <= len(size) <= 3:
        return (_scattered(map_, parameters),)
    made = Convolution(
        channels=map_.in_shape[1],
        size=size,
        maps=map_.out_shape[1],
        out=out,
        kernel=map_.kernel,
        strides=map_.strides,
        dilations=map_.dilations,
        before=tuple(before for before, _ in map_.pads),
        groups=map_.group,
    )
    return (PrivateStep(made, np.asarray(parameters[map_.weight], dtype=np.float64), {}),)


def _composition(map_: Composition, parameters: Parameters) -> Iterable[Step]:
    return [step for part in map_.steps for step in steps_of(part, parameters)]


_STEPS: Reading[Callable[[Any, Parameters], Iterable[Step]]] = Reading(
    "steps of affine maps",
    (
        affine.Composition,
        affine.Convolution,
        affine.MatrixProduct,
        affine.Pool,
        affine.Reshape,
        affine.Scale,
        affine.Select,
        affine.SumOfMaps,
        affine.Weighted,
    ),
    {
        affine.Composition: _composition,
        affine.Convolution: _convolution,
        affine.MatrixProduct: _matrix_product,
        affine.Pool: _pool,
        affine.Reshape: _reshape,
        affine.Scale: _scale,
        affine.Select: _select,
        affine.SumOfMaps: lambda map_, parameters: (_scattered(map_, parameters),),
        affine.Weighted: lambda map_, parameters: (_scattered(map_, parameters),),
    },
)


def _joined(first: Step, second: Step) -> Step | None:
    """One step in the place of two, where that has no more weights."""
    if isinstance(first, PublicStep) and isinstance(second, PublicStep):
        if first.starts is None and second.starts is None:
            return PublicStep(
                first.columns[second.columns], None, first.in_size, second.out_size, first.factor * second.factor
            )
        if second.is_identity:
            return replace(first, factor=first.factor * second.factor)
        return replace(second, factor=first.factor * second.factor) if first.is_identity else None
    if isinstance(first, PrivateStep) and isinstance(second, PublicStep):
        return replace(first, weight=first.weight * second.factor) if second.is_identity else None
    if isinstance(first, PublicStep) and isinstance(second, PrivateStep):
        return replace(second, weight=second.weight * first.factor) if first.is_identity else None
    assert isinstance(first, PrivateStep), "the cases above are all others"
    assert isinstance(second, PrivateStep), "the cases above are all others"
    factors = _diagonal_of(second)
    if factors is not None:
        return _scaled_outputs(first, factors)
    factors = _diagonal_of(first)
    return None if factors is None else _scaled_inputs(second, factors)


def _diagonal_of(step: PrivateStep) -> NDArray[np.float64] | None:
    if not isinstance(step.map, Scattered) or step.map.in_size != step.map.out_size:
        return None
    places = np.arange(step.map.in_size)
    alike = all(np.array_equal(step.constants[name], places) for name in ("columns", "starts"))
    return step.weight if alike else None


def _scaled_outputs(step: PrivateStep, factors: NDArray[np.float64]) -> PrivateStep | None:
    """With a factor for each result, if weights have room for it."""
    map_ = step.map
    if isinstance(map_, Scattered):
        return replace(step, weight=step.weight * np.repeat(factors, np.diff(_ends(step))))
    if isinstance(map_, Dense):
        shared = _alike(factors.reshape(map_.batches, map_.rows, map_.outer), 1)
        return None if shared is None else replace(step, weight=step.weight * shared.reshape(map_.batches, 1, -1))
    shared = _alike(factors.reshape(map_.maps, -1), 1)
    return None if shared is None else replace(step, weight=step.weight * _trailing(shared, step.weight.ndim))


def _scaled_inputs(step: PrivateStep, factors: NDArray[np.float64]) -> PrivateStep | None:
    """With a factor for each argument, if weights have room for it."""
    map_ = step.map
    if isinstance(map_, Scattered):
        return replace(step, weight=step.weight * factors[step.constants["columns"]])
    if isinstance(map_, Dense):
        shared = _alike(factors.reshape(map_.batches, map_.rows, map_.inner), 1)
        return None if shared is None else replace(step, weight=step.weight * shared.reshape(map_.batches, -1, 1))
    shared = _alike(factors.reshape(map_.channels, -1), 1)
    if shared is None:
        return None
    per = map_.channels // map_.groups
    group = np.arange(map_.maps) // (map_.maps // map_.groups)
    local = shared[group[:, np.newaxis] * per + np.arange(per)]
    return replace(step, weight=step.weight * local.reshape(*local.shape, *(1,) * len(map_.kernel)))


def _ends(step: PrivateStep) -> NDArray[np.int64]:
    return np.append(step.constants["starts"], len(step.weight))


def _alike(factors: NDArray[np.float64], axis: int) -> NDArray[np.float64] | None:
    """The factors without an axis along which they do not change."""
    first: NDArray[np.float64] = np.asarray(factors.take(0, axis=axis))
    return first if bool((factors == np.expand_dims(first, axis)).all()) else None


def _trailing(factors: NDArray[np.float64], rank: int) -> NDArray[np.float64]:
    return factors.reshape(-1, *(1,) * (rank - 1))

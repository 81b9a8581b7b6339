"""Linear maps of integers. Where the numbers are is public; of *private* maps the numbers themselves are weights.

Each kind of private map applies itself to whatever numbers have its shape: the server's weights, the dealer's masks of
them, or the difference that the client gets (:mod:`hecc.runtime.sharing.gates.affine`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import CircuitError
from hecc.runtime.sharing.arithmetic.products import Places, matrix_product, products_of
from hecc.runtime.sharing.arithmetic.rings import Elements, element, reduced

__all__ = ["MOST_ELEMENTS", "Constants", "Convolution", "Dense", "Gather", "PrivateMap", "Scattered"]

Constants: TypeAlias = Mapping[str, NDArray[np.int64]]
"""Index structure by name; public."""

MOST_ELEMENTS = 1 << 31
"""Of a value, and of the parameters of a map; more are refused wherever a file asks for them."""

Extent: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=MOST_ELEMENTS)]
Extents: TypeAlias = Annotated[tuple[Extent, ...], msgspec.Meta(min_length=1, max_length=3)]
Offset: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MOST_ELEMENTS)]


class Gather(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A public map: each element of the result is a sum of elements of the argument, times a public integer.

    Attributes
    ----------
    columns
        The constant that names elements of the argument, those of the first sum before those of the second.
    starts
        The constant with the number of columns ahead of each sum; empty where each sum has one.
    out_size
        Elements of the result.
    factor
        That all of them are multiplied by.
    """

    columns: str
    starts: str = ""
    out_size: Extent
    factor: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        """Of its constants."""
        return (self.columns, self.starts) if self.starts else (self.columns,)

    def check(self, in_size: int, constants: Constants) -> None:
        """Refuse indices that lead outside of the argument.

        Raises
        ------
        CircuitError
            With the first fault.
        """
        columns = _vector(constants, self.columns)
        if columns.size and not 0 <= int(columns.min()) <= int(columns.max()) < in_size:
            raise CircuitError(f"constant {self.columns!r} names elements that the argument does not have")
        if not self.starts:
            if columns.size != self.out_size:
                raise CircuitError(f"constant {self.columns!r} has {columns.size} elements for {self.out_size}")
            return
        starts = _vector(constants, self.starts)
        ends = np.append(starts, columns.size)
        if starts.size != self.out_size or (starts.size and starts[0] != 0) or bool((np.diff(ends) < 0).any()):
            raise CircuitError(f"constant {self.starts!r} does not cut {columns.size} elements into {self.out_size}")

    def apply(self, x: Elements, constants: Constants, bits: int) -> Elements:
        """Shape (rows, in_size) to (rows, out_size), modulo 2^bits."""
        picked = x[:, constants[self.columns]]
        if self.starts:
            picked = _sums(picked, constants[self.starts])
        return reduced(picked * element(self.factor, 64), bits)


class Dense(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="dense"):
    """Products of matrices of values with matrices of weights: (batches, rows, inner) by (batches, inner, outer)."""

    batches: Extent = 1
    rows: Extent = 1
    inner: Extent
    outer: Extent

    @property
    def in_size(self) -> int:
        """Elements of the argument."""
        return self.batches * self.rows * self.inner

    @property
    def out_size(self) -> int:
        """Elements of the result."""
        return self.batches * self.rows * self.outer

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the parameters."""
        return self.batches, self.inner, self.outer

    def check(self, constants: Constants) -> None:
        """There is nothing to refuse."""

    def apply(self, x: Elements, weight: Elements, constants: Constants, bits: int) -> Elements:
        """Shape (rows, in_size) to (rows, out_size), modulo 2^bits."""
        examples = len(x)
        # Rows of all examples lie below one another, so that each matrix of weights is multiplied once.
        values = x.reshape(examples, self.batches, self.rows, self.inner).swapaxes(0, 1)
        product = matrix_product(values.reshape(self.batches, -1, self.inner), weight, bits)
        product = product.reshape(self.batches, examples, self.rows, self.outer).swapaxes(0, 1)
        return np.ascontiguousarray(product).reshape(examples, -1)


class Convolution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="convolution"):
    """A convolution in one to three dimensions, of one example: weights of (maps, channels / groups, *kernel)."""

    channels: Extent
    size: Extents
    maps: Extent
    out: Extents
    kernel: Extents
    strides: Extents
    dilations: Extents
    before: Annotated[tuple[Offset, ...], msgspec.Meta(min_length=1, max_length=3)]
    groups: Extent = 1

    @property
    def in_size(self) -> int:
        """Elements of the argument."""
        return self.channels * math.prod(self.size)

    @property
    def out_size(self) -> int:
        """Elements of the result."""
        return self.maps * math.prod(self.out)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the parameters."""
        return self.maps, self.channels // self.groups, *self.kernel

    def check(self, constants: Constants) -> None:
        """Refuse shapes that contradict one another.

        Raises
        ------
        CircuitError
            With the first fault.
        """
        ranks = {len(x) for x in (self.size, self.out, self.kernel, self.strides, self.dilations, self.before)}
        if len(ranks) != 1:
            raise CircuitError("the shapes of a convolution are of several ranks")
        if self.channels % self.groups or self.maps % self.groups:
            raise CircuitError(f"{self.groups} groups do not divide {self.channels} channels and {self.maps} maps")
        padded = math.prod(sum(part) + n for part, n in zip(self._pads, self.size, strict=True))
        if self.channels * padded > MOST_ELEMENTS or math.prod(self.weight_shape) > MOST_ELEMENTS:
            raise CircuitError(f"a convolution of over {MOST_ELEMENTS} elements")

    @property
    def _pads(self) -> list[tuple[int, int]]:
        """Zeros before and after the image that windows reach, per axis."""
        return [
            (before, max(0, (out - 1) * stride + (taps - 1) * dilation + 1 - size - before))
            for before, out, stride, taps, dilation, size in zip(
                self.before, self.out, self.strides, self.kernel, self.dilations, self.size, strict=True
            )
        ]

    def apply(self, x: Elements, weight: Elements, constants: Constants, bits: int) -> Elements:
        """Shape (rows, in_size) to (rows, out_size), modulo 2^bits."""
        images = np.pad(x.reshape(len(x), self.channels, *self.size), [(0, 0), (0, 0), *self._pads])
        kernels = weight.reshape(self.groups, self.maps // self.groups, -1)
        return products_of(kernels, images.reshape(len(x), self.groups, -1), _places(self), bits).reshape(len(x), -1)


@lru_cache(maxsize=256)
def _places(convolution: Convolution) -> Places:
    """Where windows lie in an image with its padding: rows for the elements of a window, columns for windows."""
    padded = [sum(part) + n for part, n in zip(convolution._pads, convolution.size, strict=True)]
    extents = (convolution.channels // convolution.groups, *padded)
    jumps = [math.prod(extents[axis + 1 :]) for axis in range(len(extents))]
    taps = (extents[0], *convolution.kernel)
    within = zip(jumps, taps, (1, *convolution.dilations), strict=True)
    between = zip(jumps[1:], convolution.out, convolution.strides, strict=True)
    return Places(*(_offsets([(jump * step, count) for jump, count, step in axes]) for axes in (within, between)))


def _offsets(axes: Sequence[tuple[int, int]]) -> NDArray[np.uint64]:
    """All sums of multiples, given how far apart they are and how many there are, the last axis the fastest."""
    found = np.zeros(1, dtype=np.uint64)
    for step, count in axes:
        found = (found[:, np.newaxis] + np.arange(count, dtype=np.uint64) * np.uint64(step)).reshape(-1)
    return found


class Scattered(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="scattered"):
    """A map with a weight of its own for every non-zero: each result is a sum of elements times weights.

    Attributes
    ----------
    columns, starts
        As :class:`Gather` has them; there is one weight for each of ``columns``.
    """

    in_size: Extent
    out_size: Extent
    columns: str
    starts: str
    weights: Extent

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the parameters."""
        return (self.weights,)

    def check(self, constants: Constants) -> None:
        """Refuse indices that lead outside of the argument.

        Raises
        ------
        CircuitError
            With the first fault.
        """
        if _vector(constants, self.columns).size != self.weights:
            raise CircuitError(f"constant {self.columns!r} has not one element for each of {self.weights} weights")
        Gather(columns=self.columns, starts=self.starts, out_size=self.out_size).check(self.in_size, constants)

    def apply(self, x: Elements, weight: Elements, constants: Constants, bits: int) -> Elements:
        """Shape (rows, in_size) to (rows, out_size), modulo 2^bits."""
        return reduced(_sums(x[:, constants[self.columns]] * weight, constants[self.starts]), bits)


PrivateMap: TypeAlias = Dense | Convolution | Scattered


def _vector(constants: Constants, name: str) -> NDArray[np.int64]:
    """A constant of one dimension.

    Raises
    ------
    CircuitError
        There is none.
    """
    found = constants.get(name)
    if found is None or found.ndim != 1 or found.dtype != np.int64:
        raise CircuitError(f"constant {name!r} is missing, or not a list of integers")
    return found


def _sums(x: Elements, starts: NDArray[np.int64]) -> Elements:
    """Sums of neighbours, each from its start to that of the next; of none it is zero."""
    # reduceat has no empty sums, and none that begin at the end.
    padded = np.concatenate([x, np.zeros((len(x), 1), dtype=np.uint64)], axis=1)
    sums = np.add.reduceat(padded, starts, axis=1)
    sums[:, np.diff(np.append(starts, x.shape[1])) == 0] = 0
    return sums

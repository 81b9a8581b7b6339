"""Operators that are neither affine nor elementwise: what they compute, in clear.

An importer makes nodes of them whatever the scheme is. A scheme evaluates them, takes them apart into what it can
evaluate, or refuses them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hecc.compiler.graph.affine import Parameters

__all__ = [
    "OPERATORS",
    "Extremum",
    "LogSoftmax",
    "Operator",
    "ReducedExtremum",
    "Softmax",
    "WindowExtremum",
]

Array = NDArray[np.float64]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Operator(ABC):
    """Base of the operators.

    Attributes
    ----------
    in_shapes
        Of the encrypted tensors.
    out_shape
        Of the result.
    """

    in_shapes: tuple[Shape, ...]
    out_shape: Shape

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the parameters that are operands."""
        return frozenset()

    @abstractmethod
    def compute(self, operands: Sequence[Array], parameters: Parameters, *, smooth: bool = False) -> Array:
        """The result, of shape (rows, *out_shape), of operands of shape (rows, *in_shape)."""

    def apply(self, operands: Sequence[Array], parameters: Parameters, *, smooth: bool = False) -> Array:
        """The same for flat tensors: (rows, in_size) each to (rows, out_size).

        Parameters
        ----------
        smooth
            Whether to compute something smooth instead that reads the same elements in the same places, for checks at
            random points: at those a maximum is what it is whatever most of them are.
        """
        tensors = [flat.reshape(len(flat), *shape) for flat, shape in zip(operands, self.in_shapes, strict=True)]
        return self.compute(tensors, parameters, smooth=smooth).reshape(len(tensors[0]), -1)


@dataclass(frozen=True)
class Extremum(Operator):
    """The largest or smallest of several tensors, element by element; they broadcast.

    Attributes
    ----------
    constants
        For each operand in order the parameter that it is, or ``None`` for the next encrypted tensor.
    largest
        Whether it is the maximum.
    """

    constants: tuple[str | None, ...]
    largest: bool

    @property
    def parameters(self) -> frozenset[str]:
        return frozenset(name for name in self.constants if name is not None)

    def compute(self, operands: Sequence[Array], parameters: Parameters, *, smooth: bool = False) -> Array:
        rank = len(self.out_shape)
        aligned = [x.reshape(len(x), *(1,) * (rank + 1 - x.ndim), *x.shape[1:]) for x in operands]
        known = [np.asarray(parameters[name], dtype=np.float64) for name in self.constants if name is not None]
        shape = (len(operands[0]), *self.out_shape)
        stacked = np.stack([np.broadcast_to(operand, shape) for operand in (*aligned, *known)])
        return _extremum(stacked, (0,), largest=self.largest, smooth=smooth)


@dataclass(frozen=True)
class WindowExtremum(Operator):
    """The largest or smallest number in a sliding window over the axes behind the first two.

    Attributes
    ----------
    kernel, strides, dilations
        One number per spatial axis.
    pads
        Pixels before and after the image, per spatial axis; they never are the extremum. A window may end beyond them.
    largest
        Whether it is the maximum.
    least
        A number that is compared as well, in all windows.
    """

    kernel: Shape
    strides: Shape
    dilations: Shape
    pads: tuple[tuple[int, int], ...]
    largest: bool = True
    least: float | None = None

    @property
    def reach(self) -> tuple[tuple[int, int], ...]:
        """Pixels before and after the image that windows reach, per spatial axis."""
        return tuple(
            (before, max(after, (out - 1) * stride + (taps - 1) * dilation + 1 - size - before))
            for (before, after), out, stride, taps, dilation, size in zip(
                self.pads,
                self.out_shape[2:],
                self.strides,
                self.kernel,
                self.dilations,
                self.in_shapes[0][2:],
                strict=True,
            )
        )

    def windows(self, padded: NDArray[Any]) -> NDArray[Any]:
        """The pixels of all windows: (..., *spatial) padded by ``reach`` to (..., *spatial of the result, *kernel)."""
        rank = len(self.kernel)
        spans = [(taps - 1) * dilation + 1 for taps, dilation in zip(self.kernel, self.dilations, strict=True)]
        spatial = tuple(range(padded.ndim - rank, padded.ndim))
        windows = sliding_window_view(padded, tuple(spans), axis=spatial)
        starts = [
            slice(0, (out - 1) * stride + 1, stride)
            for out, stride in zip(self.out_shape[2:], self.strides, strict=True)
        ]
        picked: Any = (..., *starts, *(slice(None, None, dilation) for dilation in self.dilations))
        return np.asarray(windows[picked])

    def compute(self, operands: Sequence[Array], parameters: Parameters, *, smooth: bool = False) -> Array:
        (image,) = operands
        neutral = -np.inf if self.largest else np.inf
        picked = self.windows(np.pad(image, [(0, 0)] * 3 + [*self.reach], constant_values=neutral))
        axes = tuple(range(picked.ndim - len(self.kernel), picked.ndim))
        return _extremum(picked, axes, largest=self.largest, smooth=smooth, least=self.least)


@dataclass(frozen=True)
class ReducedExtremum(Operator):
    """The largest or smallest number along some axes.

    Attributes
    ----------
    axes
        Counted from the front.
    largest
        Whether it is the maximum.
    least
        A number that is compared as well.
    """

    axes: Shape
    largest: bool
    least: float | None = None

    def compute(self, operands: Sequence[Array], parameters: Parameters, *, smooth: bool = False) -> Array:
        (x,) = operands
        axes = tuple(axis + 1 for axis in self.axes)
        reduced = _extremum(x, axes, largest=self.largest, smooth=smooth, least=self.least)
        return reduced.reshape(len(x), *self.out_shape)


@dataclass(frozen=True)
class Softmax(Operator):
    """Exponentials over their sum along some axes together.

    Attributes
    ----------
    mask
        The parameter that is one where an element takes part and zero where it is hidden; all do without it.
    """

    axes: Shape
    mask: str | None = None

    @property
    def parameters(self) -> frozenset[str]:
        return frozenset() if self.mask is None else frozenset({self.mask})

    def compute(self, operands: Sequence[Array], parameters: Parameters, *, smooth: bool = False) -> Array:
        (x,) = operands
        axes = tuple(axis + 1 for axis in self.axes)
        if self.mask is not None:
            x = np.where(np.asarray(parameters[self.mask]) != 0, x, -np.inf)
        shares = np.exp(x - x.max(axis=axes, keepdims=True))
        return np.asarray(shares / shares.sum(axis=axes, keepdims=True))


@dataclass(frozen=True)
class LogSoftmax(Operator):
    """The logarithm of a softmax along some axes together."""

    axes: Shape

    def compute(self, operands: Sequence[Array], parameters: Parameters, *, smooth: bool = False) -> Array:
        (x,) = operands
        axes = tuple(axis + 1 for axis in self.axes)
        below = x - x.max(axis=axes, keepdims=True)
        return np.asarray(below - np.log(np.exp(below).sum(axis=axes, keepdims=True)))


OPERATORS: tuple[type[Operator], ...] = (Extremum, WindowExtremum, ReducedExtremum, Softmax, LogSoftmax)
"""All operators; a scheme's table of what it can evaluate has an entry for each."""


def _extremum(x: Array, axes: tuple[int, ...], *, largest: bool, smooth: bool, least: float | None = None) -> Array:
    sign = 1.0 if largest else -1.0
    if smooth:
        return np.asarray(np.exp(sign * x).sum(axis=axes) + (0.0 if least is None else math.exp(sign * least)))
    found = (np.max if largest else np.min)(x, axis=axes)
    return np.asarray(found if least is None else (np.maximum if largest else np.minimum)(found, least))

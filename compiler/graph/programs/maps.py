"""Affine maps as programs: a rule for each kind takes a tensor of ``in_shape`` and makes one of ``out_shape``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hecc.compiler.graph.affine import (
    AffineMap,
    Composition,
    Convolution,
    MatrixProduct,
    Parameters,
    Pool,
    Reshape,
    Scale,
    Select,
    SumOfMaps,
    Weighted,
)
from hecc.compiler.graph.programs.builder import ProgramBuilder
from hecc.runtime.reading import Reading

__all__ = ["MAP_KINDS", "apply_map", "average_factors", "matrices", "window_pads"]

MAP_KINDS: tuple[type[AffineMap], ...] = (
    Reshape,
    Select,
    Weighted,
    Scale,
    MatrixProduct,
    Convolution,
    Pool,
    SumOfMaps,
    Composition,
)
"""All kinds of affine maps."""


def apply_map(build: ProgramBuilder, linear: AffineMap, x: int, parameters: Parameters) -> int:
    """The map of a value of as many elements as it takes."""
    return MAPS.of(linear)(build, linear, build.reshape(x, linear.in_shape), parameters)


def window_pads(window: Any) -> tuple[tuple[int, int], ...]:
    """Padding before and after each spatial axis, so that all windows are inside."""
    return tuple(
        (before, max(0, (out - 1) * stride + (taps - 1) * dilation + 1 - size - before))
        for (before, _), out, stride, taps, dilation, size in zip(
            window.pads,
            window.out_shape[2:],
            window.strides,
            window.kernel,
            window.dilations,
            window.in_shape[2:],
            strict=True,
        )
    )


def average_factors(pool: Pool) -> np.ndarray[Any, np.dtype[np.float64]]:
    """One over the pixels of each window, shape (1, 1, pixels of the result)."""
    pixels = math.prod(pool.out_shape[2:])
    window = (1, 1)
    single = Pool(
        (*window, *pool.in_shape[2:]),
        (*window, *pool.out_shape[2:]),
        pool.kernel,
        pool.strides,
        pool.pads,
        pool.dilations,
        pool.count_include_pad,
    )
    counted = np.ones((1, math.prod(pool.in_shape[2:])))
    reached = np.zeros((1, pixels))
    for _, outs, _ in single._taps():
        at: Any = (0, *outs)
        reached.reshape(1, *pool.out_shape[2:])[at] += 1
    averages = single.apply(counted, {})
    # Where a window reaches no pixel at all, its sum is zero whatever it is divided by.
    return np.asarray(np.where(reached > 0, averages / np.maximum(reached, 1), 1.0)).reshape(1, 1, pixels)


def matrices(linear: MatrixProduct, build: ProgramBuilder, x: int) -> int:
    """The argument as matrices, so that numpy's rules for vectors are those for matrices."""
    if len(linear.in_shape) > 1:
        return x
    return build.reshape(x, (linear.in_shape[0], 1) if linear.left else (1, linear.in_shape[0]))


def _reshape(build: ProgramBuilder, linear: Reshape, x: int, _: Parameters) -> int:
    return build.reshape(x, linear.out_shape)


def _select(build: ProgramBuilder, linear: Select, x: int, _: Parameters) -> int:
    return build.pick(x, linear.index.array, linear.out_shape)


def _weighted(build: ProgramBuilder, linear: Weighted, x: int, parameters: Parameters) -> int:
    picked = build.pick(x, linear.columns.array, (linear.columns.array.size,))
    product = build.multiply(picked, build.parameter(linear.weight, parameters[linear.weight]))
    return build.scatter(product, linear.rows.array, linear.out_shape)


def _scale(build: ProgramBuilder, linear: Scale, x: int, parameters: Parameters) -> int:
    return build.multiply(x, build.parameter(linear.factor, parameters[linear.factor]))


def _product(build: ProgramBuilder, linear: MatrixProduct, x: int, parameters: Parameters) -> int:
    weight = build.parameter(linear.weight, parameters[linear.weight])
    x = matrices(linear, build, x)
    # Rows stand ahead of the shape, so the argument has as many axes as the result.
    missing = len(build.shape(weight)) - len(build.shape(x))
    if missing > 0:
        x = build.reshape(x, (*(1,) * missing, *build.shape(x)))
    if linear.left:
        made = build.matmul(weight, x, transpose_a=linear.transpose)
    else:
        made = build.matmul(x, weight, transpose_b=linear.transpose)
    return build.reshape(made, linear.out_shape)


def _convolution(build: ProgramBuilder, linear: Convolution, x: int, parameters: Parameters) -> int:
    weight = build.parameter(linear.weight, parameters[linear.weight])
    maps, channels, *kernel = build.shape(weight)
    group = linear.group
    inner = channels * math.prod(kernel)
    windows = build.patches(x, linear, window_pads(linear), linear.out_shape[2:])
    windows = build.reshape(windows, (linear.in_shape[0], group, inner, math.prod(linear.out_shape[2:])))
    made = build.matmul(build.reshape(weight, (group, maps // group, inner)), windows)
    return build.reshape(made, linear.out_shape)


def _pool(build: ProgramBuilder, linear: Pool, x: int, _: Parameters) -> int:
    images, pixels = linear.in_shape[0] * linear.in_shape[1], math.prod(linear.out_shape[2:])
    taps = math.prod(linear.kernel)
    x = build.reshape(x, (images, 1, *linear.in_shape[2:]))
    windows = build.patches(x, linear, window_pads(linear), linear.out_shape[2:])
    summed = build.total(windows, (images, 1, pixels)) if taps > 1 else windows
    return build.reshape(build.multiply(summed, build.constant(average_factors(linear))), linear.out_shape)


def _sum(build: ProgramBuilder, linear: SumOfMaps, x: int, parameters: Parameters) -> int:
    terms = [build.reshape(apply_map(build, each, x, parameters), linear.out_shape) for each in linear.maps]
    return build.add(terms)


def _composition(build: ProgramBuilder, linear: Composition, x: int, parameters: Parameters) -> int:
    for step in linear.steps:
        x = apply_map(build, step, x, parameters)
    return build.reshape(x, linear.out_shape)


MAPS: Reading[Callable[[ProgramBuilder, Any, int, Parameters], int]] = Reading(
    "affine maps as programs",
    MAP_KINDS,
    {
        Reshape: _reshape,
        Select: _select,
        Weighted: _weighted,
        Scale: _scale,
        MatrixProduct: _product,
        Convolution: _convolution,
        Pool: _pool,
        SumOfMaps: _sum,
        Composition: _composition,
    },
)

"""Affine maps backwards: the transpose of each, and the gradients of its parameters."""

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
from hecc.compiler.graph.gradients.slopes import Slopes
from hecc.compiler.graph.programs.builder import ProgramBuilder
from hecc.compiler.graph.programs.maps import MAP_KINDS, apply_map, average_factors, matrices, window_pads
from hecc.runtime.reading import Reading

__all__ = ["pull_back"]


def pull_back(slopes: Slopes, linear: AffineMap, x: int, slope: int, parameters: Parameters) -> int:
    """The gradient of the argument ``x`` from that of the result; those of parameters are added to ``slopes``."""
    build = slopes.build
    x, slope = build.reshape(x, linear.in_shape), build.reshape(slope, linear.out_shape)
    return build.reshape(_BACK.of(linear)(slopes, linear, x, slope, parameters), linear.in_shape)


def transposed(build: ProgramBuilder, x: int) -> int:
    """The last two axes exchanged."""
    shape = build.shape(x)
    turned = (*shape[:-2], shape[-1], shape[-2])
    if 1 in shape[-2:]:
        return build.reshape(x, turned)
    return build.pick(x, np.swapaxes(np.arange(math.prod(shape)).reshape(shape), -1, -2), turned)


def _reshape(slopes: Slopes, linear: Reshape, x: int, slope: int, _: Parameters) -> int:
    return slope


def _select(slopes: Slopes, linear: Select, x: int, slope: int, _: Parameters) -> int:
    return slopes.build.scatter(slope, linear.index.array, linear.in_shape)


def _weighted(slopes: Slopes, linear: Weighted, x: int, slope: int, parameters: Parameters) -> int:
    build, count = slopes.build, linear.rows.array.size
    weight = build.parameter(linear.weight, parameters[linear.weight])
    spread = build.pick(slope, linear.rows.array, (count,))
    if linear.weight in slopes.wanted:
        picked = build.pick(x, linear.columns.array, (count,))
        slopes.add_rows(linear.weight, build.multiply(spread, picked), build.shape(weight))
    return build.scatter(build.multiply(spread, weight), linear.columns.array, linear.in_shape)


def _scale(slopes: Slopes, linear: Scale, x: int, slope: int, parameters: Parameters) -> int:
    build = slopes.build
    factor = build.parameter(linear.factor, parameters[linear.factor])
    if linear.factor in slopes.wanted:
        slopes.add_rows(linear.factor, build.multiply(slope, x), build.shape(factor))
    return build.multiply(slope, factor)


def _product(slopes: Slopes, linear: MatrixProduct, x: int, slope: int, parameters: Parameters) -> int:
    build = slopes.build
    weight = build.parameter(linear.weight, parameters[linear.weight])
    shape = build.shape(weight)
    inner = matrices(linear, build, x)
    rank = max(len(shape), len(build.shape(inner)))
    inner = build.reshape(inner, (*(1,) * (rank - len(build.shape(inner))), *build.shape(inner)))
    rows, columns = (shape[-1], shape[-2]) if linear.transpose else shape[-2:]
    batch = np.broadcast_shapes(build.shape(inner)[:-2], shape[:-2])
    if linear.left:
        outer = build.reshape(slope, (*batch, rows, build.shape(inner)[-1]))
        back = build.matmul(weight, outer, transpose_a=not linear.transpose)
    else:
        outer = build.reshape(slope, (*batch, build.shape(inner)[-2], columns))
        back = build.matmul(outer, weight, transpose_b=not linear.transpose)
    if linear.weight in slopes.wanted:
        slopes.add_parameter(linear.weight, _weight_slope(build, linear, inner, outer, shape))
    return build.reduced(back, build.shape(inner))


def _weight_slope(build: ProgramBuilder, linear: MatrixProduct, x: int, slope: int, shape: tuple[int, ...]) -> int:
    """The gradient of a weight: the argument times the gradient of the result, summed over all that shares it."""
    if not linear.left and len(shape) == 2:
        # Every matrix of the batch, and every row of it, is a row for the weight.
        x, slope = (
            build.reshape(each, (math.prod(build.shape(each)[:-1]), build.shape(each)[-1])) for each in (x, slope)
        )
    batch = np.broadcast_shapes(build.shape(x)[:-2], build.shape(slope)[:-2])
    x, slope = (build.spread(each, (*batch, *build.shape(each)[-2:])) for each in (x, slope))
    left, right = (slope, x) if linear.left else (transposed(build, x), transposed(build, slope))
    made = build.outer(right, left) if linear.transpose else build.outer(left, right)
    return build.reduced(made, shape)


def _convolution(slopes: Slopes, linear: Convolution, x: int, slope: int, parameters: Parameters) -> int:
    build = slopes.build
    weight = build.parameter(linear.weight, parameters[linear.weight])
    maps, channels, *kernel = build.shape(weight)
    images, group, inner = linear.in_shape[0], linear.group, channels * math.prod(kernel)
    pixels = math.prod(linear.out_shape[2:])
    pads = window_pads(linear)
    outer = build.reshape(slope, (images, group, maps // group, pixels))
    if linear.weight in slopes.wanted:
        windows = build.patches(x, linear, pads, linear.out_shape[2:])
        windows = build.reshape(windows, (images, group, inner, pixels))
        made = build.outer(_beside(build, outer), _beside(build, windows))
        slopes.add_parameter(linear.weight, build.reshape(made, build.shape(weight)))
    back = build.matmul(build.reshape(weight, (group, maps // group, inner)), outer, transpose_a=True)
    back = build.reshape(back, (images, group * inner, pixels))
    return build.unpatch(back, linear, pads, linear.out_shape[2:], linear.in_shape[2:])


def _beside(build: ProgramBuilder, x: int) -> int:
    """The images of one row side by side: (images, group, m, pixels) to (group, m, images * pixels)."""
    images, group, m, pixels = build.shape(x)
    if images == 1:
        return build.reshape(x, (group, m, pixels))
    places = np.arange(images * group * m * pixels).reshape(images, group, m, pixels).transpose(1, 2, 0, 3)
    return build.pick(x, places, (group, m, images * pixels))


def _pool(slopes: Slopes, linear: Pool, x: int, slope: int, _: Parameters) -> int:
    build = slopes.build
    images, pixels = linear.in_shape[0] * linear.in_shape[1], math.prod(linear.out_shape[2:])
    outer = build.reshape(slope, (images, 1, pixels))
    shared = build.multiply(outer, build.constant(average_factors(linear)))
    windows = build.spread(shared, (images, math.prod(linear.kernel), pixels))
    return build.unpatch(windows, linear, window_pads(linear), linear.out_shape[2:], linear.in_shape[2:])


def _sum(slopes: Slopes, linear: SumOfMaps, x: int, slope: int, parameters: Parameters) -> int:
    back = [pull_back(slopes, each, x, slope, parameters) for each in linear.maps]
    return slopes.build.add([slopes.build.reshape(each, linear.in_shape) for each in back])


def _composition(slopes: Slopes, linear: Composition, x: int, slope: int, parameters: Parameters) -> int:
    # What was computed on the way is there already, and not computed again.
    values = [x]
    for step in linear.steps[:-1]:
        values.append(apply_map(slopes.build, step, values[-1], parameters))
    for step, value in zip(reversed(linear.steps), reversed(values), strict=True):
        slope = pull_back(slopes, step, value, slope, parameters)
    return slope


_BACK: Reading[Callable[[Slopes, Any, int, int, Parameters], int]] = Reading(
    "gradients of affine maps",
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
"""Each rule takes what gradients are added up in, the map, its argument, the gradient of its result, and parameters."""

"""Pad."""

from __future__ import annotations

import math
from typing import Literal, cast

import numpy as np

from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.maps import select

__all__ = ["Pad"]


class Pad(Converter):
    """The tensor with a border; negative pads crop."""

    notes = "all modes; the pads and the constant value must be constant"

    @staticmethod
    def opset_7(call: Call) -> None:
        """Pads and value are attributes."""
        value = call.value(0)
        _pad(call, value, call.attribute("pads", ()), tuple(range(len(value.shape))), call.attribute("value", 0.0))

    @staticmethod
    def opset_11(call: Call) -> None:
        """Pads and value are inputs."""
        value = call.value(0)
        _pad(call, value, call.integers(1) or (), tuple(range(len(value.shape))), _constant(call))

    @staticmethod
    def opset_18(call: Call) -> None:
        """The axes that are padded may be an input."""
        value = call.value(0)
        axes = call.integers(3)
        rank = len(value.shape)
        padded = tuple(range(rank)) if axes is None else call.axes(axes, rank)
        _pad(call, value, call.integers(1) or (), padded, _constant(call))


def _constant(call: Call) -> float:
    return 0.0 if call.optional(2) is None else float(call.constant(2).array.reshape(-1)[0])


def _pad(call: Call, value: Value, pads: tuple[int, ...], axes: tuple[int, ...], filling: float) -> None:
    if len(pads) != 2 * len(axes):
        raise call.fault(f"it has {len(pads)} pads for {len(axes)} axes")
    mode = call.attribute("mode", "constant")
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise call.fault(f"mode '{mode}' does not exist")
    if not math.isfinite(filling):
        raise call.refuse("it pads with infinity or NaN", "pad with a number")
    before, after = [0] * len(value.shape), [0] * len(value.shape)
    for i, axis in enumerate(axes):
        before[axis], after[axis] = pads[i], pads[len(axes) + i]
    # The border is made on the positions of the elements; what is new has the position -1.
    positions = np.arange(math.prod(value.shape)).reshape(value.shape)
    cropped = positions[
        tuple(slice(max(0, -b), n - max(0, -a)) for b, a, n in zip(before, after, value.shape, strict=True))
    ]
    call.bounded(tuple(max(0, n + b + a) for n, b, a in zip(value.shape, before, after, strict=True)))
    border = [(max(0, b), max(0, a)) for b, a in zip(before, after, strict=True)]
    if cropped.size == 0:
        raise call.fault("its pads leave no elements")
    if mode == "constant":
        index = np.pad(cropped, border, constant_values=-1)
    else:
        index = np.pad(cropped, border, mode=cast(Literal["reflect", "edge", "wrap"], mode))
    bias = None
    if filling != 0.0 and bool((index < 0).any()):
        bias = call.scope.parameter(f"{call.name}:border", np.where(index < 0, filling, 0.0).astype(np.float32))
    call.affine(Value(call.name, index.shape), (value, select(value.shape, index)), bias=bias)

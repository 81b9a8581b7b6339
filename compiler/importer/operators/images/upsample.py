"""Upsample."""

from __future__ import annotations

import math

import numpy as np

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.interpolation import SIMPLE, Axis, resize

__all__ = ["Upsample"]


class Upsample(Converter):
    """The tensor at a larger size; Resize took its place in opset 10."""

    notes = "constant scales"

    @staticmethod
    def opset_7(call: Call) -> None:
        """The scales are an attribute."""
        _upsample(call, tuple(float(scale) for scale in call.attribute("scales", ())))

    @staticmethod
    def opset_9(call: Call) -> None:
        """The scales are an input."""
        _upsample(call, tuple(float(scale) for scale in call.constant(1).array.reshape(-1)))


def _upsample(call: Call, scales: tuple[float, ...]) -> None:
    value = call.value(0)
    if len(scales) != len(value.shape) or not all(1 <= scale < math.inf for scale in scales):
        raise call.fault(f"its scales do not fit a tensor of rank {len(value.shape)}, or shrink it")
    axes = [
        Axis(extent, math.floor(np.float32(scale) * np.float32(extent)), scale)
        for extent, scale in zip(value.shape, scales, strict=True)
    ]
    resize(call, value, axes, "asymmetric", SIMPLE)

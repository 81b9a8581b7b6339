"""Col2Im."""

from __future__ import annotations

import math

import numpy as np

from hecc.compiler.graph.affine import Weighted
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter

__all__ = ["Col2Im"]


class Col2Im(Converter):
    """An image from the columns of its blocks; where blocks overlap, their pixels add."""

    notes = "constant shapes of the image and of its blocks"

    @staticmethod
    def opset_18(call: Call) -> None:
        """All opsets agree."""
        value = call.value(0)
        image, block = call.integers(1) or (), call.integers(2) or ()
        rank = len(image)
        strides = call.attribute("strides", (1,) * rank)
        dilations = call.attribute("dilations", (1,) * rank)
        pads = call.attribute("pads", (0,) * (2 * rank))
        if {len(block), len(strides), len(dilations), len(pads) // 2} != {rank} or len(value.shape) != 3:
            raise call.fault(f"its block and attributes do not all fit {rank} spatial axes")
        if min((*image, *block, *strides, *dilations)) < 1 or min(pads) < 0:
            raise call.fault("its image, block, strides and dilations must be positive, its pads not negative")
        batch, taps, blocks = value.shape
        size, inner = math.prod(image), math.prod(block)
        spans = [(extent - 1) * dilation + 1 for extent, dilation in zip(block, dilations, strict=True)]
        counts = [
            (extent + pads[axis] + pads[rank + axis] - spans[axis]) // strides[axis] + 1
            for axis, extent in enumerate(image)
        ]
        if min(counts) < 1 or math.prod(counts) != blocks or taps % inner:
            raise call.fault(f"'{value.name}' does not hold the blocks of an image of {'x'.join(map(str, image))}")
        channels = taps // inner
        shape = call.bounded((batch, channels, *image))
        # Over all axes together: the pixel of each tap of each block, and whether it lies in the image.
        pixels, inside = np.zeros((1, 1), np.int64), np.ones((1, 1), dtype=bool)
        for axis, extent in enumerate(image):
            tap = np.arange(block[axis])[:, np.newaxis] * dilations[axis]
            place = tap + np.arange(counts[axis]) * strides[axis] - pads[axis]
            along = (len(pixels) * block[axis], pixels.shape[1] * counts[axis])
            pixels = (pixels[:, np.newaxis, :, np.newaxis] * extent + place[:, np.newaxis]).reshape(along)
            within = (place >= 0) & (place < extent)
            inside = (inside[:, np.newaxis, :, np.newaxis] & within[:, np.newaxis]).reshape(along)
        planes = np.arange(batch * channels)[:, np.newaxis, np.newaxis]
        rows = planes * size + pixels
        columns = np.arange(batch * taps * blocks).reshape(rows.shape)
        kept = np.flatnonzero(np.broadcast_to(inside, rows.shape))
        name = call.scope.parameter(f"{call.name}:ones", np.ones(len(kept), np.float32))
        placed = Weighted.of(value.shape, shape, rows.reshape(-1)[kept], columns.reshape(-1)[kept], name)
        call.affine(Value(call.name, shape), (value, placed))

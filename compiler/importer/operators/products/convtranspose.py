"""ConvTranspose."""

from __future__ import annotations

import math

import numpy as np

from hecc.compiler.graph.affine import Convolution, compose
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.maps import select

__all__ = ["ConvTranspose"]


class ConvTranspose(Converter):
    """Transposed convolution: a convolution of the image with zeros between its pixels, by the kernel turned around.

    Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016), section 4.
    """

    notes = "1-D to 3-D; all attributes; constant weights"

    @staticmethod
    def opset_7(call: Call) -> None:
        """All opsets agree."""
        image, weight = call.value(0), call.constant(1)
        rank = len(image.shape) - 2
        if rank not in (1, 2, 3):
            raise call.refuse(f"it has {rank} spatial axes", "use one to three")
        if len(weight.shape) != len(image.shape):
            raise call.fault(f"its weight has rank {len(weight.shape)}, and its input rank {len(image.shape)}")
        group = call.attribute("group", 1)
        batch, channels, *sizes = image.shape
        kernel = call.attribute("kernel_shape", weight.shape[2:])
        if weight.shape[0] != channels or weight.shape[2:] != kernel or group < 1 or channels % group:
            found = "x".join(map(str, weight.shape))
            raise call.fault(f"its weight of shape {found} does not fit {channels} channels in {group} groups")
        strides, dilations, before, out = _geometry(call, tuple(sizes), kernel)
        lengths = [
            target + (extent - 1) * dilation for target, extent, dilation in zip(out, kernel, dilations, strict=True)
        ]
        shape = call.bounded((batch, channels, *lengths))
        # Per axis, where each pixel of the padded and spread image comes from.
        axes = []
        for size, stride, dilation, extent, pad, target in zip(
            sizes, strides, dilations, kernel, before, out, strict=True
        ):
            span = (extent - 1) * dilation + 1
            place = np.arange(target + span - 1) - (span - 1 - pad)
            inside = (place >= 0) & (place % stride == 0) & (place // stride < size)
            axes.append(np.where(inside, place // stride, -1))
        index = np.arange(batch * channels).reshape(batch, channels, *(1,) * rank)
        outside = np.zeros((1,) * (2 + rank), dtype=bool)
        for number, axis in enumerate(axes):
            along = axis.reshape(-1, *(1,) * (rank - 1 - number))
            index, outside = index * sizes[number] + along, outside | (along < 0)
        spread = select(image.shape, np.where(np.broadcast_to(outside, shape), -1, index))
        maps = weight.shape[1] * group
        turned = np.flip(
            weight.array.reshape(group, channels // group, maps // group, *kernel), tuple(range(3, 3 + rank))
        )
        name = call.parameter(
            weight, ":transposed", turned.swapaxes(1, 2).reshape(maps, channels // group, *kernel).copy()
        )
        output = Value(call.name, (batch, maps, *out))
        none = ((0, 0),) * rank
        convolution = Convolution(spread.out_shape, output.shape, kernel, (1,) * rank, none, dilations, name, group)
        bias = None
        if call.optional(2) is not None:
            constant = call.constant(2)
            if constant.shape != (maps,):
                raise call.fault(f"its bias '{constant.name}' does not have one number per output channel")
            bias = call.parameter(constant, ":channels", constant.array.reshape(maps, *(1,) * rank))
        call.affine(output, (image, compose(convolution, spread)), bias=bias)


def _geometry(
    call: Call, sizes: tuple[int, ...], kernel: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Strides, dilations, the pads in front, and the size of the result, by the formulas of ONNX's operator."""
    rank = len(sizes)
    strides = call.attribute("strides", (1,) * rank)
    dilations = call.attribute("dilations", (1,) * rank)
    extra = call.attribute("output_padding", (0,) * rank)
    given = call.attribute("pads", (0,) * (2 * rank))
    wanted = call.attribute("output_shape", ())
    mode = call.attribute("auto_pad", "NOTSET")
    if {len(strides), len(dilations), len(extra), len(given) // 2} != {rank} or len(wanted) not in (0, rank):
        raise call.fault(f"its attributes do not all fit {rank} spatial axes")
    if min((*strides, *dilations)) < 1 or mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER", ""):
        raise call.fault("its strides or dilations are not positive, or its auto_pad does not exist")
    before, out = [], []
    for axis, size in enumerate(sizes):
        full = strides[axis] * (size - 1) + extra[axis] + (kernel[axis] - 1) * dilations[axis] + 1
        if wanted or mode.startswith("SAME"):
            target = wanted[axis] if wanted else size * strides[axis]
            if full < target and not wanted:
                # ONNX's text and onnxruntime disagree about the size of the result.
                raise call.refuse("a window smaller than its stride is ambiguous with auto_pad", "write explicit pads")
            total = max(0, full - target)
            before.append(total // 2 if mode == "SAME_UPPER" else total - total // 2)
        else:
            pads = (0, 0) if mode == "VALID" else (given[axis], given[rank + axis])
            target = full - sum(pads)
            before.append(pads[0])
        if target < 1:
            raise call.fault("its pads leave no pixels")
        out.append(target)
    call.bounded((math.prod(out),))
    return strides, dilations, tuple(before), tuple(out)

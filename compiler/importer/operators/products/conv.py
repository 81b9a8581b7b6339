"""Conv."""

from __future__ import annotations

from hecc.compiler.graph.affine import Convolution
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.window import Window

__all__ = ["Conv"]


class Conv(Converter):
    """Convolution over one, two or three spatial axes."""

    notes = "1-D to 3-D; all attributes; with dilations no `auto_pad=SAME_*`; constant weights"

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
        maps, channels = weight.shape[0], image.shape[1]
        kernel = call.attribute("kernel_shape", weight.shape[2:])
        if weight.shape[1:] != (channels // max(group, 1), *kernel) or group < 1 or channels % group or maps % group:
            shape = "x".join(map(str, weight.shape))
            raise call.fault(f"its weight of shape {shape} does not fit {channels} channels in {group} groups")
        window = Window.of(call, image.shape[2:], kernel)
        output = Value(call.name, (image.shape[0], maps, *window.out))
        convolution = Convolution(
            image.shape,
            output.shape,
            kernel,
            window.strides,
            window.pads,
            window.dilations,
            call.parameter(weight),
            group,
        )
        bias = None
        if call.optional(2) is not None:
            constant = call.constant(2)
            if constant.shape != (maps,):
                raise call.fault(f"its bias '{constant.name}' does not have one number per output channel")
            bias = call.parameter(constant, ":channels", constant.array.reshape(maps, *(1,) * rank))
        call.affine(output, (image, convolution), bias=bias)

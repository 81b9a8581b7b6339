"""MaxPool and GlobalMaxPool."""

from __future__ import annotations

from hecc.compiler.graph.nodes import Value
from hecc.compiler.graph.operators import ReducedExtremum, WindowExtremum
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.functions import define_operator
from hecc.compiler.importer.definitions.window import Window

__all__ = ["GlobalMaxPool", "MaxPool"]


def _image(call: Call) -> Value:
    image = call.value(0)
    if len(image.shape) < 3:
        raise call.fault(f"its input '{image.name}' has no spatial axes")
    return image


class MaxPool(Converter):
    """The largest number in a sliding window."""

    notes = "all attributes; with dilations no `auto_pad=SAME_*`"

    @staticmethod
    def opset_7(call: Call) -> None:
        """Opset 10 added ``ceil_mode`` and ``dilations``; their absence means the same as their defaults."""
        image = _image(call)
        window = Window.of(call, image.shape[2:], call.attribute("kernel_shape", ()), pooled=True)
        shape = (*image.shape[:2], *window.out)
        operator = WindowExtremum(
            (image.shape,), shape, window.kernel, window.strides, window.dilations, window.pads, True
        )
        define_operator(call, [image], operator)


class GlobalMaxPool(Converter):
    """The largest number of every channel."""

    @staticmethod
    def opset_7(call: Call) -> None:
        """All opsets agree."""
        image = _image(call)
        axes = tuple(range(2, len(image.shape)))
        shape = (*image.shape[:2], *(1 for _ in axes))
        define_operator(call, [image], ReducedExtremum((image.shape,), shape, axes, True))

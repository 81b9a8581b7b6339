"""AveragePool."""

from __future__ import annotations

from hecc.compiler.graph.affine import Pool
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.window import Window

__all__ = ["AveragePool"]


class AveragePool(Converter):
    """Average over a sliding window."""

    notes = "all attributes; with dilations no `auto_pad=SAME_*`"

    @staticmethod
    def opset_7(call: Call) -> None:
        """Opset 10 added ``ceil_mode`` and opset 19 ``dilations``; their absence means the same as their defaults."""
        image = call.value(0)
        if len(image.shape) < 3:
            raise call.fault(f"its input '{image.name}' has no spatial axes")
        window = Window.of(call, image.shape[2:], call.attribute("kernel_shape", ()), pooled=True)
        output = Value(call.name, (*image.shape[:2], *window.out))
        counted = bool(call.attribute("count_include_pad", 0))
        pool = Pool(image.shape, output.shape, window.kernel, window.strides, window.pads, window.dilations, counted)
        call.affine(output, (image, pool))

"""GlobalAveragePool."""

from __future__ import annotations

from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.maps import average

__all__ = ["GlobalAveragePool"]


class GlobalAveragePool(Converter):
    """Average of every channel."""

    @staticmethod
    def opset_7(call: Call) -> None:
        """All opsets agree."""
        image = call.value(0)
        if len(image.shape) < 3:
            raise call.fault(f"its input '{image.name}' has no spatial axes")
        mean = average(image.shape, tuple(range(2, len(image.shape))))
        call.affine(Value(call.name, mean.out_shape), (image, mean))

"""ReduceMean."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.reduction import reduce, reduce_given

__all__ = ["ReduceMean"]


class ReduceMean(Converter):
    """Mean over some axes."""

    notes = "the axes must be constant"

    @staticmethod
    def opset_7(call: Call) -> None:
        """The axes are an attribute."""
        reduce(call, call.value(0), call.attribute("axes", ()), total=False)

    @staticmethod
    def opset_18(call: Call) -> None:
        """The axes are an input; without any, the tensor may be left alone."""
        reduce_given(call, call.value(0), total=False)

"""ReduceL1."""

from __future__ import annotations

from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.functions import KINKED, define_function
from hecc.compiler.importer.definitions.reduction import reduce, reduce_given

__all__ = ["ReduceL1"]


class ReduceL1(Converter):
    """Sum of the magnitudes over some axes."""

    notes = f"{KINKED}; the axes must be constant"

    @staticmethod
    def opset_7(call: Call) -> None:
        """The axes are an attribute."""
        reduce(call, _terms(call), call.attribute("axes", ()), total=True)

    @staticmethod
    def opset_18(call: Call) -> None:
        """The axes are an input; without any, nothing may be summed."""
        reduce_given(call, _terms(call), total=True)


def _terms(call: Call) -> Value:
    return define_function(call, "abs", call.value(0), f"{call.name}:magnitudes")

"""ReduceSumSquare."""

from __future__ import annotations

from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.reduction import reduce, reduce_given

__all__ = ["ReduceSumSquare"]


class ReduceSumSquare(Converter):
    """Sum of the squares over some axes."""

    notes = "the axes must be constant"

    @staticmethod
    def opset_7(call: Call) -> None:
        """The axes are an attribute."""
        reduce(call, _squared(call), call.attribute("axes", ()), total=True)

    @staticmethod
    def opset_18(call: Call) -> None:
        """The axes are an input; without any, the tensor may be squared only."""
        reduce_given(call, _squared(call), total=True)


def _squared(call: Call) -> Value:
    return call.square(call.value(0), f"{call.name}:squared")

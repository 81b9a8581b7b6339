"""ReduceLogSum."""

from __future__ import annotations

from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.functions import FITTED, define_function
from hecc.compiler.importer.definitions.reduction import reduce, reduce_given

__all__ = ["ReduceLogSum"]


class ReduceLogSum(Converter):
    """Logarithm of the sum over some axes."""

    notes = f"{FITTED}; the axes must be constant"

    @staticmethod
    def opset_7(call: Call) -> None:
        """The axes are an attribute."""
        _finished(call, reduce(call, call.value(0), call.attribute("axes", ()), total=True, output=f"{call.name}:sum"))

    @staticmethod
    def opset_18(call: Call) -> None:
        """The axes are an input; without any, nothing may be summed."""
        _finished(call, reduce_given(call, call.value(0), total=True, output=f"{call.name}:sum"))


def _finished(call: Call, total: Value) -> None:
    define_function(call, "log", total)

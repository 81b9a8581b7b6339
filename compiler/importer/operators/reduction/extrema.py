"""ReduceMax and ReduceMin."""

from __future__ import annotations

from hecc.compiler.graph.operators import ReducedExtremum
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.functions import define_operator

__all__ = ["ReduceMax", "ReduceMin"]


def _reduce(call: Call, given: tuple[int, ...], *, largest: bool) -> None:
    """Over some axes; over all where none are given, unless ``noop_with_empty_axes`` says that there are none."""
    value = call.value(0)
    rank = len(value.shape)
    axes = tuple(sorted(call.axes(given, rank))) or tuple(range(rank))
    if not given and call.attribute("noop_with_empty_axes", 0):
        call.rename(value)
        return
    kept = bool(call.attribute("keepdims", 1))
    extents = ((axis in axes, extent) for axis, extent in enumerate(value.shape))
    shape = tuple(1 if reduced else extent for reduced, extent in extents if kept or not reduced)
    define_operator(call, [value], ReducedExtremum((value.shape,), shape, axes, largest))


class ReduceMax(Converter):
    """The largest number along some axes."""

    notes = "the axes must be constant"

    @staticmethod
    def opset_7(call: Call) -> None:
        """The axes are an attribute."""
        _reduce(call, call.attribute("axes", ()), largest=True)

    @staticmethod
    def opset_18(call: Call) -> None:
        """The axes are an input."""
        _reduce(call, call.integers(1) or (), largest=True)


class ReduceMin(Converter):
    """The smallest number along some axes."""

    notes = "the axes must be constant"

    @staticmethod
    def opset_7(call: Call) -> None:
        """The axes are an attribute."""
        _reduce(call, call.attribute("axes", ()), largest=False)

    @staticmethod
    def opset_18(call: Call) -> None:
        """The axes are an input."""
        _reduce(call, call.integers(1) or (), largest=False)

"""ReduceMean."""

from __future__ import annotations

from hecc.compiler.importer.call import Call
from hecc.compiler.importer.converter import Converter
from hecc.compiler.importer.maps import average
from hecc.compiler.ir.affine import Reshape, compose
from hecc.compiler.ir.graph import Value

__all__ = ["ReduceMean"]


class ReduceMean(Converter):
    """Mean over some axes."""

    notes = "the axes must be constant"

    @staticmethod
    def opset_7(call: Call) -> None:
        """The axes are an attribute."""
        _reduce(call, call.attribute("axes", ()))

    @staticmethod
    def opset_18(call: Call) -> None:
        """The axes are an input; without any, the tensor may be left alone."""
        axes = call.integers(1) or ()
        if not axes and call.attribute("noop_with_empty_axes", 0):
            call.rename(call.value(0))
        else:
            _reduce(call, axes)


def _reduce(call: Call, axes: tuple[int, ...]) -> None:
    value = call.value(0)
    rank = len(value.shape)
    reduced = tuple(sorted(call.axes(axes, rank))) or tuple(range(rank))
    mean = average(value.shape, reduced)
    if call.attribute("keepdims", 1):
        shape = mean.out_shape
    else:
        shape = tuple(extent for axis, extent in enumerate(value.shape) if axis not in reduced)
    call.affine(Value(call.name, shape), (value, compose(Reshape(mean.out_shape, shape), mean)))

"""LogSoftmax."""

from __future__ import annotations

from hecc.compiler.graph.affine import Reshape, Scale, compose
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.functions import FITTED, define_function
from hecc.compiler.importer.definitions.maps import broadcast
from hecc.compiler.importer.definitions.normalisation import deviations, exponentials

__all__ = ["LogSoftmax"]


class LogSoftmax(Converter):
    """In the middle of a network the logarithm of the sum of exponentials; at the end the client computes it."""

    notes = f"in the middle of a network, {FITTED}"

    @staticmethod
    def opset_7(call: Call) -> None:
        """All axes from ``axis`` on together."""
        (first,) = call.axes((call.attribute("axis", 1),), len(call.value(0).shape))
        _log_softmax(call, tuple(range(first, len(call.value(0).shape))))

    @staticmethod
    def opset_13(call: Call) -> None:
        """Along ``axis``."""
        _log_softmax(call, call.axes((call.attribute("axis", -1),), len(call.value(0).shape)))


def _log_softmax(call: Call, axes: tuple[int, ...]) -> None:
    value = call.value(0)
    difference = deviations(call, value, axes)
    _, total = exponentials(call, difference, axes)
    logarithm = define_function(call, "log", total, f"{call.name}:log")
    negative = compose(Scale.of(value.shape, call.number(-1.0)), broadcast(total.shape, value.shape))
    same = Reshape(value.shape, value.shape)
    call.affine(Value(call.name, value.shape), (difference, same), (logarithm, negative))

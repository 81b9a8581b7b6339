"""Softmax."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.functions import FITTED
from hecc.compiler.importer.definitions.normalisation import deviations, divided, exponentials

__all__ = ["Softmax"]


class Softmax(Converter):
    """In the middle of a network exponentials over their sum; at the end the client computes it."""

    notes = f"in the middle of a network, {FITTED}"

    @staticmethod
    def opset_7(call: Call) -> None:
        """All axes from ``axis`` on together."""
        (first,) = call.axes((call.attribute("axis", 1),), len(call.value(0).shape))
        _softmax(call, tuple(range(first, len(call.value(0).shape))))

    @staticmethod
    def opset_13(call: Call) -> None:
        """Along ``axis``."""
        _softmax(call, call.axes((call.attribute("axis", -1),), len(call.value(0).shape)))


def _softmax(call: Call, axes: tuple[int, ...]) -> None:
    shares, total = exponentials(call, deviations(call, call.value(0), axes), axes)
    divided(call, shares, total, 1.0)

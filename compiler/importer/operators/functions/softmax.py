"""Softmax."""

from __future__ import annotations

import numpy as np

from hecc.compiler.graph import operators
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.functions import FITTED, define_operator

__all__ = ["Softmax"]


class Softmax(Converter):
    """In the middle of a network exponentials over their sum; at the end the client computes it."""

    notes = f"in the middle of a network, {FITTED}; behind an Add of minus infinity as a mask, too"

    @staticmethod
    def opset_7(call: Call) -> None:
        """All axes from ``axis`` on together."""
        value = call.value(0)
        (first,) = call.axes((call.attribute("axis", 1),), len(value.shape))
        _define(call, tuple(range(first, len(value.shape))))

    @staticmethod
    def opset_13(call: Call) -> None:
        """Along ``axis``."""
        value = call.value(0)
        _define(call, call.axes((call.attribute("axis", -1),), len(value.shape)))


def _define(call: Call, axes: tuple[int, ...]) -> None:
    """Over some axes together, without what a mask hides."""
    value = call.value(0)
    hidden = call.scope.masked.get(value.name)
    mask = None
    if hidden is not None and bool(hidden.any()):
        if bool(hidden.all(axis=axes).any()):
            raise call.refuse(
                "a mask hides all of what it is taken over, which makes no number", "leave something of it unmasked"
            )
        mask = call.scope.parameter(f"{call.name}:mask", (~hidden).astype(np.float32))
    define_operator(call, [value], operators.Softmax((value.shape,), value.shape, axes, mask))

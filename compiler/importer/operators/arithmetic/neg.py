"""Neg."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.arithmetic import combine

__all__ = ["Neg"]


class Neg(Converter):
    """The tensor with its sign changed."""

    @staticmethod
    def opset_7(call: Call) -> None:
        """Negate."""
        combine(call, [(call.value(0), -1.0)])

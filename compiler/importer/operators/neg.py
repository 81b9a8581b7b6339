"""Neg."""

from __future__ import annotations

from hecc.compiler.importer.arithmetic import combine
from hecc.compiler.importer.call import Call
from hecc.compiler.importer.converter import Converter

__all__ = ["Neg"]


class Neg(Converter):
    """The tensor with its sign changed."""

    @staticmethod
    def opset_7(call: Call) -> None:
        """Negate."""
        combine(call, [(call.value(0), -1.0)])

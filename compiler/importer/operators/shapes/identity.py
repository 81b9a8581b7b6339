"""Identity."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter

__all__ = ["Identity"]


class Identity(Converter):
    """The tensor itself."""

    @staticmethod
    def opset_7(call: Call) -> None:
        """All opsets agree."""
        call.rename(call.value(0))

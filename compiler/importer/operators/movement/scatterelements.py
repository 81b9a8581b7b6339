"""ScatterElements."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.movement import move

__all__ = ["ScatterElements"]


class ScatterElements(Converter):
    """The tensor with elements replaced by those of another."""

    notes = "constant indices; encrypted and constant tensors; without `reduction`"

    @staticmethod
    def opset_11(call: Call) -> None:
        """Opset 16 added reductions."""
        if (reduction := call.attribute("reduction", "none")) != "none":
            raise call.refuse(f"its reduction '{reduction}' is not supported", "use 'none', and an Add behind it")
        move(call, (0, 2))

"""Cast."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.reading.prepare import FLOATS, type_name

__all__ = ["Cast", "cast"]


class Cast(Converter):
    """The tensor itself: encrypted numbers are real, and their precision is the scheme's, not a float type's."""

    notes = "between float16, bfloat16, float32 and float64, where it changes nothing"

    @staticmethod
    def opset_7(call: Call) -> None:
        """All opsets agree on these types."""
        cast(call, call.attribute("to", 0))


def cast(call: Call, element: int) -> None:
    """Define the output as the input in another type of real numbers."""
    if element not in FLOATS:
        raise call.refuse(
            f"casting to {type_name(element)} rounds, which is not a polynomial", "keep the network in float32"
        )
    call.rename(call.value(0))

"""Imputer."""

from __future__ import annotations

import math

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter

__all__ = ["Imputer"]


class Imputer(Converter):
    """The tensor itself: no number that can be encrypted is missing, since the client refuses what is not a number."""

    notes = "replaces NaN, of which encrypted data has none: impute before encryption"

    @staticmethod
    def opset_1(call: Call) -> None:
        """All opsets agree."""
        replaced = call.attribute("replaced_value_float", 0.0)
        if not math.isnan(replaced):
            raise call.refuse(
                f"it replaces the number {replaced:g}, which needs a comparison", "impute before encryption instead"
            )
        call.rename(call.value(0))

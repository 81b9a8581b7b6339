"""LinearRegressor."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.operators.ml.attributes import linear

__all__ = ["LinearRegressor"]


class LinearRegressor(Converter):
    """One or several targets, each a weighted sum of the features and a constant."""

    notes = "without `post_transform`"

    @staticmethod
    def opset_1(call: Call) -> None:
        """All opsets agree."""
        transform = call.attribute("post_transform", "NONE")
        if transform != "NONE":
            raise call.refuse(f"its post_transform '{transform}' is not supported", "use NONE")
        linear(call, call.name, call.attribute("targets", 1))

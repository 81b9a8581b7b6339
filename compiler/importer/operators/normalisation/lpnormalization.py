"""LpNormalization."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.functions import FITTED, define_function
from hecc.compiler.importer.definitions.normalisation import divided, over

__all__ = ["LpNormalization"]


class LpNormalization(Converter):
    """A value over its norm along an axis."""

    notes = f"the norm's reciprocal {FITTED}"

    @staticmethod
    def opset_7(call: Call) -> None:
        """The norm is the sum of magnitudes or the root of the sum of squares."""
        value = call.value(0)
        axes = call.axes((call.attribute("axis", -1),), len(value.shape))
        if call.attribute("p", 2) == 1:
            magnitudes = define_function(call, "abs", value, f"{call.name}:magnitudes")
            divided(call, value, over(call, magnitudes, axes, "norm", total=True), 1.0)
        else:
            square = call.square(value, f"{call.name}:square")
            divided(call, value, over(call, square, axes, "squared norm", total=True), 0.5)

"""RMSNormalization."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.functions import FITTED
from hecc.compiler.importer.definitions.normalisation import normalised, scaled_and_shifted

__all__ = ["RMSNormalization"]


class RMSNormalization(Converter):
    """Every group of features over the root of its mean square, then scaled."""

    notes = f"the root's reciprocal {FITTED}"

    @staticmethod
    def opset_23(call: Call) -> None:
        """The groups are the axes from ``axis`` on."""
        value = call.value(0)
        (first,) = call.axes((call.attribute("axis", -1),), len(value.shape))
        axes = tuple(range(first, len(value.shape)))
        normal, _ = normalised(
            call, value, axes, call.attribute("epsilon", 1e-5), centred=False, output=f"{call.name}:normal"
        )
        scaled_and_shifted(call, normal, call.constant(1), None)

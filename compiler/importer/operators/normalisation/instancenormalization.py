"""InstanceNormalization."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.functions import FITTED
from hecc.compiler.importer.definitions.normalisation import normalised, scaled_and_shifted

__all__ = ["InstanceNormalization"]


class InstanceNormalization(Converter):
    """Every channel of an image less its mean, over its standard deviation, then scaled and shifted."""

    notes = f"the standard deviation's reciprocal {FITTED}"

    @staticmethod
    def opset_7(call: Call) -> None:
        """All opsets agree."""
        value = call.value(0)
        if len(value.shape) < 3:
            raise call.fault("its input has no axes behind the channels")
        axes = tuple(range(2, len(value.shape)))
        normal, _ = normalised(
            call, value, axes, call.attribute("epsilon", 1e-5), centred=True, output=f"{call.name}:normal"
        )
        column = (-1, *(1 for _ in axes))
        scaled_and_shifted(call, normal, call.constant(1), call.constant(2), column)

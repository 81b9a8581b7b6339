"""LayerNormalization."""

from __future__ import annotations

from hecc.compiler.graph.affine import Reshape
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.functions import FITTED
from hecc.compiler.importer.definitions.normalisation import normalised, over, scaled_and_shifted

__all__ = ["LayerNormalization"]


class LayerNormalization(Converter):
    """Every group of features less its mean, over its standard deviation, then scaled and shifted."""

    notes = f"the standard deviation's reciprocal {FITTED}"

    @staticmethod
    def opset_17(call: Call) -> None:
        """The groups are the axes from ``axis`` on."""
        value = call.value(0)
        (first,) = call.axes((call.attribute("axis", -1),), len(value.shape))
        axes = tuple(range(first, len(value.shape)))
        mean = over(call, value, axes, "mean")
        normal, reciprocal = normalised(
            call, value, axes, call.attribute("epsilon", 1e-5), centred=True, output=f"{call.name}:normal"
        )
        bias = None if call.optional(2) is None else call.constant(2)
        scaled_and_shifted(call, normal, call.constant(1), bias)
        for name, statistic in zip(call.node.output[1:], (mean, reciprocal), strict=False):
            if name:
                call.affine(Value(name, statistic.shape), (statistic, Reshape(statistic.shape, statistic.shape)))

"""GroupNormalization."""

from __future__ import annotations

from hecc.compiler.graph.affine import Reshape
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.functions import FITTED
from hecc.compiler.importer.definitions.normalisation import normalised, scaled_and_shifted

__all__ = ["GroupNormalization"]


class GroupNormalization(Converter):
    """Every group of channels less its mean, over its standard deviation, then scaled and shifted."""

    notes = f"the standard deviation's reciprocal {FITTED}"

    @staticmethod
    def opset_21(call: Call) -> None:
        """Scale and bias are per channel; before, they were per group, and nobody uses that any more."""
        value = call.value(0)
        groups = call.attribute("num_groups", 0)
        if len(value.shape) < 3 or groups < 1 or value.shape[1] % groups:
            raise call.fault(f"its {groups} groups do not fit its input")
        rows, channels, *pixels = value.shape
        grouped = Value(call.scope.fresh(f"{call.name}:grouped"), (rows, groups, channels // groups, *pixels))
        call.affine(grouped, (value, Reshape(value.shape, grouped.shape)))
        axes = tuple(range(2, len(grouped.shape)))
        normal, _ = normalised(
            call, grouped, axes, call.attribute("epsilon", 1e-5), centred=True, output=f"{call.name}:normal"
        )
        flat = Value(call.scope.fresh(f"{call.name}:flat"), value.shape)
        call.affine(flat, (normal, Reshape(normal.shape, flat.shape)))
        scaled_and_shifted(call, flat, call.constant(1), call.constant(2), (-1, *(1 for _ in pixels)))

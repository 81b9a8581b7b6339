"""Scaler."""

from __future__ import annotations

import numpy as np

from hecc.compiler.graph.affine import Scale
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.operators.ml.attributes import floats

__all__ = ["Scaler"]


class Scaler(Converter):
    """Features less an offset, times a scale."""

    @staticmethod
    def opset_1(call: Call) -> None:
        """All opsets agree."""
        value = call.value(0)
        offset, scale = (np.asarray(floats(call, name)) for name in ("offset", "scale"))
        columns = value.shape[-1] if value.shape else 1
        if offset.size not in (1, columns) or scale.size not in (1, columns):
            raise call.fault(f"its offset or scale does not fit {columns} features")
        factor = call.scope.parameter(f"{call.name}:scale", scale)
        shift = call.scope.parameter(f"{call.name}:shift", -offset * scale)
        call.affine(Value(call.name, value.shape), (value, Scale.of(value.shape, factor)), bias=shift)

"""LRN."""

from __future__ import annotations

import math

import numpy as np

from hecc.compiler.graph.affine import Weighted
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.functions import FITTED
from hecc.compiler.importer.definitions.normalisation import divided, shifted

__all__ = ["LRN"]


class LRN(Converter):
    """Every pixel over a power of the squares of its neighbours in other channels."""

    notes = f"the power {FITTED}"

    @staticmethod
    def opset_7(call: Call) -> None:
        """``x / (bias + alpha / size * sum of squares)^beta``."""
        value = call.value(0)
        size = call.attribute("size", 0)
        if len(value.shape) < 2 or size < 1:
            raise call.fault("it has no channels, or its attribute 'size' is not positive")
        square = call.square(value, f"{call.name}:square")
        places = np.arange(math.prod(value.shape)).reshape(value.shape)
        rows, columns = [], []
        for shift in range(-((size - 1) // 2), size // 2 + 1):
            kept = range(max(0, -shift), min(value.shape[1], value.shape[1] - shift))
            rows.append(places.take(kept, axis=1).reshape(-1))
            columns.append(places.take([channel + shift for channel in kept], axis=1).reshape(-1))
        share = np.full(sum(map(len, rows)), call.attribute("alpha", 1e-4) / size)
        weight = call.scope.parameter(f"{call.name}:share", share)
        total = Value(call.scope.fresh(f"{call.name}:sum"), value.shape)
        neighbours = Weighted.of(value.shape, value.shape, np.concatenate(rows), np.concatenate(columns), weight)
        call.affine(total, (square, neighbours))
        divided(call, value, shifted(call, total, call.attribute("bias", 1.0)), call.attribute("beta", 0.75))

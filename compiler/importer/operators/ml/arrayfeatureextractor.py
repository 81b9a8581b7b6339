"""ArrayFeatureExtractor."""

from __future__ import annotations

import math

import numpy as np

from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.maps import select

__all__ = ["ArrayFeatureExtractor"]


class ArrayFeatureExtractor(Converter):
    """Columns of the last axis, picked by their index."""

    notes = "constant indices"

    @staticmethod
    def opset_1(call: Call) -> None:
        """All opsets agree."""
        value, picked = call.value(0), call.integers(1) or ()
        extent = value.shape[-1] if value.shape else 0
        if not picked or not all(0 <= column < extent for column in picked):
            raise call.fault(f"its columns {list(picked)} do not exist in '{value.name}'")
        positions = np.arange(math.prod(value.shape)).reshape(value.shape)[..., list(picked)]
        # A vector becomes a row.
        columns = select(value.shape, positions if len(value.shape) > 1 else positions[np.newaxis])
        call.affine(Value(call.name, columns.out_shape), (value, columns))

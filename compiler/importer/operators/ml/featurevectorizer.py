"""FeatureVectorizer."""

from __future__ import annotations

import math

import numpy as np

from hecc.compiler.graph.affine import AffineMap
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.maps import select

__all__ = ["FeatureVectorizer"]


class FeatureVectorizer(Converter):
    """Columns side by side, as a data frame has them."""

    @staticmethod
    def opset_1(call: Call) -> None:
        """All opsets agree."""
        values = [call.value(number) for number in range(len(call.node.input))]
        widths = [value.shape[1] if len(value.shape) == 2 else 0 for value in values]
        declared = call.attribute("inputdimensions", ())
        if not values or min(widths) < 1 or (declared and list(declared) != widths):
            raise call.fault(f"its inputs have {widths} columns, not the {list(declared)} of its attribute")
        result = Value(call.name, (values[0].shape[0], sum(widths)))
        terms: list[tuple[Value, AffineMap]] = []
        for number, (value, width) in enumerate(zip(values, widths, strict=True)):
            if value.shape[0] != result.shape[0]:
                raise call.fault("its inputs do not have as many rows")
            index, start = np.full(result.shape, -1, dtype=np.int64), sum(widths[:number])
            index[:, start : start + width] = np.arange(math.prod(value.shape)).reshape(value.shape)
            terms.append((value, select(value.shape, index)))
        call.affine(result, *terms)

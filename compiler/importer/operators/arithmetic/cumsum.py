"""CumSum."""

from __future__ import annotations

import numpy as np

from hecc.compiler.graph.affine import MatrixProduct, compose
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.maps import transpose

__all__ = ["CumSum"]


class CumSum(Converter):
    """Sums of all elements before each one, along an axis: a product with a triangular matrix."""

    notes = "a constant axis"

    @staticmethod
    def opset_11(call: Call) -> None:
        """All opsets agree."""
        value = call.value(0)
        rank = len(value.shape)
        (axis,) = call.axes(call.integers(1) or (), rank) or (0,)
        if axis == 0 and call.scope.batch.extent > 1:
            raise call.refuse_mixing()
        order = (*(a for a in range(rank) if a != axis), axis)
        moved = transpose(value.shape, order)
        extent = value.shape[axis]
        call.bounded((extent, extent))
        triangle = np.triu(np.ones((extent, extent), np.float32), 1 if call.attribute("exclusive", 0) else 0)
        if call.attribute("reverse", 0):
            triangle = triangle.T
        weight = call.scope.parameter(f"{call.name}:triangle", triangle)
        sums = compose(MatrixProduct(moved.out_shape, moved.out_shape, weight), moved)
        back = transpose(moved.out_shape, tuple(int(a) for a in np.argsort(order)))
        call.affine(Value(call.name, value.shape), (value, compose(back, sums)))

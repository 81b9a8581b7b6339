"""Transpose."""

from __future__ import annotations

from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.maps import transpose

__all__ = ["Transpose"]


class Transpose(Converter):
    """The tensor with its axes permuted."""

    @staticmethod
    def opset_7(call: Call) -> None:
        """Without ``perm`` the order is reversed."""
        value = call.value(0)
        rank = len(value.shape)
        order = call.axes(call.attribute("perm", tuple(reversed(range(rank)))), rank)
        if len(order) != rank:
            raise call.fault(f"perm {list(order)} does not name all {rank} axes")
        permutation = transpose(value.shape, order)
        call.affine(Value(call.name, permutation.out_shape), (value, permutation))

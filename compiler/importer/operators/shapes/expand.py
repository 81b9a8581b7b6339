"""Expand."""

from __future__ import annotations

from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.maps import broadcast

__all__ = ["Expand"]


class Expand(Converter):
    """The tensor repeated along axes of extent one."""

    notes = "the shape must be constant, or computed from shapes"

    @staticmethod
    def opset_8(call: Call) -> None:
        """Broadcast in both directions, by numpy's rules."""
        value = call.value(0)
        batch = call.scope.batch
        shape = batch.example(call.broadcast(batch.whole(value.shape), call.integers(1) or ()))
        if shape is None:
            raise call.refuse_mixing()
        spread = broadcast(value.shape, call.broadcast(value.shape, shape))
        call.affine(Value(call.name, spread.out_shape), (value, spread))

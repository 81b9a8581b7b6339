"""Where."""

from __future__ import annotations

import numpy as np

from hecc.compiler.graph.affine import Scale, compose
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.building.scope import Constant
from hecc.compiler.importer.definitions.arithmetic import combine, multiply
from hecc.compiler.importer.definitions.maps import broadcast
from hecc.compiler.importer.definitions.movement import move

__all__ = ["Where"]


class Where(Converter):
    """Elements of one tensor where a condition holds, else of another."""

    notes = "a constant condition, or a comparison if the whole has no jump; encrypted and constant tensors"

    @staticmethod
    def opset_9(call: Call) -> None:
        """Broadcast by numpy's rules."""
        if isinstance(call.operand(0), Constant):
            move(call, (1, 2))
        else:
            _choose(call)


def _choose(call: Call) -> None:
    """``b + c (a - b)``, where the condition ``c`` is one or zero."""
    condition, first, second = call.value(0), call.operand(1), call.operand(2)
    difference = _difference(call, first, second)
    shape = call.broadcast(condition.shape, difference.shape)
    if isinstance(difference, Constant):
        factor = call.parameter(difference)
        chosen = Value(call.scope.fresh(f"{call.name}:chosen"), shape)
        call.affine(chosen, (condition, compose(Scale.of(shape, factor), broadcast(condition.shape, shape))))
    else:
        chosen = multiply(call, condition, difference, f"{call.name}:chosen")
    combine(call, [(second, 1.0), (chosen, 1.0)])


def _difference(call: Call, first: Value | Constant, second: Value | Constant) -> Value | Constant:
    """The difference of two tensors, which broadcast together."""
    name = call.scope.fresh(f"{call.name}:difference")
    if isinstance(first, Constant) and isinstance(second, Constant):
        return Constant(name, np.asarray(first.array - second.array))
    return combine(call, [(first, 1.0), (second, -1.0)], name)

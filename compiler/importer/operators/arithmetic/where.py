"""Where."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    notes = (
        "a constant condition, or a comparison if the whole has no jump; encrypted and constant tensors; minus "
        "infinity as a mask before Softmax"
    )

    @staticmethod
    def opset_9(call: Call) -> None:
        """Broadcast by numpy's rules."""
        if isinstance(call.operand(0), Constant):
            if not _masks(call):
                move(call, (1, 2))
        else:
            _choose(call)


def _masks(call: Call) -> bool:
    """Whether minus infinity is chosen in places; then zero is, beside a mask for the softmax that reads it."""
    condition, *chosen = (call.operand(number) for number in range(3))
    hidden = [isinstance(one, Constant) and bool(np.isneginf(_floats(one)).any()) for one in chosen]
    if hidden.count(True) != 1 or not isinstance(condition, Constant):
        return False
    other, mask = chosen[hidden.index(False)], chosen[hidden.index(True)]
    if not isinstance(other, Value) or not isinstance(mask, Constant):
        return False
    rank = max(len(operand.shape) for operand in (condition, other, mask))
    taken = call.example(condition, rank).array.astype(bool)
    if hidden[0]:
        taken = ~taken
    numbers = call.example(mask, rank).array
    shape = call.broadcast(taken.shape, other.shape, numbers.shape)
    factor = call.scope.parameter(f"{call.name}:taken", np.broadcast_to(taken, shape).astype(np.float32))
    rest = np.where(taken | np.isneginf(_floats(numbers)), 0.0, numbers).astype(np.float32)
    bias = call.scope.parameter(f"{call.name}:rest", np.broadcast_to(rest, shape).copy())
    call.affine(
        Value(call.name, shape), (other, compose(Scale.of(shape, factor), broadcast(other.shape, shape))), bias=bias
    )
    places = ~taken & np.isneginf(_floats(numbers))
    call.scope.masked[call.name] = np.broadcast_to(places, shape)
    return True


def _floats(constant: Constant | NDArray[Any]) -> NDArray[np.float64]:
    array = constant.array if isinstance(constant, Constant) else constant
    return np.asarray(array, dtype=np.float64)


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

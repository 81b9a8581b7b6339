"""The largest and the smallest of several tensors, element by element."""

from __future__ import annotations

import numpy as np

from hecc.compiler.graph.nodes import Value
from hecc.compiler.graph.operators import Extremum
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.building.scope import Constant
from hecc.compiler.importer.definitions.functions import KINKED, define_operator

__all__ = ["Max", "Min"]


def _extremum(call: Call, *, largest: bool) -> None:
    first, *others = (call.operand(index) for index in range(len(call.node.input)))
    if not others:
        call.rename(call.value(0))
        return
    choose = np.maximum if largest else np.minimum
    while isinstance(first, Constant) and isinstance(other := others[0], Constant):
        others.pop(0)
        first = Constant(f"{first.name}:{other.name}", np.asarray(choose(first.array, other.array)))
    shape = first.shape
    operands: list[Value | Constant] = []
    for operand in (first, *others):
        rank = max(len(shape), len(operand.shape), len(others[0].shape))
        if isinstance(operand, Constant):
            operand = call.example(operand, rank)
        shape = call.broadcast(shape, operand.shape) if operands else operand.shape
        operands.append(operand)
    values = [operand for operand in operands if isinstance(operand, Value)]
    constants = tuple(call.parameter(each) if isinstance(each, Constant) else None for each in operands)
    operator = Extremum(tuple(value.shape for value in values), shape, constants, largest)
    define_operator(call, values, operator)


class Max(Converter):
    """The largest of several tensors, element by element."""

    notes = KINKED

    @staticmethod
    def opset_7(call: Call) -> None:
        """Of any number of tensors; opset 8 allowed broadcasting."""
        _extremum(call, largest=True)


class Min(Converter):
    """The smallest of several tensors, element by element."""

    notes = KINKED

    @staticmethod
    def opset_7(call: Call) -> None:
        """Of any number of tensors; opset 8 allowed broadcasting."""
        _extremum(call, largest=False)

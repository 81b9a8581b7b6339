"""Functions and operators that converters define values by."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hecc.compiler.graph.function import ARGUMENT, Primitive
from hecc.compiler.graph.nodes import FunctionNode, OperatorNode, Value
from hecc.compiler.graph.operators import Operator
from hecc.compiler.importer.building.call import Call

__all__ = ["FITTED", "KINKED", "define_function", "define_operator"]

FITTED = "by a polynomial fitted on the calibration inputs"
KINKED = "by a polynomial, at a low precision only: it has a kink"


def define_function(call: Call, name: str, value: Value, output: str | None = None, **attributes: float) -> Value:
    """Define the output, or an intermediate value of another name, as a primitive function of a value.

    Parameters
    ----------
    name
        Among :data:`hecc.compiler.graph.function.PRIMITIVES`.
    attributes
        Of the primitive.
    """
    for attribute, number in attributes.items():
        if math.isnan(number):
            raise call.fault(f"its attribute '{attribute}' is not a number")
    result = Value(call.name if output is None else call.scope.fresh(output), value.shape)
    function = Primitive(name, tuple(attributes.items()), ARGUMENT)
    call.scope.define(FunctionNode(result, call.source, value.name, function))
    return result


def define_operator(call: Call, values: Sequence[Value], operator: Operator) -> None:
    """Define the output as what an operator computes of values."""
    output = Value(call.name, call.bounded(operator.out_shape))
    call.scope.define(OperatorNode(output, call.source, tuple(value.name for value in values), operator))

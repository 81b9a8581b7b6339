"""Functions of one variable that converters define values by."""

from __future__ import annotations

import math

from hecc.compiler.graph.function import ARGUMENT, Primitive
from hecc.compiler.graph.nodes import FunctionNode, Value
from hecc.compiler.importer.building.call import Call

__all__ = ["FITTED", "KINKED", "define_function"]

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

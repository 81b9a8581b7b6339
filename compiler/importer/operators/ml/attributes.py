"""Weights that are attributes, as the operators of classical machine learning have them."""

from __future__ import annotations

import math

import numpy as np

from hecc.compiler.graph.affine import MatrixProduct
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.runtime.errors import InputError

__all__ = ["floats", "linear"]


def floats(call: Call, name: str) -> tuple[float, ...]:
    """An attribute of real numbers; empty where it is left out.

    Raises
    ------
    InputError
        One of them is infinite or not a number.
    """
    given = call.attribute(name, ())
    if not all(isinstance(number, int | float) for number in given):
        raise call.fault(f"its attribute '{name}' has the wrong type")
    numbers = tuple(map(float, given))
    if not all(map(math.isfinite, numbers)):
        raise InputError(f"{call.place}: its attribute '{name}' holds infinity or NaN; train the model again")
    return numbers


def linear(call: Call, output: str, targets: int, mirrored: bool = False) -> Value:
    """Define ``x W^T + b`` with the weights of attributes; ``mirrored`` puts its negative in front of one target."""
    value = call.value(0)
    coefficients, intercepts = floats(call, "coefficients"), floats(call, "intercepts")
    if len(value.shape) != 2 or len(coefficients) != targets * value.shape[1] or len(intercepts) not in (0, targets):
        raise call.fault(
            f"its {len(coefficients)} coefficients and {len(intercepts)} intercepts do not fit {targets} targets of "
            f"'{value.name}'"
        )
    weight = np.asarray(coefficients).reshape(targets, -1)
    bias = np.asarray(intercepts or (0.0,) * targets)
    if mirrored:
        weight, bias = np.concatenate([-weight, weight]), np.concatenate([-bias, bias])
    scores = Value(output, (value.shape[0], len(weight)))
    product = MatrixProduct(
        value.shape, scores.shape, call.scope.parameter(f"{output}:coefficients", weight), transpose=True
    )
    call.affine(scores, (value, product), bias=call.scope.parameter(f"{output}:intercepts", bias))
    return scores

"""Functions of one variable as a program has them: steps, each of which reads the argument or earlier steps.

They need NumPy only, as a server has no more. What each primitive computes is ONNX's definition;
:mod:`hecc.compiler.graph.function` has them from here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import ParameterError

__all__ = [
    "ATTRIBUTES",
    "POLYNOMIAL",
    "PRIMITIVES",
    "PRODUCT",
    "SUM",
    "FunctionStep",
    "check_function",
    "evaluate_function",
]

Array = NDArray[np.float64]

SUM, PRODUCT, POLYNOMIAL = "sum", "product", "polynomial"
"""Steps that are no primitives: a weighted sum and a constant, a product of two, a polynomial by its coefficients."""

_ERF, _ERFC = np.frompyfunc(math.erf, 1, 1), np.frompyfunc(math.erfc, 1, 1)


class FunctionStep(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One step.

    Attributes
    ----------
    op
        A name of :data:`PRIMITIVES`, or :data:`SUM`, :data:`PRODUCT` or :data:`POLYNOMIAL`.
    operands
        What it reads: 0 is the argument, ``k`` the step of number ``k - 1``.
    numbers
        The attributes of a primitive in the order of its parameters; the factors of a sum, and its constant; the
        coefficients of a polynomial, of the lowest power first.
    """

    op: Annotated[str, msgspec.Meta(max_length=40)]
    operands: tuple[Annotated[int, msgspec.Meta(ge=0)], ...]
    numbers: tuple[float, ...] = ()


def _erf(x: Array) -> Array:
    return np.asarray(_ERF(x), dtype=np.float64)


def _sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, small) / (1 + small))


def _elu(x: Array, alpha: float) -> Array:
    return np.asarray(np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))))


def _hard_sigmoid(x: Array, alpha: float, beta: float) -> Array:
    return np.asarray(np.clip(alpha * x + beta, 0, 1))


def _shrink(x: Array, lambd: float, bias: float) -> Array:
    return np.asarray(np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, 0.0)))


def _celu(x: Array, alpha: float) -> Array:
    return np.asarray(np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(np.minimum(x / alpha, 0))))


PRIMITIVES: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "abs": np.abs,
        "acos": np.arccos,
        "acosh": np.arccosh,
        "asin": np.arcsin,
        "asinh": np.arcsinh,
        "atan": np.arctan,
        "atanh": np.arctanh,
        "celu": _celu,
        "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
        "cos": np.cos,
        "cosh": np.cosh,
        "elu": _elu,
        "erf": _erf,
        "erfc": lambda x: np.asarray(_ERFC(x), dtype=np.float64),
        "exp": np.exp,
        "gelu": lambda x: x / 2 * (1 + _erf(x / math.sqrt(2))),
        "gelu_tanh": lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        "hardsigmoid": _hard_sigmoid,
        "hardswish": lambda x: x * _hard_sigmoid(x, 1 / 6, 0.5),
        "leakyrelu": lambda x, alpha: np.where(x > 0, x, alpha * x),
        "log": np.log,
        "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
        "nonnegative": lambda x: np.where(x >= 0, 1.0, 0.0),
        "positive": lambda x: np.where(x > 0, 1.0, 0.0),
        "power": lambda x, exponent: x**exponent,
        "reciprocal": lambda x: 1 / x,
        "relu": lambda x: np.maximum(x, 0),
        "selu": lambda x, alpha, gamma: gamma * _elu(x, alpha),
        "sigmoid": _sigmoid,
        "sign": np.sign,
        "sin": np.sin,
        "sinh": np.sinh,
        "shrink": _shrink,
        "softplus": lambda x: np.logaddexp(0, x),
        "softsign": lambda x: x / (1 + np.abs(x)),
        "sqrt": np.sqrt,
        "swish": lambda x, alpha: x * _sigmoid(alpha * x),
        "tan": np.tan,
        "tanh": np.tanh,
        "thresholdedrelu": lambda x, alpha: np.where(x > alpha, x, 0.0),
    }
)
"""By name, with their attributes behind the argument."""

ATTRIBUTES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(PRIMITIVES, ()),
        **dict.fromkeys(("celu", "elu", "leakyrelu", "swish", "thresholdedrelu"), ("alpha",)),
        "clip": ("low", "high"),
        "hardsigmoid": ("alpha", "beta"),
        "power": ("exponent",),
        "selu": ("alpha", "gamma"),
        "shrink": ("lambd", "bias"),
    }
)
"""The attributes of each primitive, in the order of the numbers of its step."""


def check_function(steps: tuple[FunctionStep, ...]) -> None:
    """Refuse steps that cannot be evaluated.

    Raises
    ------
    ParameterError
        One names an operation that is none, or reads what does not come before it, or has numbers that do not fit.
    """
    if not steps:
        raise ParameterError("a function has no steps")
    for number, step in enumerate(steps):
        if step.op == SUM:
            fits = len(step.numbers) == len(step.operands) + 1 > 1
        elif step.op == PRODUCT:
            fits = len(step.operands) == 2 and not step.numbers
        elif step.op == POLYNOMIAL:
            fits = len(step.operands) == 1 and len(step.numbers) > 0
        else:
            fits = step.op in PRIMITIVES and len(step.operands) == 1 and len(step.numbers) == len(ATTRIBUTES[step.op])
        if not fits or any(operand > number for operand in step.operands):
            raise ParameterError(f"step {number} of a function, {step.op!r}, cannot be evaluated")
        if not all(map(math.isfinite, step.numbers)):
            raise ParameterError(f"step {number} of a function, {step.op!r}, has a number that is not finite")


def evaluate_function(steps: tuple[FunctionStep, ...], x: Array) -> Array:
    """The value at every element; what overflows is infinite, and what has no value is not a number."""
    known: list[Array] = [x]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for step in steps:
            operands = [known[operand] for operand in step.operands]
            if step.op == SUM:
                value = np.full_like(x, step.numbers[-1])
                for factor, operand in zip(step.numbers, operands, strict=False):
                    value += factor * operand
            elif step.op == PRODUCT:
                value = operands[0] * operands[1]
            elif step.op == POLYNOMIAL:
                value = np.full_like(x, step.numbers[-1])
                for coefficient in step.numbers[-2::-1]:
                    value *= operands[0]
                    value += coefficient
            else:
                value = np.asarray(PRIMITIVES[step.op](operands[0], *step.numbers), dtype=np.float64)
            known.append(value)
    return known[-1]

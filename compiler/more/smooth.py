"""Smooth functions in place of comparisons, for whoever wants analytic functions only.

The absolute value becomes sqrt(x^2 + w^2), which is off by w at zero and by less elsewhere, and the sign its slope,
x / sqrt(x^2 + w^2). Every other function that compares is made of these two. The width w is a part of the largest
argument on the calibration inputs, so a function and its derivative get the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import UnsupportedError
from hecc.runtime.network.evaluation import PlainArithmetic, evaluate
from hecc.runtime.network.functions import POLYNOMIAL, PRODUCT, SUM, FunctionStep
from hecc.runtime.network.instructions import Function
from hecc.runtime.network.program import TensorProgram

__all__ = ["COMPARING", "WIDTH", "smoothed"]

WIDTH = 2.0**-10
"""Of the largest argument."""

JUMPING = frozenset({"shrink", "thresholdedrelu"})
"""Functions with jumps, of which none is meant where they are used: nothing smooth is near them."""


class _Steps:
    """The steps of a function as they are made; each method returns the place of what it makes."""

    def __init__(self, width: float) -> None:
        self.made: list[FunctionStep] = []
        self._width = width

    def _step(self, op: str, operands: Sequence[int], *numbers: float) -> int:
        self.made.append(FunctionStep(op, tuple(operands), tuple(map(float, numbers))))
        return len(self.made)

    def keep(self, step: FunctionStep, operands: Sequence[int]) -> int:
        return self._step(step.op, operands, *step.numbers)

    def polynomial(self, x: int, *coefficients: float) -> int:
        return self._step(POLYNOMIAL, [x], *coefficients)

    def sum(self, *terms: tuple[float, int], constant: float = 0.0) -> int:
        return self._step(SUM, [x for _, x in terms], *(factor for factor, _ in terms), constant)

    def product(self, a: int, b: int) -> int:
        return self._step(PRODUCT, [a, b])

    def call(self, name: str, x: int) -> int:
        return self._step(name, [x])

    def abs(self, x: int) -> int:
        return self.call("sqrt", self.polynomial(x, self._width**2, 0, 1))

    def sign(self, x: int) -> int:
        return self.product(x, self.call("reciprocal", self.abs(x)))

    def positive(self, x: int) -> int:
        return self.polynomial(self.sign(x), 0.5, 0.5)

    def relu(self, x: int) -> int:
        return self.sum((0.5, x), (0.5, self.abs(x)))

    def clip(self, x: int, low: float, high: float) -> int:
        above, below = self.abs(self.polynomial(x, -low, 1)), self.abs(self.polynomial(x, -high, 1))
        return self.sum((0.5, above), (-0.5, below), constant=(low + high) / 2)

    def elu(self, x: int, alpha: float, gamma: float = 1.0, scale: float = 1.0) -> int:
        size = self.abs(x)
        below = self.call("exp", self.sum((0.5 / scale, x), (-0.5 / scale, size)))
        return self.sum((gamma / 2, x), (gamma / 2, size), (gamma * alpha, below), constant=-gamma * alpha)

    def hard_sigmoid(self, x: int, alpha: float, beta: float) -> int:
        """Clipped in the argument's own units, in which the width is, as in the derivative."""
        if alpha == 0:
            return self.polynomial(x, min(max(beta, 0.0), 1.0))
        low, high = sorted((-beta / alpha, (1 - beta) / alpha))
        return self.polynomial(self.clip(x, low, high), beta, alpha)

    def hard_swish(self, x: int) -> int:
        return self.product(x, self.hard_sigmoid(x, 1 / 6, 0.5))

    def soft_sign(self, x: int) -> int:
        return self.product(x, self.call("reciprocal", self.polynomial(self.abs(x), 1, 1)))


_SMOOTH: Mapping[str, Callable[..., int]] = {
    "abs": _Steps.abs,
    "celu": lambda steps, x, alpha: steps.elu(x, alpha, scale=alpha),
    "clip": _Steps.clip,
    "elu": _Steps.elu,
    "hardsigmoid": _Steps.hard_sigmoid,
    "hardswish": _Steps.hard_swish,
    "leakyrelu": lambda steps, x, alpha: steps.sum(((1 + alpha) / 2, x), ((1 - alpha) / 2, steps.abs(x))),
    "nonnegative": _Steps.positive,
    "positive": _Steps.positive,
    "relu": _Steps.relu,
    "selu": lambda steps, x, alpha, gamma: steps.elu(x, alpha, gamma),
    "sign": _Steps.sign,
    "softsign": _Steps.soft_sign,
}

COMPARING = frozenset(_SMOOTH) | JUMPING
"""Functions that compare their argument with a number."""


def smoothed(program: TensorProgram, given: Mapping[str, NDArray[np.float64]]) -> tuple[TensorProgram, tuple[str, ...]]:
    """The program with smooth functions in place of those that compare, and what was replaced, in words.

    Parameters
    ----------
    given
        Inputs, and targets where the program has them, shape (rows, ...), which arguments are measured on.

    Raises
    ------
    UnsupportedError
        A function jumps.
    """
    widths: dict[int, float] = {}

    def watch(index: int, ins: Any, value: Any, operands: Sequence[Any]) -> Any:
        if isinstance(ins, Function) and any(step.op in COMPARING for step in ins.function):
            widths[index] = WIDTH * (float(np.abs(operands[0]).max()) or 1.0)
        return value

    evaluate(program, PlainArithmetic(), given, {}, after=watch)
    instructions = list(program.instructions)
    told: dict[str, None] = {}
    for index, width in widths.items():
        ins = instructions[index]
        assert isinstance(ins, Function), "only functions were measured"
        names = [step.op for step in ins.function if step.op in COMPARING]
        if JUMPING & set(names):
            raise UnsupportedError(
                f"{ins.source}: {names[0]} jumps, and no smooth function is near it; use another activation, or "
                "compile with --comparisons exact"
            )
        instructions[index] = msgspec.structs.replace(ins, function=_rewritten(ins.function, width))
        if not ins.source.startswith("gradient of "):
            told[f"{', '.join(dict.fromkeys(names))} of {ins.source} by one with sqrt(x^2 + {width:.3g}^2)"] = None
    return TensorProgram(tuple(instructions), program.arrays), tuple(told)


def _rewritten(steps: tuple[FunctionStep, ...], width: float) -> tuple[FunctionStep, ...]:
    made = _Steps(width)
    places = [0]
    for step in steps:
        operands = [places[operand] for operand in step.operands]
        if step.op in _SMOOTH:
            places.append(_SMOOTH[step.op](made, operands[0], *step.numbers))
        else:
            places.append(made.keep(step, operands))
    return tuple(made.made)

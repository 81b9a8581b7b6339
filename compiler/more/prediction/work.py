"""What instructions compute, and how long that takes: a rule for every kind, and rates that were measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hecc.compiler.more.prediction.values import Values
from hecc.runtime.network.functions import FunctionStep
from hecc.runtime.network.instructions import (
    INSTRUCTIONS,
    Add,
    Function,
    Input,
    MatMul,
    MeanRows,
    Multiply,
    Outer,
    Output,
    Parameter,
    Patches,
    Pick,
    Reshape,
    Scatter,
    Spread,
    Total,
    Unpatch,
)
from hecc.runtime.reading import Reading

__all__ = ["RATES", "Rates", "Work", "function_passes", "instruction_work"]


@dataclass(frozen=True)
class Work:
    """What an instruction does.

    Attributes
    ----------
    calls
        Of NumPy, each with what it takes however few numbers there are.
    products
        Multiplications with an addition, in products of matrices.
    passes
        Numbers that are read, changed and written, each time.
    spectra
        Matrices of which eigenvalues are computed; those of 2 x 2 have a formula.
    """

    calls: int = 0
    products: int = 0
    passes: int = 0
    spectra: int = 0

    def __add__(self, other: Work) -> Work:
        """Both."""
        return Work(
            self.calls + other.calls,
            self.products + other.products,
            self.passes + other.passes,
            self.spectra + other.spectra,
        )


@dataclass(frozen=True)
class Rates:
    """Seconds of one processor core for each unit of work."""

    call: float
    product: float
    number: float
    spectrum: float

    def seconds(self, work: Work) -> float:
        """For some work."""
        return (
            self.call * work.calls
            + self.product * work.products
            + self.number * work.passes
            + self.spectrum * work.spectra
        )


RATES = Rates(call=1e-6, product=6e-11, number=7e-10, spectrum=1.6e-6)
"""Of the machine that hecc was developed on, by least squares of what each instruction of a dozen networks takes there,
evaluated and trained. The sums are within a factor of two of what was measured."""

SLOW: Mapping[str, int] = MappingProxyType(
    {"cos": 4, "erf": 50, "erfc": 50, "gelu": 52, "gelu_tanh": 6, "mish": 13, "sin": 4, "softplus": 11, "swish": 4}
)
"""Functions that take longer than all others, which are no slower than :data:`USUAL` passes."""

USUAL = 2

LINE = 24
"""Passes over the elements of 2 x 2 matrices for the line through a function's values at their eigenvalues."""


def function_passes(steps: tuple[FunctionStep, ...]) -> int:
    """Passes over its arguments for which a function takes as long."""
    return sum(SLOW.get(step.op, USUAL) + len(step.numbers) for step in steps)


def instruction_work(values: Values, index: int) -> Work:
    """What one instruction does."""
    ins = values.program.instructions[index]
    return _WORK.of(ins)(values, index, ins)


def _nothing(values: Values, index: int, ins: Any) -> Work:
    return Work()


def _view(values: Values, index: int, ins: Any) -> Work:
    return Work(calls=1)


def _made(values: Values, index: int, ins: Any) -> Work:
    return Work(calls=2, passes=values.numbers(index))


def _read(values: Values, index: int, ins: Total | MeanRows) -> Work:
    return Work(calls=2, passes=values.numbers(ins.x))


def _scatter(values: Values, index: int, ins: Scatter) -> Work:
    """What is added to places is picked in their order first, twice, and then summed."""
    return Work(calls=8, passes=6 * values.numbers(ins.x) + values.numbers(index))


def _patches(values: Values, index: int, ins: Patches) -> Work:
    padded = values.numbers(ins.x) if any(map(any, ins.pads)) else 0
    return Work(calls=6, passes=padded + 2 * values.numbers(index))


def _unpatch(values: Values, index: int, ins: Unpatch) -> Work:
    return Work(calls=4 + math.prod(ins.kernel), passes=3 * values.numbers(ins.x) + 2 * values.numbers(index))


def _bilinear(values: Values, index: int, a: int, b: int) -> tuple[int, int]:
    """How many products of numbers' tensors one of encoded tensors is, and how often results are passed over."""
    both = values.is_encoded(a) and values.is_encoded(b)
    return (values.size**3, values.size**2 * (values.size + 1)) if both else (values.planes(index), 0)


def _matmul(values: Values, index: int, ins: MatMul) -> Work:
    products, sums = _bilinear(values, index, ins.a, ins.b)
    inner = values.program.types[ins.a].shape[-2 if ins.transpose_a else -1]
    elements = values.elements(index)
    return Work(calls=2 + 2 * products, products=products * inner * elements, passes=sums * elements)


def _outer(values: Values, index: int, ins: Outer) -> Work:
    products, sums = _bilinear(values, index, ins.a, ins.b)
    kind = values.program.types[ins.a]
    inner, elements = kind.shape[-1] * values.rows, values.elements(index)
    # Rows are put last in both, and what comes out is divided by their number.
    moved = 2 * (values.numbers(ins.a) + values.numbers(ins.b)) + values.numbers(index)
    return Work(calls=8 + 2 * products, products=products * inner * elements, passes=sums * elements + moved)


def _add(values: Values, index: int, ins: Add) -> Work:
    scaled = sum(factor != 1.0 for factor in ins.factors)
    apart = len({values.is_encoded(term) for term in ins.terms}) > 1 or ins.constant != 0.0
    return Work(calls=3 + 2 * len(ins.terms), passes=(len(ins.terms) + scaled + apart) * values.numbers(index))


def _multiply(values: Values, index: int, ins: Multiply) -> Work:
    products, sums = _bilinear(values, index, ins.a, ins.b)
    return Work(calls=2 + 2 * products, passes=(products + sums) * values.elements(index))


def _function(values: Values, index: int, ins: Function) -> Work:
    elements, passes = values.elements(index), function_passes(ins.function)
    if not values.is_encoded(index) or values.size == 1:
        return Work(calls=2 + len(ins.function), passes=passes * elements)
    if values.size == 2:
        calls = (20 + 4 * len(ins.function)) * math.ceil(elements / 8192)
        return Work(calls=calls, passes=(LINE + 2 * passes) * elements)
    spread = (2 * values.size**2 * (values.size + 1) + values.size * passes) * elements
    return Work(calls=30, passes=spread, spectra=elements)


_WORK: Reading[Callable[[Values, int, Any], Work]] = Reading(
    "what instructions on tensors do",
    INSTRUCTIONS,
    {
        Input: _nothing,
        Parameter: _nothing,
        Output: _nothing,
        Reshape: _view,
        Pick: _made,
        Scatter: _scatter,
        Patches: _patches,
        Unpatch: _unpatch,
        MatMul: _matmul,
        Outer: _outer,
        Add: _add,
        Multiply: _multiply,
        Total: _read,
        Spread: _view,
        MeanRows: _read,
        Function: _function,
    },
)
"""Each rule takes a program's values, the number of an instruction, and the instruction."""

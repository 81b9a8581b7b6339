"""What rules build programs with: an instruction that is there already is not made again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.function import Expression
from hecc.compiler.graph.programs.functions import function_steps
from hecc.runtime.network.functions import FunctionStep
from hecc.runtime.network.instructions import (
    Add,
    AnyInstruction,
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
from hecc.runtime.network.program import TensorProgram
from hecc.runtime.network.types import TensorType, type_of

__all__ = ["ProgramBuilder"]

Shape = tuple[int, ...]


class ProgramBuilder:
    """Instructions one after the other; each method returns the number of the value that it makes.

    Attributes
    ----------
    source
        The node that instructions stem from, until another one is set.
    """

    def __init__(self) -> None:
        self.source = ""
        self._instructions: list[AnyInstruction] = []
        self._types: list[TensorType] = []
        self._arrays: dict[str, NDArray[Any]] = {}
        self._known: dict[Any, int] = {}
        self._functions: dict[int, tuple[Expression, tuple[FunctionStep, ...]]] = {}

    def program(self) -> TensorProgram:
        """What was built, without what no output needs."""
        return TensorProgram(tuple(self._instructions), self._arrays).pruned()

    def kind(self, value: int) -> TensorType:
        """The type of a value."""
        return self._types[value]

    def shape(self, value: int) -> Shape:
        """The shape of a value, without rows."""
        return self._types[value].shape

    def _emit(self, kind: type[Any], **fields: Any) -> int:
        key = (kind, *fields.items())
        if key not in self._known:
            made = kind(**fields, source=self.source)
            self._types.append(type_of(made, [self._types[operand] for operand in made.operands], self._arrays))
            self._instructions.append(made)
            self._known[key] = len(self._instructions) - 1
        return self._known[key]

    def input(self, name: str, shape: Shape) -> int:
        """A tensor for each row, from the client."""
        return self._emit(Input, name=name, shape=tuple(shape))

    def parameter(self, name: str, values: NDArray[Any]) -> int:
        """A tensor for all rows, whose values the program has."""
        kept = self._arrays.setdefault(name, np.asarray(values, dtype=np.float64))
        assert kept is values or _same(kept, np.asarray(values, dtype=np.float64)), f"{name} is two parameters"
        return self._emit(Parameter, name=name)

    def constant(self, values: NDArray[np.float64]) -> int:
        """A tensor that is known when the program is made."""
        known = next((name for name, each in self._arrays.items() if _same(each, values)), None)
        # Graphs call numbers of theirs after their values, such as "constant:0".
        return self.parameter(known or f"constant:#{len(self._arrays)}", values)

    def output(self, x: int, name: str) -> int:
        """A result."""
        return self._emit(Output, x=x, name=name)

    def reshape(self, x: int, shape: Shape) -> int:
        """The same elements under another shape."""
        return x if self.shape(x) == tuple(shape) else self._emit(Reshape, x=x, shape=tuple(map(int, shape)))

    def pick(self, x: int, index: NDArray[np.int64], shape: Shape) -> int:
        """Elements by their places in the flat tensor, and zero where that is -1."""
        return self.reshape(self._emit(Pick, x=x, index=self._index(index)), shape)

    def scatter(self, x: int, index: NDArray[np.int64], shape: Shape) -> int:
        """Elements added to places in a flat tensor."""
        return self.reshape(self._emit(Scatter, x=x, index=self._index(index), size=math.prod(shape)), shape)

    def _index(self, index: NDArray[np.int64]) -> str:
        flat = np.ascontiguousarray(index, dtype=np.int64).reshape(-1)
        known = next((name for name, each in self._arrays.items() if _same(each, flat)), None)
        name = known or f"index:{len(self._arrays)}"
        self._arrays.setdefault(name, flat)
        return name

    def patches(self, x: int, window: Any, pads: tuple[tuple[int, int], ...], out: Shape) -> int:
        """Windows side by side; ``window`` has kernel, strides and dilations."""
        return self._emit(
            Patches,
            x=x,
            kernel=tuple(window.kernel),
            strides=tuple(window.strides),
            dilations=tuple(window.dilations),
            pads=pads,
            out=tuple(out),
        )

    def unpatch(self, x: int, window: Any, pads: tuple[tuple[int, int], ...], out: Shape, spatial: Shape) -> int:
        """Windows added to an image."""
        return self._emit(
            Unpatch,
            x=x,
            kernel=tuple(window.kernel),
            strides=tuple(window.strides),
            dilations=tuple(window.dilations),
            pads=pads,
            out=tuple(out),
            spatial=tuple(spatial),
        )

    def matmul(self, a: int, b: int, *, transpose_a: bool = False, transpose_b: bool = False) -> int:
        """A product of matrices."""
        return self._emit(MatMul, a=a, b=b, transpose_a=transpose_a, transpose_b=transpose_b)

    def outer(self, a: int, b: int) -> int:
        """The mean over rows of ``a @ b^T``."""
        return self._emit(Outer, a=a, b=b)

    def add(self, terms: Sequence[int], factors: Sequence[float] | None = None, constant: float = 0.0) -> int:
        """A weighted sum."""
        factors = [1.0] * len(terms) if factors is None else factors
        if len(terms) == 1 and factors[0] == 1.0 and constant == 0.0:
            return terms[0]
        return self._emit(Add, terms=tuple(terms), factors=tuple(map(float, factors)), constant=float(constant))

    def multiply(self, a: int, b: int) -> int:
        """Element by element."""
        return self._emit(Multiply, a=a, b=b)

    def total(self, x: int, shape: Shape) -> int:
        """Sums along axes."""
        return x if self.shape(x) == tuple(shape) else self._emit(Total, x=x, shape=tuple(shape))

    def spread(self, x: int, shape: Shape) -> int:
        """Repeated to a shape."""
        return x if self.shape(x) == tuple(shape) else self._emit(Spread, x=x, shape=tuple(shape))

    def mean_rows(self, x: int) -> int:
        """The mean over rows."""
        return self._emit(MeanRows, x=x)

    def function(self, function: Expression, x: int) -> int:
        """A function of each element."""
        if id(function) not in self._functions:
            # The expression is kept, so that its id stays its own.
            self._functions[id(function)] = (function, function_steps(function))
        return self._emit(Function, x=x, function=self._functions[id(function)][1])

    def reduced(self, x: int, shape: Shape) -> int:
        """The transpose of broadcasting a tensor of a shape to that of ``x``; rows stay."""
        own = self.shape(x)
        aligned = (1,) * (len(own) - len(shape)) + tuple(shape)
        return self.reshape(self.total(x, aligned), shape)


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and np.array_equal(one, other)

"""The instructions: what a program of tensors is made of.

A value is a tensor for each row, or one tensor for all rows, such as a weight or its gradient. Instructions are closed
under differentiation: the gradient of a program is a program (:mod:`hecc.compiler.graph.gradients`). Most of them are
linear, and :class:`MatMul`, :class:`Outer` and :class:`Multiply` are products of values; :class:`Function` is all that
is neither.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from hecc.runtime.network.functions import FunctionStep

__all__ = [
    "INSTRUCTIONS",
    "Add",
    "AnyInstruction",
    "Function",
    "Input",
    "Instruction",
    "MatMul",
    "MeanRows",
    "Multiply",
    "Outer",
    "Output",
    "Parameter",
    "Patches",
    "Pick",
    "Reshape",
    "Scatter",
    "Spread",
    "Total",
    "Unpatch",
]

Value = Annotated[int, msgspec.Meta(ge=0)]
Size = Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]
Shape = Annotated[tuple[Size, ...], msgspec.Meta(max_length=12)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
Pads = tuple[tuple[Annotated[int, msgspec.Meta(ge=0)], Annotated[int, msgspec.Meta(ge=0)]], ...]


class Instruction(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="op", forbid_unknown_fields=True, omit_defaults=True
):
    """Base of the instructions.

    Attributes
    ----------
    source
        The node of the network that it stems from, in words.
    """

    source: str = ""

    @property
    def op(self) -> str:
        """What it does, in a word."""
        return str(self.__struct_config__.tag)

    @property
    def operands(self) -> tuple[int, ...]:
        """The values that it reads."""
        return ()

    def __str__(self) -> str:
        """Its fields in a line."""
        fields = [f"{name}={getattr(self, name)}" for name in self.__struct_fields__ if name != "source"]
        return f"{self.op} {', '.join(fields)}  # {self.source}"


class _Unary(Instruction, frozen=True, kw_only=True):
    """Of one value."""

    x: Value

    @property
    def operands(self) -> tuple[int, ...]:
        return (self.x,)


class _Binary(Instruction, frozen=True, kw_only=True):
    """Of two values."""

    a: Value
    b: Value

    @property
    def operands(self) -> tuple[int, ...]:
        return (self.a, self.b)


class Input(Instruction, frozen=True, kw_only=True, tag="input"):
    """What the client sends for a name: a tensor for each row."""

    name: Name
    shape: Shape


class Parameter(Instruction, frozen=True, kw_only=True, tag="parameter"):
    """One of the program's arrays, or, while it is trained, what training has made of it."""

    name: Name


class Output(_Unary, frozen=True, kw_only=True, tag="output"):
    """A result; nothing reads it."""

    name: Name


class Reshape(_Unary, frozen=True, kw_only=True, tag="reshape"):
    """The same elements under another shape."""

    shape: Shape


class Pick(_Unary, frozen=True, kw_only=True, tag="pick"):
    """``y[i] = x[index[i]]`` of the flat tensor, and zero where the index is -1.

    Attributes
    ----------
    index
        Names an array of integers.
    """

    index: Name


class Scatter(_Unary, frozen=True, kw_only=True, tag="scatter"):
    """``y[index[i]] += x[i]`` of flat tensors: the transpose of :class:`Pick`."""

    index: Name
    size: Size


class Patches(_Unary, frozen=True, kw_only=True, tag="patches"):
    """Windows of images side by side: (..., channels, *spatial) to (..., channels * taps, pixels of the result).

    Attributes
    ----------
    kernel, strides, dilations, pads
        As ONNX's Conv has them, one number (or two) per spatial axis; the padding is zero.
    out
        Extents of the result.
    """

    kernel: Shape
    strides: Shape
    dilations: Shape
    pads: Pads
    out: Shape


class Unpatch(_Unary, frozen=True, kw_only=True, tag="unpatch"):
    """The transpose of :class:`Patches`: every window is added to where it came from.

    Attributes
    ----------
    spatial
        Extents of the image.
    """

    kernel: Shape
    strides: Shape
    dilations: Shape
    pads: Pads
    out: Shape
    spatial: Shape


class MatMul(_Binary, frozen=True, kw_only=True, tag="matmul"):
    """Product of matrices, in the last two axes; those before broadcast.

    Attributes
    ----------
    transpose_a, transpose_b
        Exchange the last two axes first.
    """

    transpose_a: bool = False
    transpose_b: bool = False


class Outer(_Binary, frozen=True, kw_only=True, tag="outer"):
    """The mean over all rows of ``a @ b^T``, in the last two axes; those before are equal: a gradient of weights."""


class Add(Instruction, frozen=True, kw_only=True, tag="add"):
    """``sum of factors[i] * terms[i], plus constant``; the terms broadcast."""

    terms: Annotated[tuple[Value, ...], msgspec.Meta(min_length=1)]
    factors: tuple[float, ...]
    constant: float = 0.0

    @property
    def operands(self) -> tuple[int, ...]:
        """The terms."""
        return self.terms


class Multiply(_Binary, frozen=True, kw_only=True, tag="multiply"):
    """Element by element; they broadcast."""


class Total(_Unary, frozen=True, kw_only=True, tag="total"):
    """Sums along axes, so that the result has a shape that broadcasts to the argument's."""

    shape: Shape


class Spread(_Unary, frozen=True, kw_only=True, tag="spread"):
    """The argument repeated to a shape: the transpose of :class:`Total`."""

    shape: Shape


class MeanRows(_Unary, frozen=True, kw_only=True, tag="mean_rows"):
    """The mean over all rows."""


class Function(_Unary, frozen=True, kw_only=True, tag="function"):
    """A function of one variable, of each element."""

    function: tuple[FunctionStep, ...]

    def __str__(self) -> str:
        return f"function x={self.x}, {' '.join(step.op for step in self.function)}  # {self.source}"


AnyInstruction = (
    Input
    | Parameter
    | Output
    | Reshape
    | Pick
    | Scatter
    | Patches
    | Unpatch
    | MatMul
    | Outer
    | Add
    | Multiply
    | Total
    | Spread
    | MeanRows
    | Function
)

INSTRUCTIONS: tuple[type[Instruction], ...] = (
    Input,
    Parameter,
    Output,
    Reshape,
    Pick,
    Scatter,
    Patches,
    Unpatch,
    MatMul,
    Outer,
    Add,
    Multiply,
    Total,
    Spread,
    MeanRows,
    Function,
)
"""All kinds; every reading has a rule for each."""

"""The instruction set of sharing programs, and what a value is.

A *value* is a tensor of integers modulo 2^ring, flat. The server holds each value less a mask; the mask is known to
the client (and the dealer) or to the dealer only. Who knows it decides what may be done with the value:

* under a mask of the client's (:attr:`Holder.CLIENT`), private weights can be applied to it: their product with the
  mask needs the client. It must not be opened to the client, who knows the mask.
* under a mask of the dealer's (:attr:`Holder.DEALER`), it may be opened to the client, who then sees a uniform number.

:mod:`hecc.runtime.sharing.program.types` derives all this, and refuses programs that open what they must not.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, NamedTuple, TypeAlias

import msgspec

from hecc.runtime.sharing.program.maps import Extent, Gather, PrivateMap

__all__ = [
    "INSTRUCTIONS",
    "Affine",
    "AnyInstruction",
    "Combine",
    "Extend",
    "Holder",
    "Input",
    "Instruction",
    "Knot",
    "Line",
    "Output",
    "Private",
    "Product",
    "Public",
    "Release",
    "Shift",
    "Spline",
    "Value",
]


class Holder(Enum):
    """Who knows the mask of a value, beside the dealer."""

    CLIENT = "client"
    DEALER = "dealer"


class Value(NamedTuple):
    """What an instruction makes.

    Attributes
    ----------
    size
        Elements.
    ring
        Bits of each.
    holder
        Who knows the mask.
    """

    size: int
    ring: int
    holder: Holder


Ring: TypeAlias = Annotated[int, msgspec.Meta(ge=2, le=64)]
Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
Integer: TypeAlias = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=1024)]


class Instruction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op"):
    """Base of the instruction set; instruction ``i`` makes value ``i``. ``source`` names the ONNX node it is from."""

    source: Name = ""

    @property
    def op(self) -> str:
        """The instruction's name."""
        return str(type(self).__struct_config__.tag)

    @property
    def operands(self) -> tuple[int, ...]:
        """Values read, in order."""
        return ()


class Input(Instruction, frozen=True, kw_only=True, tag="input"):
    """The client's numbers, sent under a mask of its own."""

    name: Name
    size: Extent
    ring: Ring


class Private(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A summand: weights of the server's times a value under a mask of the client's."""

    x: Number
    map: PrivateMap
    weight: Name


class Public(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A summand: a public map of any value; without a map the value itself, times ``factor``."""

    x: Number
    map: Gather | None = None
    factor: Integer = 1


class Affine(Instruction, frozen=True, kw_only=True, tag="affine"):
    """Sum of private and public summands and a bias of the server's, under a fresh mask of the dealer's.

    With public summands alone it is a *remask*: what was under a mask of the client's may be opened behind it.
    """

    private: tuple[Private, ...] = ()
    public: tuple[Public, ...] = ()
    bias: Name = ""
    size: Extent
    ring: Ring

    @property
    def operands(self) -> tuple[int, ...]:
        return *(term.x for term in self.private), *(term.x for term in self.public)


class Combine(Instruction, frozen=True, kw_only=True, tag="combine"):
    """Sum of public maps of values that are all under masks of one holder, in a ring of none larger: at no cost."""

    terms: Annotated[tuple[Public, ...], msgspec.Meta(min_length=1)]
    constant: Integer = 0
    ring: Ring

    @property
    def operands(self) -> tuple[int, ...]:
        return tuple(term.x for term in self.terms)


class Shift(Instruction, frozen=True, kw_only=True, tag="shift"):
    """The value divided by 2^bits and rounded up or down at random, so that nothing is lost on average, at no cost.

    The probability of rounding up is what is cut off, divided by 2^bits: the coin is the low part of the mask.
    """

    x: Number
    bits: Annotated[int, msgspec.Meta(ge=1, le=63)]
    ring: Ring

    @property
    def operands(self) -> tuple[int, ...]:
        return (self.x,)


class Release(Instruction, frozen=True, kw_only=True, tag="release"):
    """The value in a ring that is no larger, under a fresh mask of the client's: weights can be applied to it."""

    x: Number
    ring: Ring

    @property
    def operands(self) -> tuple[int, ...]:
        return (self.x,)


class Extend(Instruction, frozen=True, kw_only=True, tag="extend"):
    """The value in a larger ring, under a fresh mask of the client's.

    Attributes
    ----------
    bits
        Of the argument, one of them to spare: numbers are below 2^(bits-2).
    """

    x: Number
    bits: Ring
    ring: Ring

    @property
    def operands(self) -> tuple[int, ...]:
        return (self.x,)


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``slope * x + constant``."""

    slope: Integer = 0
    constant: Integer = 0


Digits: TypeAlias = Annotated[
    tuple[
        Annotated[tuple[Annotated[int, msgspec.Meta(ge=1, le=6)], ...], msgspec.Meta(min_length=1, max_length=6)], ...
    ],
    msgspec.Meta(min_length=1, max_length=6),
]


class Knot(Instruction, frozen=True, kw_only=True, tag="knot"):
    """A function of two lines, element by element: ``left`` below ``threshold``, ``right`` from there on.

    ReLU is one, and LeakyReLU, absolute values, steps and signs are.

    Attributes
    ----------
    digits
        Groups of digits that the mask is compared by, from the highest: the bits of the argument that count, without
        that of the sign.
    ring
        Of the result, larger or smaller than the argument's.
    hidden
        Whether the result is under a mask of the dealer's.
    """

    x: Number
    threshold: Integer = 0
    left: Line = Line()
    right: Line = Line(slope=1)
    digits: Digits
    ring: Ring
    hidden: bool = False

    @property
    def bits(self) -> int:
        """Of the argument, as far as they count."""
        return 1 + sum(map(sum, self.digits))

    @property
    def operands(self) -> tuple[int, ...]:
        return (self.x,)


Polynomial: TypeAlias = Annotated[tuple[Integer, ...], msgspec.Meta(min_length=1, max_length=5)]


class Spline(Instruction, frozen=True, kw_only=True, tag="spline"):
    """A function of polynomials, element by element: another one from each knot on.

    Attributes
    ----------
    knots
        In increasing order.
    pieces
        Coefficients, from the constant on: of the piece on the left of all knots, then of those from each knot on.
    digits, hidden
        As of :class:`Knot`.
    ring
        Of the result. If it has more bits than the argument, one of those is to spare: numbers are below 2^(bits-2).
    """

    x: Number
    knots: Annotated[tuple[Integer, ...], msgspec.Meta(min_length=1, max_length=256)]
    pieces: Annotated[tuple[Polynomial, ...], msgspec.Meta(min_length=2, max_length=257)]
    digits: Digits
    ring: Ring
    hidden: bool = False

    @property
    def bits(self) -> int:
        """Of the argument, as far as they count."""
        return 1 + sum(map(sum, self.digits))

    @property
    def degree(self) -> int:
        """Of the polynomials."""
        return len(self.pieces[0]) - 1

    @property
    def grown(self) -> int:
        """Bits of the result's ring beyond those of the argument."""
        return max(self.ring - self.bits, 0)

    @property
    def operands(self) -> tuple[int, ...]:
        return (self.x,)


class Product(Instruction, frozen=True, kw_only=True, tag="product"):
    """The product of two values, element by element, under a fresh mask of the dealer's; both may be the same.

    Attributes
    ----------
    x_bits, y_bits
        Of the factors, as far as they count. Where the result has a larger ring one bit is to spare: numbers are below
        2^(bits-2).
    """

    x: Number
    y: Number
    x_bits: Ring
    y_bits: Ring
    ring: Ring

    @property
    def operands(self) -> tuple[int, ...]:
        return self.x, self.y


class Output(Instruction, frozen=True, kw_only=True, tag="output"):
    """The server sends what it holds, and the client adds its mask."""

    name: Name
    x: Number

    @property
    def operands(self) -> tuple[int, ...]:
        return (self.x,)


AnyInstruction: TypeAlias = Input | Affine | Combine | Shift | Release | Extend | Knot | Spline | Product | Output

INSTRUCTIONS: tuple[type[Instruction], ...] = (
    Input,
    Affine,
    Combine,
    Shift,
    Release,
    Extend,
    Knot,
    Spline,
    Product,
    Output,
)
"""All kinds; a table that reads programs has a rule for each."""

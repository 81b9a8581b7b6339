"""A program in the making: instructions, with the integers that each value can be, whatever the input is.

Ranges are of the program as it will run, with weights and constants rounded and every rounding of values counted: so a
ring that has room for a range never overflows. They may be narrowed to what was observed, with a margin; then it does
not for inputs like those.

What ring each value needs is known only when all its readers are, so instructions are made without one, and
:meth:`Builder.finish` goes through them from the end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.compiler.sharing.digits import digits_for
from hecc.compiler.sharing.steps import PrivateStep, PublicStep
from hecc.runtime.errors import CompileError
from hecc.runtime.sharing.arithmetic.rings import MOST_BITS
from hecc.runtime.sharing.program.instructions import (
    Affine,
    AnyInstruction,
    Combine,
    Extend,
    Holder,
    Input,
    Knot,
    Line,
    Output,
    Private,
    Product,
    Public,
    Release,
    Shift,
    Spline,
)
from hecc.runtime.sharing.program.maps import Gather
from hecc.runtime.sharing.program.program import Program

__all__ = ["Builder", "Built", "LargeRingError", "LargeValueError", "Tensor", "bits_for"]

LARGEST = 2.0**61
"""Integers that ranges are computed with stay below: those of two summands do not overflow."""

UNDECIDED = 2
"""The ring of a value until all its readers are known."""

Integers = NDArray[np.int64]


class LargeValueError(CompileError):
    """Values grow beyond what can be shared."""


class LargeRingError(LargeValueError):
    """A value needs a larger ring than there is."""


@dataclass(frozen=True)
class Tensor:
    """A value of the program.

    Attributes
    ----------
    index
        Of the instruction that makes it.
    unit
        The real number that one stands for.
    low, high
        The least and the largest integer that each element can be.
    holder
        Who knows its mask.
    """

    index: int
    unit: float
    low: Integers
    high: Integers
    holder: Holder

    @property
    def size(self) -> int:
        """Its elements."""
        return len(self.low)

    @property
    def bits(self) -> int:
        """That each element needs, with its sign."""
        return bits_for(self.low, self.high)

    def narrowed(self, magnitude: float) -> Tensor:
        """The same, given that no element is larger than a real number."""
        most = math.ceil(min(magnitude / self.unit, LARGEST)) + 1
        return replace(self, low=np.clip(self.low, -most, most), high=np.clip(self.high, -most, most))


def bits_for(low: Integers, high: Integers) -> int:
    """Bits of signed integers that have room for a range."""
    largest = max(-int(low.min(initial=0)) - 1, int(high.max(initial=0)), 1)
    return largest.bit_length() + 1


@dataclass(frozen=True)
class Built:
    """A program with what belongs to the server, and the units of what goes in and comes out."""

    program: Program
    weights: dict[str, Integers]
    biases: dict[str, Integers]


class Builder:
    """Adds instructions to a program."""

    def __init__(self) -> None:
        self._instructions: list[AnyInstruction] = []
        self._least: dict[int, int] = {}  # bits that an instruction needs of its argument, whatever its readers need
        self._constants: dict[str, Integers] = {}
        self._names: dict[bytes, str] = {}
        self.weights: dict[str, Integers] = {}
        self.biases: dict[str, Integers] = {}

    def input(self, name: str, unit: float, low: Integers, high: Integers) -> Tensor:
        """The client's integers."""
        made = Input(name=name, size=len(low), ring=UNDECIDED, source=f"input {name!r}")
        return self._add(made, unit, low, high, Holder.CLIENT)

    def output(self, name: str, x: Tensor) -> None:
        """Give a value to the client."""
        self._least[len(self._instructions)] = x.bits
        self._add(Output(name=name, x=x.index, source=f"output {name!r}"), x.unit, x.low, x.high, Holder.CLIENT)

    def combine(
        self, terms: Sequence[tuple[Tensor, PublicStep | None, int]], *, constant: int = 0, source: str = ""
    ) -> Tensor:
        """The sum of public maps, times integers, of values under masks of one holder; of the unit of the first."""
        low, high = self._public_range(terms)
        publics = tuple(self._public(*term) for term in terms)
        first, step, factor = terms[0]
        unit = first.unit * (1.0 if step is None else step.factor) / factor
        return self._add(
            Combine(terms=publics, constant=constant, ring=UNDECIDED, source=source),
            unit,
            low + constant,
            high + constant,
            first.holder,
        )

    def affine(
        self,
        private: Sequence[tuple[Tensor, PrivateStep, Integers]],
        public: Sequence[tuple[Tensor, PublicStep | None, int]],
        bias: Integers | None,
        unit: float,
        *,
        source: str,
    ) -> Tensor:
        """Products with weights, which are rounded already, public maps and a bias, all in one unit."""
        index = len(self._instructions)
        size = private[0][1].map.out_size if private else self._public_size(public[0])
        low, high = (np.zeros(size, dtype=np.int64) for _ in range(2))
        privates = []
        for number, (x, step, weight) in enumerate(private):
            name = f"{index}.{number}"
            self.weights[name] = weight
            renamed = {field: self._constant(array) for field, array in step.constants.items()}
            map_ = msgspec.structs.replace(step.map, **renamed) if renamed else step.map
            privates.append(Private(x=x.index, map=map_, weight=name))
            low, high = (a + b for a, b in zip((low, high), _product_range(x, step, weight), strict=True))
        if public:
            low, high = (a + b for a, b in zip((low, high), self._public_range(public), strict=True))
        if bias is not None:
            self.biases[f"{index}"] = bias
            low, high = low + bias, high + bias
        made = Affine(
            private=tuple(privates),
            public=tuple(self._public(*term) for term in public),
            bias="" if bias is None else f"{index}",
            size=size,
            ring=UNDECIDED,
            source=source,
        )
        return self._add(made, unit, low, high, Holder.DEALER)

    def shift(self, x: Tensor, bits: int, *, source: str = "") -> Tensor:
        """Round to multiples of 2^bits."""
        if bits == 0:
            return x
        made = Shift(x=x.index, bits=bits, ring=UNDECIDED, source=source)
        return self._add(made, x.unit * 2.0**bits, x.low >> bits, -((-x.high) >> bits), Holder.DEALER)

    def release(self, x: Tensor, *, source: str) -> Tensor:
        """Put a value under a mask of the client's, in a ring that is no larger than its own has to be made."""
        made = Release(x=x.index, ring=UNDECIDED, source=source)
        return self._add(made, x.unit, x.low, x.high, Holder.CLIENT)

    def extend(self, x: Tensor, *, source: str) -> Tensor:
        """The same in any ring, for two messages: its own need not be larger than its numbers."""
        made = Extend(x=x.index, bits=x.bits + 1, ring=UNDECIDED, source=source)
        return self._add(made, x.unit, x.low, x.high, Holder.CLIENT)

    def knot(
        self,
        x: Tensor,
        threshold: int,
        left: Line,
        right: Line,
        *,
        unit: float,
        hidden: bool = False,
        source: str,
    ) -> Tensor:
        """A function of two lines; ``unit`` is that of the result."""
        argument = bits_for(x.low - threshold, x.high - threshold)
        # Where both lines have slopes the argument is extended by a bit that has to be known.
        bits = argument + (1 if left.slope else 0)
        low, high = _line_range(x, threshold, left, right)
        made = Knot(
            x=x.index,
            threshold=threshold,
            left=left,
            right=right,
            digits=digits_for(max(bits, 2) - 1),
            ring=UNDECIDED,
            hidden=hidden,
            source=source,
        )
        self._least[len(self._instructions)] = made.bits
        return self._add(made, unit, low, high, Holder.DEALER if hidden else Holder.CLIENT)

    def spline(
        self,
        x: Tensor,
        knots: Sequence[int],
        pieces: Sequence[Sequence[int]],
        *,
        unit: float,
        source: str,
    ) -> Tensor:
        """A function of polynomials, whose result is to be rounded: it is under a mask of the dealer's."""
        bits = max(bits_for(x.low - max(knots), x.high - min(knots)), x.bits) + 1
        low, high = _pieces_range(int(x.low.min()), int(x.high.max()), knots, pieces)
        made = Spline(
            x=x.index,
            knots=tuple(knots),
            pieces=tuple(map(tuple, pieces)),
            digits=digits_for(bits - 1),
            ring=UNDECIDED,
            hidden=True,
            source=source,
        )
        self._least[len(self._instructions)] = made.bits
        return self._add(made, unit, np.full(x.size, low), np.full(x.size, high), Holder.DEALER)

    def product(self, x: Tensor, y: Tensor, *, source: str) -> Tensor:
        """The product of two values, element by element."""
        if float(max(-x.low.min(), x.high.max())) * float(max(-y.low.min(), y.high.max())) > LARGEST:
            raise LargeValueError(
                f"{source}: a product of values that are too large to be shared; ask for less precision, declare a "
                "narrower range of inputs, or scale them as in training"
            )
        ends = np.stack([x.low * y.low, x.low * y.high, x.high * y.low, x.high * y.high])
        low, high = ends.min(axis=0), ends.max(axis=0)
        if x.index == y.index:
            low = np.where((x.low < 0) & (x.high > 0), 0, np.minimum(x.low**2, x.high**2))
        # A bit to spare in each, as the product is in a larger ring.
        made = Product(x=x.index, y=y.index, x_bits=x.bits + 1, y_bits=y.bits + 1, ring=UNDECIDED, source=source)
        return self._add(made, x.unit * y.unit, low, high, Holder.DEALER)

    def finish(self) -> Built:
        """The program, with the smallest rings that have room for what is read of each value.

        Raises
        ------
        LargeRingError
            One needs a larger ring than there is.
        """
        needed = [UNDECIDED] * len(self._instructions)
        made: list[AnyInstruction] = []
        for index, ins in reversed(list(enumerate(self._instructions))):
            for operand, bits in zip(ins.operands, self._read_bits(index, ins, needed[index]), strict=True):
                needed[operand] = max(needed[operand], bits)
            made.append(ins if isinstance(ins, Output) else _in_ring(ins, needed[index]))
        for index, ring in enumerate(needed):
            if ring > MOST_BITS:
                raise LargeRingError(
                    f"{self._instructions[index].source}: values of {ring} bits, and at most {MOST_BITS} can be "
                    "shared; ask for less precision, or scale the inputs as in training"
                )
        program = Program(tuple(reversed(made)), self._constants)
        return Built(program, self.weights, self.biases)

    def _read_bits(self, index: int, ins: AnyInstruction, ring: int) -> Sequence[int]:
        """Bits that an instruction reads of each operand, for a result in a ring."""
        if isinstance(ins, Extend) and ring > ins.bits:
            return (ins.bits,)
        if isinstance(ins, Product):
            return ins.x_bits, ins.y_bits
        if isinstance(ins, Shift):
            return (ring + ins.bits,)
        return [self._least.get(index, ring)] * len(ins.operands)

    def _add(self, ins: AnyInstruction, unit: float, low: Integers, high: Integers, holder: Holder) -> Tensor:
        if max(np.abs(low).max(initial=0), np.abs(high).max(initial=0)) > LARGEST:
            raise LargeValueError(
                f"{ins.source}: values grow beyond {LARGEST:.3g} units here, more than can be shared; ask for less "
                "precision, declare a narrower range of inputs, or scale them as in training"
            )
        self._instructions.append(ins)
        return Tensor(len(self._instructions) - 1, unit, low, high, holder)

    def _constant(self, array: Integers) -> str:
        """The name of index structure; of what is the same there is one."""
        content = array.tobytes()
        name = self._names.setdefault(content, f"{len(self._names)}")
        self._constants[name] = np.ascontiguousarray(array, dtype=np.int64)
        return name

    def _public(self, x: Tensor, step: PublicStep | None, factor: int) -> Public:
        if step is None or step.is_identity:
            return Public(x=x.index, factor=factor)
        starts = "" if step.starts is None else self._constant(step.starts)
        gather = Gather(columns=self._constant(step.columns), starts=starts, out_size=step.out_size)
        return Public(x=x.index, map=gather, factor=factor)

    @staticmethod
    def _public_size(term: tuple[Tensor, PublicStep | None, int]) -> int:
        x, step, _ = term
        return x.size if step is None else step.out_size

    @staticmethod
    def _public_range(terms: Sequence[tuple[Tensor, PublicStep | None, int]]) -> tuple[Integers, Integers]:
        lows, highs = [], []
        for x, step, factor in terms:
            ends = [end if step is None else _applied(step, end) for end in (x.low, x.high)]
            low, high = ends if factor >= 0 else reversed(ends)
            lows.append(low * factor)
            highs.append(high * factor)
        return np.sum(lows, axis=0), np.sum(highs, axis=0)


def _in_ring(ins: AnyInstruction, ring: int) -> AnyInstruction:
    """An instruction whose result's ring is known now; nothing is extended that need not be."""
    if isinstance(ins, Extend) and ring <= ins.bits:
        return Release(x=ins.x, ring=ring, source=ins.source)
    return msgspec.structs.replace(ins, ring=ring)


def _applied(step: PublicStep, x: Integers) -> Integers:
    picked = x[step.columns]
    if step.starts is None:
        return picked
    sums = np.concatenate([[0], np.cumsum(picked)])
    return np.asarray(sums[np.append(step.starts[1:], len(picked))] - sums[step.starts])


def _product_range(x: Tensor, step: PrivateStep, weight: Integers) -> tuple[Integers, Integers]:
    """Exact: what is positive goes with the ends as they are, what is negative with the others."""
    ends = np.stack([x.low, x.high])
    parts = [np.maximum(weight, 0), np.minimum(weight, 0)]
    most = np.abs(ends).max(initial=0) * float(np.abs(weight).sum())
    if most > LARGEST:
        _refuse_if_large(step, weight, ends)
    constants: Mapping[str, Any] = step.constants
    rising, falling = (
        step.map.apply(ends.view(np.uint64), part.view(np.uint64), constants, MOST_BITS).view(np.int64)
        for part in parts
    )
    return rising[0] + falling[1], rising[1] + falling[0]


def _refuse_if_large(step: PrivateStep, weight: Integers, ends: Integers) -> None:
    """Sums of magnitudes in floating point, before they are trusted as integers."""
    limbs = [np.abs(array).astype(np.float64) for array in (weight, np.abs(ends).max(axis=0, keepdims=True))]
    # Cut to twenty bits each, so that the product of the sizes is exact enough to compare.
    scales = [max(1.0, float(limb.max(initial=0.0)) / 2**20) for limb in limbs]
    cut = [np.ceil(limb / scale).astype(np.uint64) for limb, scale in zip(limbs, scales, strict=True)]
    sizes = step.map.apply(cut[1], cut[0], step.constants, MOST_BITS)
    if float(sizes.max(initial=0)) * scales[0] * scales[1] > LARGEST:
        raise LargeValueError(
            "values grow beyond what can be shared in a layer; ask for less precision, declare a narrower range of "
            "inputs, or scale them as in training"
        )


def _line_range(x: Tensor, threshold: int, left: Line, right: Line) -> tuple[Integers, Integers]:
    """Of what lies left and right of the threshold, as far as anything does."""
    lows, highs = [], []
    for line, low, high in (
        (left, x.low, np.minimum(x.high, threshold - 1)),
        (right, np.maximum(x.low, threshold), x.high),
    ):
        ends = np.sort(np.stack([line.slope * low + line.constant, line.slope * high + line.constant]), axis=0)
        empty = low > high
        lows.append(np.where(empty, np.iinfo(np.int64).max, ends[0]))
        highs.append(np.where(empty, np.iinfo(np.int64).min, ends[1]))
    return np.minimum(*lows), np.maximum(*highs)


def _pieces_range(low: int, high: int, knots: Sequence[int], pieces: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Of all integers between two ends: a polynomial is extreme at the ends of its piece, or where it is flat."""
    values: list[int] = []
    for start, end, piece in zip((low, *knots), (*(knot - 1 for knot in knots), high), pieces, strict=True):
        first, last = max(start, low), min(end, high)
        if first > last:
            continue
        slope = np.polynomial.Polynomial([float(c) for c in piece]).deriv()
        flat = [root for root in np.real(slope.roots()).tolist() if first < root < last]
        places = {first, last, *(place for root in flat for place in (math.floor(root), math.ceil(root)))}
        values += [sum(c * place**power for power, c in enumerate(piece)) for place in places]
    return min(values), max(values)

"""The verifier: what every value of a program is, derived from the instructions alone, and what must not be.

What keeps a program private is here. A gate opens its argument to the client, so its mask must be one that the client
does not know; weights are applied where the client knows the mask, and what they make is under a fresh mask of the
dealer's. No sum mixes masks of both: :class:`Affine` takes what is under a mask of the client's under one of the
dealer's in the same step. So all that is ever opened is a public function of values under fresh masks of the dealer's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from hecc.runtime.errors import CircuitError
from hecc.runtime.reading import Reading
from hecc.runtime.sharing.program.instructions import (
    INSTRUCTIONS,
    Affine,
    Combine,
    Extend,
    Holder,
    Input,
    Knot,
    Output,
    Product,
    Public,
    Release,
    Shift,
    Spline,
    Value,
)
from hecc.runtime.sharing.program.maps import MOST_ELEMENTS, Constants
from hecc.runtime.sharing.program.program import Program

__all__ = ["verify"]

Values: TypeAlias = Sequence[Value]


def verify(program: Program) -> tuple[Value, ...]:
    """What each instruction makes.

    Raises
    ------
    CircuitError
        With the first rule that the program breaks, and the instruction that breaks it.
    """
    values: list[Value] = []
    for index, instruction in enumerate(program.instructions):
        try:
            for operand in instruction.operands:
                if operand >= index:
                    raise CircuitError(f"it reads value {operand}, which is not an earlier one")
                if type(program.instructions[operand]) is Output:
                    raise CircuitError(f"it reads value {operand}, which is an output")
            value = _TYPES.of(instruction)(instruction, values, program.constants)
            if value.size > MOST_ELEMENTS:
                raise CircuitError(f"a value of over {MOST_ELEMENTS} elements")
        except CircuitError as error:
            raise CircuitError(f"value {index}, {instruction.op} ({instruction.source}): {error}") from None
        values.append(value)
    _check_ends(program)
    return tuple(values)


def _check_ends(program: Program) -> None:
    for kind, ends in (("input", program.inputs()), ("output", program.outputs())):
        names = [end.name for _, end in ends]
        if not names or len(set(names)) < len(names):
            raise CircuitError(f"a program without {kind}s, or with two of one name")
    read = {operand for instruction in program.instructions for operand in instruction.operands}
    for index, instruction in enumerate(program.instructions):
        if index not in read and not isinstance(instruction, Input | Output):
            raise CircuitError(f"value {index}, {instruction.op} ({instruction.source}): nothing reads it")


def _input(ins: Input, values: Values, constants: Constants) -> Value:
    return Value(ins.size, ins.ring, Holder.CLIENT)


def _affine(ins: Affine, values: Values, constants: Constants) -> Value:
    if not ins.private and not ins.public:
        raise CircuitError("a sum of nothing")
    for term in ins.private:
        given = values[term.x]
        term.map.check(constants)
        if given.holder is not Holder.CLIENT:
            raise CircuitError(f"weights are applied to value {term.x}, whose mask the client does not know")
        _check_size(term.map.in_size, given, term.x)
        _check_ring(ins.ring, given, term.x)
        if term.map.out_size != ins.size:
            raise CircuitError(f"a summand of {term.map.out_size} elements in a sum of {ins.size}")
    for public in ins.public:
        if _check_public(public, values, constants) != ins.size:
            raise CircuitError(f"value {public.x} adds another number of elements than {ins.size}")
        _check_ring(ins.ring, values[public.x], public.x)
    return Value(ins.size, ins.ring, Holder.DEALER)


def _combine(ins: Combine, values: Values, constants: Constants) -> Value:
    given = [values[term.x] for term in ins.terms]
    sizes = {_check_public(term, values, constants) for term in ins.terms}
    if len(sizes) != 1 or len({value.holder for value in given}) != 1:
        raise CircuitError("it adds values of several sizes, or under masks of several holders")
    for term, value in zip(ins.terms, given, strict=True):
        _check_ring(ins.ring, value, term.x)
    return Value(sizes.pop(), ins.ring, given[0].holder)


def _shift(ins: Shift, values: Values, constants: Constants) -> Value:
    given = _hidden(ins.x, values)
    if ins.ring > given.ring - ins.bits:
        raise CircuitError(f"{ins.ring} bits are left of {given.ring}, of which {ins.bits} are cut off")
    return Value(given.size, ins.ring, Holder.DEALER)


def _release(ins: Release, values: Values, constants: Constants) -> Value:
    given = _hidden(ins.x, values)
    _check_ring(ins.ring, given, ins.x)
    return Value(given.size, ins.ring, Holder.CLIENT)


def _extend(ins: Extend, values: Values, constants: Constants) -> Value:
    given = _hidden(ins.x, values)
    _check_ring(ins.bits, given, ins.x)
    if ins.ring <= ins.bits:
        raise CircuitError(f"{ins.bits} bits are extended to {ins.ring}")
    return Value(given.size, ins.ring, Holder.CLIENT)


def _knot(ins: Knot, values: Values, constants: Constants) -> Value:
    given = _hidden(ins.x, values)
    _check_ring(ins.bits, given, ins.x)
    return Value(given.size, ins.ring, Holder.DEALER if ins.hidden else Holder.CLIENT)


def _spline(ins: Spline, values: Values, constants: Constants) -> Value:
    given = _hidden(ins.x, values)
    _check_ring(ins.bits, given, ins.x)
    if list(ins.knots) != sorted(set(ins.knots)):
        raise CircuitError(f"knots {ins.knots} are not in order")
    if len(ins.pieces) != len(ins.knots) + 1 or len({len(piece) for piece in ins.pieces}) != 1:
        raise CircuitError("it has not one polynomial for each piece, all of one degree")
    return Value(given.size, ins.ring, Holder.DEALER if ins.hidden else Holder.CLIENT)


def _product(ins: Product, values: Values, constants: Constants) -> Value:
    given = [_hidden(x, values) for x in ins.operands]
    for x, bits, value in zip(ins.operands, (ins.x_bits, ins.y_bits), given, strict=True):
        _check_ring(bits, value, x)
    if ins.x == ins.y and ins.x_bits != ins.y_bits:
        raise CircuitError("the factors of a square have different bits")
    if given[0].size != given[1].size:
        raise CircuitError(f"the product of {given[0].size} elements with {given[1].size}")
    return Value(given[0].size, ins.ring, Holder.DEALER)


def _output(ins: Output, values: Values, constants: Constants) -> Value:
    given = values[ins.x]
    if given.holder is not Holder.CLIENT:
        raise CircuitError(f"value {ins.x} is sent to the client, who does not know its mask")
    return given


_TYPES: Reading[Callable[[Any, Values, Constants], Value]] = Reading(
    "the types of values",
    INSTRUCTIONS,
    {
        Input: _input,
        Affine: _affine,
        Combine: _combine,
        Shift: _shift,
        Release: _release,
        Extend: _extend,
        Knot: _knot,
        Product: _product,
        Spline: _spline,
        Output: _output,
    },
)


def _hidden(x: int, values: Values) -> Value:
    given = values[x]
    if given.holder is not Holder.DEALER:
        raise CircuitError(f"value {x} is used as if it were under a mask of the dealer's, and the client knows it")
    return given


def _check_public(term: Public, values: Values, constants: Constants) -> int:
    given = values[term.x]
    if term.map is None:
        return given.size
    term.map.check(given.size, constants)
    return term.map.out_size


def _check_size(size: int, given: Value, x: int) -> None:
    if size != given.size:
        raise CircuitError(f"a map of {size} elements is applied to value {x}, of {given.size}")


def _check_ring(ring: int, given: Value, x: int) -> None:
    """A value modulo 2^b is one modulo every smaller power of two."""
    if ring > given.ring:
        raise CircuitError(f"{ring} bits are asked for of value {x}, which has {given.ring}")

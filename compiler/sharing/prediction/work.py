"""What parties compute for each instruction, and how long that takes: counts, and rates that were measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hecc.runtime.reading import Reading
from hecc.runtime.sharing.arithmetic.packing import Field
from hecc.runtime.sharing.gates.parties import Cost, Types
from hecc.runtime.sharing.parties.walk import Checked
from hecc.runtime.sharing.program.instructions import (
    INSTRUCTIONS,
    Affine,
    Combine,
    Extend,
    Input,
    Knot,
    Output,
    Product,
    Public,
    Release,
    Shift,
    Spline,
)
from hecc.runtime.sharing.program.maps import Constants, Convolution, Dense, PrivateMap

__all__ = ["RATES", "PartyRates", "PartyWork", "Rates", "Work", "instruction_work"]


@dataclass(frozen=True)
class Work:
    """What an instruction makes a party do for some rows.

    Attributes
    ----------
    calls
        Instructions, each with what it takes however few numbers there are.
    fields
        Arrays that are packed or unpacked.
    numbers
        That are read, changed and written.
    packed
        Bytes of what is packed or unpacked.
    weights
        Numbers of private maps, which are read once for all rows.
    products
        Multiplications with an addition.
    """

    calls: int = 1
    fields: int = 0
    numbers: int = 0
    packed: int = 0
    weights: int = 0
    products: int = 0


@dataclass(frozen=True)
class Rates:
    """Seconds of one processor core for each unit of work; fields as of :class:`Work`."""

    calls: float
    fields: float
    numbers: float
    packed: float
    weights: float
    products: float

    def seconds(self, work: Work) -> float:
        """For some work."""
        return (
            self.calls * work.calls
            + self.fields * work.fields
            + self.numbers * work.numbers
            + self.packed * work.packed
            + self.weights * work.weights
            + self.products * work.products
        )


class PartyWork(NamedTuple):
    """That of each party: of the client with its inputs and ahead of them, of the server, and of the dealer."""

    client: Work
    server: Work
    preparing: Work
    dealer: Work


class PartyRates(NamedTuple):
    """Those of each party, as :class:`PartyWork` has them."""

    client: Rates
    server: Rates
    preparing: Rates
    dealer: Rates


RATES = PartyRates(
    client=Rates(calls=5.6e-6, fields=1.3e-5, numbers=8.6e-8, packed=6.3e-10, weights=0.0, products=0.0),
    server=Rates(calls=6.7e-6, fields=1.2e-5, numbers=2.7e-9, packed=2.5e-9, weights=2.2e-9, products=2.7e-11),
    preparing=Rates(calls=6.1e-6, fields=5.4e-5, numbers=0.0, packed=2.5e-9, weights=1.5e-9, products=1.4e-11),
    dealer=Rates(calls=8.6e-6, fields=1.7e-5, numbers=1.2e-9, packed=4e-9, weights=2e-9, products=4.3e-11),
)
"""Of the machine that hecc was developed on, by least squares of what each instruction of four networks takes there.
The sums are within a factor of two of what was measured."""


def instruction_work(checked: Checked, cost: Cost, index: int, rows: int = 1) -> PartyWork:
    """What one instruction makes each party do.

    Parameters
    ----------
    cost
        The instruction's.
    """
    ins, types = checked.program.instructions[index], checked.types[index]
    numbers, weights, products = _NUMBERS.of(ins)(ins, types, checked.program.constants)
    online = [field for message in cost.messages for field in message.fields]
    touched = [types.result.size * rows, numbers * rows]

    def work(packed: Sequence[Field], numbers: int, multiplies: bool) -> Work:
        own = weights if multiplies else 0
        return Work(
            fields=len(packed),
            numbers=numbers,
            packed=rows * sum(field.bytes for field in packed),
            weights=own,
            products=rows * products if multiplies else 0,
        )

    # Shares that a message depends on come with it; of the others the client has none.
    shares = cost.dealt if cost.messages else ()
    return PartyWork(
        client=work([*online, *shares, *cost.uploaded], touched[0] if shares else 0, False),
        server=work([*online, *cost.dealt, *cost.uploaded], sum(touched), True),
        preparing=work(cost.uploaded, 0, bool(cost.uploaded)),
        dealer=work(cost.dealt, sum(touched), True),
    )


class _Numbers(NamedTuple):
    """What maps read of one row.

    Attributes
    ----------
    numbers
        By public maps.
    weights
        Of private ones.
    products
        Of these with values.
    """

    numbers: int = 0
    weights: int = 0
    products: int = 0


def _nothing(ins: Any, types: Types, constants: Constants) -> _Numbers:
    return _Numbers()


def _affine(ins: Affine, types: Types, constants: Constants) -> _Numbers:
    products = [_products(term.map) for term in ins.private]
    return _Numbers(
        _gathered(ins.public, types, constants),
        sum(math.prod(term.map.weight_shape) for term in ins.private),
        sum(products),
    )


def _combine(ins: Combine, types: Types, constants: Constants) -> _Numbers:
    return _Numbers(_gathered(ins.terms, types, constants))


def _gathered(terms: Sequence[Public], types: Types, constants: Constants) -> int:
    return sum(types.result.size if term.map is None else constants[term.map.columns].size for term in terms)


def _products(each: PrivateMap) -> int:
    if isinstance(each, Dense):
        return each.batches * each.rows * each.inner * each.outer
    if isinstance(each, Convolution):
        return each.out_size * math.prod(each.weight_shape[1:])
    return each.weights


_NUMBERS: Reading[Callable[[Any, Types, Constants], _Numbers]] = Reading(
    "what maps of sharing programs read",
    INSTRUCTIONS,
    {
        Input: _nothing,
        Affine: _affine,
        Combine: _combine,
        Shift: _nothing,
        Release: _nothing,
        Extend: _nothing,
        Knot: _nothing,
        Spline: _nothing,
        Product: _nothing,
        Output: _nothing,
    },
)
"""Each rule takes an instruction, its types, and the constants of the program."""

"""The memory of a server that runs a program: a rule for every kind, and the loop's own order of making and freeing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hecc.compiler.more.prediction.values import Values
from hecc.runtime.more.arithmetic import CACHED
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

__all__ = ["NUMBER", "program_bytes"]

NUMBER = 8
"""Bytes of a number."""


@dataclass(frozen=True)
class _Made:
    """What making a value takes, in numbers.

    Attributes
    ----------
    kept
        Of the value itself.
    working
        Held beside it until it is made.
    of
        The value whose memory it shares, if it is another view of one.
    """

    kept: int
    working: int = 0
    of: int | None = None


def program_bytes(values: Values) -> int:
    """Bytes that all values of a program take when they take most, without its inputs and parameters.

    Freed is a value as soon as the last instruction that reads it, or another view of it, has run; an output never.
    """
    program = values.program
    last = program.last_uses()
    owner: list[int] = []
    held: dict[int, int] = {}
    until: dict[int, int] = {}
    worst = 0
    for index, ins in enumerate(program.instructions):
        made = _MADE.of(ins)(values, index, ins)
        own = index if made.of is None else owner[made.of]
        owner.append(own)
        held.setdefault(own, made.kept)
        end = len(program.instructions) if isinstance(ins, Output) else last.get(index, index)
        until[own] = max(until.get(own, end), end)
        worst = max(worst, sum(held.values()) + made.working)
        held = {each: size for each, size in held.items() if until[each] > index}
    return NUMBER * worst


def _given(values: Values, index: int, ins: Input | Parameter) -> _Made:
    return _Made(0)


def _view(values: Values, index: int, ins: Reshape | Spread | Output) -> _Made:
    return _Made(0, of=ins.x)


def _whole(values: Values, index: int, ins: Total | MeanRows) -> _Made:
    return _Made(values.numbers(index))


def _pick(values: Values, index: int, ins: Pick) -> _Made:
    kept = values.numbers(index)
    padded = int(values.program.arrays[ins.index].min()) < 0
    return _Made(kept, kept if padded else 0)


def _scatter(values: Values, index: int, ins: Scatter) -> _Made:
    return _Made(values.numbers(index), 2 * values.numbers(ins.x) + values.numbers(index))


def _patches(values: Values, index: int, ins: Patches) -> _Made:
    padded = 0
    if any(map(any, ins.pads)):
        spatial = values.program.types[ins.x].shape[-len(ins.kernel) :]
        larger = math.prod(n + before + after for n, (before, after) in zip(spatial, ins.pads, strict=True))
        padded = values.numbers(ins.x) // math.prod(spatial) * larger
    return _Made(values.numbers(index), padded)


def _unpatch(values: Values, index: int, ins: Unpatch) -> _Made:
    kept = values.numbers(index)
    larger = math.prod(n + before + after for n, (before, after) in zip(ins.spatial, ins.pads, strict=True))
    return _Made(kept, kept // math.prod(ins.spatial) * larger)


def _both(values: Values, index: int, a: int, b: int) -> int:
    """Beside a product of encoded tensors, what finds out its shape, and what summands come in."""
    return 2 * values.elements(index) if values.is_encoded(a) and values.is_encoded(b) else 0


def _product(values: Values, index: int, ins: MatMul | Multiply) -> _Made:
    return _Made(values.numbers(index), _both(values, index, ins.a, ins.b))


def _outer(values: Values, index: int, ins: Outer) -> _Made:
    """Rows are put last in both, and what comes out is divided by their number."""
    moved = values.numbers(ins.a) + values.numbers(ins.b)
    return _Made(values.numbers(index), moved + max(_both(values, index, ins.a, ins.b), values.numbers(index)))


def _add(values: Values, index: int, ins: Add) -> _Made:
    """What is scaled, and what was summed so far, are values of their own until the next is made."""
    kept = values.numbers(index)
    scaled = [factor != 1.0 for factor, term in zip(ins.factors, ins.terms, strict=True) if values.is_encoded(term)]
    if not scaled:
        return _Made(kept, kept)
    summed = (scaled[0] or len(scaled) > 2) + any(scaled[1:]) if len(scaled) > 1 else 0
    apart = len(scaled) < len(ins.terms) or ins.constant != 0.0
    return _Made(kept, max(summed, apart and (scaled[0] or len(scaled) > 1)) * kept)


def _function(values: Values, index: int, ins: Function) -> _Made:
    kept = values.numbers(index)
    if values.is_encoded(index) and values.size > 2:
        return _Made(kept, kept)
    at_once = min(values.elements(index), CACHED) if values.is_encoded(index) else values.elements(index)
    return _Made(kept, (5 + len(ins.function)) * at_once)


_MADE: Reading[Callable[[Values, int, Any], _Made]] = Reading(
    "memory of values of tensors",
    INSTRUCTIONS,
    {
        Input: _given,
        Parameter: _given,
        Output: _view,
        Reshape: _view,
        Pick: _pick,
        Scatter: _scatter,
        Patches: _patches,
        Unpatch: _unpatch,
        MatMul: _product,
        Outer: _outer,
        Add: _add,
        Multiply: _product,
        Total: _whole,
        Spread: _view,
        MeanRows: _whole,
        Function: _function,
    },
)
"""Each rule takes a program's values, the number of an instruction, and the instruction."""

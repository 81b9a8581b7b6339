"""From what the client computes for one output to a list of steps, and the one encrypted value they start from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import msgspec
import numpy as np

from hecc.compiler.graph.affine import Reshape
from hecc.compiler.graph.nodes import AffineNode, Term, Value
from hecc.compiler.importer.building.scope import Decoded
from hecc.compiler.importer.definitions.maps import select
from hecc.runtime.tail import epilogue as steps

__all__ = ["encrypted_part", "program", "roots"]


def encrypted_part(name: str, decoded: Decoded, *, batch_axis: bool) -> AffineNode:
    """What is encrypted for an output: the value that its steps start from, or several in a row."""
    encrypted = roots(decoded)
    if len(encrypted) == 1:
        (value,) = encrypted
        # In a graph that has a batch axis, the first one is it.
        shape = (1, *value.shape) if batch_axis and value.shape[:1] != (1,) else value.shape
        return AffineNode(Value(name, shape), decoded.source, (Term(value.name, Reshape(value.shape, shape)),))
    total = sum(math.prod(value.shape) for value in encrypted)
    shape = (1, total) if batch_axis else (total,)
    terms, start = [], 0
    for value in encrypted:
        size = math.prod(value.shape)
        index = np.full(shape, -1, dtype=np.int64)
        index[..., start : start + size] = np.arange(size)
        terms.append(Term(value.name, select(value.shape, index)))
        start += size
    return AffineNode(Value(name, shape), decoded.source, tuple(terms))


def program(decoded: Decoded) -> tuple[steps.Step, ...]:
    """The steps, each once, in an order in which what a step acts on comes before it."""
    encrypted = roots(decoded)
    writer = _Writer()
    numbers: dict[int, int] = {}
    for one in _ordered(decoded):
        if one.value is not None:
            number = 0
            if len(encrypted) > 1:
                size = math.prod(one.shape)
                start = sum(math.prod(value.shape) for value in encrypted[: encrypted.index(one.value)])
                index = tuple(range(start, start + size))
                number = writer.write(steps.Pick(values=(0,), index=index, shape=one.values.shape), ())
        else:
            assert one.step is not None, "what is not encrypted is computed"
            number = writer.write(one.step, tuple(numbers[id(operand)] for operand in one.operands))
        numbers[id(one)] = number
    last = numbers[id(decoded)]
    if last != len(writer.written):
        writer.written.append(steps.Recall(value=last))
    return tuple(writer.written)


@dataclass
class _Writer:
    """The steps so far, and the numbers of what they make."""

    written: list[steps.Step] = field(default_factory=list)
    numbers: dict[tuple[steps.Step, tuple[int, ...]], int] = field(default_factory=dict)

    def write(self, step: steps.Step, operands: tuple[int, ...]) -> int:
        """The number of what a step makes of some values; the step is added unless it is there already."""
        key = (step, operands)
        if key in self.numbers:
            return self.numbers[key]
        if isinstance(step, steps.Elementwise) or (isinstance(step, steps.Pick) and operands):
            step = msgspec.structs.replace(step, values=operands)
        elif operands and operands[0] != len(self.written):
            # All others act on the value made just before them.
            self.written.append(steps.Recall(value=operands[0]))
        self.written.append(step)
        self.numbers[key] = len(self.written)
        return len(self.written)


def roots(decoded: Decoded) -> list[Value]:
    """The encrypted values that something is computed from."""
    return list(dict.fromkeys(one.value for one in _ordered(decoded) if one.value is not None))


def _ordered(decoded: Decoded) -> list[Decoded]:
    """All that something is computed from, and itself, operands first."""
    found: dict[int, Decoded] = {}
    stack: list[tuple[Decoded, bool]] = [(decoded, False)]
    while stack:
        one, ready = stack.pop()
        if id(one) in found:
            continue
        if ready:
            found[id(one)] = one
        else:
            stack.append((one, True))
            # Constants last, so that what acts on a value mostly follows it.
            rest = sorted(one.operands, key=lambda operand: not operand.constant)
            stack.extend((operand, False) for operand in rest)
    return list(found.values())

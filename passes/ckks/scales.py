"""Scale planning: write planned scales into the circuit, rescale late and drop limbs early.

What the scales are was decided by :mod:`hecc.compiler.ckks.chain.scaling`. A value is rescaled once, when the first
product of the next depth needs it, so sums are formed before their rescale; a value that a deeper product uses loses
the limbs which that product will not have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from hecc.compiler.ckks.chain.scaling import Scales, is_product
from hecc.compiler.ckks.lowering.lowering import Lowered
from hecc.runtime.ckks.circuit.instructions import (
    INSTRUCTIONS,
    Add,
    AddPlain,
    AddScalar,
    Bootstrap,
    Circuit,
    Conjugate,
    DropLimbs,
    Fold,
    FourierFactor,
    Input,
    Instruction,
    LinearTransform,
    MatrixProduct,
    Multiply,
    MultiplyPlain,
    MultiplyScalar,
    Negate,
    Output,
    PairedInput,
    Polynomial,
    Raise,
    Relinearize,
    Rescale,
    Rotate,
    Square,
    Subtract,
)
from hecc.runtime.reading import Reading

__all__ = ["apply_scales"]

Changes = dict[str, object]
"""New values of an instruction's fields."""


def apply_scales(lowered: Lowered, scales: Scales) -> tuple[Circuit, dict[int, int]]:
    """Write the scales into the circuit and insert the rescales and dropped limbs that they imply.

    Returns
    -------
    circuit
        Ready to verify against the chain.
    moved
        For each instruction of the lowered circuit, its number in the result; a value's rescaled form comes later.
    """
    writer = _Writer(scales)
    for i, ins in enumerate(lowered.circuit.instructions):
        writer.moved[i] = writer.emit(msgspec.structs.replace(ins, **_CHANGES.of(ins)(writer, i, ins)))
    return replace(lowered.circuit, instructions=tuple(writer.instructions)), writer.moved


class _Writer:
    """Collects instructions with scales; a rule says what of an instruction changes."""

    def __init__(self, scales: Scales) -> None:
        self.scales = scales
        self.instructions: list[Instruction] = []
        self.moved: dict[int, int] = {}
        self._ready: dict[tuple[int, int], int] = {}

    def emit(self, ins: Instruction) -> int:
        """Append an instruction; its number."""
        self.instructions.append(ins)
        return len(self.instructions) - 1

    def at_level(self, value: int, limbs: int, source: str) -> int:
        """The value rescaled, with just ``limbs`` limbs."""
        key, scales = (value, limbs), self.scales
        if key not in self._ready:
            x, have = self.moved[value], scales.limbs[value]
            if have > scales.ready_limbs(value):
                x = self.emit(Rescale(x=x, limbs=have - scales.ready_limbs(value), source=source))
                have = scales.ready_limbs(value)
            if have > limbs:
                x = self.emit(DropLimbs(x=x, limbs=have - limbs, source=source))
            self._ready[key] = x
        return self._ready[key]

    def input(self, i: int, ins: Input) -> Changes:
        """What the client encrypts at."""
        return {"limbs": self.scales.limbs[i], "scale": self.scales.scale[i]}

    def output(self, i: int, ins: Output) -> Changes:
        """Of a value that is rescaled."""
        return {"x": self.at_level(ins.x, self.scales.ready_limbs(ins.x), ins.source)}

    def linear(self, i: int, ins: Instruction) -> Changes:
        """Of the operands as they are."""
        return dict(zip(("x", "y"), (self.moved[v] for v in ins.operands), strict=False))

    def product(self, i: int, ins: Instruction) -> Changes:
        """Of operands that are rescaled, at the limbs of the result."""
        return self._multiplied(i, ins, self.scales.limbs[i]) if is_product(ins) else self.linear(i, ins)

    def polynomial(self, i: int, ins: Polynomial) -> Changes:
        """Of an operand that is rescaled, at its own limbs."""
        planned: Changes = {"scale": self.scales.scale[i], "dropped": self.scales.dropped(i, ins.x)}
        return planned | self._multiplied(i, ins, self.scales.ready_limbs(ins.x))

    def bootstrap(self, i: int, ins: Bootstrap) -> Changes:
        """Of an operand with what the transform to coefficients drops, and one limb more."""
        chain, dropped = self.scales.chain, self.scales.dropped_around(i)
        planned: Changes = {"limbs": len(chain.data_primes), "dropped": dropped}
        return planned | self._multiplied(i, ins, 1 + dropped[0])

    def _multiplied(self, i: int, ins: Instruction, limbs: int) -> Changes:
        changes: Changes = {
            name: self.at_level(value, limbs, ins.source) for name, value in zip(("x", "y"), ins.operands, strict=False)
        }
        return changes if self.scales.plain[i] is None else {**changes, "scale": self.scales.plain[i]}


_CHANGES: Reading[Callable[[_Writer, int, Any], Changes]] = Reading(
    "what planned scales change of an instruction",
    INSTRUCTIONS,
    {
        Input: _Writer.input,
        PairedInput: _Writer.input,
        Output: _Writer.output,
        Add: _Writer.linear,
        Subtract: _Writer.linear,
        Negate: _Writer.linear,
        Multiply: _Writer.product,
        Square: _Writer.product,
        Relinearize: _Writer.linear,
        AddPlain: _Writer.linear,
        MultiplyPlain: _Writer.product,
        AddScalar: _Writer.linear,
        MultiplyScalar: _Writer.product,
        Rotate: _Writer.linear,
        Conjugate: _Writer.linear,
        Fold: _Writer.linear,
        LinearTransform: _Writer.product,
        MatrixProduct: _Writer.product,
        Polynomial: _Writer.polynomial,
        Bootstrap: _Writer.bootstrap,
    },
    {
        **dict.fromkeys((Rescale, DropLimbs), "it is written here"),
        **dict.fromkeys((FourierFactor, Raise), "it is written when bootstraps are expanded, behind this"),
    },
)

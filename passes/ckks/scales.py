"""Scale planning: write planned scales into the circuit, rescale late and drop limbs early.

What the scales are was decided by :mod:`hecc.compiler.ckks.chain.scaling`. A value is rescaled once, when the first
product of the next depth needs it, so sums are formed before their rescale; a value that a deeper product uses loses
the limbs which that product will not have.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from hecc.compiler.ckks.chain.scaling import Scales, is_product
from hecc.compiler.ckks.lowering.lowering import Lowered
from hecc.runtime.ckks.circuit.instructions import Circuit, DropLimbs, Input, Instruction, Output, Polynomial, Rescale

__all__ = ["apply_scales"]


def apply_scales(lowered: Lowered, scales: Scales) -> tuple[Circuit, dict[int, int]]:
    """Write the scales into the circuit and insert the rescales and dropped limbs that they imply.

    Returns
    -------
    circuit
        Ready to verify against the chain.
    moved
        For each instruction of the lowered circuit, its number in the result; a value's rescaled form comes later.
    """
    instructions: list[Instruction] = []
    moved: dict[int, int] = {}
    ready: dict[tuple[int, int], int] = {}

    def emit(ins: Instruction) -> int:
        instructions.append(ins)
        return len(instructions) - 1

    def at_level(value: int, limbs: int, source: str) -> int:
        """The value rescaled, with just ``limbs`` limbs."""
        key = value, limbs
        if key not in ready:
            x, have = moved[value], scales.limbs[value]
            if have > scales.ready_limbs(value):
                x = emit(Rescale(x=x, limbs=have - scales.ready_limbs(value), source=source))
                have = scales.ready_limbs(value)
            if have > limbs:
                x = emit(DropLimbs(x=x, limbs=have - limbs, source=source))
            ready[key] = x
        return ready[key]

    for i, ins in enumerate(lowered.circuit.instructions):
        changes: dict[str, object] = {}
        if isinstance(ins, Input):
            changes = {"limbs": scales.limbs[i], "scale": scales.scale[i]}
        elif is_product(ins):
            argument, limbs = ins.operands[0], scales.limbs[i]
            if isinstance(ins, Polynomial):
                limbs = scales.ready_limbs(argument)
                changes = {"scale": scales.scale[i], "dropped": scales.dropped(i, argument)}
            changes |= {
                field: at_level(value, limbs, ins.source)
                for field, value in zip(("x", "y"), ins.operands, strict=False)
            }
            if scales.plain[i] is not None:
                changes["scale"] = scales.plain[i]
        elif isinstance(ins, Output):
            changes = {"x": at_level(ins.operands[0], scales.ready_limbs(ins.operands[0]), ins.source)}
        else:
            changes = dict(zip(("x", "y"), (moved[v] for v in ins.operands), strict=False))
        moved[i] = emit(msgspec.structs.replace(ins, **changes))
    return replace(lowered.circuit, instructions=tuple(instructions)), moved

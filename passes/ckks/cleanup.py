"""Clean-up: equal instructions become one, and what no output needs disappears.

Branches of a network often rotate, rescale or drop limbs of the same value; after scale planning those are instructions
with equal operands and attributes, and one result serves all.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from hecc.runtime.ckks.circuit.instructions import Circuit, Instruction, constant_names
from hecc.runtime.ckks.circuit.traits import Trait

__all__ = ["clean_up"]


def clean_up(circuit: Circuit) -> tuple[Circuit, dict[int, int]]:
    """Share equal instructions and drop dead ones.

    Returns
    -------
    circuit
        With the constants that it still uses.
    moved
        For each instruction that is left or was shared, its new number.
    """
    same: dict[int, int] = {}
    first: dict[Instruction, int] = {}
    shared: list[Instruction] = []
    for i, ins in enumerate(circuit.instructions):
        renamed = _rename(ins, same)
        same[i] = first.setdefault(msgspec.structs.replace(renamed, source=""), i)
        shared.append(renamed)

    live = {i for i, ins in enumerate(shared) if Trait.BOUNDARY in ins.traits}
    for i in reversed(range(len(shared))):
        if i in live:
            live.update(shared[i].operands)
    order = {old: new for new, old in enumerate(sorted(live))}
    instructions = tuple(_rename(shared[i], order) for i in sorted(live))
    moved = {i: order[target] for i, target in same.items() if target in order}
    used = {name for ins in instructions for name in constant_names(ins)}
    constants = {name: array for name, array in circuit.constants.items() if name in used}
    return replace(circuit, instructions=instructions, constants=constants), moved


def _rename(ins: Instruction, numbers: dict[int, int]) -> Instruction:
    changes = dict(zip(("x", "y"), (numbers[v] for v in ins.operands), strict=False))
    return msgspec.structs.replace(ins, **changes)

"""The memory of the two parties: what they hold of a plan, and of the rows that a session evaluates together."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hecc.runtime.sharing.parties.walk import program_cost, weight_shapes
from hecc.runtime.sharing.plan.plan import SharingPlan

__all__ = ["MemoryUse", "party_memory"]

PROGRAM_BYTES = 85 << 20
"""`hecc serve` or `hecc query` with Python and its libraries, measured."""

NUMBER = 8
"""Bytes of an element while it is computed with."""

COPIES = 3
"""Arrays of all numbers of an instruction that are there at once: unpacked, combined, and packed for a message."""

WEIGHTS = 3
"""Arrays of weights that a server has: the weights, their masks, and the difference."""


@dataclass(frozen=True)
class MemoryUse:
    """Bytes that a party needs at its worst, by what they hold.

    Attributes
    ----------
    program
        Python and its libraries.
    plan
        Index structure, and what a party has of weights.
    material
        Blocks of the rows that are worked on together.
    values
        What is computed with them.
    """

    program: int
    plan: int
    material: int
    values: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.program + self.plan + self.material + self.values


def party_memory(plan: SharingPlan, rows: int) -> tuple[MemoryUse, MemoryUse]:
    """The client's and the server's while they evaluate rows together in one session."""
    checked, cost = plan.checked, program_cost(plan.checked)
    constants = sum(array.nbytes for array in checked.program.constants.values())
    weights = sum(NUMBER * math.prod(shape) for shape, _ in weight_shapes(checked.program).values())
    last = checked.program.last_uses()
    held, worst = 0, 0
    sizes = [types.result.size for types in checked.types]
    freed: dict[int, list[int]] = {}
    for value, index in last.items():
        freed.setdefault(index, []).append(value)
    for index, each in enumerate(cost.instructions):
        online = sum(field.size for message in each.messages for field in message.fields)
        handled = online + sum(field.size for field in (*each.dealt, *each.uploaded))
        held += sizes[index]
        worst = max(worst, held + COPIES * max(handled, sizes[index]))
        held -= sum(sizes[value] for value in freed.get(index, ()))
    values = NUMBER * rows * worst
    blocks = rows * (cost.block_bytes + cost.upload_bytes)
    client = MemoryUse(PROGRAM_BYTES, constants + weights, 0, values)
    return client, MemoryUse(PROGRAM_BYTES, constants + WEIGHTS * weights, 2 * blocks, values)

"""The gates by the kind of instruction, and what each party does with a whole program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hecc.runtime.reading import Reading
from hecc.runtime.sharing.gates.affine import AffineGate
from hecc.runtime.sharing.gates.boundary import InputGate, OutputGate
from hecc.runtime.sharing.gates.extension import ExtendGate
from hecc.runtime.sharing.gates.gate import Gate
from hecc.runtime.sharing.gates.knot import KnotGate
from hecc.runtime.sharing.gates.local import CombineGate, ReleaseGate, ShiftGate
from hecc.runtime.sharing.gates.parties import Run
from hecc.runtime.sharing.gates.product import ProductGate
from hecc.runtime.sharing.gates.spline import SplineGate
from hecc.runtime.sharing.program.instructions import (
    INSTRUCTIONS,
    Affine,
    Combine,
    Extend,
    Input,
    Instruction,
    Knot,
    Output,
    Product,
    Release,
    Shift,
    Spline,
)

__all__ = ["CLEAR", "CLIENT", "DEAL", "GATES", "MASK", "SERVER"]

GATES: Reading[Gate[Any]] = Reading(
    "gates",
    INSTRUCTIONS,
    {
        Input: InputGate(),
        Affine: AffineGate(),
        Combine: CombineGate(),
        Shift: ShiftGate(),
        Release: ReleaseGate(),
        Extend: ExtendGate(),
        Knot: KnotGate(),
        Product: ProductGate(),
        Spline: SplineGate(),
        Output: OutputGate(),
    },
)


def _walking(name: str, method: Callable[[Gate[Any]], Callable[..., Any]]) -> Reading[Callable[..., Any]]:
    """One method of all gates, as :func:`hecc.runtime.execution.execute` calls it."""

    def called(run: Run, index: int, ins: Instruction, *operands: Any) -> Any:
        return method(GATES.of(ins))(run.party, ins, run.types[index], *operands)

    return Reading(name, INSTRUCTIONS, dict.fromkeys(INSTRUCTIONS, called))


DEAL = _walking("what the dealer deals", lambda gate: gate.deal)
MASK = _walking("what the client does ahead of its input", lambda gate: gate.mask)
CLIENT = _walking("what the client does", lambda gate: gate.client)
SERVER = _walking("what the server does", lambda gate: gate.server)
CLEAR = _walking("programs in clear", lambda gate: gate.clear)

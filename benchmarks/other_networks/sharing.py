"""The stages of a network under the scheme sharing, which has no keys: what is sent is in the plan, to the byte."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hecc
from hecc.runtime.sharing.gates.parties import Role
from hecc.runtime.sharing.parties.walk import program_cost
from hecc.runtime.sharing.plan.plan import SharingPlan
from hecc.runtime.sharing.program.instructions import Affine, Knot, Product, Spline
from other_networks.clear import decisions
from other_networks.stages import PLAN, TEST, Context, compiled_with, in_clear, share

__all__ = ["SHARING_STAGES"]

RANGES = ("observed", "proved")
"""What rings have room for; the plan of the last that is compiled is the one that is simulated."""

BATCH = 100
"""Rows that are simulated at once."""


def compiled(context: Context) -> dict[str, Any]:
    """The plans with rings that are proved and observed, or the refusals."""
    report: dict[str, Any] = {}
    for ranges in RANGES:
        found, plan = compiled_with(context, {**context.options, "scheme": "sharing", "ranges": ranges})
        if plan is not None:
            plan.save(context.folder / PLAN)
            found |= _facts(plan)
        report[ranges] = found
    refusals = [report[ranges]["refusal"] for ranges in RANGES if "refusal" in report[ranges]]
    return report | ({"refusal": refusals[-1]} if len(refusals) == len(RANGES) else {})


def simulated(context: Context) -> dict[str, Any]:
    """The plan on as many test rows as the time allows, rounded with fresh coins as both parties do."""
    plan, saved = context.plan, np.load(context.folder / TEST)
    test, all_exact = saved["test"], saved["exact"]
    parts: list[NDArray[np.float64]] = []
    start = time.process_time()
    for at in range(0, len(test), BATCH):
        (values,) = hecc.simulate(plan, test[at : at + BATCH], seed=at).values()
        parts.append(values.reshape(len(values), -1))
        if time.process_time() - start > context.seconds:
            break
    found = np.concatenate(parts)
    exact = all_exact[: len(found)]
    decided, wanted = decisions(context.network, found, all_exact), decisions(context.network, exact, all_exact)
    report: dict[str, Any] = {
        "rows": len(found),
        "processor_seconds": time.process_time() - start,
        "agreement": share(decided == wanted),
        "largest_difference": float(np.abs(found - exact).max()),
        "difference_over_range": float(np.abs(found - exact).max() / np.ptp(all_exact)),
        "differing": [_differing(row, exact) for row in np.flatnonzero(decided != wanted).tolist()],
    }
    labels = context.folder / "labels.npy"
    if labels.exists():
        answers = np.load(labels)[: len(found)]
        report |= {"accuracy": share(decided == answers), "accuracy_clear": share(wanted == answers)}
    return report


SHARING_STAGES: Mapping[str, Callable[[Context], dict[str, Any]]] = MappingProxyType(
    {"clear": in_clear, "compiled": compiled, "simulated": simulated}
)
"""In order."""


def _differing(row: int, exact: NDArray[np.float64]) -> dict[str, float]:
    """A row that is decided otherwise: by how much the two numbers that decide differ, of the range of all."""
    ordered = np.sort(exact[row])[::-1]
    margin = float(ordered[0] - ordered[1]) if len(ordered) > 1 else 0.0
    return {"row": row, "margin_over_range": margin / float(np.ptp(exact))}


def _facts(plan: hecc.Plan) -> dict[str, Any]:
    """What a plan says of itself; bytes of one row, but those of a preparation."""
    assert isinstance(plan, SharingPlan)
    cost, costs = plan.header.cost, program_cost(plan.checked)
    instructions = plan.public.instructions
    layers = {ins.ring for ins in instructions if isinstance(ins, Affine) and ins.private}
    return {
        "precision": plan.header.precision,
        "messages": cost.messages,
        "client_bytes": costs.sent(Role.CLIENT),
        "server_bytes": costs.sent(Role.SERVER),
        "dealt_bytes": cost.dealt_bytes,
        "prepared_bytes": cost.prepared_bytes,
        "difference_bytes": cost.difference_bytes,
        "layer_rings": sorted(layers),
        "gate_bits": sorted({ins.bits for ins in instructions if isinstance(ins, Knot | Spline)}),
        "products": sum(isinstance(ins, Product) for ins in instructions),
        "input_unit": plan.header.inputs[0].unit,
        "output_unit": plan.header.outputs[0].unit,
    }

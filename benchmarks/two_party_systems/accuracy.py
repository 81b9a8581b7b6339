"""A network on all rows of its test set: as onnxruntime decides, and as both parties compute."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

import hecc
from hecc.runtime.sharing.gates.parties import Role
from hecc.runtime.sharing.parties.walk import program_cost
from hecc.runtime.sharing.plan.plan import SharingPlan
from hecc.runtime.sharing.program.instructions import Affine
from two_party_systems.catalogue import Rows

__all__ = ["accuracy", "compiled", "costs", "scores"]

BATCH = 100
"""Rows that are simulated at once."""

CLEAR = 500
"""Rows that onnxruntime computes at once."""


def compiled(model: Path, rows: Rows) -> SharingPlan:
    """The plan, with rings for the ranges that calibration rows show."""
    plan = hecc.compile(
        model, calibration=rows.calibration, input_range=rows.range, scheme="sharing", ranges="observed"
    )
    assert isinstance(plan, SharingPlan), "it was compiled for that"
    return plan


def scores(model: Path, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """What onnxruntime computes, of shape (rows, classes)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options)
    (given,) = session.get_inputs()
    size = given.shape[0] if isinstance(given.shape[0], int) else CLEAR
    parts = [session.run(None, {given.name: rows[at : at + size]})[0] for at in range(0, len(rows), size)]
    found: NDArray[np.float32] = np.concatenate(parts)
    return found


def accuracy(model: Path, plan: SharingPlan, rows: Rows, seconds: float) -> dict[str, Any]:
    """Decisions in clear and shared, of as many test rows as the time allows.

    A row that is decided otherwise is a tie where its two largest scores are closer, in clear, than twice the error
    that the plan states.
    """
    error = 2.0**-plan.header.precision * float(np.ptp(scores(model, rows.calibration)))
    parts: list[NDArray[np.float64]] = []
    start = time.process_time()
    for at in range(0, len(rows.test), BATCH):
        (values,) = hecc.simulate(plan, rows.test[at : at + BATCH], seed=at).values()
        parts.append(values)
        if time.process_time() - start > seconds:
            break
    shared = np.concatenate(parts)
    clear, labels = scores(model, rows.test[: len(shared)]), rows.labels[: len(shared)]
    wanted, decided = clear.argmax(axis=1), shared.argmax(axis=1)
    ordered = np.sort(clear[wanted != decided], axis=1)
    margins = (ordered[:, -1] - ordered[:, -2]).tolist()
    return {
        "rows": len(shared),
        "of_rows": len(rows.test),
        "clear": float((wanted == labels).mean()),
        "shared": float((decided == labels).mean()),
        "same": int((wanted == decided).sum()),
        "ties": sum(margin <= 2 * error for margin in margins),
        "stated_error": error,
        "margins": margins,
    }


def costs(plan: SharingPlan) -> dict[str, Any]:
    """What a plan says of a row's payload, to the byte, and of its rings."""
    cost, sent = plan.header.cost, program_cost(plan.checked)
    rings = {ins.ring for ins in plan.public.instructions if isinstance(ins, Affine) and ins.private}
    return {
        "messages": cost.messages,
        "online_bytes": sent.sent(Role.CLIENT) + sent.sent(Role.SERVER),
        "dealt_bytes": cost.dealt_bytes,
        "prepared_bytes": cost.prepared_bytes,
        "difference_bytes": cost.difference_bytes,
        "layer_rings": [min(rings), max(rings)],
        "precision": plan.header.precision,
        "input_unit": plan.header.inputs[0].unit,
    }

"""What ``hecc bench`` measures of plans of sharing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hecc.runtime.errors import InputError

if TYPE_CHECKING:
    from hecc.cli.console import Console
    from hecc.runtime.sharing.plan.plan import SharingPlan

__all__ = ["bench_parties"]


def bench_parties(out: Console, plan: SharingPlan, path: Path, *, runs: int, device: str | None) -> None:
    """Measure both parties on this machine."""
    from hecc.runtime.figures import count_words, size_words
    from hecc.runtime.native import implementations
    from hecc.sharing.benchmark import measure_parties
    from hecc.sharing.words import seconds_words

    if device is not None:
        raise InputError("--device is for plans of the scheme ckks; those of sharing have one way to be evaluated")
    with tempfile.TemporaryDirectory(prefix="hecc-bench-") as folder, out.stages(f"measuring {path}") as stage:
        found = measure_parties(plan, Path(folder), runs=runs, stage=stage)
    kernels = implementations()[0]
    out.say(f"two processes over the loopback: {seconds_words(found.seconds)} per row, the median of {runs} queries")
    shortest, longest = seconds_words(min(found.samples)), seconds_words(max(found.samples))
    out.facts(
        [
            ("shortest and longest", f"{shortest}, {longest}"),
            (
                f"{count_words(found.together, 'row')} at once",
                f"{seconds_words(found.seconds_together)} per row",
            ),
            ("peak memory", f"{size_words(found.client_memory)} client, {size_words(found.server_memory)} server"),
            ("native kernels", kernels),
        ]
    )
    measured = {
        "client": found.client_seconds,
        "server": found.server_seconds,
        "dealing": found.dealing_seconds,
        "preparing": found.preparing_seconds,
    }
    names = {
        "client": "client, in the query",
        "server": "server, in the query",
        "dealing": "dealer, ahead of it",
        "preparing": "both, ahead of it",
    }
    out.say("computing, for each row: measured with files and sockets, predicted without them")
    out.table(
        ("", "measured", "predicted"),
        [(names[key], seconds_words(measured[key]), seconds_words(found.predicted[key])) for key in names],
    )
    out.result(
        plan=str(path),
        runs=runs,
        kernels=kernels,
        seconds_per_row=found.seconds,
        samples=list(found.samples),
        together=found.together,
        seconds_per_row_together=found.seconds_together,
        computing_seconds=measured,
        predicted_seconds=dict(found.predicted),
        client_peak_memory_bytes=found.client_memory,
        server_peak_memory_bytes=found.server_memory,
    )

"""``hecc run``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hecc.cli.console import JsonOption, console
from hecc.cli.options import DeviceOption, ForceOption, ResumeOption, ThreadsOption, VerboseOption, read_size
from hecc.cli.outputs import check_targets
from hecc.cli.security import say_insecurity
from hecc.cli.usage import FILES, SPEED

if TYPE_CHECKING:
    from hecc.runtime.plan.interfaces import Step

__all__ = ["run_command"]


def run_command(
    plan: Annotated[Path, typer.Argument(help="The server's plan file.")],
    encrypted: Annotated[Path, typer.Argument(help="The client's encrypted rows.")],
    evaluation_keys: Annotated[
        Path, typer.Option(metavar="FILE", help="The client's evaluation keys.", rich_help_panel=FILES)
    ] = Path("keys/evaluation.bin"),
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The encrypted results.", rich_help_panel=FILES)
    ] = Path("result.bin"),
    memory: Annotated[
        int | None,
        typer.Option(
            metavar="SIZE",
            parser=read_size,
            show_default=False,
            help="Memory for caches, as 500MB or 2GB.",
            rich_help_panel=SPEED,
        ),
    ] = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    resume: ResumeOption = True,
    force: ForceOption = False,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run a plan on encrypted rows: the server's only step.

    It needs no secret, and learns nothing of the inputs or the results.
    """
    with console(as_json) as out:
        from hecc.runtime.figures import size_words, time_words
        from hecc.runtime.files.atomic import check_target
        from hecc.runtime.files.container import Kind, check_kind
        from hecc.runtime.files.resuming import partial_size
        from hecc.runtime.plan.facts import rows_words
        from hecc.runtime.plan.keyset import EVALUATION
        from hecc.runtime.plan.plan import Plan
        from hecc.server import Server

        check_targets({"--output": output}, [plan, encrypted, evaluation_keys, evaluation_keys / EVALUATION])
        check_kind(output, Kind.RESULT, force=force)
        loaded = Plan.load(plan)
        request = loaded.scheme.request(encrypted)
        check_target(output, loaded.scheme.result_bytes(loaded, request) - (partial_size(output) if resume else 0))
        rows, batches = request.rows, request.batches
        start = time.perf_counter()
        ends: list[float] = []
        with Server(loaded, evaluation_keys, device=device, memory=memory, threads=threads) as server:
            ready = time.perf_counter()
            unit = "instructions" if batches == 1 else "rows" if batches == rows else "batches"
            with out.steps(f"evaluating {unit}") as step:

                def progress(batch: int, done: int, total: int, _: Step) -> None:
                    if done == total:
                        ends.append(time.perf_counter())
                    step(*((done, total) if batches == 1 else (batch + done // total, batches)))

                server.run_to(output, request, progress=progress, resume=resume, force=force)
        finished = time.perf_counter()
        size, seconds = output.stat().st_size, finished - ready
        out.say(
            f"{output}: {rows_words(request)} in {size_words(size)}, evaluated in {time_words(seconds)}"
            + _each([end - ready for end in ends], request.batch)
        )
        say_insecurity(out, loaded)
        if verbose:
            out.facts(
                [
                    ("evaluated by", server.device.words),
                    ("made ready", f"in {time_words(ready - start)}"),
                    ("request", request.fingerprint),
                    ("key set", request.key_id),
                ]
            )
        out.result(
            output=str(output),
            rows=rows,
            batches=batches,
            bytes=size,
            prepare_seconds=ready - start,
            seconds=seconds,
            device=server.device.name,
        )


def _each(ends: list[float], batch: int) -> str:
    """How long each took, if there are several; the first makes the weights ready, and says nothing of the others."""
    from hecc.runtime.figures import time_words

    if not ends:
        return ""
    first, *others = ends
    each = (others[-1] - first) / len(others) if others else first
    said = []
    if others:
        unit = "batch" if batch > 1 else "row"
        said.append(f"{time_words(first)} for the first {unit}, which makes the weights ready")
        said.append(f"then {time_words(each)} each")
    if batch > 1:
        said.append(f"{3600 * batch / each:,.0f} rows per hour")
    return f" ({', '.join(said)})" if said else ""

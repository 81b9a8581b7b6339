"""``hecc compile``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from hecc.cli.console import JsonOption, console
from hecc.cli.options import ForceOption, ModelArgument, VerboseOption
from hecc.cli.outputs import check_targets
from hecc.cli.plans.flags import Given, option_files, stated, takes_options
from hecc.cli.usage import FILES
from hecc.options.table import CompileOptions

__all__ = ["compile_command"]


@takes_options(CompileOptions)
def compile_command(
    model: ModelArgument,
    options: Given,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The server's plan, with the weights.", rich_help_panel=FILES
        ),
    ] = Path("plan.bin"),
    client_output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default="plan.client.bin",
            help="The client's plan, without them. By default the server's name with .client in it.",
            rich_help_panel=FILES,
        ),
    ] = None,
    force: ForceOption = False,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compile an ONNX network to a plan for encrypted inputs.

    Writes two files: the server's plan, which holds the weights, and the client's, which does not. What the plan will
    cost, and how secure and how precise it is, is known before any key is made.
    """
    with console(as_json) as out:
        import hecc
        from hecc.measure.machine import available_memory
        from hecc.runtime.figures import size_words, time_words
        from hecc.runtime.files.atomic import check_target
        from hecc.runtime.files.container import Kind, check_kind
        from hecc.runtime.plan.plan import client_path

        start = time.perf_counter()
        client = client_output or client_path(output)
        check_targets({"--output": output, "--client-output": client}, [model, *option_files(options)])
        for path, kind in ((output, Kind.SERVER_PLAN), (client, Kind.CLIENT_PLAN)):
            check_target(path)
            check_kind(path, kind, force=force)
        asked = options()
        with out.stages(f"compiling {model}") as stage:
            plan = hecc.compile(model, progress=stage, **stated(options))
        plan.save(output, force=force)
        plan.client().save(client, force=force)
        elapsed = time.perf_counter() - start
        sizes = output.stat().st_size, client.stat().st_size
        out.say(
            f"{output} ({size_words(sizes[0])}) for the server and {client} ({size_words(sizes[1])}) for the "
            f"client, in {time_words(elapsed)}"
        )
        known = plan.scheme.facts if verbose else plan.scheme.summary
        out.facts(known(plan.header))
        needed, available = plan.header.peak_memory, available_memory()
        if available is not None and needed > available:
            out.warn(
                f"this machine has {size_words(available)} of memory available, and would refuse to run this plan, "
                f"which needs {size_words(needed)}"
            )
        out.result(
            plan=str(output),
            client_plan=str(client),
            plan_bytes=sizes[0],
            client_plan_bytes=sizes[1],
            seconds=elapsed,
            calibration="synthetic" if asked["calibration"] is None else "given",
            **plan.scheme.fields(plan.header),
        )

"""``hecc report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hecc.cli.console import JsonOption, console
from hecc.cli.options import ForceOption
from hecc.cli.outputs import check_targets
from hecc.cli.security import say_insecurity
from hecc.cli.usage import FILES, INPUTS

__all__ = ["report_command"]


def report_command(
    plan: Annotated[Path, typer.Argument(help="The server's plan file; the client's says less.")],
    inputs: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            show_default=False,
            help="Real inputs, as for encrypt, on which the layers' precision is measured. By default made-up ones.",
            rich_help_panel=INPUTS,
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The page, HTML.", rich_help_panel=FILES)
    ] = Path("report.html"),
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Describe a plan on a page for the browser: layers, costs, precision, security.

    The page is one file, loads nothing, and holds neither weights nor secrets.

    Under the scheme more, which is an encoding without a security level, the page says so first.
    """
    with console(as_json) as out:
        import hecc
        from hecc.runtime.figures import size_words
        from hecc.runtime.files.atomic import check_replaceable, check_target, write_file
        from hecc.runtime.plan.plan import Plan
        from hecc.words.report.page import is_page

        check_targets({"--output": output}, [plan, inputs])
        check_target(output)
        check_replaceable(output, own=is_page, kind="a report", force=force)
        loaded = Plan.load(plan)
        with out.stages(f"describing {plan}") as stage:
            stage("measure the layers")
            page = hecc.report(loaded, inputs)
        write_file(output, page.encode(), own=is_page, kind="a report", force=force)
        size = output.stat().st_size
        out.say(f"{output} ({size_words(size)}); open it in a browser")
        say_insecurity(out, loaded)
        out.result(report=str(output), bytes=size)

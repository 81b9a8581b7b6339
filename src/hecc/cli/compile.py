"""``hecc compile``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from hecc.cli.console import JsonOption, console

__all__ = ["compile_command"]


def compile_command(
    model: Annotated[Path, typer.Argument(help="The network, an ONNX file.")],
    security: Annotated[int, typer.Option(metavar="BITS", help="Security: 128, 192 or 256 bits.")] = 128,
    quantum: Annotated[bool, typer.Option("--quantum", help="Keep that level against quantum computers, too.")] = False,
    precision: Annotated[
        float, typer.Option(metavar="BITS", help="Largest error of an output, relative to the largest: 2^-BITS.")
    ] = 12.0,
    input_range: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="LOW HIGH",
            show_default=False,
            help="Lowest and highest input value. By default that of the calibration inputs, else -1 to 1.",
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="Some hundred real inputs (.npy or .npz), which show how large the values inside the network become.",
        ),
    ] = None,
    no_batch_axis: Annotated[
        bool, typer.Option("--no-batch-axis", help="The whole input is one example: axis 0 is not the batch.")
    ] = False,
    evaluator: Annotated[
        Literal["native", "seal"],
        typer.Option(help="What the plan is optimised for: the fast evaluator, or Microsoft SEAL's own."),
    ] = "native",
    optimize: Annotated[
        Literal["latency", "throughput"],
        typer.Option(help="One row in the shortest time, or as many rows at once as ciphertexts hold."),
    ] = "latency",
    batch: Annotated[
        int | None,
        typer.Option(metavar="ROWS", show_default=False, help="For throughput, but so many rows at once."),
    ] = None,
    output: Annotated[Path, typer.Option(metavar="FILE", help="The server's plan, with the weights.")] = Path(
        "plan.bin"
    ),
    client_output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default="plan.client.bin",
            help="The client's plan, without them. By default the server's name with .client in it.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compile an ONNX network to a plan for encrypted inputs.

    Writes two files: the server's plan, which holds the weights, and the client's, which does not. What the plan will
    cost, and how secure and how precise it is, is known before any key is made.
    """
    with console(as_json) as out:
        import hecc
        from hecc.cli.arrays import load_arrays
        from hecc.cli.words import plan_facts, plan_fields, size_words, time_words
        from hecc.machine import available_memory

        start = time.perf_counter()
        client_path = client_output or output.with_name(f"{output.stem}.client{output.suffix}")
        with out.stages(f"compiling {model}") as stage:
            plan = hecc.compile(
                model,
                security=security,
                quantum=quantum,
                precision=precision,
                input_range=input_range,
                calibration=None if calibration is None else load_arrays(calibration),
                batch_axis=not no_batch_axis,
                evaluator=evaluator,
                optimize=optimize,
                batch=batch,
                progress=stage,
            )
        plan.save(output)
        plan.client().save(client_path)
        elapsed = time.perf_counter() - start
        sizes = output.stat().st_size, client_path.stat().st_size
        out.say(
            f"{output} ({size_words(sizes[0])}) and {client_path} ({size_words(sizes[1])}) in {time_words(elapsed)}"
        )
        out.facts(plan_facts(plan.header))
        needed, available = plan.header.estimate.peak_memory, available_memory()
        if available is not None and needed > available:
            out.warn(
                f"this machine has {size_words(available)} of memory available, and would refuse to run this plan, "
                f"which needs {size_words(needed)}"
            )
        out.result(
            plan=str(output),
            client_plan=str(client_path),
            plan_bytes=sizes[0],
            client_plan_bytes=sizes[1],
            seconds=elapsed,
            calibration="synthetic" if calibration is None else "given",
            **plan_fields(plan.header),
        )

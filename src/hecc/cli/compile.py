"""``hecc compile``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hecc.cli.console import JsonOption, console
from hecc.cli.options import (
    BatchOption,
    CalibrationOption,
    ChainOption,
    EvaluatorOption,
    InputRangeOption,
    KeyBudgetOption,
    LayoutOption,
    MachineOption,
    MeanOption,
    ModelArgument,
    NoBatchAxisOption,
    OptimizeOption,
    PrecisionOption,
    QuantumOption,
    RawOption,
    ResizeOption,
    ScaleOption,
    SecurityOption,
    ShareOption,
    StdOption,
    stated_preprocessing,
)
from hecc.runtime.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hecc.labels import Labels

__all__ = ["compile_command"]


def compile_command(
    model: ModelArgument,
    security: SecurityOption = 128,
    quantum: QuantumOption = False,
    precision: PrecisionOption = 12.0,
    input_range: InputRangeOption = None,
    calibration: CalibrationOption = None,
    raw: RawOption = False,
    resize: ResizeOption = None,
    scale: ScaleOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    layout: LayoutOption = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[OUTPUT=]FILE",
            show_default=False,
            help="Names of the classes, one per line, that decrypt is to show.",
        ),
    ] = None,
    no_batch_axis: NoBatchAxisOption = False,
    evaluator: EvaluatorOption = "native",
    optimize: OptimizeOption = "latency",
    batch: BatchOption = None,
    share: ShareOption = None,
    machine: MachineOption = None,
    key_budget: KeyBudgetOption = None,
    chain_of: ChainOption = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The server's plan, with the weights.")
    ] = Path("plan.bin"),
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
        from hecc.machine import available_memory
        from hecc.runtime.files import check_target
        from hecc.words import plan_facts, plan_fields, size_words, time_words

        start = time.perf_counter()
        client_path = client_output or output.with_name(f"{output.stem}.client{output.suffix}")
        for path in (output, client_path):
            check_target(path)
        with out.stages(f"compiling {model}") as stage:
            plan = hecc.compile(
                model,
                security=security,
                quantum=quantum,
                precision=precision,
                input_range=input_range,
                calibration=calibration,
                preprocessing=stated_preprocessing(resize, scale, mean, std, layout),
                raw=raw,
                labels=_labels(labels),
                batch_axis=not no_batch_axis,
                evaluator=evaluator,
                optimize=optimize,
                batch=batch,
                share=share,
                machine=machine,
                key_budget=key_budget,
                chain_of=chain_of,
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


def _labels(given: Sequence[str] | None) -> Labels | Mapping[str, Labels] | None:
    """The option as Python takes it: a file, or files by output."""
    if not given:
        return None
    if len(given) == 1 and ("=" not in given[0] or Path(given[0]).exists()):
        return given[0]
    named = [text.partition("=") for text in given]
    if not all(name and file for name, _, file in named):
        raise InputError("--labels: several files need the names of their outputs; give each as OUTPUT=FILE")
    return {name: file for name, _, file in named}

"""The options of every command that compiles a network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "BatchOption",
    "CalibrationOption",
    "ChainOption",
    "EvaluatorOption",
    "InputRangeOption",
    "KeyBudgetOption",
    "MachineOption",
    "ModelArgument",
    "NoBatchAxisOption",
    "OptimizeOption",
    "PrecisionOption",
    "QuantumOption",
    "ResumeOption",
    "SecurityOption",
    "ShareOption",
]

ModelArgument = Annotated[Path, typer.Argument(help="The network, an ONNX file.")]
SecurityOption = Annotated[int, typer.Option(metavar="BITS", help="Security: 128, 192 or 256 bits.")]
QuantumOption = Annotated[bool, typer.Option("--quantum", help="Keep that level against quantum computers, too.")]
PrecisionOption = Annotated[
    float, typer.Option(metavar="BITS", help="Largest error of an output, relative to the largest: 2^-BITS.")
]
InputRangeOption = Annotated[
    tuple[float, float] | None,
    typer.Option(
        metavar="LOW HIGH",
        show_default=False,
        help="Lowest and highest input value. By default that of the calibration inputs, else -1 to 1.",
    ),
]
CalibrationOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        show_default=False,
        help="Some hundred real inputs (.npy or .npz), which show how large the values inside the network become.",
    ),
]
NoBatchAxisOption = Annotated[
    bool, typer.Option("--no-batch-axis", help="The whole input is one example: axis 0 is not the batch.")
]
EvaluatorOption = Annotated[
    Literal["native", "seal"],
    typer.Option(help="What the plan is optimised for: the fast evaluator, or Microsoft SEAL's own."),
]
OptimizeOption = Annotated[
    Literal["latency", "throughput"],
    typer.Option(help="An answer in the shortest time, or the most answers per hour: thousands of rows at once."),
]
BatchOption = Annotated[
    int | None,
    typer.Option(metavar="ROWS", show_default=False, help="So many rows at once, side by side where there is room."),
]
ShareOption = Annotated[
    int | None,
    typer.Option(
        metavar="RESULTS",
        show_default=False,
        help="So many results of one key may be shown to others, as decrypt --share does. Makes the plan larger.",
    ),
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume/--no-resume",
        help="Go on where the same command was interrupted, or remove what it left.",
    ),
]
MachineOption = Annotated[
    Path | None,
    typer.Option(
        "--machine",
        metavar="FILE",
        show_default=False,
        help="Predict times for this machine, and choose by them: a file of `hecc bench --calibrate`.",
    ),
]


def _size(text: str) -> int:
    """Bytes, from a number with a decimal unit."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(kB|MB|GB)\s*", text, re.IGNORECASE)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a size such as 200MB or 1.5GB")
    return int(float(match[1]) * {"kb": 1e3, "mb": 1e6, "gb": 1e9}[match[2].lower()])


KeyBudgetOption = Annotated[
    int | None,
    typer.Option(
        "--key-budget",
        metavar="SIZE",
        show_default=False,
        parser=_size,
        help="Largest evaluation keys, such as 200MB: the fastest plan whose keys are not larger.",
    ),
]

ChainOption = Annotated[
    Path | None,
    typer.Option(
        "--chain-of",
        metavar="PLAN",
        show_default=False,
        help="Use the ring and the primes of this plan, so that one key set can serve both.",
    ),
]

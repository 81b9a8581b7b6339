"""The options that several commands have: what is the same thing has the same name everywhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from hecc.cli.usage import FILES, INPUTS, SPEED

__all__ = [
    "ClipOption",
    "DeviceOption",
    "ForceOption",
    "ModelArgument",
    "RawOption",
    "ResumeOption",
    "SkipOption",
    "ThreadsOption",
    "TruthOption",
    "VerboseOption",
    "read_size",
]

_UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9}

ModelArgument = Annotated[Path, typer.Argument(help="The network, an ONNX file.")]
RawOption = Annotated[
    bool,
    typer.Option(
        "--raw",
        help="Arrays hold raw values, too: preprocess them. Images and tables always are.",
        rich_help_panel=INPUTS,
    ),
]
ClipOption = Annotated[
    bool,
    typer.Option(
        "--clip",
        help="Move values outside the plan's range to its nearest end; they are counted and told.",
        rich_help_panel=INPUTS,
    ),
]
SkipOption = Annotated[
    bool,
    typer.Option(
        "--skip-bad-rows",
        help="Leave out rows with values that are missing, not finite or outside the plan's range; they are listed.",
        rich_help_panel=INPUTS,
    ),
]
TruthOption = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        show_default=False,
        help="The right answer for every row: .npy, or a .csv or text file of numbers or names of classes.",
        rich_help_panel=INPUTS,
    ),
]
DeviceOption = Annotated[
    Literal["native", "seal"] | None,
    typer.Option(
        "--device",
        show_default=False,
        help="hecc's own evaluator, or Microsoft SEAL's. By default what the keys are for; of new keys, what the plan "
        "was compiled for.",
        rich_help_panel=SPEED,
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        metavar="NUMBER",
        show_default=False,
        help="Threads of the device native. By default one per processor.",
        rich_help_panel=SPEED,
    ),
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume/--no-resume",
        help="Go on where the same command was interrupted, or remove what it left.",
        rich_help_panel=FILES,
    ),
]
ForceOption = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Replace a file of another kind that has the output's name; never an input or a secret key.",
        rich_help_panel=FILES,
    ),
]
VerboseOption = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Say all that is known, not only what matters most."),
]


def read_size(text: str) -> int:
    """Bytes, from a number with a decimal unit; a parser of typer's."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]b)\s*", text.lower())
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a size such as 200MB or 1.5GB")
    return int(float(match[1]) * _UNITS[match[2]])

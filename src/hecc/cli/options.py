"""The options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["ClipOption", "ForceOption", "ModelArgument", "RawOption", "ResumeOption", "SkipOption", "TruthOption"]

ModelArgument = Annotated[Path, typer.Argument(help="The network, an ONNX file.")]
RawOption = Annotated[
    bool,
    typer.Option("--raw", help="Arrays hold raw values, too: preprocess them. Images and tables always are."),
]
ClipOption = Annotated[
    bool,
    typer.Option("--clip", help="Move values outside the plan's range to its nearest end; they are counted and told."),
]
SkipOption = Annotated[
    bool,
    typer.Option(
        "--skip-bad-rows",
        help="Leave out rows with values that are missing, not finite or outside the plan's range; they are listed.",
    ),
]
TruthOption = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        show_default=False,
        help="The right answer for every row: .npy, or a .csv or text file of numbers or names of classes.",
    ),
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume/--no-resume",
        help="Go on where the same command was interrupted, or remove what it left.",
    ),
]
ForceOption = Annotated[
    bool,
    typer.Option(
        "--force", help="Replace a file of another kind that has the output's name; never an input or a secret key."
    ),
]

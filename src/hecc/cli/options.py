"""The options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["ForceOption", "ModelArgument", "RawOption", "ResumeOption", "TruthOption"]

ModelArgument = Annotated[Path, typer.Argument(help="The network, an ONNX file.")]
RawOption = Annotated[
    bool,
    typer.Option("--raw", help="Arrays hold raw values, too: preprocess them. Images and tables always are."),
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

"""The options that several commands have, first of all those of every command that compiles a network."""

from __future__ import annotations

import functools
import inspect
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from hecc.runtime.errors import InputError

if TYPE_CHECKING:
    from hecc.inputs.labels import Labels
    from hecc.preparation import PlanOptions
    from hecc.runtime.inputs.preprocessing import Preprocessing

__all__ = [
    "ForceOption",
    "ModelArgument",
    "PlanOptionsGiven",
    "RawOption",
    "ResumeOption",
    "TruthOption",
    "option_files",
    "takes_plan_options",
]

log = logging.getLogger(__name__)

Stated: TypeAlias = "PlanOptions"
"""In quotes: annotations of commands are evaluated, and the compiler is loaded by those that need it only."""

PlanOptionsGiven: TypeAlias = "functools.partial[Stated]"
"""What a command gets of the options that shape a plan: they are read when it is called, by what may refuse them."""

ModelArgument = Annotated[Path, typer.Argument(help="The network, an ONNX file.")]
SecurityOption = Annotated[int, typer.Option(metavar="BITS", help="Security: 128, 192 or 256 bits.")]
QuantumOption = Annotated[bool, typer.Option("--quantum", help="Keep that level against quantum computers, too.")]
PrecisionOption = Annotated[
    float, typer.Option(metavar="BITS", help="Largest error of a number, relative to its range: 2^-BITS.")
]
InputRangeOption = Annotated[
    tuple[float, float] | None,
    typer.Option(
        metavar="LOW HIGH",
        show_default=False,
        help="Lowest and highest input value, after preprocessing. By default what 8-bit images become, if that was "
        "stated, and the range of the calibration inputs; else -1 to 1.",
    ),
]
CalibrationOption = Annotated[
    Path | None,
    typer.Option(
        "--calibrate",
        "--calibration",
        metavar="PATH",
        show_default=False,
        help="Some hundred real inputs (.npy, .npz, .csv, or a folder of images), which show how large the values "
        "inside the network become.",
    ),
]
LabelsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[OUTPUT=]FILE",
        show_default=False,
        help="Names of the classes, one per line, that decrypt is to show.",
    ),
]
NoBatchAxisOption = Annotated[
    bool, typer.Option("--no-batch-axis", help="The whole input is one example: axis 0 is not the batch.")
]
DeviceOption = Annotated[
    Literal["native", "seal"],
    typer.Option(help="What the plan is optimised for: hecc's own evaluator, or Microsoft SEAL's."),
]
OptimizeOption = Annotated[
    Literal["latency", "throughput"],
    typer.Option(help="An answer in the shortest time, or the most answers per hour: thousands of rows at once."),
]
BatchOption = Annotated[
    int | None,
    typer.Option(metavar="ROWS", show_default=False, help="So many rows at once, side by side where there is room."),
]
ResizeOption = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        show_default=False,
        help="Preprocessing of images: 256 for the shorter side, or HEIGHTxWIDTH. The centre is cropped to the "
        "network's size.",
    ),
]
ScaleOption = Annotated[
    str | None,
    typer.Option(
        metavar="FACTOR",
        show_default=False,
        help="Preprocessing: what raw values are multiplied by, as 1/255 for bytes to 0 to 1.",
    ),
]
MeanOption = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBERS",
        show_default=False,
        help="Preprocessing: what is subtracted after scaling: one number, or one per channel or column with commas "
        "between, or a .npy file of them.",
    ),
]
StdOption = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBERS", show_default=False, help="Preprocessing: what is divided by in the end; as --mean."
    ),
]
LayoutOption = Annotated[
    Literal["nchw", "nhwc"] | None,
    typer.Option(show_default=False, help="Preprocessing: where the network's input has its channels. [nchw]"),
]
RawOption = Annotated[
    bool,
    typer.Option("--raw", help="Arrays hold raw values, too: preprocess them. Images and tables always are."),
]
DiscloseOption = Annotated[
    int | None,
    typer.Option(
        metavar="RESULTS",
        show_default=False,
        help="So many results of one key may be shown to others, as decrypt --disclose does. Makes the plan larger.",
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
MachineOption = Annotated[
    Path | None,
    typer.Option(
        "--machine",
        metavar="FILE",
        show_default=False,
        help="Predict times for this machine, and choose by them: a file of `hecc bench --calibrate`.",
    ),
]


def _bytes(text: str) -> int:
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
        parser=_bytes,
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


def takes_plan_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that shape a plan, in the place of its parameter ``options``."""
    shared = inspect.signature(_plan_options, eval_str=True).parameters
    own = inspect.signature(command, eval_str=True)
    shown = [
        each
        for name, parameter in own.parameters.items()
        for each in (shared.values() if name == "options" else (parameter,))
    ]

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        options = functools.partial(_plan_options, **{name: given.pop(name) for name in shared})
        command(**given, options=options)

    # typer takes names and defaults from the one, types from the other.
    with_options.__signature__ = own.replace(parameters=shown)  # type: ignore[attr-defined]
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return with_options


def _plan_options(
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
    labels: LabelsOption = None,
    no_batch_axis: NoBatchAxisOption = False,
    device: DeviceOption = "native",
    optimize: OptimizeOption = "latency",
    batch: BatchOption = None,
    disclose: DiscloseOption = None,
    machine: MachineOption = None,
    key_budget: KeyBudgetOption = None,
    chain_of: ChainOption = None,
) -> Stated:
    """The options of the command line as Python takes them.

    Raises
    ------
    InputError
        An option that is no number, no size, or names no output.
    """
    return {
        "security": security,
        "quantum": quantum,
        "precision": precision,
        "input_range": input_range,
        "calibration": calibration,
        "preprocessing": _preprocessing(resize, scale, mean, std, layout),
        "raw": raw,
        "labels": _labels(labels),
        "batch_axis": not no_batch_axis,
        "device": device,
        "optimize": optimize,
        "batch": batch,
        "disclose": disclose,
        "machine": machine,
        "key_budget": key_budget,
        "chain_of": chain_of,
    }


def option_files(given: PlanOptionsGiven) -> list[Path]:
    """The files, and folders of images, that options name."""
    options = given.keywords
    labels = [Path(name) for text in options["labels"] or () for name in (text, text.partition("=")[2]) if name]
    numbers = [Path(text) for text in (options["mean"], options["std"]) if text and text.endswith(".npy")]
    paths = (options["calibration"], options["machine"], options["chain_of"])
    return [path for path in paths if path is not None] + labels + numbers


def _preprocessing(
    resize: str | None, scale: str | None, mean: str | None, std: str | None, layout: Literal["nchw", "nhwc"] | None
) -> Preprocessing | None:
    """What the options state; ``None`` if there is none of them."""
    if all(option is None for option in (resize, scale, mean, std, layout)):
        return None
    from hecc.runtime.inputs.preprocessing import Preprocessing

    if resize is not None and scale is None and mean is None and std is None:
        log.warning(
            "--resize without --scale: the network gets pixels as values from 0 to 255; if it was trained on 0 to 1, "
            "say --scale 1/255, otherwise --scale 1"
        )
    return Preprocessing(
        resize=None if resize is None else _size(resize),
        scale=1.0 if scale is None else _number("--scale", scale),
        mean=_numbers("--mean", mean),
        std=_numbers("--std", std),
        layout=layout or "nchw",
    )


def _size(text: str) -> int | tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.strip().isdecimal() for side in sides):
        raise InputError(f"--resize {text}: not a size; give one number of pixels, or HEIGHTxWIDTH, as 224x224")
    return int(sides[0]) if len(sides) == 1 else (int(sides[0]), int(sides[1]))


def _number(option: str, text: str) -> float:
    above, _, below = text.partition("/")
    try:
        return float(above) / (float(below) if below else 1.0)
    except (ValueError, ZeroDivisionError):
        raise InputError(f"{option}: {text!r} is not a number; give one as 0.5 or 1/255") from None


def _numbers(option: str, text: str | None) -> tuple[float, ...]:
    if text is None:
        return ()
    if not text.endswith(".npy"):
        return tuple(_number(option, part) for part in text.split(","))
    from hecc.inputs.arrays import load_array

    array = load_array(Path(text))
    if array.dtype.kind not in "fiu":
        raise InputError(f"{option} {text}: an array of dtype {array.dtype}; give numbers")
    return tuple(map(float, array.reshape(-1)))


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

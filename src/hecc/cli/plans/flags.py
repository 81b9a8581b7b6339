"""The flags of every command that compiles a network, made of the table of options."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from hecc.cli.options import read_size
from hecc.compiler.options import Flag, Option, options_of
from hecc.runtime.errors import InputError

if TYPE_CHECKING:
    from hecc.inputs.labels import ClassNames
    from hecc.runtime.inputs.preprocessing import Preprocessing

__all__ = ["Given", "option_files", "stated", "takes_options"]

log = logging.getLogger(__name__)

Given: TypeAlias = "functools.partial[dict[str, Any]]"
"""What a command gets of the options: they are read when it is called, by what may refuse them."""

CONTEXT = "context"
"""The parameter of commands in which typer says which flags are given."""


def takes_options(table: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the flags of a table of options, in the place of its parameter ``options``."""
    rows = options_of(table)
    for row in rows:
        if len(row.flags) > 1 and row.name not in READERS:
            raise TypeError(f"option {row.name}: nothing reads its {len(row.flags)} flags")
    flags = {flag.name: _parameter(flag, row) for row in rows for flag in row.flags}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True)
        shown = [inspect.Parameter(CONTEXT, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)]
        shown += [
            each
            for name, parameter in own.parameters.items()
            for each in (flags.values() if name == "options" else (parameter,))
        ]

        @functools.wraps(command)
        def with_options(**given: Any) -> None:
            source = given.pop(CONTEXT).get_parameter_source
            named = frozenset(name for name in flags if source(name).name != "DEFAULT")
            options = functools.partial(_read, rows, named, **{name: given.pop(name) for name in flags})
            command(**given, options=options)

        # typer takes names and defaults from the one, types from the other.
        with_options.__signature__ = own.replace(parameters=shown)  # type: ignore[attr-defined]
        with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
        return with_options

    return decorate


def stated(options: Given) -> dict[str, Any]:
    """Options as Python takes them, without those of single schemes that the command line does not give.

    Those are refused where they are of another scheme than the plan, whatever they say.
    """
    rows, given = options.args
    found = options()
    for row in rows:
        if row.schemes and not any(flag.name in given for flag in row.flags):
            found.pop(row.name, None)
    return found


def option_files(given: Given) -> list[Path]:
    """The files, and folders of images, that options name."""
    options = given.keywords
    names = [Path(name) for text in options["class_names"] or () for name in (text, text.partition("=")[2]) if name]
    numbers = [Path(text) for text in (options["mean"], options["std"]) if text and text.endswith(".npy")]
    return [value for value in options.values() if isinstance(value, Path)] + names + numbers


def _parameter(flag: Flag, row: Option) -> inspect.Parameter:
    """A flag as typer knows them."""
    default = row.default if flag.name == row.name else None
    name = f"--{flag.name.replace('_', '-')}"
    if flag.kind is bool and default:
        name = f"{name}/--no-{name.removeprefix('--')}"
    about = typer.Option(
        name,
        metavar=flag.metavar,
        help=flag.sentence,
        show_default=default is not None,
        parser=PARSERS.get(flag.name),
        rich_help_panel=row.group,
    )
    kind = flag.kind if default is not None else flag.kind | None
    return inspect.Parameter(
        flag.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=Annotated[kind, about]
    )


def _read(rows: Sequence[Option], _: frozenset[str], **given: Any) -> dict[str, Any]:
    """The options as Python takes them.

    Raises
    ------
    InputError
        A flag that is no number, no size, or names no output.
    """
    found = {}
    for row in rows:
        values = [given[flag.name] for flag in row.flags]
        if values:
            found[row.name] = READERS[row.name](*values) if row.name in READERS else values[0]
    return found


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


def _class_names(given: Sequence[str] | None) -> ClassNames | Mapping[str, ClassNames] | None:
    """The option as Python takes it: a file, or files by output."""
    if not given:
        return None
    if len(given) == 1 and ("=" not in given[0] or Path(given[0]).exists()):
        return given[0]
    named = [text.partition("=") for text in given]
    if not all(name and file for name, _, file in named):
        raise InputError("--class-names: several files need the names of their outputs; give each as OUTPUT=FILE")
    return {name: file for name, _, file in named}


def _input_range(ends: tuple[float, float] | None, columns: Path | None) -> tuple[float, float] | Path | None:
    """One range, or a file of those of columns."""
    if ends is not None and columns is not None:
        raise InputError("--input-range and --column-ranges: give one of them")
    return columns or ends


PARSERS: Mapping[str, Callable[[str], Any]] = {"key_budget": read_size}
"""Of flags whose text is not what typer makes of their type."""

READERS: Mapping[str, Callable[..., Any]] = {
    "class_names": _class_names,
    "input_range": _input_range,
    "preprocessing": _preprocessing,
}
"""Of options that Python takes as something else than their flags."""

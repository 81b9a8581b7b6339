"""The table of all options of :func:`hecc.compile` and :func:`hecc.estimate`.

:mod:`hecc.compiler.options` says what a row is, and :mod:`hecc.options.arguments` makes functions of them.
"""

# Types that only help prints are strings: the command line makes its flags of this table, and must not load them.

from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hecc.compiler.ckks.options import CKKS, CKKSOptions
from hecc.compiler.more.options import MoreOptions
from hecc.compiler.options import Flag, option
from hecc.runtime.errors import InputError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from hecc.compiler.ckks.prediction.machine import MachineProfile
    from hecc.inputs.labels import ClassNames, Truth
    from hecc.inputs.ranges import Given
    from hecc.inputs.sources import Source
    from hecc.runtime.inputs.preprocessing import Preprocessing
    from hecc.runtime.plan.plan import Plan

__all__ = ["DEFAULT_SCHEME", "CompileOptions"]

DEFAULT_SCHEME = "ckks"
"""Nothing else leads to another scheme than its name."""

MAX_MARGIN = 10.0
"""With more nothing that was calibrated would be left."""


def _check_margin(value: Any) -> None:
    if value is not None and not (isinstance(value, Real) and 0 <= float(value) <= MAX_MARGIN):
        raise InputError(
            f"a margin of {value!r}; give a part of the width of the calibration inputs, from 0 to {MAX_MARGIN:g}"
        )


def _check_scheme(value: Any) -> None:
    from hecc.passes.schemes import COMPILERS

    if value not in COMPILERS:
        raise InputError(f"there is no scheme {value!r}; choose one of {', '.join(COMPILERS)}")


@dataclass(frozen=True, kw_only=True)
class CompileOptions(CKKSOptions, MoreOptions):
    """What a user may ask of a plan; each scheme adds a table of its own as a base."""

    scheme: str = option(
        DEFAULT_SCHEME,
        "What keeps inputs from the server: ckks, which is encryption; or more, an encoding without a security level.",
        more="Every scheme has options of its own, and refuses those of others.",
        group="Security and precision",
        metavar="NAME",
        check=_check_scheme,
    )

    example_input: Any = option(
        None,
        "For a torch.nn.Module: a tensor like those that it takes, or a sequence of them for several inputs.",
        more="Only shapes and types matter; the module is exported in inference mode, by PyTorch's own exporter.",
        group="The network",
        flags=(),
    )
    batch_axis: bool = option(
        True,
        "Whether axis 0 of every input is the batch; otherwise the whole tensor is one example.",
        group="The network",
    )
    class_names: "ClassNames | Mapping[str, ClassNames] | None" = option(
        None,
        "Names of the classes, one per line of a file, that the client's predictions show.",
        more="They are stored in the plan, for the only output, or by output; in Python also as a list of names.",
        group="The network",
        kind=list[str],
        metavar="[OUTPUT=]FILE",
    )
    calibration: "Source | None" = option(
        None,
        "Some hundred real inputs (.npy, .npz, .csv, .parquet, or a folder of images), which show how large the values "
        "inside the network become.",
        more="In Python also arrays of shape (rows, ...), for a network with one input, or by name. Without them the "
        "compiler makes inputs up, and has to allow for values sixteen times as large as those it sees, instead of "
        "four times, and to fit the polynomials of smooth activations on intervals twice as wide.",
        group="Inputs and preprocessing",
        kind=Path,
        metavar="PATH",
    )
    calibration_labels: "Truth | None" = option(
        None,
        "The right answer of each calibration input, numbers or names of classes: then accuracy_loss is of accuracy, "
        "and not of agreement with the network in clear.",
        more="As the labels of `hecc evaluate`: a .npy, .csv or text file, or in Python an array.",
        group="Inputs and preprocessing",
        kind=Path,
        metavar="FILE",
        schemes=CKKS,
    )
    input_range: "Given | str | os.PathLike[str]" = option(
        None,
        "Lowest and highest input value, after preprocessing; the client refuses to encrypt others.",
        more="For all inputs; in Python also by name, and an end may be an array with a number for each element, or "
        "both are the path of a table of two rows, the lowest values and the highest. By default what 8-bit images "
        "become if their preprocessing was stated, and the range of the calibration inputs, of each column of a table; "
        "or -1 to 1 when there is neither.",
        group="Inputs and preprocessing",
        flags=(
            Flag(
                "input_range",
                tuple[float, float],
                "Lowest and highest input value, after preprocessing; the client refuses to encrypt others.",
                "LOW HIGH",
            ),
            Flag(
                "column_ranges",
                Path,
                "The same for each column of a table: a .csv, .npy or .parquet file of two rows, the lowest values and "
                "the highest.",
                "FILE",
            ),
        ),
    )
    margin: float | None = option(
        None,
        "How far beyond the calibration inputs the range of a column reaches, at either end, as a part of its width; "
        "by default 0.25 for tables, and 0 for images and other arrays.",
        more="Images have one range for all their values. The margin does not reach "
        "beyond zero where no calibration input does, and says nothing where ranges are stated. Activations and the "
        "modulus are made for inputs in the margin, too.",
        group="Inputs and preprocessing",
        kind=float,
        metavar="PART",
        check=_check_margin,
    )
    preprocessing: "Preprocessing | Mapping[str, Preprocessing] | None" = option(
        None,
        "What turns raw values into the network's inputs, a hecc.Preprocessing: for all inputs, or by name.",
        more="It is stored in the plan: the client does it to images and tables.",
        group="Inputs and preprocessing",
        flags=(
            Flag(
                "resize",
                str,
                "Preprocessing of images: 256 for the shorter side, or HEIGHTxWIDTH. The centre is cropped to the "
                "network's size.",
                "SIZE",
            ),
            Flag(
                "scale",
                str,
                "Preprocessing: what raw values are multiplied by, as 1/255 for bytes to 0 to 1.",
                "FACTOR",
            ),
            Flag(
                "mean",
                str,
                "Preprocessing: what is subtracted after scaling: one number, or one per channel or column with commas "
                "between, or a .npy file of them.",
                "NUMBERS",
            ),
            Flag("std", str, "Preprocessing: what is divided by in the end; as --mean.", "NUMBERS"),
            Flag(
                "layout",
                Literal["nchw", "nhwc"],
                "Preprocessing: where the network's input has its channels. [nchw]",
            ),
        ),
    )
    raw: bool = option(
        False,
        "Arrays hold raw values, too: preprocess them. Images and tables always are.",
        group="Inputs and preprocessing",
    )
    machine: "MachineProfile | str | os.PathLike[str] | None" = option(
        None,
        "Predict times for this machine, and choose by them: a file of `hecc bench --machine-profile`.",
        more="In Python also what hecc.machine_profile returned. Without one times are those of the machine that hecc "
        "was developed on.",
        group="Speed and memory",
        kind=Path,
        metavar="FILE",
        schemes=CKKS,
    )
    search_from: "Plan | str | os.PathLike[str] | None" = option(
        None,
        "Go on with the search that made this plan of the same network: its polynomials are where the search begins.",
        more="For a search that was interrupted, or one with a larger loss. By default it starts from the beginning.",
        group="Security and precision",
        kind=Path,
        metavar="PLAN",
        schemes=CKKS,
    )
    chain_of: "Plan | str | os.PathLike[str] | None" = option(
        None,
        "Use the ring, the primes and the digits of this plan, so that one key set can serve both.",
        more="By default those that are fastest for this network.",
        group="Speed and memory",
        kind=Path,
        metavar="PLAN",
        schemes=CKKS,
    )

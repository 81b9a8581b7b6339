"""The options that the compiler for sharing obeys, and what else it is told."""

# Types are not strings here, since the command line makes flags of them.

from dataclasses import dataclass
from typing import Any, Literal

from hecc.compiler.options import option
from hecc.runtime.errors import InputError

__all__ = ["PRECISION", "SHARING", "Options", "Reveal", "SharingOptions"]

SHARING = ("sharing",)
"""Whose plans these options shape."""

PRECISION = 10.0
"""Bits of outputs, unless something else is asked for: an error of a thousandth changes one decision in a thousand."""

Ranges = Literal["proved", "observed"]
Reveal = Literal["scores", "label"]


def _check_ranges(value: Any) -> None:
    if value not in ("proved", "observed"):
        raise InputError(f"ranges={value!r}; choose proved or observed")


def _check_reveal(value: Any) -> None:
    if value not in ("scores", "label"):
        raise InputError(f"reveal={value!r}; choose scores or label")


@dataclass(frozen=True, kw_only=True)
class SharingOptions:
    """What a user may ask of a plan for sharing: a row of the table of options is a field."""

    ranges: Ranges = option(
        "proved",
        "How large values may become: all that inputs in the range can make, which is proved; or some times what the "
        "calibration inputs make, which costs fewer bytes.",
        more="With observed, an input unlike those may give a wrong answer, and nothing tells.",
        group="Security and precision",
        check=_check_ranges,
        schemes=SHARING,
    )
    reveal: Reveal = option(
        "scores",
        "What the client learns of outputs: all their numbers; or only which of them is the largest, given as a one "
        "among zeros.",
        more="With label nothing else of the scores leaves the computation, which takes eight messages more.",
        group="Security and precision",
        check=_check_reveal,
        schemes=SHARING,
    )


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of a compilation.

    Attributes
    ----------
    precision
        Bits of outputs, relative to their largest magnitude.
    margin
        How many times the observed values must not leave their rings; ``None`` if all that is possible must not.
    producer
        Name and version of the compiler.
    reveal
        What the client learns of outputs.
    """

    precision: float
    margin: float | None
    producer: str
    reveal: Reveal = "scores"

"""Headers of plans under MORE, and what they say of training."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec

from hecc.runtime.errors import ParameterError
from hecc.runtime.inputs.preprocessing import Preprocessing
from hecc.runtime.inputs.ranges import ElementRanges
from hecc.runtime.network.types import MAX_ELEMENTS
from hecc.runtime.plan.header import (
    InputSignature,
    OutputSignature,
    PlanHeader,
    TargetSignature,
    check_header,
    check_text,
)
from hecc.runtime.tail.epilogue import Step
from hecc.runtime.training.names import TARGET

__all__ = [
    "LOSS_KINDS",
    "MAX_AXES",
    "MAX_SIZE",
    "MoreHeader",
    "MoreInput",
    "MoreOutput",
    "Training",
    "check_more_header",
]

MAX_SIZE = 8
"""Largest n of the n x n matrices."""

MAX_AXES = 5
"""Of a tensor's example: with rows and matrices they are all that arrays in files have."""

LOSS_KINDS = {"cross-entropy": True, "mse": False}
"""Losses, and whether their targets are classes."""


class MoreInput(InputSignature, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """See :class:`hecc.runtime.plan.header.InputSignature`."""

    name: str
    shape: tuple[int, ...]
    low: float
    high: float
    preprocessing: Preprocessing | None = None
    ranges: ElementRanges | None = None
    columns: tuple[str, ...] = ()


class MoreOutput(OutputSignature, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """See :class:`hecc.runtime.plan.header.OutputSignature`."""

    name: str
    shape: tuple[int, ...]
    epilogue: tuple[Step, ...] = ()
    labels: tuple[str, ...] = ()
    of: str = ""


class Training(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a plan trains.

    Attributes
    ----------
    loss
        A key of :data:`LOSS_KINDS`.
    output
        The output that targets are for.
    parameters
        Names of the network's initializers that are trained.
    """

    loss: Literal["cross-entropy", "mse"]
    output: str
    parameters: tuple[str, ...]


class MoreHeader(PlanHeader, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan's header.

    Attributes
    ----------
    size
        The n of the n x n matrices: a number and n - 1 others.
    training
        What the plan trains, if it does.
    smoothed
        Comparisons with smooth functions in their place, in words.
    """

    scheme: Literal["more"] = "more"
    inputs: tuple[MoreInput, ...]
    outputs: tuple[MoreOutput, ...]
    size: Annotated[int, msgspec.Meta(ge=2, le=MAX_SIZE)] = 2
    training: Training | None = None
    smoothed: tuple[str, ...] = ()

    @property
    def targets(self) -> TargetSignature | None:
        """What has to be encoded beside the inputs of a training."""
        if self.training is None:
            return None
        output = next(each for each in self.outputs if each.name == self.training.output)
        return TargetSignature(output.name, output.shape, LOSS_KINDS[self.training.loss], output.labels)


def check_more_header(header: MoreHeader) -> None:
    """Refuse a header that contradicts itself.

    Raises
    ------
    ParameterError
        With the first rule broken.
    """
    check_header(header)
    inputs, outputs = (
        [(each.name, each.shape) for each in signatures] for signatures in (header.inputs, header.outputs)
    )
    for name, shape in (*inputs, *outputs):
        if not all(extent > 0 for extent in shape) or math.prod(shape) > MAX_ELEMENTS or len(shape) > MAX_AXES:
            raise ParameterError(f"{name!r} has the shape {shape}, which no tensor of the scheme more has")
    if any(source.name == TARGET for source in header.inputs):
        raise ParameterError(f"an input is called {TARGET!r}, as the right answers of a training are")
    for words in header.smoothed:
        check_text("what is said of a comparison", words)
    training = header.training
    if training is None:
        return
    if training.output not in [each.name for each in header.sent]:
        raise ParameterError(f"the training is for an output {training.output!r}, which there is not")
    if not training.parameters or len(set(training.parameters)) != len(training.parameters):
        raise ParameterError("the training has no parameters, or one of them twice")

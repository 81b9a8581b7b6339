"""The header of a sharing plan: what both files say about it, program and weights apart."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import ParameterError
from hecc.runtime.inputs.preprocessing import Preprocessing
from hecc.runtime.inputs.ranges import ElementRanges
from hecc.runtime.plan.header import InputSignature, OutputSignature, PlanHeader, check_header
from hecc.runtime.tail.epilogue import Step

__all__ = ["RunCost", "SharingHeader", "SharingInput", "SharingOutput", "check_sharing_header"]

Digest: TypeAlias = Annotated[str, msgspec.Meta(max_length=64)]

LEAST_UNIT, LARGEST_UNIT = 1e-200, 1e200
"""Units beyond these are no compiler's."""


class SharingInput(InputSignature, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One input that is shared.

    Attributes
    ----------
    name
        The network's name for it.
    shape
        Shape of one example, without the batch dimension where the network has one.
    unit
        The real number that one stands for in the program.
    low, high
        Range of values that the plan was compiled for, over all elements; the client refuses others.
    preprocessing
        What the client does to raw inputs; ``None`` if nothing was said of it.
    ranges
        A range for each element, which the client brings to [-1, 1] first; ``None`` where all have one.
    columns
        Names of the elements; empty if the calibration inputs had none.
    """

    name: str
    shape: tuple[int, ...]
    unit: float
    low: float
    high: float
    preprocessing: Preprocessing | None = None
    ranges: ElementRanges | None = None
    columns: tuple[str, ...] = ()

    def integers(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """What the client shares of the network's inputs, of shape (rows, ...): shape (rows, size)."""
        flat = self.normalised(values).reshape(len(values), -1)
        return np.rint(flat / self.unit).astype(np.int64)


class SharingOutput(OutputSignature, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One result.

    Attributes
    ----------
    name, shape, unit
        As for inputs.
    epilogue
        What the client does to the values, which the shape is that of.
    labels
        Names of the classes, in the order of the scores along the last axis; two for a single score, the first for
        "no". Empty if nothing was said of them.
    of
        The output before it that is sent for this one, too; empty for one that is sent itself. Such an output differs
        from it in its name, its epilogue and its labels only.
    """

    name: str
    shape: tuple[int, ...]
    unit: float
    epilogue: tuple[Step, ...] = ()
    labels: tuple[str, ...] = ()
    of: str = ""


class RunCost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an inference takes; sizes are bytes for one example, without the lengths of messages and without TLS.

    Attributes
    ----------
    messages
        From one party to the other, in sequence, those that agree on blocks apart.
    client_bytes, server_bytes
        That each sends when the input is there.
    dealt_bytes
        From the dealer to the server.
    prepared_bytes
        From the client to the server ahead of the input.
    difference_bytes
        From the server to the client, for each preparation whatever number of examples it is for.
    """

    messages: int
    client_bytes: int
    server_bytes: int
    dealt_bytes: int
    prepared_bytes: int
    difference_bytes: int

    @property
    def online(self) -> int:
        """Bytes in both directions when the input is there."""
        return self.client_bytes + self.server_bytes

    @property
    def ahead(self) -> int:
        """Bytes for each example ahead of the input."""
        return self.dealt_bytes + self.prepared_bytes


class SharingHeader(PlanHeader, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a plan that all parties know.

    Attributes
    ----------
    program
        SHA-256 of the program with its index structure.
    weights
        SHA-256 of a salt and the weights. It says nothing of these, since only the server's file has the salt; and as
        the plan's fingerprint depends on it, material that is bound to a plan is bound to one set of weights for ever.
    precision
        ``-log2`` of the largest error of an element of an output on the calibration inputs, relative to the largest
        magnitude of the output there.
    proved
        Whether rings have room for all that inputs in the declared range can make; otherwise for some times what was
        observed.
    cost
        What an inference takes.
    reveals
        What the client learns of each output: its scores, or only which of them is the largest.
    """

    scheme: Literal["sharing"] = "sharing"
    inputs: tuple[SharingInput, ...]
    outputs: tuple[SharingOutput, ...]
    program: Digest
    weights: Digest
    precision: float
    proved: bool
    cost: RunCost
    reveals: Literal["scores", "label"] = "scores"

    @property
    def sent(self) -> tuple[SharingOutput, ...]:
        """The outputs that are sent themselves."""
        return tuple(signature for signature in self.outputs if not signature.of)


def check_sharing_header(header: SharingHeader) -> None:
    """Refuse a header that contradicts itself.

    Raises
    ------
    ParameterError
        With the first rule broken.
    """
    check_header(header)
    for what, digest in (("program", header.program), ("weights", header.weights)):
        if re.fullmatch("[0-9a-f]{64}", digest) is None:
            raise ParameterError(f"the fingerprint of the {what} is not 64 hexadecimal digits")
    units = {end.name: end.unit for end in header.inputs} | {end.name: end.unit for end in header.outputs}
    for name, unit in units.items():
        if not LEAST_UNIT < unit < LARGEST_UNIT:
            raise ParameterError(f"{name!r}: a unit of {unit:g}")
    if not math.isfinite(header.precision):
        raise ParameterError(f"a precision of {header.precision} bits")

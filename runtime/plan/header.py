"""What the header of every scheme's plan says: both files of a plan hold it, and clients need nothing else.

Each scheme has structs of its own, which add what it needs to encrypt and decrypt, as
:mod:`hecc.runtime.ckks.plan.header` does. A file holds the fields of those in the order that they are declared in, so
signatures declare no field here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import InputError, ParameterError
from hecc.runtime.files import codec
from hecc.runtime.inputs.preprocessing import Preprocessing
from hecc.runtime.inputs.ranges import ElementRanges
from hecc.runtime.tail.epilogue import Step, result_shape

__all__ = [
    "MAX_NAME",
    "InputSignature",
    "OutputSignature",
    "PlanHeader",
    "TargetSignature",
    "check_columns",
    "check_header",
    "check_labels",
    "check_text",
    "signature_fingerprint",
]

MAX_NAME = 256
"""Longest name of an input, an output or a compiler, in characters."""


class InputSignature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One encrypted input; a scheme's own struct has a field for each property."""

    @property
    def name(self) -> str:
        """The network's name for it."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example, without the batch dimension where the network has one."""
        raise NotImplementedError

    @property
    def low(self) -> float:
        """Lowest value that the plan was compiled for, of all elements; the client refuses lower ones."""
        raise NotImplementedError

    @property
    def high(self) -> float:
        """Highest value that the plan was compiled for, of all elements; the client refuses higher ones."""
        raise NotImplementedError

    @property
    def ranges(self) -> ElementRanges | None:
        """A range for each element, where they differ; ``None`` where ``low`` and ``high`` are that of each."""
        raise NotImplementedError

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the elements, as the table had them that the plan was calibrated with; empty if it had none."""
        raise NotImplementedError

    @property
    def ends(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest value of each element; both broadcast to the shape of one example."""
        if self.ranges is None:
            return np.array(self.low), np.array(self.high)
        return np.reshape(self.ranges.lows, self.shape), np.reshape(self.ranges.highs, self.shape)

    @property
    def encrypted_range(self) -> tuple[float, float]:
        """Lowest and highest value that is encrypted."""
        return (self.low, self.high) if self.ranges is None else (-1.0, 1.0)

    def normalised(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is encrypted for the network's inputs, of shape (rows, ...): themselves, or brought to [-1, 1]."""
        return values if self.ranges is None else self.ranges.normalised(values)

    @property
    def preprocessing(self) -> Preprocessing | None:
        """What the client does to raw inputs; ``None`` if nothing was said of it."""
        raise NotImplementedError


class OutputSignature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One result; a scheme's own struct has a field for each property."""

    @property
    def name(self) -> str:
        """The network's name for it."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example as it is decrypted, which the epilogue begins with."""
        raise NotImplementedError

    @property
    def epilogue(self) -> tuple[Step, ...]:
        """What the client does to the decrypted values."""
        raise NotImplementedError

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the scores along the last axis; two for a single score, "no" first.

        Empty if nothing was said of them.
        """
        raise NotImplementedError

    @property
    def of(self) -> str:
        """The output before it that is sent for this one, too; empty for one that is sent itself.

        Such an output differs from it in its name, its epilogue and its labels only.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class TargetSignature:
    """The right answers of a training.

    Attributes
    ----------
    output
        The output that they are for.
    shape
        Of one row's.
    classes
        Whether they are classes, and each row's answer is one along the last axis.
    labels
        Names of the classes, where there are such.
    """

    output: str
    shape: tuple[int, ...]
    classes: bool
    labels: tuple[str, ...]


class PlanHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a plan that the client needs, and that the server file repeats.

    Attributes
    ----------
    producer
        Name and version of the compiler.
    model
        SHA-256 of the ONNX file's bytes.
    scheme
        A key of :data:`hecc.runtime.plan.scheme.SCHEMES`.
    inputs, outputs
        In the network's order.
    """

    producer: str
    model: str
    scheme: str
    inputs: tuple[InputSignature, ...]
    outputs: tuple[OutputSignature, ...]

    @property
    def sent(self) -> tuple[OutputSignature, ...]:
        """The outputs that are sent themselves."""
        return tuple(signature for signature in self.outputs if not signature.of)

    @property
    def batch(self) -> int:
        """Examples that one run takes."""
        return 1

    @property
    def targets(self) -> TargetSignature | None:
        """What has to be encrypted beside the inputs, where the plan trains a network."""
        return None

    @property
    def peak_memory(self) -> int:
        """Bytes that a server is predicted to need; 0 where nothing is."""
        return 0


def signature_fingerprint(inputs: Iterable[InputSignature]) -> str:
    """SHA-256 of input signatures: what encrypted rows are bound to."""
    return codec.fingerprint(tuple(inputs))


def check_header(header: PlanHeader) -> None:
    """Refuse a header that contradicts itself, whatever its scheme is.

    Raises
    ------
    ParameterError
        With the first rule broken.
    """
    if re.fullmatch("[0-9a-f]{64}", header.model) is None:
        raise ParameterError("the model's fingerprint is not 64 hexadecimal digits")
    check_text("the producer", header.producer)
    for kind, names in (("input", [s.name for s in header.inputs]), ("output", [s.name for s in header.outputs])):
        if not names or len(set(names)) != len(names):
            raise ParameterError(f"the plan has no {kind}, or two of the same name")
        for name in names:
            check_text(f"{kind} {name!r}: the name", name)
    for source in header.inputs:
        if not -math.inf < source.low < source.high < math.inf:
            raise ParameterError(
                f"input {source.name!r}: the range {source.low} to {source.high} is empty or has no end"
            )
        try:
            if source.preprocessing is not None:
                source.preprocessing.check(source.shape)
            _check_elements(source)
        except InputError as error:
            raise ParameterError(f"input {source.name!r}: {error}") from None
    own: dict[str, OutputSignature] = {}
    for result in header.outputs:
        if not result.of:
            own[result.name] = result
        elif result.of not in own or _sent_as(result) != _sent_as(own[result.of]):
            raise ParameterError(f"output {result.name!r} is not the same value as one before it, {result.of!r}")
        result_shape(result.shape, result.epilogue)
        try:
            check_labels(result.labels, result.shape)
        except InputError as error:
            raise ParameterError(f"output {result.name!r}: {error}") from None


def _check_elements(source: InputSignature) -> None:
    """Refuse ranges and names of an input's elements that are not one for each."""
    ranges = source.ranges
    if ranges is not None:
        ranges.check(math.prod(source.shape))
        if (min(ranges.lows), max(ranges.highs)) != (source.low, source.high):
            raise InputError("the ranges of the elements are not within that of all, or do not reach its ends")
    check_columns(source.columns, math.prod(source.shape))


def check_columns(columns: Sequence[str], size: int) -> None:
    """Refuse names of columns that are not one for each of so many elements; none at all are right.

    Raises
    ------
    InputError
        A wrong number of names, or names that are empty, not printable, too long, or the same.
    """
    if columns and len(columns) != size:
        raise InputError(f"{len(columns)} names of columns for {size} elements; give one for each")
    for number, column in enumerate(columns):
        if not 0 < len(column) <= MAX_NAME or not column.isprintable():
            raise InputError(f"the name of column {number} is empty, not printable or over {MAX_NAME} characters")
    if len(set(columns)) != len(columns):
        twice = next(name for number, name in enumerate(columns) if name in columns[:number])
        raise InputError(f"two columns are called {twice!r}; every one needs a name of its own")


def _sent_as(result: OutputSignature) -> OutputSignature:
    """What two outputs that are sent as one have in common."""
    return msgspec.structs.replace(result, name="", epilogue=(), labels=(), of="")


def check_labels(labels: Sequence[str], shape: tuple[int, ...]) -> None:
    """Refuse names of classes that are not one for each score of an output of ``shape``; none at all are right.

    Raises
    ------
    InputError
        A wrong number of names, or names that are empty, not printable, too long, or the same.
    """
    if not labels:
        return
    scores = math.prod(shape)
    if scores != (shape[-1] if shape else 1) or len(labels) != (scores if scores > 1 else 2):
        wanted = f"{scores}, one for each score" if scores > 1 else "2 for a single score, that of no and that of yes"
        raise InputError(f"{len(labels)} names of classes for an output of shape {shape}, which takes {wanted}")
    for number, label in enumerate(labels, 1):
        if not 0 < len(label) <= MAX_NAME or not label.isprintable():
            raise InputError(f"name {number} of a class is empty, not printable or over {MAX_NAME} characters")
    if len(set(labels)) != len(labels):
        twice = next(label for number, label in enumerate(labels) if label in labels[:number])
        raise InputError(f"two classes are called {twice!r}; every class needs a name of its own")


def check_text(what: str, text: str) -> None:
    """Refuse what could not be shown: a terminal obeys some characters instead of printing them.

    Raises
    ------
    ParameterError
        The text is empty, not printable or too long.
    """
    if not 0 < len(text) <= MAX_NAME or not text.isprintable():
        raise ParameterError(f"{what} is empty, not printable or over {MAX_NAME} characters")

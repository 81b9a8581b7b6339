"""What cannot be compiled, and the way out of it: the sentences that users read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from hecc.compiler.graph.nodes import Source
from hecc.runtime.errors import InputError, UnsupportedError

__all__ = [
    "TREES",
    "UNFOLDABLE",
    "WAYS_OUT",
    "InvalidNodeError",
    "Limits",
    "RefusedNodeError",
    "Sentence",
    "describe",
    "is_threshold_of_tree",
    "way_out",
]

Sentence: TypeAlias = tuple[str, str]
"""Why something is refused, and what to do about it."""


class RefusedNodeError(UnsupportedError):
    """One node that cannot be compiled; the importer collects them."""

    def __init__(self, source: Source, reason: str, remedy: str) -> None:
        super().__init__(f"{source} (opset {source.opset}): {reason}; {remedy}")
        self.source = source
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True)
class Limits:
    """What a scheme cannot evaluate, of that which the importer can import: so that it is refused with all the rest.

    Attributes
    ----------
    refused
        Reason and remedy, by ONNX operator of the standard domain.
    """

    refused: Mapping[str, Sentence] = field(default_factory=dict)


class InvalidNodeError(InputError):
    """One node that contradicts itself or its inputs."""


def describe(refusals: Iterable[RefusedNodeError]) -> str:
    """One message for all refusals: the first in a sentence, then the others, those of one kind in one line."""
    kinds: dict[tuple[str, int, str, str], list[str]] = {}
    for refusal in refusals:
        source = refusal.source
        kinds.setdefault((source.operator, source.opset, refusal.reason, refusal.remedy), []).append(source.name)
    lines: list[str] = []
    for (operator, opset, reason, remedy), names in kinds.items():
        if not lines:
            lines.append(f"{operator} '{names[0]}' (opset {opset}): {reason}; {remedy}")
            if len(names) > 1:
                lines.append(f"  the same for {operator} {_quoted(names[1:])}")
        else:
            lines.append(f"  {operator} {_quoted(names)} (opset {opset}): {reason}; {remedy}")
    return "\n".join(lines)


def is_threshold_of_tree(operator: str, name: str) -> bool:
    """Whether a node compares features with the thresholds of decision trees, as hummingbird writes them.

    It calls the parts of a pipeline ``_operators.0`` and so on. Its linear models compare nothing in this direction.
    """
    return operator in ("Less", "LessOrEqual") and name.lstrip("/").startswith("_operators.")


def way_out(domain: str, operator: str) -> Sentence:
    """Why an operator is not supported, and what to do about it."""
    if domain == "ai.onnx.ml":
        if operator == "Normalizer":
            return _NORM
        if operator in ("Binarizer", "CategoryMapper", "LabelEncoder", "OneHotEncoder"):
            return (
                "it compares encrypted features",
                "encode categories before encryption and remove it from the model",
            )
        if operator.startswith("TreeEnsemble"):
            return TREES
        return (
            "of the operators of classical machine learning only linear ones and support vector machines are supported",
            "use a linear model or a neural network (see docs/reference/operators.md)",
        )
    if domain:
        return (
            f"operators of the domain '{domain}' are not supported",
            "export the network with the standard ONNX operators only",
        )
    return WAYS_OUT.get(
        operator,
        (
            "the operator is not supported",
            (
                "express it by supported ones (see docs/reference/operators.md), or cut the network there and do "
                "the rest in clear"
            ),
        ),
    )


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _activation(what: str) -> tuple[str, str]:
    return f"{what} is not a polynomial", "replace it by a square or another polynomial of low degree and train again"


def _epilogue(what: str) -> tuple[str, str]:
    return (
        f"{what} cannot be computed on encrypted data in the middle of a network",
        "move it to the end, where the client applies it after decryption",
    )


TREES = ("decision trees compare encrypted features", "use a linear model or a neural network instead")
"""Where the comparisons are not counted: for the trees that hummingbird writes as tensors, too."""

_COMPARISON = (
    "comparisons cannot be computed on encrypted data in the middle of a network",
    "compare before encryption, or at the end, where the client does it after decryption",
)
_CONTROL = (
    "control flow cannot depend on encrypted data",
    "export the network without it, for instance with torch.onnx.export(..., dynamo=True)",
)
_LOOP = (
    "a loop over batches is not supported",
    "export the network with opset 9 or newer",
)
_RANDOM = ("its result is random", "export the network in inference mode")
_DYNAMIC = ("the shape of its result depends on encrypted data", "cut it off and apply it after decryption")
_NORM = (
    "it divides by a norm of encrypted data",
    "normalise the data before encryption and remove it from the model; at the end the client can do it",
)

WAYS_OUT: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "Floor": _activation("rounding"),
        "Ceil": _activation("rounding"),
        "Round": _activation("rounding"),
        "LpPool": ("an Lp norm is not a polynomial", "use average pooling instead and train again"),
        "Hardmax": _epilogue("hardmax"),
        "ArgMax": _epilogue("argmax"),
        "ArgMin": _epilogue("argmin"),
        "TopK": _epilogue("top-k"),
        "Equal": _COMPARISON,
        "BlackmanWindow": _DYNAMIC,
        "HammingWindow": _DYNAMIC,
        "HannWindow": _DYNAMIC,
        "NonZero": _DYNAMIC,
        "Range": _DYNAMIC,
        "NonMaxSuppression": _DYNAMIC,
        "Unique": _DYNAMIC,
        "If": _CONTROL,
        "Loop": _CONTROL,
        "Scan": _LOOP,
        "SequenceConstruct": ("its result is a sequence", "return the tensors in it as outputs of their own"),
        "SequenceMap": _CONTROL,
        "RandomNormal": _RANDOM,
        "RandomNormalLike": _RANDOM,
        "RandomUniform": _RANDOM,
        "RandomUniformLike": _RANDOM,
        "Bernoulli": _RANDOM,
        "Multinomial": _RANDOM,
    }
)
"""Reason and remedy for the operators that networks commonly have."""

UNFOLDABLE = frozenset(name for name, sentence in WAYS_OUT.items() if sentence in (_CONTROL, _LOOP, _RANDOM))
"""Operators that are refused even where all their inputs are constants."""

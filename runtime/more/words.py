"""What is said of MORE, everywhere the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hecc.runtime.errors import InputError, SecurityError
from hecc.runtime.figures import count_words
from hecc.runtime.more.header import MoreHeader
from hecc.runtime.plan.facts import tensor_facts, tensor_fields, tensor_words
from hecc.runtime.plan.keyset import InsecureLevel, MinSecurity

__all__ = ["NO_SECURITY", "NO_SECURITY_SHORT", "accept_no_security", "plan_facts", "plan_fields", "plan_summary"]

NO_SECURITY = (
    "none: MORE is an encoding without a security level, no encryption; whoever has encoded files can recover the data "
    "from them alone, as `hecc attack` does"
)
"""The sentence that stands with everything that is said of this scheme."""

NO_SECURITY_SHORT = "an encoding without a security level"


def accept_no_security(minimum: MinSecurity) -> None:
    """Refuse whoever insists on some security.

    Raises
    ------
    SecurityError
        They do; or it is no level at all.
    """
    if isinstance(minimum, InsecureLevel) or minimum == "none":
        return
    raise SecurityError(
        f"{minimum} bits of security are insisted on, and this plan's scheme has {NO_SECURITY}. Whoever wants it all "
        'the same says so: --min-security none (min_security="none" in Python)'
    )


def refuse_passphrase(passphrase: str | None) -> None:
    """Refuse to protect a key that protects nothing.

    Raises
    ------
    InputError
        There is a passphrase.
    """
    if passphrase is not None:
        raise InputError(f"keys of the scheme more take no passphrase, as they protect nothing: {NO_SECURITY}")


def plan_summary(header: MoreHeader) -> Iterator[tuple[str, str]]:
    """What a newcomer has to know of a plan."""
    yield "in and out", tensor_words(header)
    yield "security", NO_SECURITY
    if header.training is not None:
        yield "training", training_words(header)
    if header.smoothed:
        yield (
            "precision",
            f"exact but for smooth functions in place of {count_words(len(header.smoothed), 'comparison')}",
        )
    else:
        yield "precision", "exact but for rounding in double precision; comparisons too"
    yield "cost", f"{header.size**2} numbers for each, and the same number of products of each product"


def training_words(header: MoreHeader) -> str:
    """What a plan trains."""
    training = header.training
    if training is None:
        return "none"
    count = count_words(len(training.parameters), "parameter tensor")
    return f"{count} by the loss {training.loss} of {training.output!r}"


def plan_facts(header: MoreHeader) -> Iterator[tuple[str, str]]:
    """All that is known of a plan."""
    sent = f"{header.size} x {header.size} numbers for each"
    yield from tensor_facts(header, [sent] * len(header.inputs), [sent] * len(header.outputs))
    yield "scheme", f"more, {NO_SECURITY_SHORT}"
    yield "security", NO_SECURITY
    for words in header.smoothed:
        yield "comparison", words
    if header.training is not None:
        yield "training", training_words(header)
        yield "trained", ", ".join(header.training.parameters)


def plan_fields(header: MoreHeader) -> dict[str, Any]:
    """The same for JSON."""
    training = header.training
    return {
        **tensor_fields(header, [{}] * len(header.inputs), [{}] * len(header.outputs)),
        "security": NO_SECURITY,
        "security_level": None,
        "matrix_size": header.size,
        "smoothed": list(header.smoothed),
        "training": None
        if training is None
        else {"loss": training.loss, "output": training.output, "parameters": list(training.parameters)},
    }

"""What is said of plans of sharing, everywhere the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hecc.runtime.figures import bits_words, count_words, size_words
from hecc.runtime.plan.facts import tensor_facts, tensor_fields, tensor_words
from hecc.runtime.sharing.plan.header import SharingHeader

__all__ = ["LEARNED", "NO_KEYS", "REVEALS", "SECURITY", "plan_facts", "plan_fields", "plan_summary"]

SECURITY = (
    "the server sees no input and the client no weight, as long as both follow the protocol and neither gets help from "
    "the dealer"
)

REVEALS = {
    "scores": "the client learns all numbers of the outputs (--reveal scores)",
    "label": "the client learns which number of an output is the largest, and nothing else of them (--reveal label)",
}
"""What the client learns, by what the header says of it."""

LEARNED = (
    ("client", "its inputs, and the public plan: shapes, rings, units", "the outputs, as far as the plan reveals them"),
    ("server", "the weights, the plan, and its material", "that so many rows were evaluated, and when"),
    ("dealer", "the public plan", "nothing: no message of a query reaches it; it must help neither of the others"),
)
"""Of each party what it has, and what it learns."""

NO_KEYS = (
    "plans of the scheme sharing have no keys and no encrypted files: a dealer makes material (`hecc deal`), and the "
    "client prepares it (`hecc prepare`) and asks (`hecc query`) a server that listens (`hecc serve`)"
)


def plan_summary(header: SharingHeader) -> Iterator[tuple[str, str]]:
    """What a newcomer has to know of a plan."""
    cost = header.cost
    messages, online, ahead = count_words(cost.messages, "message"), size_words(cost.online), size_words(cost.ahead)
    yield "in and out", tensor_words(header)
    yield "security", SECURITY
    if header.reveals == "label":
        yield "reveals", REVEALS[header.reveals]
    yield "precision", _precision(header)
    yield "cost", f"{messages} and {online} for each row, and {ahead} ahead of it"


def plan_facts(header: SharingHeader) -> Iterator[tuple[str, str]]:
    """All that is known of a plan."""
    cost = header.cost
    client, server = size_words(cost.client_bytes), size_words(cost.server_bytes)
    dealt, prepared = size_words(cost.dealt_bytes), size_words(cost.prepared_bytes)
    yield from tensor_facts(header, [_unit(s.unit) for s in header.inputs], [_unit(s.unit) for s in header.outputs])
    yield "scheme", "sharing, two parties and a dealer"
    yield "security", SECURITY
    yield "reveals", REVEALS[header.reveals]
    yield "precision", _precision(header)
    yield "ranges", _ranges(header)
    yield "messages", f"{cost.messages}, and two that agree on blocks of material"
    yield "online", f"{client} from the client and {server} from the server, for each row"
    yield "ahead", f"{dealt} from the dealer and {prepared} from the client to the server, for each row"
    yield "preparing", f"{size_words(cost.difference_bytes)} from the server to the client, for each preparation"


def plan_fields(header: SharingHeader) -> dict[str, Any]:
    """The same for JSON."""
    cost = header.cost
    return {
        **tensor_fields(
            header, [{"unit": each.unit} for each in header.inputs], [{"unit": each.unit} for each in header.outputs]
        ),
        "security": SECURITY,
        "reveals": header.reveals,
        "precision_bits": header.precision,
        "ranges": "proved" if header.proved else "observed",
        "messages": cost.messages,
        "client_bytes": cost.client_bytes,
        "server_bytes": cost.server_bytes,
        "dealt_bytes": cost.dealt_bytes,
        "prepared_bytes": cost.prepared_bytes,
        "difference_bytes": cost.difference_bytes,
    }


def _unit(unit: float) -> str:
    return f"as multiples of {unit:.3g}"


def _precision(header: SharingHeader) -> str:
    return f"{bits_words(header.precision)} on the calibration inputs, by the largest error; comparisons are exact"


def _ranges(header: SharingHeader) -> str:
    if header.proved:
        return "proved: no input in the range that was compiled for overflows"
    return "observed: an input unlike the calibration inputs may overflow, and nothing tells"

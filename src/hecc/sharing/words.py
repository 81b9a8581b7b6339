"""What plans of sharing take, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hecc.compiler.sharing.prediction.links import LINKS
from hecc.compiler.sharing.prediction.memory import MemoryUse
from hecc.compiler.sharing.prediction.plans import Layer, Use
from hecc.runtime.figures import count_words, size_words
from hecc.runtime.sharing.plan.header import RunCost

__all__ = ["layer_fields", "layer_table", "seconds_words", "use_facts", "use_fields"]


def seconds_words(seconds: float) -> str:
    """A time with three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def use_facts(use: Use, cost: RunCost) -> Iterator[tuple[str, str]]:
    """Time and memory as names and sentences."""
    rounds = f"{count_words(cost.messages, 'message')} and a round trip that agrees on material"
    for link in LINKS:
        yield f"query, {link.name}", f"{seconds_words(use.seconds[link.name])} for one row: {rounds}, over {link.words}"
    client, server = seconds_words(use.client_seconds), seconds_words(use.server_seconds)
    yield "computing", f"{client} of a core of the client and {server} of the server, for one row, in the query"
    dealing, preparing = seconds_words(use.dealing_seconds), seconds_words(use.preparing_seconds)
    yield "ahead of it", f"{dealing} of a core of the dealer and {preparing} of the client, for one row"
    sizes = size_words(use.client_memory.total), size_words(use.server_memory.total)
    yield (
        "memory",
        (
            f"{sizes[0]} of the client and {sizes[1]} of the server, for a session of "
            f"{count_words(use.rows, 'row')}, the most that go into one"
        ),
    )


def use_fields(use: Use) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "query_seconds": dict(use.seconds),
        "client_seconds": use.client_seconds,
        "server_seconds": use.server_seconds,
        "preparing_seconds": use.preparing_seconds,
        "dealing_seconds": use.dealing_seconds,
        "session_rows": use.rows,
        "client_memory": _memory_fields(use.client_memory),
        "server_memory": _memory_fields(use.server_memory),
    }


def _memory_fields(memory: MemoryUse) -> dict[str, int]:
    return {
        "program": memory.program,
        "plan": memory.plan,
        "material": memory.material,
        "values": memory.values,
        "total": memory.total,
    }


def layer_table(layers: Sequence[Layer]) -> tuple[list[str], list[list[str]]]:
    """Columns and a row for each layer."""
    times = [link.name for link in LINKS]
    columns = ["layer", "messages", "online", "dealt", "prepared", "computing", *times, "share", "numbers", "ring"]
    rows = [
        [
            layer.source,
            str(layer.messages or ""),
            _size(layer.online),
            _size(layer.dealt_bytes),
            _size(layer.prepared_bytes),
            seconds_words(layer.computing),
            *(seconds_words(layer.seconds[name]) for name in times),
            f"{100 * layer.share:.1f}%",
            f"{layer.size:,}",
            f"{layer.ring} bits",
        ]
        for layer in layers
    ]
    return columns, rows


def _size(count: int) -> str:
    return size_words(count) if count else ""


def layer_fields(layer: Layer) -> dict[str, Any]:
    """A layer for JSON."""
    return {
        "layer": layer.source,
        "messages": layer.messages,
        "client_bytes": layer.client_bytes,
        "server_bytes": layer.server_bytes,
        "dealt_bytes": layer.dealt_bytes,
        "prepared_bytes": layer.prepared_bytes,
        "client_seconds": layer.client_seconds,
        "server_seconds": layer.server_seconds,
        "seconds": dict(layer.seconds),
        "share": layer.share,
        "numbers": layer.size,
        "ring_bits": layer.ring,
        "outputs": list(layer.outputs),
    }

"""``hecc.report`` for plans of sharing."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hecc.compiler.sharing.prediction.links import LAN, LINKS, WAN
from hecc.compiler.sharing.prediction.memory import MemoryUse
from hecc.compiler.sharing.prediction.plans import Layer
from hecc.inputs.sources import Source
from hecc.runtime.errors import InputError
from hecc.runtime.figures import count_words, shape_words, size_words
from hecc.runtime.plan.facts import range_words, tensor_words
from hecc.runtime.plan.plan import Plan, client_path
from hecc.runtime.sharing.plan.header import SharingHeader
from hecc.runtime.sharing.words import LEARNED, REVEALS, SECURITY
from hecc.sharing.estimation import Estimation, estimation
from hecc.sharing.words import layer_table, seconds_words, use_facts
from hecc.words.report.charts import Bar, bar_chart
from hecc.words.report.flow import arrange
from hecc.words.report.page import render
from hecc.words.report.parts import MOST_BARS, Column, Figure, Step

__all__ = ["page"]


def page(plan: Plan, inputs: Source | None) -> str:
    """A plan on one page of HTML; either file of it says as much.

    Raises
    ------
    InputError
        There are inputs: nothing is measured on them.
    """
    if inputs is not None:
        raise InputError(
            "inputs are for plans of the scheme ckks, whose layers lose precision; what those of sharing make of "
            "inputs `hecc evaluate` measures: leave --inputs out"
        )
    found = estimation(plan)
    own, layers, cost = found.plan, found.layers, found.plan.header.cost
    columns, rows = layer_table(layers)
    default = "plan.client.bin" if own.program is None else "plan.bin"
    name = own.path.name if own.path else default
    return render(
        "sharing.html",
        name=name,
        header=own.header,
        fingerprint=own.fingerprint,
        security=SECURITY,
        reveals=REVEALS[own.header.reveals],
        in_and_out=tensor_words(own.header),
        lan=f"{seconds_words(found.use.seconds[LAN.name])} over {LAN.words}",
        wan=f"{seconds_words(found.use.seconds[WAN.name])} over {WAN.words}",
        sizes=dict(own.scheme.summary(own.header))["cost"].capitalize(),
        party_columns=[*map(Column, ("party", "has", "learns"))],
        party_rows=list(LEARNED),
        steps=list(_steps(name, own.program is not None)),
        layers=layers,
        figures=list(_figures(found)),
        layer_columns=[Column(column, numeric=column != columns[0]) for column in columns],
        layer_rows=rows,
        flow=arrange([layer.reads for layer in layers]),
        captions=[_caption(layer) for layer in layers],
        **_tensor_table(own.header),
        facts=[*own.scheme.facts(own.header), *use_facts(found.use, cost)],
    )


def _steps(name: str, whole: bool) -> Iterator[Step]:
    """What all parties do, from the page of either file."""
    server = name if whole else name.replace(".client", "")
    plan, client = (shlex.quote(each) for each in (server, client_path(Path(server)).name if whole else name))
    yield Step("The dealer, on a machine of neither party, deals material:", f"hecc deal {client} --count 1000")
    yield Step("The server listens:", f"hecc serve {plan} --listen HOST:7000")
    yield Step("The client sends ahead what needs no input:", f"hecc prepare HOST:7000 --plan {client}")
    yield Step("It asks:", f"hecc query HOST:7000 rows.npy --plan {client}")


def _figures(found: Estimation) -> Iterator[Figure]:
    """The charts: where the time of a query goes, over which network, and what is sent when."""
    layers = found.layers
    for link in LINKS:
        yield _time_figure(link.name, link.words, layers)
    yield _size_figure(layers)
    yield _memory_figure(found)


def _time_figure(name: str, words: str, layers: Sequence[Layer]) -> Figure:
    whole = sum(layer.seconds[name] for layer in layers)
    network = whole - sum(layer.computing for layer in layers)
    bars = [
        Bar(label, parts, f"{seconds_words(sum(parts))}, {100 * sum(parts) / whole:.0f}%")
        for label, parts in _longest(layers, [_times(layer, name) for layer in layers])
    ]
    slowest = max(layers, key=lambda layer: layer.seconds[name])
    finding = (
        f"Over {words}, {100 * network / whole:.0f}% of {seconds_words(whole)} is waiting for messages; "
        f"{slowest.source} takes {100 * slowest.seconds[name] / whole:.0f}%."
    )
    title = f"Where does the time of a query go, {name}?"
    return Figure(title, finding, bar_chart(bars, f"{title} {finding}", ("messages", "client", "server")))


def _times(layer: Layer, name: str) -> tuple[float, ...]:
    return layer.seconds[name] - layer.computing, layer.client_seconds, layer.server_seconds


def _size_figure(layers: Sequence[Layer]) -> Figure:
    parts = [(float(layer.online), float(layer.prepared_bytes), float(layer.dealt_bytes)) for layer in layers]
    online, prepared, dealt = (sum(each) for each in zip(*parts, strict=True))
    bars = [Bar(label, each, size_words(sum(each))) for label, each in _longest(layers, parts)]
    finding = (
        f"For each row {size_words(online)} with the row, {size_words(prepared)} ahead of it from the client, and "
        f"{size_words(dealt)} from the dealer."
    )
    title = "What is sent for a row?"
    return Figure(
        title, finding, bar_chart(bars, f"{title} {finding}", ("with the row", "ahead, client", "ahead, dealer"))
    )


def _longest(layers: Sequence[Layer], parts: Sequence[tuple[float, ...]]) -> Iterator[tuple[str, tuple[float, ...]]]:
    """The layers that take most, in their order, and then all others together."""
    most = sorted(range(len(layers)), key=lambda number: -sum(parts[number]))
    for number in sorted(most[:MOST_BARS]):
        if sum(parts[number]):
            yield f"{number} {layers[number].source}", parts[number]
    if rest := most[MOST_BARS:]:
        yield (
            f"{len(rest)} other layers together",
            tuple(sum(each) for each in zip(*(parts[i] for i in rest), strict=True)),
        )


def _memory_figure(found: Estimation) -> Figure:
    use = found.use
    both: list[tuple[str, MemoryUse]] = [("client", use.client_memory), ("server", use.server_memory)]
    parts = ("values", "material", "plan", "program")
    bars = [
        Bar(f"{party}, {part}", (float(getattr(memory, part)),), size_words(getattr(memory, part)))
        for party, memory in both
        for part in parts
    ]
    finding = (
        f"{size_words(use.client_memory.total)} at the client and {size_words(use.server_memory.total)} at the server, "
        f"for a session of {count_words(use.rows, 'row')}, the most that go into one."
    )
    title = "What is in memory?"
    return Figure(title, finding, bar_chart(bars, f"{title} {finding}"))


def _caption(layer: Layer) -> str:
    messages = f", {count_words(layer.messages, 'message')}" if layer.messages else ""
    return f"{seconds_words(layer.seconds[LAN.name])}{messages}"


def _tensor_table(header: SharingHeader) -> dict[str, Any]:
    rows = [(f"input {s.name}", shape_words(s.shape), range_words(s), f"{s.unit:.3g}") for s in header.inputs]
    rows += [(f"output {s.name}", shape_words(s.shape), "", f"{s.unit:.3g}") for s in header.outputs]
    names = ("tensor", "shape of a row", "values", "multiples of")
    return {"tensor_columns": [*map(Column, names)], "tensor_rows": rows}

"""``hecc.report``: everything about a plan on one page of HTML, which needs nothing but a browser."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from hecc.estimation import plan_memory
from hecc.inputs.sources import Source, forms, load_inputs
from hecc.measure.layers import Layer, bits_lost, plan_layers
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.circuit.security import TABLE, TABLE_SOURCE, check_keys
from hecc.runtime.ckks.devices.device import load_device
from hecc.runtime.ckks.plan.facts import plan_facts, ring_facts, security_words, sent_words
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.errors import HeccError
from hecc.runtime.figures import bits_words, count_words, size_words
from hecc.runtime.files.container import FileSource
from hecc.runtime.plan.facts import run_words
from hecc.runtime.plan.plan import Plan
from hecc.words.drawing import draw_network
from hecc.words.html import Child, Html, element, page, table
from hecc.words.sentences import layout_words

__all__ = ["report"]

STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5a6577; --paper: #ffffff; --panel: #f3f5f8;
  --line: #d5dae2; --bar: #2f6fd0; --bar2: #b3581b; --input: #e4edf9; }
@media screen and (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #a3adbd; --paper: #14171c;
  --panel: #1e232b; --line: #39414d; --bar: #6ea3f5; --bar2: #e6975a; --input: #20304a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { margin: .4rem 0; } .soft { color: var(--soft); font-size: .9rem; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .6rem; }
.tile { background: var(--panel); border-radius: .5rem; padding: .6rem .8rem; }
.tile b { display: block; font-size: 1.25rem; } .tile span { color: var(--soft); font-size: .85rem; }
.alarm { color: var(--bar2); font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; }
.layers td:nth-child(2) { min-width: 11rem; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.chart { margin: 0; display: grid; grid-template-columns: minmax(6rem, 16rem) 1fr auto; gap: .25rem .6rem;
  align-items: center; font-size: .9rem; }
.chart .label { overflow-wrap: anywhere; } .chart .value { text-align: right; font-variant-numeric: tabular-nums; }
.track { background: var(--panel); border-radius: .2rem; height: .9rem; }
.chart svg { display: block; width: 100%; height: .9rem; }
.chart rect { fill: var(--bar); } .second rect { fill: var(--bar2); }
.network { max-width: none; display: block; margin: 0 auto; }
.box { fill: var(--panel); stroke: var(--line); } .box.input { fill: var(--input); }
.network .bar { fill: var(--bar); } .name { font: 600 13px system-ui, sans-serif; fill: var(--ink); }
.caption { font: 12px system-ui, sans-serif; fill: var(--soft); }
.edge { fill: none; stroke: var(--soft); stroke-width: 1.5; } .tip { fill: var(--soft); }
@media (max-width: 40rem) { .chart { grid-template-columns: 1fr auto; } .chart .label { grid-column: 1 / -1; } }
@page { margin: 1.5cm; }
@media print { :root { color-scheme: light; font-size: 11px; } body { font-size: 1rem; }
  main { max-width: none; padding: 0; } h2 { break-after: avoid; }
  section, tr, .tile, .chart > * { break-inside: avoid; } .wide { overflow: visible; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def report(plan: Plan | FileSource, inputs: Source | None = None) -> str:
    """Describe a plan on one page of HTML: its layers, costs, precision and security, without weights and secrets.

    Parameters
    ----------
    plan
        A plan, or its file. The client's plan has no circuit, so that nothing can be said of its layers.
    inputs
        Real inputs, as for :meth:`hecc.Client.encrypt`, on which the precision of the layers is measured in clear. By
        default inputs made up within the plan's range.

    Returns
    -------
    str
        A document that loads nothing, for light and dark screens, phones, and paper.

    Raises
    ------
    InputError
        Inputs that the plan does not take, or inputs for the client's plan.
    FileFormatError
        The file is no plan.
    """
    plan = CkksPlan.of(plan)
    if plan.circuit is None and inputs is not None:
        plan.require_circuit()
    name = plan.path.name if plan.path else "plan"
    sections = [_heading(plan, name), _totals(plan)]
    if plan.circuit is None:
        text = (
            "This is the client's plan. It has no circuit, so that nothing can be said of the layers; see the server's."
        )
        sections.append(_section("Layers", element("p", text)))
    else:
        tensors = None if inputs is None else load_inputs(inputs, forms(plan.header.inputs)).tensors
        sections += _layer_sections(plan, plan_layers(plan, tensors), measured=inputs is not None)
    sections += [_tensors(plan), _security(plan), _files(plan), _all_facts(plan)]
    return page(f"{name}: report of hecc", STYLE, *sections)


def _section(title: str, *children: Child, class_: str | None = None) -> Html:
    return element("section", element("h2", title), *children, class_=class_)


def _fault(keys: KeySpecification) -> str | None:
    """Why the parameters are not as secure as the plan says, or not at all."""
    try:
        check_keys(keys)
    except HeccError as error:
        return str(error)
    return None


def _heading(plan: CkksPlan, name: str) -> Html:
    header = plan.header
    origin = f"compiled by {header.producer}, model SHA-256 {header.model}, plan SHA-256 {plan.fingerprint}"
    return element(
        "header", element("h1", f"{name}: a plan for encrypted inference"), element("p", origin, class_="soft")
    )


def _totals(plan: CkksPlan) -> Html:
    cost, keys, each = plan.header.estimate, plan.header.keys, run_words(plan.header)
    tiles = (
        (_time(cost.seconds), f"predicted per {each}, one core, {load_device(cost.device).words}"),
        (f"{cost.precision_bits:.1f} bits", "precision: largest error over the element's range"),
        ("none" if _fault(keys) else f"{keys.security.level} bits", f"security, {keys.security.adversary} adversary"),
        (f"2^{keys.ring_degree.bit_length() - 1}", "ring degree N"),
        (str(cost.rotations), f"rotations per {each}"),
        (str(cost.depth), "multiplications in a row"),
        (size_words(cost.peak_memory), "memory of the server"),
        (size_words(cost.evaluation_key_bytes), "evaluation keys in memory"),
    )
    return element(
        "div",
        *(element("div", element("b", value), element("span", what), class_="tile") for value, what in tiles),
        class_="tiles",
    )


def _layer_sections(plan: CkksPlan, layers: Sequence[Layer], *, measured: bool) -> list[Html]:
    computing = [layer for layer in layers if not layer.is_input]
    on = "the inputs given" if measured else "made-up inputs within the declared range"
    noted = f"log2 of values over errors, root mean squares, by the noise model on {on}."
    shared = "The part of the outputs' error that comes from the noise of each layer."
    if any(layer.precision_bits is None for layer in layers):
        remedy = "they are not like those of the calibration" if measured else "`hecc report --inputs` takes real ones"
        noted = shared = f"Unknown: {on} leave the intervals that activations were fitted on; {remedy}."
    captions = [
        f"{'encrypted' if layer.is_input else _time(layer.seconds)}, {count_words(layer.limbs, 'limb')}"
        for layer in layers
    ]
    memory = plan_memory(plan)
    parts = (
        ("program", memory.program),
        ("evaluation keys", memory.evaluation_keys),
        ("weights", memory.weights),
        ("encoded weights", memory.encoded_weights),
        ("ciphertexts at the worst", memory.ciphertexts),
    )
    return [
        _section(
            "The network",
            element("p", "The bar at the foot of a box is the layer's share of the time.", class_="soft"),
            draw_network(layers, captions),
        ),
        _section(
            "Layers",
            element("p", "Bits below zero are gained: sums average errors out.", class_="soft"),
            _layer_table(layers),
            class_="layers",
        ),
        _section(
            "Time per layer",
            _chart(
                (layer.source, layer.seconds, f"{_time(layer.seconds)}, {100 * layer.share:.0f}%")
                for layer in computing
            ),
        ),
        _section(
            "Limbs along the depth",
            element("p", "Every rescale drops a limb, and what has fewer limbs costs less.", class_="soft"),
            _chart((layer.source, float(layer.limbs), str(layer.limbs)) for layer in layers),
        ),
        _section(
            "Precision after each layer",
            element("p", noted, class_="soft"),
            _chart(
                (layer.source, max(0.0, bits) if math.isfinite(bits) else 0.0, bits_words(bits))
                for layer in layers
                if (bits := layer.precision_bits) is not None
            ),
        ),
        _section(
            "Where precision goes",
            element("p", shared, class_="soft"),
            _chart(
                (
                    (layer.source, share, f"{100 * share:.1f}%")
                    for layer in layers
                    if (share := layer.error_share) is not None
                ),
                second=True,
            ),
        ),
        _section("Memory of the server", _chart((name, float(size), size_words(size)) for name, size in parts)),
    ]


def _layer_table(layers: Sequence[Layer]) -> Html:
    columns = (
        "layer", "layout", "time", "share", "rotations", "diagonals", "limbs", "scale", "precision", "bits lost",
    )  # fmt: skip
    rows = []
    for number, layer in enumerate(layers):
        lost = bits_lost(layers, number)
        rows.append(
            (
                f"{layer.source}, {layer.polynomial}" if layer.polynomial else layer.source,
                _placement(layer),
                _time(layer.seconds),
                f"{100 * layer.share:.1f}%",
                str(layer.rotations),
                str(layer.diagonals),
                str(layer.limbs),
                f"2^{layer.scale_bits:.1f}",
                bits_words(layer.precision_bits),
                "" if lost is None else f"{lost:.1f}",
            )
        )
    return table(columns, rows, numbers_from=2)


def _placement(layer: Layer) -> str:
    """The layout of a layer's result as far as a circuit shows it."""
    copies = f", repeating every {layer.period}" if layer.period < layer.slots else ""
    total = layer.ciphertexts * layer.slots
    return f"{count_words(layer.ciphertexts, 'ciphertext')}, {layer.used_slots} of {total} slots{copies}"


def _chart(rows: Iterable[tuple[str, float, str]], *, second: bool = False) -> Html:
    """Bars, each with what it is of and its value."""
    rows = list(rows)
    largest = max((size for _, size, _ in rows), default=0.0) or 1.0
    cells = []
    for label, size, value in rows:
        bar = element("rect", x=0, y=0, width=round(100 * size / largest, 2), height=10)
        drawing = element("svg", bar, viewBox="0 0 100 10", preserveAspectRatio="none", aria_hidden="true")
        cells += [
            element("div", label, class_="label"),
            element("div", drawing, class_="track"),
            element("div", value, class_="value"),
        ]
    return element("div", *cells, class_="chart second" if second else "chart")


def _tensors(plan: CkksPlan) -> Html:
    header = plan.header
    rows = [
        (kind, s.name, "x".join(map(str, s.shape)) or "scalar", layout_words(s.layout), str(s.limbs), values)
        for kind, signatures in (
            ("input", [(s, f"{s.low:g} to {s.high:g}") for s in header.inputs]),
            ("output", [(s, f"at most {s.bound:.3g}") for s in header.outputs]),
        )
        for s, values in signatures
    ]
    return _section(
        "Inputs and outputs", table(("", "name", "shape", "layout", "limbs", "values"), rows, numbers_from=4)
    )


def _security(plan: CkksPlan) -> Html:
    keys = plan.header.keys
    evidence = keys.security
    allowed = [
        (f"2^{degree.bit_length() - 1}" + (" (this plan)" if degree == keys.ring_degree else ""), str(limit))
        for degree, row in TABLE.items()
        if (limit := row.get((evidence.level, evidence.adversary)))
    ]
    claim = (
        f"log2 QP is {keys.log2_qp:.1f}, computed from the primes; the table of {TABLE_SOURCE} is hecc's copy. Clients "
        "check the same before they make a key."
    )
    fault = _fault(keys)
    verdict = (
        element("p", f"{security_words(keys)}: checked.")
        if fault is None
        else element("p", f"Not secure: {fault}.", class_="alarm")
    )
    facts = element(
        "div", *(element("p", f"{name}: {value}") for name, value in ring_facts(keys) if name != "security")
    )
    return _section(
        "Security",
        verdict,
        element("p", claim, class_="soft"),
        facts,
        table(("ring degree N", "largest log2 QP"), allowed, numbers_from=1),
    )


def _files(plan: CkksPlan) -> Html:
    cost, each = plan.header.estimate, run_words(plan.header)
    rows: list[tuple[str, str, str]] = []
    if plan.path is not None:
        holds = "the circuit and the weights: stays with the server" if plan.circuit else "no weights: for the client"
        rows.append((plan.path.name, holds, size_words(plan.path.stat().st_size)))
    rows += [
        ("evaluation keys", "to the server, once", sent_words(plan.header)),
        ("encrypted input", f"to the server, per {each}", f"at most {size_words(cost.input_bytes)}"),
        ("encrypted result", f"to the client, per {each}", f"at most {size_words(cost.output_bytes)}"),
    ]
    return _section("Files", table(("file", "what for", "size"), rows, numbers_from=2))


def _all_facts(plan: CkksPlan) -> Html:
    return _section("All figures of the plan", table(("", ""), plan_facts(plan.header), numbers_from=2))


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"

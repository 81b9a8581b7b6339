"""``hecc.report``: everything about a plan on one page of HTML, which needs nothing but a browser."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from hecc.estimation import plan_memory
from hecc.inputs.sources import Source, forms, load_inputs
from hecc.measure.layers import Layer, bits_lost, plan_layers
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.circuit.security import TABLE, TABLE_SOURCE
from hecc.runtime.ckks.plan.facts import plan_facts, security_words, sent_words
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.figures import bits_words, count_words, shape_words, size_words
from hecc.runtime.files.container import FileSource
from hecc.runtime.plan.facts import range_words, run_words
from hecc.runtime.plan.plan import Plan
from hecc.words.report.charts import Bar, Point, Steps, bar_chart, curve_chart, step_chart
from hecc.words.report.flow import arrange
from hecc.words.report.page import render
from hecc.words.report.parts import MOST_BARS, Column, Figure
from hecc.words.sentences import TRIAL_COLUMNS, layout_words, polynomial_trials, trial_words
from hecc.words.summary import cautions, seconds_words, security_fault, steps, summary

__all__ = ["report"]

OTHERS: Mapping[str, str] = MappingProxyType(
    {"more": "hecc.more.reporting:page", "sharing": "hecc.sharing.reporting:page"}
)
"""What makes the page of a plan of another scheme than CKKS, by its name."""


def report(plan: Plan | FileSource, inputs: Source | None = None) -> str:
    """Describe a plan on one page of HTML: its layers, costs, precision and security, without weights and secrets.

    It begins with a summary in plain words; charts, all layers, and the network as a drawing follow. Of a plan of the
    scheme more it says first that this is an encoding without a security level; of one of sharing, who learns what, and
    how long a query takes over two networks.

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
        A document that loads nothing and runs nothing, for light and dark screens, phones, and paper.

    Raises
    ------
    InputError
        Inputs that the plan does not take, or inputs for the client's plan.
    MissingExtraError
        What makes pages is not installed.
    FileFormatError
        The file is no plan.
    """
    plan = Plan.of(plan)
    if plan.header.scheme in OTHERS:
        module, _, name = OTHERS[plan.header.scheme].partition(":")
        return str(getattr(importlib.import_module(module), name)(plan, inputs))
    plan = CkksPlan.of(plan)
    if plan.circuit is None and inputs is not None:
        plan.require_circuit()
    header, keys = plan.header, plan.header.keys
    default = "plan.client.bin" if plan.circuit is None else "plan.bin"
    name = plan.path.name if plan.path else default
    tensors = None if inputs is None else load_inputs(inputs, forms(header.inputs)).tensors
    layers = () if plan.circuit is None else plan_layers(plan, tensors)
    unknown = any(layer.precision_bits is None for layer in layers)
    measured = inputs is not None
    fault = security_fault(keys)
    return render(
        "report.html",
        name=name,
        header=header,
        fingerprint=plan.fingerprint,
        summary=summary(plan, layers),
        cautions=list(cautions(header, measured=measured, unknown=unknown)),
        steps=steps(plan, name),
        layers=layers,
        figures=list(_figures(plan, layers)) if layers else [],
        measured_on="the inputs given" if measured else "made-up inputs within the declared range",
        **_trial_table(plan),
        **_layer_table(layers),
        flow=arrange([layer.reads for layer in layers]),
        captions=[_caption(layer) for layer in layers],
        **_tensor_table(plan),
        fault=fault,
        security=security_words(keys),
        table_source=TABLE_SOURCE,
        **_limit_table(keys),
        **_file_table(plan),
        facts=list(plan_facts(header)),
    )


def _figures(plan: CkksPlan, layers: Sequence[Layer]) -> Iterator[Figure]:
    """The charts: where time goes, how precision falls along with the levels, and what memory holds."""
    if any(layer.seconds for layer in layers):
        yield _time_figure(layers)
    yield _precision_figure(layers)
    yield _memory_figure(plan)
    points = [
        Point(trial_words(trial)[0].removesuffix(" each"), trial.seconds, 100 * trial.kept, chosen=trial.levels is None)
        for trial in polynomial_trials(plan.choices)
        if trial.seconds is not None
    ]
    if points:
        yield _agreement_figure(points)


def _agreement_figure(points: Sequence[Point]) -> Figure:
    """What more decisions would cost, and fewer save."""
    told = [
        f"{point.name}, {point.y:.1f}% in {seconds_words(point.x)}"
        for point in sorted(points, key=lambda point: (not point.chosen, point.x))
    ]
    finding = f"Decisions that polynomials keep on inputs held back, and time per row: {'; '.join(told)}."
    chart = curve_chart(points, ("seconds per row", "decisions kept"), ("{:g}", "{:g}%"), finding)
    return Figure("What do more decisions cost?", finding, chart)


def _time_figure(layers: Sequence[Layer]) -> Figure:
    # A network without layers may rescale its inputs, which takes time, too.
    computing = [(number, layer) for number, layer in enumerate(layers) if layer.seconds or not layer.is_input]
    longest = sorted(computing, key=lambda entry: -entry[1].seconds)
    shown = sorted(longest[:MOST_BARS])
    bars = [
        Bar(
            f"{number} {layer.source}",
            _parts([layer]),
            f"{seconds_words(layer.seconds)}, {100 * layer.share:.0f}%",
        )
        for number, layer in shown
    ]
    if rest := [layer for _, layer in longest[MOST_BARS:]]:
        seconds, share = (sum(getattr(layer, name) for layer in rest) for name in ("seconds", "share"))
        bars.append(
            Bar(f"{len(rest)} other layers together", _parts(rest), f"{seconds_words(seconds)}, {100 * share:.0f}%")
        )
    total, switching, products, other = (sum(part) for part in zip(*map(_all_parts, layers), strict=True))
    slowest = longest[0][1]
    finding = (
        f"{slowest.source} takes {100 * slowest.share:.0f}% of the time. Key switches, which rotations and products of "
        f"ciphertexts need, take {100 * switching / total:.0f}% of all time, products with weights "
        f"{100 * products / total:.0f}%, and the rest {100 * other / total:.0f}%."
    )
    chart = bar_chart(bars, f"Time per layer. {finding}", ("key switches", "products with weights", "the rest"))
    return Figure("Where does the time go?", finding, chart)


def _all_parts(layer: Layer) -> tuple[float, float, float, float]:
    return layer.seconds, *_parts([layer])


def _parts(layers: Sequence[Layer]) -> tuple[float, float, float]:
    """Seconds of key switches, of products with weights, and of the rest."""
    total, switching, products = (
        sum(getattr(layer, name) for layer in layers)
        for name in ("seconds", "key_switching_seconds", "diagonal_seconds")
    )
    return switching, products, max(0.0, total - switching - products)


def _precision_figure(layers: Sequence[Layer]) -> Figure:
    bits = [layer.precision_bits for layer in layers]
    precision = tuple(b if b is not None and math.isfinite(b) else None for b in bits)
    limbs = tuple(float(layer.limbs) for layer in layers)
    finding = "The precision of the layers is unknown, see above. Every multiplication takes limbs."
    if any(value is not None for value in precision):
        known = [(value, number) for number, value in enumerate(precision) if value is not None]
        lowest, where = min(known)
        finding = f"It is lowest, {lowest:.1f} bits, behind layer {where}, {layers[where].source}."
        shares = [(layer.error_share, number) for number, layer in enumerate(layers) if layer.error_share is not None]
        if shares:
            share, most = max(shares)
            finding += (
                f" {100 * share:.0f}% of the error of the results comes from layer {most}, {layers[most].source}."
            )
        finding += " Every multiplication takes limbs, and what has fewer limbs is faster."
    panels = [Steps("limbs", limbs)]
    if any(value is not None for value in precision):
        panels.insert(0, Steps("bits of precision", precision, "{:.1f}"))
    return Figure(
        "How do precision and limbs fall?",
        finding,
        step_chart(panels, 0, f"Precision and limbs, layer by layer. {finding}"),
    )


def _memory_figure(plan: CkksPlan) -> Figure:
    memory = plan_memory(plan)
    parts = (
        ("program", memory.program),
        ("evaluation keys, per client", memory.evaluation_keys),
        ("weights", memory.weights),
        ("encoded weights", memory.encoded_weights),
        ("ciphertexts at the worst", memory.ciphertexts),
    )
    name, size = max(parts, key=lambda part: part[1])
    finding = (
        f"{size_words(memory.total)} at the worst; the largest part, {size_words(size)}, is for: {name}. Weights are "
        "in memory once for all clients."
    )
    bars = [Bar(what, (float(size),), size_words(size)) for what, size in parts]
    return Figure("What is in the server's memory?", finding, bar_chart(bars, f"The server's memory. {finding}"))


def _caption(layer: Layer) -> str:
    limbs = count_words(layer.limbs, "limb")
    return (
        f"encrypted, {limbs}"
        if layer.is_input
        else f"{seconds_words(layer.seconds)}, {100 * layer.share:.0f}%, {limbs}"
    )


def _layer_table(layers: Sequence[Layer]) -> dict[str, Any]:
    names = (
        "time", "share", "precision", "bits lost", "error share", "limbs", "scale", "rotations", "diagonals",
    )  # fmt: skip
    columns = [Column("layer"), *(Column(name, numeric=True) for name in names), Column("its result")]
    rows = []
    for number, layer in enumerate(layers):
        lost, part = bits_lost(layers, number), layer.error_share
        rows.append(
            (
                f"{number} {layer.source}" + (f", {layer.polynomial}" if layer.polynomial else ""),
                seconds_words(layer.seconds) if layer.seconds else "",
                f"{100 * layer.share:.1f}%" if layer.seconds else "",
                bits_words(layer.precision_bits),
                "" if lost is None else f"{round(lost, 1) + 0.0:.1f}",
                "" if part is None else f"{100 * part:.1f}%",
                str(layer.limbs),
                f"2^{layer.scale_bits:.1f}",
                str(layer.rotations),
                str(layer.diagonals),
                _placement(layer),
            )
        )
    return {"layer_columns": columns, "layer_rows": rows}


def _trial_table(plan: CkksPlan) -> dict[str, Any]:
    polynomials, *numbers = TRIAL_COLUMNS
    columns = [Column(polynomials), *(Column(name, numeric=True) for name in numbers)]
    return {"trial_columns": columns, "trial_rows": [*map(trial_words, polynomial_trials(plan.choices))]}


def _placement(layer: Layer) -> str:
    """The layout of a layer's result as far as a circuit shows it."""
    copies = f", repeating every {layer.period}" if layer.period < layer.slots else ""
    total = layer.ciphertexts * layer.slots
    return f"{count_words(layer.ciphertexts, 'ciphertext')}, {layer.used_slots} of {total} slots{copies}"


def _tensor_table(plan: CkksPlan) -> dict[str, Any]:
    header = plan.header
    rows = [
        (f"{kind} {s.name}", shape_words(s.shape), layout_words(s.layout), values, str(s.limbs))
        for kind, signatures in (
            ("input", [(s, range_words(s)) for s in header.inputs]),
            ("output", [(s, f"at most {s.bound:.3g}") for s in header.outputs]),
        )
        for s, values in signatures
    ]
    columns = [Column("tensor"), *map(Column, ("shape", "layout", "values")), Column("limbs", numeric=True)]
    return {"tensor_columns": columns, "tensor_rows": rows}


def _limit_table(keys: KeySpecification) -> dict[str, Any]:
    evidence = keys.security
    rows = [
        (f"2^{degree.bit_length() - 1}" + (" (this plan)" if degree == keys.ring_degree else ""), str(limit))
        for degree, row in TABLE.items()
        if (limit := row.get((evidence.level, evidence.adversary)))
    ]
    return {"limit_columns": [Column("ring degree N"), Column("largest log2 QP", numeric=True)], "limit_rows": rows}


def _file_table(plan: CkksPlan) -> dict[str, Any]:
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
    return {"file_columns": [Column("file"), Column("what for"), Column("size", numeric=True)], "file_rows": rows}

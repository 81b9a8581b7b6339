"""Comparisons as Markdown: tables, ratios, verdicts, and the part of the page between the markers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hecc.runtime.ckks.circuit.security import limit
from hecc.runtime.figures import size_words
from peer_comparison.measurement import Comparison, Figures
from peer_comparison.networks import NETWORKS

__all__ = [
    "BEGIN",
    "END",
    "Conditions",
    "at_least_as_precise",
    "between_markers",
    "details",
    "page",
    "precision_bits",
    "precision_verdict",
    "ratio",
    "security_verdict",
    "summary",
    "time_words",
]

BEGIN, END = "<!-- measurements: begin -->", "<!-- measurements: end -->"
SECURITY = 128

Rows = Mapping[str, Sequence[float]]
"""A value of each system by what it is."""


@dataclass(frozen=True)
class Conditions:
    """Under which the figures hold.

    Attributes
    ----------
    date
        ISO format.
    machine
        Facts by name.
    versions
        By package.
    runs
        Of each system on each network, after the first.
    load
        Load averages over a minute, before and after all measurements.
    missing
        A sentence for each comparison that could not be made.
    """

    date: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    runs: int
    load: tuple[float, float]
    missing: Sequence[str]


def page(conditions: Conditions, comparisons: Sequence[Comparison], plot: str) -> str:
    """All that is generated.

    Parameters
    ----------
    conditions
        Of the measurement.
    comparisons
        One per network.
    plot
        The image's file name, beside the page.
    """
    facts = [f"* {name}: {fact}" for name, fact in conditions.machine.items()]
    versions = ", ".join(f"{package} {version}" for package, version in sorted(conditions.versions.items()))
    before, after = conditions.load
    lines = [
        f"Measured on {conditions.date}:",
        "",
        *facts,
        f"* versions: {versions}",
        f"* load average over a minute: {before:.1f} before the measurements, {after:.1f} after them",
        f"* {conditions.runs} runs of each system on each network, in turns, after one that is not counted",
        *[f"* missing: {sentence}" for sentence in conditions.missing],
        "",
        "### Summary",
        "",
        *summary(comparisons),
        "",
        *[line for comparison in comparisons for line in (precision_verdict(comparison), "")],
        f"![Computation, preparation with keys, and peak memory of every network, hecc and its peers]({plot})",
    ]
    for comparison in comparisons:
        lines += ["", f"### {NETWORKS[comparison.network].title}", "", *details(comparison)]
        if comparison.others is not None:
            lines += ["", f"Other programs had {comparison.others:.0%} of the processors' time meanwhile."]
    return "\n".join(lines) + "\n"


def summary(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """A line per network, hecc with all its threads and with one."""
    heads = [
        "network",
        "peer",
        "computation, peer / hecc",
        "ratio",
        "ratio to hecc with one thread",
        "peak memory, peer / hecc",
        "precision, peer / hecc",
        "log2 QP / limit, peer",
        "log2 QP / limit, hecc",
    ]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for comparison in comparisons:
        peer, hecc, single = comparison.peer, comparison.hecc[0], comparison.hecc[-1]
        cells = [
            NETWORKS[comparison.network].title.partition(":")[0],
            peer.title,
            " / ".join(time_words(of.median("computation")) for of in (peer, hecc)),
            ratio(peer.median("computation"), hecc.median("computation")),
            ratio(peer.median("computation"), single.median("computation")),
            " / ".join(size_words(of.peak_memory) for of in (peer, hecc)),
            " / ".join(f"{precision_bits(of):.1f}" for of in (peer, hecc)) + " bits",
            *(security_verdict(of.setup.ring_degree, of.setup.log2_qp) for of in (peer, hecc)),
        ]
        yield f"| {' | '.join(cells)} |"


def details(comparison: Comparison) -> Iterator[str]:
    """A line per figure, a column per system, and the ratio of the peer to hecc with all its threads."""
    systems = [comparison.peer, *comparison.hecc]
    heads = ["", *(system.title for system in systems), f"{comparison.peer.title} / hecc"]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    times: Rows = {
        "loading the program": [of.loading for of in systems],
        "model preparation": [of.setup.preparation for of in systems],
        "key generation": [of.setup.key_generation for of in systems],
        "encryption": [of.median("encryption") for of in systems],
        "first computation": [of.first.computation for of in systems],
        "**computation**": [of.median("computation") for of in systems],
        "processor time of a computation": [of.median("processor") for of in systems],
        "decryption": [of.median("decryption") for of in systems],
    }
    sizes: Rows = {
        "evaluation keys": [of.setup.key_bytes for of in systems],
        "encrypted input": [of.median("input_bytes") for of in systems],
        "encrypted result": [of.median("output_bytes") for of in systems],
        "peak memory": [of.peak_memory for of in systems],
    }
    errors: Rows = {
        "mean error": [of.mean_error for of in systems],
        "largest error": [of.largest_error for of in systems],
    }
    groups: list[tuple[Callable[[float], str], Rows]] = [
        (time_words, times),
        (size_words, sizes),
        (lambda error: f"{error:.2g}", errors),
    ]
    for words, group in groups:
        for name, values in group.items():
            yield f"| {' | '.join([name, *map(words, values), ratio(values[0], values[1])])} |"
            if name == "**computation**":
                ranges = [[run.computation for run in of.runs] for of in systems]
                cells = [f"{time_words(min(seconds))} to {time_words(max(seconds))}" for seconds in ranges]
                yield f"| its lowest and highest | {' | '.join(cells)} | |"
    facts = {
        "precision": [f"{precision_bits(of):.1f} bits" for of in systems],
        "N": [str(of.setup.ring_degree) for of in systems],
        "log2 QP / limit": [security_verdict(of.setup.ring_degree, of.setup.log2_qp) for of in systems],
        "secret": [of.setup.secret for of in systems],
        "batch": ["1"] * len(systems),
    }
    for name, texts in facts.items():
        yield f"| {' | '.join([name, *texts])} | |"


def precision_verdict(comparison: Comparison) -> str:
    """Whether hecc is at least as precise as the peer in this run, and so whether the ratios count."""
    hecc = comparison.hecc[0]
    network, peer = NETWORKS[comparison.network].title.partition(":")[0], comparison.peer
    figures = (
        f"mean error {hecc.mean_error:.2g} against {peer.mean_error:.2g} of {peer.title}, largest "
        f"{hecc.largest_error:.2g} against {peer.largest_error:.2g}"
    )
    if at_least_as_precise(comparison):
        return f"{network}: hecc is at least as precise ({figures})."
    return f"{network}: **hecc is LESS precise, so the ratios do not count** ({figures})."


def at_least_as_precise(comparison: Comparison) -> bool:
    """Of every run of hecc, both errors are at most the peer's."""
    return all(
        of.mean_error <= comparison.peer.mean_error and of.largest_error <= comparison.peer.largest_error
        for of in comparison.hecc
    )


def precision_bits(figures: Figures) -> float:
    """``-log2`` of the mean error over the largest output."""
    return -math.log2(figures.mean_error / figures.largest_output)


def security_verdict(ring_degree: int, log2_qp: float) -> str:
    """A modulus against what the table allows for 128 bits."""
    allowed = limit(ring_degree, SECURITY)
    # Primes lie around powers of two, so that a modulus of exactly the limit may be a fraction of a bit off.
    return f"{log2_qp:.0f} / {allowed}" + ("" if round(log2_qp, 1) <= allowed else ", **over**")


def ratio(peer: float, hecc: float) -> str:
    """How many times as much the peer needs."""
    quotient = peer / hecc
    return f"{quotient:.0f}" if quotient >= 10 else f"{quotient:.1f}" if quotient >= 1 else f"{quotient:.2g}"


def time_words(seconds: float) -> str:
    """Three digits, in seconds or milliseconds."""
    value, unit = (seconds, "s") if seconds >= 1 else (seconds * 1e3, "ms")
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def between_markers(path: Path, generated: str) -> str:
    """A page's text with what is generated in place of what was; a page that does not exist yet is nothing else.

    Raises
    ------
    ValueError
        The page has no markers.
    """
    if not path.exists():
        return f"{BEGIN}\n{generated}{END}\n"
    head, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path} has no lines {BEGIN} and {END}; add them where the measurements belong")
    return f"{head}{BEGIN}\n{generated}{END}{tail}"

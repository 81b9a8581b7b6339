"""The comparison as a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from peer_comparison.measurement import Comparison, Figures
from peer_comparison.networks import NETWORKS

__all__ = ["plot"]

PANELS: tuple[tuple[str, Callable[[Figures], float]], ...] = (
    ("computation (s)", lambda of: of.median("computation")),
    ("preparation and keys (s)", lambda of: of.setup.preparation + of.setup.key_generation),
    ("peak memory (GB)", lambda of: of.peak_memory / 1e9),
)
HEIGHT = 0.38
COLOURS = ("#9a9a9a", "#1f77b4")


def plot(comparisons: Sequence[Comparison], path: Path) -> None:
    """Write an SVG file of bars on logarithmic axes: the peer above, hecc with all its threads below."""
    # Text stays text, and equal figures make equal files.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "hecc", "font.size": 9}):
        figure = Figure(figsize=(9, 1 + 0.7 * len(comparisons)), layout="constrained")
        all_axes = figure.subplots(1, len(PANELS), sharey=True, squeeze=False)[0]
        rows = range(len(comparisons))
        for axes, (title, value) in zip(all_axes, PANELS, strict=True):
            for side, (name, colour) in enumerate(zip(("peer", "hecc"), COLOURS, strict=True)):
                values = [value((comparison.peer, comparison.hecc[0])[side]) for comparison in comparisons]
                bars = axes.barh([row + side * HEIGHT for row in rows], values, HEIGHT, color=colour, label=name)
                axes.bar_label(bars, [f"{number:.3g}" for number in values], padding=2, fontsize=8)
            axes.set_xscale("log")
            axes.minorticks_off()
            axes.margins(x=0.25)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_title(title, fontsize=9)
        first = all_axes[0]
        first.set_yticks([row + HEIGHT / 2 for row in rows], [_label(comparison) for comparison in comparisons])
        first.invert_yaxis()
        figure.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _label(comparison: Comparison) -> str:
    network = NETWORKS[comparison.network].title.partition(":")[0]
    return network if comparison.peer.title in network else f"{network} ({comparison.peer.title})"

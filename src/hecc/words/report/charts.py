"""Charts: drawn by matplotlib as SVG, which is a part of the page and takes its colours from it.

An SVG needs no script, prints sharply, and its text stays text. What it cannot do is to flow: so every chart is drawn
twice, for screens with room and for phones, and the style sheet shows one of the two.
"""

from __future__ import annotations

import io
import math
import textwrap
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.ticker import MaxNLocator

__all__ = ["Bar", "Chart", "Point", "Steps", "bar_chart", "curve_chart", "step_chart"]

WIDE, NARROW = 640, 330
"""Widths in pixels: of half a desktop's page, and of a phone's."""

TEXT, SMALL = 12.5, 11.5
"""Sizes of fonts, in pixels."""

LINE, GAP = 16, 12
"""Height of a line of text and between rows, in pixels."""

LABEL = 34
"""Width of a number, in pixels."""

BAR = 14
"""Height of a bar, in pixels."""

LETTER = 7.7
"""Width that a letter has room for, in pixels."""

CURVE, POINT = 190, 10
"""Height of a curve and size of a point in it, in pixels."""

MOST_LINES = 3
"""Lines that a name may take in a chart; tables show the rest."""

INKS = {
    "#010000": "var(--ink)",
    "#020000": "var(--soft)",
    "#030000": "var(--line)",
    "#110000": "var(--series-1)",
    "#120000": "var(--series-2)",
    "#130000": "var(--series-3)",
}
"""Colours that stand for those of the page: matplotlib knows no variables of style sheets."""

INK, SOFT, RULE, *SERIES = INKS

Drawing: TypeAlias = "Callable[[int], Figure]"
"""Draws for a width in pixels."""


@dataclass(frozen=True)
class Bar:
    """A row of a bar chart: its parts lie end to end, and a label says what they come to."""

    name: str
    parts: tuple[float, ...]
    label: str


@dataclass(frozen=True)
class Steps:
    """A quantity along the layers; ``None`` where it has no value."""

    title: str
    values: tuple[float | None, ...]
    form: str = "{:g}"


@dataclass(frozen=True)
class Point:
    """A point of a curve, with its name beside it; one may stand out."""

    name: str
    x: float
    y: float
    chosen: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart in both sizes, and what it shows in a sentence."""

    wide: Markup
    narrow: Markup


def bar_chart(bars: Sequence[Bar], words: str, series: Sequence[str] = ()) -> Chart:
    """Horizontal bars, a row each.

    Parameters
    ----------
    words
        What the chart shows, for those who cannot see it.
    series
        Names of the bars' parts; none if they have one.
    """
    return _chart(lambda width: _bars(bars, series, width), words)


def step_chart(panels: Sequence[Steps], first: int, words: str) -> Chart:
    """Quantities along the layers, one panel under the other.

    Parameters
    ----------
    first
        Number of the first layer.
    words
        What the chart shows, for those who cannot see it.
    """
    return _chart(lambda width: _steps(panels, first, width), words)


def curve_chart(points: Sequence[Point], axes: tuple[str, str], forms: tuple[str, str], words: str) -> Chart:
    """What more of one thing costs in another.

    Parameters
    ----------
    axes, forms
        What lies across and upwards, and how its numbers are written.
    words
        What the chart shows, for those who cannot see it.
    """
    return _chart(lambda width: _curve(points, axes, forms, width), words)


def _chart(draw: Drawing, words: str) -> Chart:
    return Chart(_svg(draw(WIDE), words), _svg(draw(NARROW), words))


def _figure(width: int, height: int) -> Figure:
    # At 72 dots an inch, points are pixels. No global state is touched, as pyplot would.
    return Figure(figsize=(width / 72, height / 72), dpi=72, facecolor="none")


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes without a frame, in pixels from the upper left corner."""
    across, down = 72 * figure.get_size_inches()
    axes = figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down), facecolor="none")
    axes.set_axis_off()
    return axes


def _text(axes: Axes, x: float, y: float, text: str, **options: Any) -> None:
    # A dollar in a name is no formula.
    options = {"color": INK, "fontsize": TEXT, "va": "center", "parse_math": False, **options}
    axes.text(x, y, text, **options)


def _bars(bars: Sequence[Bar], series: Sequence[str], width: int) -> Figure:
    beside = width == WIDE
    room = 0.38 * width if beside else width
    names = [textwrap.wrap(bar.name, int(room / LETTER), max_lines=MOST_LINES, placeholder=" …") for bar in bars]
    margin = max((len(line) for lines in names for line in lines), default=0) * LETTER + 8 if beside else 0.0
    heights = [len(lines) * LINE + GAP + (0 if beside else BAR) for lines in names]
    legend = 1.5 * LINE if series else 0.0
    figure = _figure(width, int(sum(heights) + legend) + 2)
    values = max((len(bar.label) for bar in bars), default=0) * LETTER + 8
    axes = _axes(figure, margin, legend, width - margin, sum(heights))
    span = width - margin - values
    axes.set(xlim=(0, width - margin), ylim=(sum(heights), 0))
    longest = max((sum(bar.parts) for bar in bars), default=0.0) or 1.0
    top = 0.0
    for bar, lines, height in zip(bars, names, heights, strict=True):
        middle = top + (height / 2 if beside else len(lines) * LINE + BAR / 2 + 3)
        for number, line in enumerate(lines):
            if beside:
                _text(axes, -8, middle + (number - (len(lines) - 1) / 2) * LINE, line, ha="right")
            else:
                _text(axes, 0, top + (number + 0.5) * LINE, line)
        left = 0.0
        for ink, part in zip(SERIES, bar.parts, strict=False):
            length = span * part / longest
            axes.barh(middle, length, BAR, left, color=ink, clip_on=False)
            left += length
        _text(axes, left + 6, middle, bar.label, color=SOFT)
        top += height
    if series:
        key = _axes(figure, 0, 0, width, legend)
        key.set(xlim=(0, width), ylim=(legend, 0))
        left = 0.0
        for ink, name in zip(SERIES, series, strict=False):
            key.barh(LINE / 2, 11, 11, left, color=ink, clip_on=False)
            _text(key, left + 16, LINE / 2, name, color=SOFT, fontsize=SMALL)
            left += 30 + len(name) * 6.3
    return figure


def _steps(panels: Sequence[Steps], first: int, width: int) -> Figure:
    left, right, title, plot, foot = 8, 8, 1.5 * LINE, 92, 2.4 * LINE
    count = len(panels[0].values)
    figure = _figure(width, int(len(panels) * (title + plot + GAP) + foot))
    for number, panel in enumerate(panels):
        axes = _axes(figure, left, number * (title + plot + GAP) + title, width - left - right, plot)
        known = [value for value in panel.values if value is not None]
        axes.set(xlim=(first - 0.5, first + count - 0.5), ylim=(0, 1.22 * max([1.0, *known])))
        _text(axes, 0, 1 + title / plot / 2, panel.title, transform=axes.transAxes, fontweight="bold", clip_on=False)
        positions = range(first, first + count)
        ink = SERIES[number]
        for position, value in zip(positions, panel.values, strict=True):
            if value is not None:
                axes.bar(position, value, 1.0, color=ink, alpha=0.25, clip_on=False, linewidth=0)
                axes.plot((position - 0.5, position + 0.5), (value, value), color=ink, linewidth=2, clip_on=False)
        for position, value in _told(panel.values, first, (width - left - right) / count):
            _text(axes, position, value, panel.form.format(value), ha="center", va="bottom", fontsize=SMALL)
        axes.plot((first - 0.5, first + count - 0.5), (0, 0), color=RULE, linewidth=1, clip_on=False)
    every = max(1, math.ceil(LABEL * count / (width - left - right)))
    for position in range(first, first + count):
        if (position - first) % every == 0:
            _text(axes, position, -0.14 * plot / 100 * axes.get_ylim()[1], str(position), ha="center", fontsize=SMALL)
    _text(axes, 0.5, -0.36, "number of the layer, as in the table", transform=axes.transAxes, ha="center", color=SOFT)
    return figure


def _curve(points: Sequence[Point], names: tuple[str, str], forms: tuple[str, str], width: int) -> Figure:
    left, right, top, foot = 52, 14, 1.6 * LINE, 2.8 * LINE
    across = width - left - right
    figure = _figure(width, int(top + CURVE + foot))
    axes = _axes(figure, left, top, across, CURVE)
    axes.set(xlim=(0, across), ylim=(0, CURVE))
    farthest = 1.2 * max(point.x for point in points) or 1.0
    low, high = min(point.y for point in points), max(point.y for point in points)
    margin = (high - low or 1.0) / 3
    floor, span = low - margin, high - low + 2 * margin

    def place(x: float, y: float) -> tuple[float, float]:
        return across * x / farthest, CURVE * (y - floor) / span

    _text(axes, -left, CURVE + top / 2, names[1], fontweight="bold", clip_on=False)
    _text(axes, across / 2, -2.2 * LINE, names[0], ha="center", color=SOFT, clip_on=False)
    for tick in MaxNLocator(4).tick_values(floor, floor + span):
        _, height = place(0, tick)
        if 0 <= height <= CURVE:
            axes.plot((0, across), (height, height), color=RULE, linewidth=1)
            _text(axes, -6, height, forms[1].format(tick), ha="right", color=SOFT, fontsize=SMALL, clip_on=False)
    for tick in MaxNLocator(4).tick_values(0, farthest):
        at, _ = place(tick, low)
        if 0 <= at <= across:
            _text(axes, at, -LINE, forms[0].format(tick), ha="center", color=SOFT, fontsize=SMALL, clip_on=False)
    curve = [place(point.x, point.y) for point in sorted(points, key=lambda point: point.x) if not point.chosen]
    axes.plot([x for x, _ in curve], [y for _, y in curve], color=SERIES[0], linewidth=2)
    for point in points:
        ink = SERIES[1] if point.chosen else SERIES[0]
        x, y = place(point.x, point.y)
        # A marker would be drawn once and referred to, which a part of a page cannot be.
        axes.add_patch(Ellipse((x, y), POINT, POINT, color=ink, linewidth=0, clip_on=False))
        # The one that was chosen is near one of the others: its name lies below.
        _text(axes, x, y + (-LINE if point.chosen else LINE), point.name, ha="center", fontsize=SMALL, clip_on=False)
    return figure


def _told(values: Sequence[float | None], first: int, room: float) -> list[tuple[int, float]]:
    """The values that are written out: where one changes, if there is room for all; else the ends and the lowest."""
    known = [(first + number, value) for number, value in enumerate(values) if value is not None]
    if room >= LABEL or not known:
        return [(place, value) for place, value in known if place == first or value != values[place - first - 1]]
    told: list[tuple[int, float]] = []
    for position, value in (min(known, key=lambda entry: entry[1]), known[0], known[-1]):
        if all(abs(position - other) * room >= LABEL for other, _ in told):
            told.append((position, value))
    return told


def _svg(figure: Figure, words: str) -> Markup:
    """The figure as an element of a page."""
    file = io.StringIO()
    # Text stays text, in the page's font, which may have letters that matplotlib's own lacks.
    with mpl.rc_context({"svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(file, format="svg", transparent=True)
    # matplotlib wrote it, and escaped all names.
    root = ElementTree.fromstring(file.getvalue())  # noqa: S314
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        # Identifiers would be the same in several charts of a page.
        for name in ("id", "clip-path", "transform"):
            element.attrib.pop(name, None)
        if "style" in element.attrib:
            element.attrib["style"] = _style(element.attrib["style"])
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in ("metadata", "defs"):
                parent.remove(child)
    across, down = 72 * figure.get_size_inches()
    root.attrib = {"viewBox": f"0 0 {across:g} {down:g}", "role": "img", "aria-label": words}
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704


def _style(style: str) -> str:
    """A style with the page's colours and the page's font."""
    kept = (part for part in style.split("; ") if not part.startswith("font-family"))
    return "; ".join(": ".join(INKS.get(word, word) for word in part.split(": ")) for part in kept)

"""The network of a report as a drawing: a box for every layer, below those that it reads."""

from __future__ import annotations

from collections.abc import Sequence

from hecc.measure.layers import Layer
from hecc.words.html import Html, element

__all__ = ["draw_network"]

WIDTH, HEIGHT, GAP_X, GAP_Y = 300, 56, 24, 34
"""Of a box and between boxes, in the drawing's units, which are pixels on a screen with room for it."""

BEND = 60
"""How far to the right an edge reaches for that passes other boxes."""

LETTERS = 34
"""As many as a box is sure to have room for."""


def draw_network(layers: Sequence[Layer], captions: Sequence[str]) -> Html:
    """The layers as an SVG.

    Parameters
    ----------
    captions
        For every layer what stands under its name.
    """
    rows: list[int] = []
    for layer in layers:
        rows.append(1 + max((rows[read] for read in layer.reads), default=-1))
    columns = [rows[:number].count(row) for number, row in enumerate(rows)]
    widest = max(rows.count(row) for row in rows)
    # Rows are centred, so that a network without branches is a straight line.
    lefts = [
        1 + ((widest - rows.count(row)) * (WIDTH + GAP_X)) // 2 + column * (WIDTH + GAP_X)
        for row, column in zip(rows, columns, strict=True)
    ]
    tops = [1 + row * (HEIGHT + GAP_Y) for row in rows]
    passing = any(rows[number] - rows[read] > 1 for number, layer in enumerate(layers) for read in layer.reads)
    width = 2 + widest * (WIDTH + GAP_X) - GAP_X + (BEND if passing else 0)
    height = 2 + (max(rows) + 1) * (HEIGHT + GAP_Y) - GAP_Y
    edges = [
        _edge(lefts[read], tops[read], lefts[number], tops[number])
        if rows[number] - rows[read] == 1
        else _passing_edge(lefts[read], tops[read], lefts[number], tops[number])
        for number, layer in enumerate(layers)
        for read in layer.reads
    ]
    boxes = [
        _box(layer, caption, left, top) for layer, caption, left, top in zip(layers, captions, lefts, tops, strict=True)
    ]
    drawing = element(
        "svg",
        element("title", "The network, layer by layer"),
        *edges,
        *boxes,
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        class_="network",
    )
    return element("div", drawing, class_="wide", tabindex="0")


def _edge(from_left: int, from_top: int, to_left: int, to_top: int) -> Html:
    """From the foot of one box to the head of the next."""
    x1, y1, x2, y2 = from_left + WIDTH // 2, from_top + HEIGHT, to_left + WIDTH // 2, to_top
    middle = (y1 + y2) // 2
    # The tip is drawn by hand: a marker would have to be referred to by its name in the page.
    line = element("path", d=f"M{x1} {y1} C{x1} {middle} {x2} {middle} {x2} {y2 - 6}", class_="edge")
    tip = element("path", d=f"M{x2 - 5} {y2 - 8} L{x2} {y2} L{x2 + 5} {y2 - 8} Z", class_="tip")
    return element("g", line, tip)


def _passing_edge(from_left: int, from_top: int, to_left: int, to_top: int) -> Html:
    """Past the boxes between, on their right."""
    x1, y1, x2, y2 = from_left + WIDTH, from_top + HEIGHT // 2, to_left + WIDTH, to_top + HEIGHT // 2
    # A cubic curve goes three quarters of the way to its control points.
    bend = max(x1, x2) + BEND
    line = element("path", d=f"M{x1} {y1} C{bend} {y1} {bend} {y2} {x2 + 6} {y2}", class_="edge")
    tip = element("path", d=f"M{x2 + 8} {y2 - 5} L{x2} {y2} L{x2 + 8} {y2 + 5} Z", class_="tip")
    return element("g", line, tip)


def _box(layer: Layer, caption: str, left: int, top: int) -> Html:
    def line(text: str, y: int, kind: str) -> Html:
        return element("text", _shortened(text), x=left + WIDTH // 2, y=top + y, text_anchor="middle", class_=kind)

    fill = element(
        "rect", x=left, y=top, width=WIDTH, height=HEIGHT, rx=8, class_="box input" if layer.is_input else "box"
    )
    share = element(
        "rect", x=left + 8, y=top + HEIGHT - 7, width=round((WIDTH - 16) * layer.share, 1), height=4, class_="bar"
    )
    title = element("title", layer.source)
    return element("g", title, fill, share, line(layer.source, 23, "name"), line(caption, 42, "caption"))


def _shortened(text: str) -> str:
    """What fits a box; the beginning says what it is, the end tells it from others."""
    if len(text) <= LETTERS:
        return text
    head = LETTERS // 2
    return f"{text[:head]}…{text[head + 1 - LETTERS :]}"

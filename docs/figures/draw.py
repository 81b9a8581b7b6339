"""The figures of the documentation: ``python docs/figures/draw.py``.

Each is drawn twice, for light pages and for dark ones.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parents[1] / "benchmarks" / "results" / "digits.json"

THEMES = {
    "light": {"ink": "#24292f", "soft": "#57606a", "line": "#8c959f", "lane": "#f2f4f7", "box": "#ffffff"},
    "dark": {"ink": "#e6edf3", "soft": "#9da7b3", "line": "#768390", "lane": "#22272f", "box": "#2d333b"},
}
HUES = {
    "light": {"owner": "#8250df", "client": "#1a7f6b", "server": "#0a69da", "relu": "#c4432b"},
    "dark": {"owner": "#b794f6", "client": "#3fc1a5", "server": "#6cb0ff", "relu": "#f0836c"},
}


class Canvas:
    """Shapes of an SVG file, in the colours of a theme."""

    def __init__(self, width: int, height: int, theme: str, title: str) -> None:
        self.size, self.title = (width, height), title
        self.colour = {**THEMES[theme], **HUES[theme]}
        self.parts: list[str] = []

    def box(self, x: float, y: float, w: float, h: float, fill: str, stroke: str = "", opacity: float = 1) -> None:
        """A rectangle with round corners."""
        edge = f' stroke="{self.colour[stroke]}"' if stroke else ""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="5" fill="{self.colour[fill]}"{edge} '
            f'opacity="{opacity}"/>'
        )

    def text(
        self, x: float, y: float, words: str, style: str = "", colour: str = "ink", anchor: str = "middle"
    ) -> None:
        """A line of text; style is b for bold, s for small, m for names of files."""
        self.parts.append(
            f'<text x="{x}" y="{y}" text-anchor="{anchor}" class="{style}" fill="{self.colour[colour]}">'
            f"{escape(words)}</text>"
        )

    def arrow(self, points: Iterable[tuple[float, float]], colour: str = "line") -> None:
        """A line through points, with a tip."""
        path = " L ".join(f"{x} {y}" for x, y in points)
        self.parts.append(
            f'<path d="M {path}" fill="none" stroke="{self.colour[colour]}" stroke-width="1.6" marker-end="url(#tip)"/>'
        )

    def svg(self) -> str:
        """The file."""
        width, height = self.size
        fonts = "system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif"
        tip = f'<path d="M 0 0 L 8 4 L 0 8 z" fill="{self.colour["line"]}"/>'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img">',
                f"<title>{escape(self.title)}</title>",
                f"<style>text{{font:14px {fonts}}}.b{{font-weight:600}}.s{{font-size:12px}}",
                ".m{font:12.5px ui-monospace,Menlo,Consolas,monospace}</style>",
                '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"',
                f'markerUnits="userSpaceOnUse" orient="auto">{tip}</marker></defs>',
                *self.parts,
                "</svg>\n",
            ]
        )


def pipeline(theme: str) -> Canvas:
    """Who runs which command, and which file goes where."""
    draw = Canvas(920, 372, theme, "The owner compiles, the client encrypts and decrypts, the server runs the plan")
    lanes = (
        (8, 84, "owner", "the network's owner", "has the weights"),
        (100, 120, "client", "the client", "has the secret key"),
        (228, 136, "server", "the server", "has no secret"),
    )
    for y, height, name, title, holds in lanes:
        draw.box(4, y, 912, height, "lane")
        draw.box(4, y, 5, height, name)
        draw.text(22, y + 26, title, "b", name, "start")
        draw.text(22, y + 45, holds, "s", "soft", "start")

    def command(x: float, y: float, words: str, party: str, width: float = 92) -> None:
        draw.box(x, y, width, 36, "box", party)
        draw.text(x + width / 2, y + 23, words, "b")

    draw.text(212, 56, "model.onnx", "m", "soft")
    draw.arrow([(256, 51), (292, 51)])
    command(296, 33, "compile", "owner")
    command(412, 142, "keygen", "client")
    command(580, 142, "encrypt", "client")
    command(738, 142, "decrypt", "client")
    command(560, 272, "run", "server", 132)

    draw.arrow([(388, 51), (458, 51), (458, 138)])
    draw.text(468, 80, "plan.client.bin", "m", "soft", "start")
    draw.arrow([(342, 69), (342, 300), (556, 300)])
    draw.text(352, 319, "plan.bin, with the weights", "m", "soft", "start")
    draw.arrow([(458, 178), (458, 280), (556, 280)])
    draw.text(452, 251, "evaluation.bin", "m", "soft", "end")
    draw.text(542, 128, "image", "m", "soft", "end")
    draw.arrow([(548, 124), (626, 124), (626, 138)])
    draw.arrow([(626, 178), (626, 268)])
    draw.text(616, 212, "encrypted.bin", "m", "soft", "end")
    draw.arrow([(692, 290), (784, 290), (784, 182)])
    draw.text(794, 258, "result.bin", "m", "soft", "start")
    draw.arrow([(830, 160), (858, 160)])
    draw.text(888, 165, "\u201cthree\u201d", "", "ink")
    draw.text(626, 336, "inputs, results and everything between stay encrypted", "s", "soft")
    return draw


def slots(theme: str) -> Canvas:
    """How rows lie in the slots of ciphertexts: alone, side by side, and one in each slot."""
    draw = Canvas(920, 398, theme, "How rows lie in the slots of ciphertexts")
    parties = ("client", "owner", "server", "relu")
    size, gap = 17, 3

    def strip(x: float, y: float, colours: list[str | None]) -> None:
        for at, colour in enumerate(colours):
            if colour is None:
                draw.box(x + at * (size + gap), y, size, size, "lane", "line", 0.7)
            else:
                draw.box(x + at * (size + gap), y, size, size, colour)

    def heading(y: float, option: str, words: str, cost: str) -> None:
        draw.text(12, y, option, "m", "ink", "start")
        draw.text(12, y + 21, words, "", "soft", "start")
        draw.text(12, y + 40, cost, "s", "soft", "start")

    heading(36, "hecc compile", "one row in a ciphertext", "the shortest time for one answer")
    strip(400, 34, ["client"] * 6 + [None] * 18)
    draw.text(400, 74, "one image: a pixel a slot; most slots are free", "s", "soft", "start")

    heading(136, "hecc compile --batch 4", "rows side by side", "four answers in hardly more time than one")
    strip(400, 134, [colour for colour in parties for _ in range(6)])
    draw.text(400, 174, "four images, each with slots of its own", "s", "soft", "start")

    heading(236, "hecc compile --optimize throughput", "a ciphertext for each pixel", "the most answers an hour")
    for pixel, name in enumerate(("pixel 1", "pixel 2", "pixel 3")):
        y = 226 + pixel * 30
        strip(400, y, [*parties, *["line"] * 20])
        draw.text(392, y + 13, name, "s", "soft", "end")
    draw.text(400, 334, "thousands of images: one in each slot, so that nothing has to rotate", "s", "soft", "start")
    for at, colour in enumerate(parties):
        draw.box(400 + at * 90, 362, 13, 13, colour)
        draw.text(419 + at * 90, 373, f"image {at + 1}", "s", "soft", "start")
    draw.box(760, 362, 13, 13, "line")
    draw.text(779, 373, "further images", "s", "soft", "start")
    draw.text(12, 373, "each square is a slot, each line of squares a ciphertext", "s", "soft", "start")
    return draw


def levels(theme: str) -> Canvas:
    """What activations cost: the levels of one network, as ``benchmarks/digits.py`` measured it with each of them."""
    networks = json.loads(RESULTS.read_text(encoding="utf-8"))["activations"]
    draw = Canvas(920, 266, theme, "Levels that one network needs with three activations")
    left, unit = 172, 480 / max(found["levels"] for found in networks)
    words = {"square": "squares", "SiLU": "SiLU, 12 bits", "ReLU": "ReLU, by decisions"}
    hues = {"square": "client", "SiLU": "server", "ReLU": "relu"}
    for row, found in enumerate(networks):
        y, x, name = 26 + row * 62, float(left), found["activation"]
        draw.text(left - 12, y + 23, words[name], "b", "ink", "end")
        for at, part in enumerate(layers(found)):
            width = part * unit
            draw.box(x + 1.5, y, width - 3, 36, hues[name] if at % 2 else "line", opacity=1 if at % 2 else 0.55)
            if part > 1:
                draw.text(x + width / 2, y + 23, str(part), "s", "box")
            x += width
        cost = f"{found['predicted_seconds']:.2g} s, {found['predicted_memory'] / 1e9:.2g} GB"
        draw.text(x + 8, y + 15, f"{found['levels']} levels, N = {found['ring_degree']}", "s", "ink", "start")
        draw.text(x + 8, y + 31, cost, "s", "soft", "start")
    explained = "levels: multiplications in a row.  Grey: convolution and dense layers.  Colour: activations."
    draw.text(left, 242, explained, "s", "soft", "start")
    return draw


def layers(found: dict[str, Any]) -> list[int]:
    """Levels of a convolution, an activation, a dense layer, an activation and a dense layer."""
    first, second = found["levels_of_polynomials"] or (1, 1)
    parts = [1, first, 1, second, 1]
    if sum(parts) != found["levels"]:
        raise ValueError(f"{found['activation']}: the layers {parts} do not add up to {found['levels']} levels")
    return parts


FIGURES: dict[str, Callable[[str], Canvas]] = {"pipeline": pipeline, "slots": slots, "levels": levels}


def drawn() -> dict[str, str]:
    """The text of every file."""
    return {
        f"{name}{'' if theme == 'light' else '-dark'}.svg": figure(theme).svg()
        for name, figure in FIGURES.items()
        for theme in THEMES
    }


def main() -> int:
    """Write the files."""
    for name, text in drawn().items():
        (HERE / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

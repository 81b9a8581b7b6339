"""Figures are what their script draws, and name what there is."""

import importlib.util
import re
import xml.etree.ElementTree as ET
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
SPEC = importlib.util.spec_from_file_location("draw", DOCS / "figures" / "draw.py")
draw = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(draw)


def test_figures_are_as_their_script_draws_them():
    there = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "figures").glob("*.svg")}
    assert there == draw.drawn(), "run: python docs/figures/draw.py"


def test_every_figure_is_shown_in_light_and_dark():
    pages = "".join(path.read_text(encoding="utf-8") for path in [*DOCS.rglob("*.md"), DOCS.parent / "README.md"])
    shown = {name.rpartition("/")[2] for name in re.findall(r'(?:srcset|src)="([^"]+\.svg)"', pages)}
    assert shown >= set(draw.drawn())


def test_nothing_leaves_the_frame():
    for name, text in draw.drawn().items():
        root = ET.fromstring(text)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for shape in root.iter("{http://www.w3.org/2000/svg}rect"):
            x, y, w, h = (float(shape.attrib[key]) for key in ("x", "y", "width", "height"))
            assert min(x, y, width - x - w, height - y - h) >= 0, name

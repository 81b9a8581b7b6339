"""The list of passes: what the pipeline runs, in the order in which it runs, and what the documentation shows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper, parser

import hecc
from hecc.compiler.graph.nodes import QuadraticNode
from hecc.compiler.graph.passes import passes_table, write_between
from hecc.compiler.graph.stages import CANONICAL, IMPORTED
from hecc.passes.ckks import pipeline
from hecc.runtime.errors import GraphError

ROOT = Path(__file__).parents[3]

SOMETIMES = {"alignment", "rotations", "flooding"}
"""Steps that most networks do without."""


@pytest.fixture(scope="module")
def model() -> Any:
    built = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,4] x) => (float[1,2] y) { h = MatMul (x, v) s = Sigmoid (h) q = Mul (s, s) y = MatMul (q, w) }"""
    )
    draw = np.random.default_rng(0).normal
    for name, shape in {"v": (4, 4), "w": (4, 2)}.items():
        built.graph.initializer.append(numpy_helper.from_array(draw(size=shape).astype(np.float32), name))
    return built


def test_the_documentation_shows_the_passes_as_they_are(tmp_path: Path) -> None:
    copy = tmp_path / "passes.md"
    copy.write_text((ROOT / "docs" / "explanation" / "passes.md").read_text(encoding="utf-8"), encoding="utf-8")
    changed = write_between(copy, "passes", passes_table(pipeline.PASSES))
    assert not changed, "run: python -m hecc.passes.ckks.pipeline docs/explanation/passes.md"


def test_a_generated_part_is_replaced_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- generated: list -->\nold\n<!-- end of list -->\nafter\n", encoding="utf-8")
    assert write_between(page, "list", "new")
    assert page.read_text(encoding="utf-8") == (
        "before\n<!-- generated: list -->\n\nnew\n\n<!-- end of list -->\nafter\n"
    )
    assert not write_between(page, "list", "new")


def test_each_stage_begins_where_the_one_before_ends() -> None:
    graphs = [*pipeline.CANONICALISING, *pipeline.FITTING]
    assert graphs[0].before is IMPORTED
    assert all(first.after is then.before for first, then in pairwise(graphs))
    assert pipeline.CANONICALISING[-1].after is CANONICAL


def test_passes_run_in_the_order_of_the_list(model: Any) -> None:
    codes = [getattr(each.function, "__func__", each.function).__code__ for each in pipeline.PASSES]
    called: list[CodeType] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in codes:
            called.append(frame.f_code)

    sys.setprofile(note)
    try:
        hecc.compile(model, calibration=np.random.default_rng(1).uniform(-1, 1, (64, 4)))
    finally:
        sys.setprofile(None)
    expected = [each for each, code in zip(pipeline.PASSES, codes, strict=True) if each.name not in SOMETIMES]
    wanted = [getattr(each.function, "__func__", each.function).__code__ for each in expected]
    assert list(_firsts(called, wanted)) == wanted


def _firsts(called: list[CodeType], wanted: list[CodeType]) -> Iterator[CodeType]:
    """The calls up to where each of those wanted was met, in their order and as often; later ones are repetitions."""
    waiting = list(wanted)
    for code in called:
        if code in waiting:
            waiting.remove(code)
            yield code


def test_a_broken_pass_of_the_pipeline_is_caught_behind_it(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: Any, _: None) -> Any:
        doubled = [
            replace(node, coefficients=(*node.coefficients[:2], "v")) if isinstance(node, QuadraticNode) else node
            for node in graph.nodes
        ]
        return graph.with_nodes(doubled)

    faulty = [replace(each, run=broken) if each.name == "activations" else each for each in pipeline.CANONICALISING]
    monkeypatch.setattr(pipeline, "CANONICALISING", tuple(faulty))
    square = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,4] x) => (float[1,4] y) { h = MatMul (x, v) y = Mul (h, h) }"""
    )
    square.graph.initializer.extend(model.graph.initializer[:1])
    with pytest.raises(GraphError, match=r"canonical graph after activations: .* at 'y' [(]Mul 'y'[)]"):
        hecc.compile(square, calibration=np.random.default_rng(1).uniform(-1, 1, (64, 4)))

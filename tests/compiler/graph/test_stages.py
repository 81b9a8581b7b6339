"""Stages: what a graph may hold, and what is said of one that holds something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hecc.compiler.graph.affine import MatrixProduct, Pool, Reshape, Scale
from hecc.compiler.graph.function import ARGUMENT, Primitive
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import (
    NODES,
    AffineNode,
    BootstrapNode,
    ChebyshevNode,
    FunctionNode,
    InputNode,
    Node,
    OperatorNode,
    ProductNode,
    QuadraticNode,
    Source,
    Term,
    Value,
    WindowSumNode,
)
from hecc.compiler.graph.operators import ReducedExtremum
from hecc.compiler.graph.passes import Pass, run_passes
from hecc.compiler.graph.stages import ARITHMETIC, CANONICAL, IMPORTED, Stage, check_graph
from hecc.runtime.errors import GraphError

SHAPE = (1, 1, 4, 4)
PARAMETERS: Mapping[str, Any] = {
    "w": np.ones((16, 16)),
    "b": np.ones(16),
    "one": np.array(1.0),
    "two": np.array(2.0),
    "some": np.array([0.0, 1.0, 1.0, 1.0]),
    "c": np.array([0.0, 0.5, 0.0, 0.25]),
}
MATRIX = MatrixProduct((1, 16), (1, 16), "w")


def graph(*nodes: Node, **changes: Any) -> Graph:
    """An input, some nodes and their parameters; the last is the output."""
    made: tuple[Node, ...] = (InputNode(Value("x", SHAPE), Source("x", "input", 13)), *nodes)
    used = frozenset[str]().union(*(node.parameters for node in made))
    known = {name: array for name, array in PARAMETERS.items() if name in used}
    return replace(Graph(made, (made[-1].output.name,), known), **changes)


def node(kind: type[Node], name: str, *fields: Any, shape: tuple[int, ...] = SHAPE) -> Node:
    return kind(Value(name, shape), Source(f"/{name}", "Op", 13), *fields)


def square(name: str, value: str, leading: str = "one") -> Node:
    return node(QuadraticNode, name, value, ("one", "one", leading))


def pool(pads: tuple[int, int] = (0, 0), size: int = 4) -> Pool:
    return Pool((1, 1, size, 4), (1, 1, 2, 2), (2, 2), (2, 2), (pads, (0, 0)), (1, 1))


def function(name: str, value: str) -> Node:
    return node(FunctionNode, name, value, Primitive("tanh", (), ARGUMENT))


def affine(name: str, value: str, *, bias: str | None = None) -> Node:
    return node(AffineNode, name, (Term(value, Scale.of(SHAPE, "two")),), bias)


def series(value: str, coefficients: str = "c", low: float = -1.0) -> Node:
    return node(ChebyshevNode, "t", value, coefficients, (low, 1.0))


def bootstrap(value: str, phase: float = 0.225) -> Node:
    return node(BootstrapNode, "b", value, phase, (-1.0, 1.0))


LARGEST = node(OperatorNode, "m", ("x",), ReducedExtremum((SHAPE,), (1, 1), (2, 3), True), shape=(1, 1))
WHOLE: dict[Stage, Graph] = {
    IMPORTED: graph(
        affine("a", "x", bias="one"),
        square("s", "a", "two"),
        function("f", "s"),
        node(ProductNode, "p", "f", "x"),
        replace(LARGEST, values=("p",)),
        node(WindowSumNode, "w", "p", pool(), shape=(1, 1, 2, 2)),
        outputs=("m", "w"),
    ),
    CANONICAL: graph(
        affine("a", "x"),
        square("s", "a"),
        function("f", "s"),
        node(ProductNode, "p", "f", "x"),
        node(WindowSumNode, "w", "p", pool(), shape=(1, 1, 2, 2)),
    ),
    ARITHMETIC: graph(
        affine("a", "x"),
        square("s", "a"),
        bootstrap("s"),
        series("b"),
        node(ProductNode, "p", "t", "x"),
        node(WindowSumNode, "w", "p", pool(), shape=(1, 1, 2, 2)),
    ),
}


@pytest.mark.parametrize("stage", WHOLE, ids=lambda stage: stage.name)
def test_a_graph_of_a_stage_is_found_to_be_one(stage: Stage) -> None:
    check_graph(WHOLE[stage], stage)
    # Every kind that the stage holds is in the example.
    assert {type(each) for each in WHOLE[stage].nodes} == {kind for kind in NODES if kind in stage.conditions}


@pytest.mark.parametrize(
    ("stage", "faulty", "fault"),
    [
        (CANONICAL, graph(LARGEST), "there is an operator node, though a scheme takes operators apart, or refuses"),
        (CANONICAL, graph(series("x")), "there is a chebyshev node, though polynomials are fitted to functions later"),
        (ARITHMETIC, graph(function("f", "x")), "there is a function node, though functions are polynomials by then"),
        (IMPORTED, graph(affine("x", "x")), "value 'x' is defined twice"),
        (IMPORTED, graph(affine("a", "b"), affine("b", "x")), "it reads 'b', which is not an earlier value"),
        (IMPORTED, graph(affine("a", "x", bias="lost")), "its parameter 'lost' is missing"),
        (IMPORTED, graph(affine("a", "x", bias="b")), "its bias 'b' of shape (16,) does not fit (1, 1, 4, 4)"),
        (IMPORTED, graph(node(AffineNode, "a", ())), "it has no terms"),
        (
            IMPORTED,
            graph(node(AffineNode, "a", (Term("x", Reshape((1, 8), (8,))),))),
            "Reshape takes 8 elements, and 'x' has 16",
        ),
        (
            IMPORTED,
            graph(node(AffineNode, "a", (Term("x", MATRIX),), shape=(1, 8))),
            "MatrixProduct of 'x' makes 16 elements, and the result has 8",
        ),
        (
            IMPORTED,
            graph(node(FunctionNode, "f", "x", ARGUMENT, shape=(1, 3))),
            "'x' has 16 elements, and the result 3",
        ),
        (
            IMPORTED,
            graph(node(ProductNode, "p", "x", "x", shape=(1, 16))),
            "'x' has shape (1, 1, 4, 4), and the result (1, 16)",
        ),
        (IMPORTED, graph(square("s", "x", "some")), "its leading coefficient 'some' is zero for some elements"),
        (IMPORTED, graph(square("s", "x", "b")), "its coefficient 'b' of shape (16,) does not fit (1, 1, 4, 4)"),
        (IMPORTED, graph(node(QuadraticNode, "s", "x", ("one", "two"))), "it has 2 coefficients, not three"),
        (CANONICAL, graph(square("s", "x", "two")), "it is not monic: its leading coefficient 'two' is not one"),
        (ARITHMETIC, graph(series("x", "one")), "'one' does not hold two or more finite coefficients"),
        (ARITHMETIC, graph(series("x", low=1.0)), "its interval, 1 to 1, is empty"),
        (
            CANONICAL,
            graph(node(WindowSumNode, "w", "x", pool(size=8), shape=(1, 1, 2, 2))),
            "its window makes 4 elements of 32",
        ),
        (
            CANONICAL,
            graph(node(WindowSumNode, "w", "x", pool(pads=(1, 0)), shape=(1, 1, 2, 2))),
            "its window reaches over the edge of the image",
        ),
        (
            IMPORTED,
            graph(replace(LARGEST, output=Value("m", (1,)))),
            "it makes a tensor of shape (1, 1), not (1,)",
        ),
        (
            IMPORTED,
            graph(replace(LARGEST, operator=ReducedExtremum(((1, 16),), (1, 1), (1,), True))),
            "it takes tensors of shapes ((1, 16),), not ((1, 1, 4, 4),)",
        ),
        (IMPORTED, graph(affine("a", "x"), outputs=()), "there is no output"),
        (IMPORTED, graph(affine("a", "x"), outputs=("a", "a")), "outputs a, a are not distinct"),
        (IMPORTED, graph(affine("a", "x"), outputs=("b",)), "output 'b' is not a value"),
        (IMPORTED, graph(affine("a", "x"), affine("b", "x"), outputs=("a",)), "nothing reads 'b'"),
        (IMPORTED, graph(affine("a", "x"), parameters=PARAMETERS), "no node reads parameter 'w'"),
        (IMPORTED, graph(affine("a", "x"), aliases={"a": "b"}), "'a' stands for 'b', which is not an output"),
        (IMPORTED, graph(affine("a", "x"), epilogues={"b": ()}), "there are steps for 'b', which is not an output"),
    ],
)
def test_what_is_wrong_is_said(stage: Stage, faulty: Graph, fault: str) -> None:
    with pytest.raises(GraphError) as refused:
        check_graph(faulty, stage)
    assert str(refused.value).startswith(f"{stage.name} graph: {fault}")


def test_the_message_names_the_pass_the_node_and_its_source_and_shows_the_nodes_around() -> None:
    faulty = graph(affine("a", "x"), square("s", "a", "two"), function("f", "s"))
    with pytest.raises(GraphError) as refused:
        check_graph(faulty, CANONICAL, "activations")
    assert str(refused.value).splitlines() == [
        (
            "canonical graph after activations: it is not monic: its leading coefficient 'two' is not one; "
            "at 's' (Op '/s'):"
        ),
        "  x[1x1x4x4] = input   # input 'x'",
        "  a[1x1x4x4] = affine Scale(x)  # Op '/a'",
        "> s[1x1x4x4] = quadratic a: one, one, two  # Op '/s'",
        "  f[1x1x4x4] = function s: tanh(x)  # Op '/f'",
    ]


def test_a_broken_pass_is_caught_at_its_own_stage() -> None:
    def whole(made: Graph, _: None) -> Graph:
        return made.with_nodes(made.nodes)

    def broken(made: Graph, _: None) -> Graph:
        return made.with_nodes([each for each in made.nodes if each.output.name != "a"])

    def chain(run: Callable[[Graph, None], Graph]) -> tuple[Pass[None], ...]:
        return (
            Pass("first", whole, whole, CANONICAL, CANONICAL, "it is first"),
            Pass("second", run, run, CANONICAL, CANONICAL, "it is second"),
            Pass("third", whole, whole, CANONICAL, CANONICAL, "it is third"),
        )

    before = graph(affine("a", "x"), square("s", "a"))
    assert run_passes(chain(whole), before, None).nodes == before.nodes
    with pytest.raises(GraphError, match="canonical graph after second: it reads 'a', which is not an earlier value"):
        run_passes(chain(broken), before, None)


def test_a_pass_that_changes_nothing_but_the_stage_is_checked() -> None:
    same = Pass[None]("same", check_graph, lambda made, _: made, CANONICAL, ARITHMETIC, "it does nothing")
    with pytest.raises(GraphError, match="arithmetic graph after same: there is a function node"):
        run_passes([same], graph(function("f", "x")), None)

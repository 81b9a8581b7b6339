"""The graph: evaluation, printing, and the views of its data flow."""

import networkx as nx
import numpy as np
import pytest

from hecc.compiler.graph.affine import MatrixProduct, Reshape, Scale
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import (
    AffineNode,
    InputNode,
    ProductNode,
    QuadraticNode,
    Source,
    Term,
    Value,
)


@pytest.fixture
def graph() -> Graph:
    """A residual block: h = x W + b, s = h^2 + 1, y = s * h + 3 x."""
    x, h, s, p, y = (Value(name, (1, 3)) for name in "xhspy")
    nodes = (
        InputNode(x, Source("x", "input", 13)),
        AffineNode(h, Source("/fc", "Gemm", 13), (Term("x", MatrixProduct((1, 3), (1, 3), "w")),), "b"),
        QuadraticNode(s, Source("/act", "Mul", 13), "h", ("one", "zero", "one")),
        ProductNode(p, Source("/gate", "Mul", 13), "s", "h"),
        AffineNode(
            y, Source("/add", "Add", 13), (Term("p", Reshape((1, 3), (1, 3))), Term("x", Scale.of((1, 3), "three")))
        ),
    )
    parameters = {
        "w": np.arange(9.0).reshape(3, 3),
        "b": np.array([1.0, 0.0, -1.0]),
        "zero": np.array(0.0),
        "one": np.array(1.0),
        "three": np.array(3.0),
    }
    return Graph(nodes, ("y",), parameters)


def test_evaluation_gives_every_value_for_every_row(graph: Graph) -> None:
    x = np.random.default_rng(0).standard_normal((4, 1, 3))
    values = graph.evaluate({"x": x})
    h = x[:, 0] @ graph.parameters["w"] + graph.parameters["b"]
    np.testing.assert_allclose(values["h"], h)
    np.testing.assert_allclose(values["y"], (h**2 + 1) * h + 3 * x[:, 0])
    assert {name: value.shape for name, value in values.items()} == dict.fromkeys("xhspy", (4, 3))


def test_printing_has_a_line_per_node_that_names_its_source(graph: Graph) -> None:
    assert str(graph).splitlines() == [
        "x[1x3] = input   # input 'x'",
        "h[1x3] = affine MatrixProduct(x) + b  # Gemm '/fc'",
        "s[1x3] = quadratic h: one, zero, one  # Mul '/act'",
        "p[1x3] = product s, h  # Mul '/gate'",
        "y[1x3] = affine Reshape(p) + Scale(x)  # Add '/add'",
        "return y",
    ]


def test_consumers_are_listed_once_each(graph: Graph) -> None:
    readers = {value: [node.output.name for node in nodes] for value, nodes in graph.consumers().items()}
    assert readers == {"x": ["h", "y"], "h": ["s", "p"], "s": ["p"], "p": ["y"], "y": []}


def test_the_digraph_has_the_data_flow(graph: Graph) -> None:
    digraph = graph.digraph()
    assert set(digraph.edges) == {("x", "h"), ("h", "s"), ("h", "p"), ("s", "p"), ("p", "y"), ("x", "y")}
    assert nx.dag_longest_path(digraph) == ["x", "h", "s", "p", "y"]
    assert digraph.nodes["p"]["node"] is graph.node("p")


def test_what_no_output_depends_on_is_left_out_with_its_parameters(graph: Graph) -> None:
    spare = QuadraticNode(Value("t", (1, 3)), Source("t", "Mul", 13), "x", ("zero", "two"))
    kept = graph.with_nodes([*graph.nodes, spare], {"two": np.array(2.0)})
    assert kept.nodes == graph.nodes
    assert kept.parameters.keys() == graph.parameters.keys()
    only_input = Graph(graph.nodes, ("x",), graph.parameters).with_nodes(graph.nodes)
    assert [node.output.name for node in only_input.nodes] == ["x"]
    assert only_input.parameters == {}


def test_inputs_stay_even_if_nothing_reads_them(graph: Graph) -> None:
    extra = InputNode(Value("z", (1, 2)), Source("z", "input", 13))
    kept = graph.with_nodes([extra, *graph.nodes])
    assert [node.output.name for node in kept.inputs()] == ["z", "x"]

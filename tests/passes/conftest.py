"""Graphs written by hand: the *before* and *expected* programs of the passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from hecc.compiler.graph.affine import AffineMap, Convolution, MatrixProduct, Scale
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import (
    AffineNode,
    InputNode,
    Node,
    ProductNode,
    QuadraticNode,
    Source,
    Term,
    Value,
)

Array = np.ndarray[Any, Any]


class Builder:
    """Collects nodes; every method returns the name of the value it defines."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.parameters: dict[str, Array] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.generator = np.random.default_rng(7)

    def add(self, kind: type[Node], name: str, shape: tuple[int, ...], *fields: Any) -> str:
        self.shapes[name] = shape
        self.nodes.append(kind(Value(name, shape), Source(f"/{name}", "Op", 13), *fields))
        return name

    def parameter(self, name: str, values: Any) -> str:
        self.parameters[name] = np.asarray(values, dtype=np.float64)
        return name

    def input(self, name: str, *shape: int) -> str:
        return self.add(InputNode, name, (1, *shape))

    def affine(self, name: str, terms: Sequence[tuple[str, AffineMap]], bias: Any = None) -> str:
        b = None if bias is None else self.parameter(f"{name}.b", bias)
        return self.add(AffineNode, name, terms[0][1].out_shape, tuple(Term(*term) for term in terms), b)

    def scale(self, name: str, x: str, factor: Any, bias: Any = None) -> str:
        m = Scale.of(self.shapes[x], self.parameter(f"{name}.w", factor))
        return self.affine(name, [(x, m)], bias)

    def total(self, name: str, *weighted: tuple[float, str], bias: Any = None) -> str:
        terms = [(x, Scale.of(self.shapes[x], self.parameter(f"{name}.w{k}", w))) for k, (w, x) in enumerate(weighted)]
        return self.affine(name, terms, bias)

    def dense(self, name: str, x: str, size: int, bias: Any = None) -> str:
        inner = self.shapes[x][-1]
        weight = self.parameter(f"{name}.w", self.generator.uniform(-1, 1, (inner, size)))
        m = MatrixProduct(self.shapes[x], (*self.shapes[x][:-1], size), weight)
        return self.affine(name, [(x, m)], bias)

    def convolution(self, name: str, x: str, features: int, stride: int = 1) -> str:
        _, channels, height, width = self.shapes[x]
        weight = self.parameter(f"{name}.w", self.generator.uniform(-1, 1, (features, channels, 3, 3)))
        out = (1, features, (height - 1) // stride + 1, (width - 1) // stride + 1)
        m = Convolution((1, channels, height, width), out, (3, 3), (stride,) * 2, ((1, 1),) * 2, (1, 1), weight)
        return self.affine(name, [(x, m)], self.generator.uniform(-1, 1, (1, features, 1, 1)))

    def product(self, name: str, x: str, y: str) -> str:
        return self.add(ProductNode, name, self.shapes[x], x, y)

    def polynomial(self, name: str, x: str, *coefficients: Any) -> str:
        names = tuple(self.parameter(f"{name}.c{k}", c) for k, c in enumerate(coefficients))
        return self.add(QuadraticNode, name, self.shapes[x], x, names)

    def square(self, name: str, x: str) -> str:
        return self.polynomial(name, x, 0.0, 0.0, 1.0)

    def graph(self, *outputs: str) -> Graph:
        return Graph(tuple(self.nodes), outputs, self.parameters)


def same_values(before: Graph, after: Graph, rows: int = 5) -> None:
    """Both graphs compute the same outputs on random inputs."""
    generator = np.random.default_rng(11)
    inputs = {n.output.name: generator.uniform(-1, 1, (rows, *n.output.shape[1:])) for n in before.inputs()}
    exact, found = before.evaluate(inputs), after.evaluate(inputs)
    assert before.outputs == after.outputs
    for name in before.outputs:
        assert np.any(exact[name]), "a network that is zero everywhere shows nothing"
        np.testing.assert_allclose(found[name], exact[name], rtol=1e-9, atol=1e-9)


@pytest.fixture
def build() -> Builder:
    return Builder()


@pytest.fixture(scope="session")
def equivalent() -> Any:
    return same_values

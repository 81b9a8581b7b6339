"""Lowering to batch layouts: one ciphertext for each tensor element, one example in each slot of the ring.

Nothing ever moves between slots (CryptoNets, Gilad-Bachrach et al., ICML 2016, section 4). An affine node becomes one
matrix product per term, the first of which adds the bias; a polynomial a square and, if it has a linear part, the
product with a diagonal matrix; a window sum the product with a matrix of ones at scale one, which takes no level. The
circuit has one logical slot: what happens in it happens in every slot of the ring.

A matrix product acts on the three polynomials of a square as well as on two, and often has fewer results than it has
arguments: squares may be relinearised only after the linear layers that follow, where that is cheaper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from hecc.compiler.ckks.lowering.lowering import Builder, Lowered
from hecc.compiler.graph.affine import Parameters
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
    WindowSumNode,
)
from hecc.compiler.graph.traits import multiplies_values
from hecc.runtime.ckks.circuit.instructions import ONE, Add, Instruction, MatrixProduct, Multiply, Relinearize, Square
from hecc.runtime.ckks.circuit.layout import MAX_COUNT, Layout, vector_layout
from hecc.runtime.ckks.circuit.traits import Trait
from hecc.runtime.errors import CompileError
from hecc.runtime.reading import Reading

__all__ = ["RelinearizationPrice", "batch_layouts", "lower_batch"]


@dataclass(frozen=True)
class RelinearizationPrice:
    """What decides when a square is relinearised, in any unit.

    Attributes
    ----------
    relinearization
        Of one ciphertext.
    entry
        What a third polynomial adds to the product of a ciphertext and a number.
    """

    relinearization: float
    entry: float


def batch_layouts(graph: Graph) -> dict[str, Layout]:
    """Layouts of the network's inputs and outputs, for one example.

    Raises
    ------
    CompileError
        A tensor has more elements than there may be ciphertexts.
    """
    layouts = {}
    for name in (*(node.output.name for node in graph.inputs()), *graph.outputs):
        layouts[name] = vector_layout(graph.node(name).output.shape, 1)
        if layouts[name].count > MAX_COUNT:
            raise CompileError(
                f"'{name}' has {layouts[name].count} elements, and a batch needs a ciphertext for each, at most "
                f"{MAX_COUNT}; compile without a batch"
            )
    return layouts


def lower_batch(graph: Graph, price: RelinearizationPrice | None = None, *, pair_inputs: bool = False) -> Lowered:
    """Lower a canonical graph, for one example; for more it is the same with more lanes.

    Parameters
    ----------
    price
        Lets squares be relinearised after the linear layers that follow, where that is cheaper; by default each is
        relinearised at once.
    pair_inputs
        Whether a ciphertext of an input holds two of its elements.
    """
    matrices = {node.output.name: _MATRICES.of(node)(node, graph.parameters) for node in graph.nodes}
    deferred = frozenset[str]() if price is None else _deferred(graph, matrices, price)
    return _BatchBuilder(graph, batch_layouts(graph), matrices, deferred, pair_inputs=pair_inputs).finish(1)


def _deferred(
    graph: Graph, matrices: Mapping[str, list[scipy.sparse.csr_array]], price: RelinearizationPrice
) -> frozenset[str]:
    """Values that are cheaper relinearised later, should they have three polynomials."""
    deferred: set[str] = set()
    # Of a value with three polynomials, what it costs to have two again in all that it leads to.
    cheapest: dict[str, float] = {}
    for node in reversed(graph.nodes):
        name = node.output.name
        now = math.prod(node.output.shape) * price.relinearization
        later = math.inf if name in graph.outputs else 0.0
        for user in graph.nodes:
            if name not in user.inputs:
                continue
            if multiplies_values(user):
                later = math.inf
            else:
                terms = zip(user.inputs, matrices[user.output.name], strict=False)
                entries = sum(matrix.nnz for value, matrix in terms if value == name)
                later += entries * price.entry + cheapest[user.output.name]
        if later < now:
            deferred.add(name)
        cheapest[name] = min(now, later)
    return frozenset(deferred)


class _BatchBuilder(Builder):
    """Matrix products for everything linear."""

    def __init__(
        self,
        graph: Graph,
        layouts: Mapping[str, Layout],
        matrices: Mapping[str, list[scipy.sparse.csr_array]],
        deferred: Set[str],
        *,
        pair_inputs: bool,
    ) -> None:
        super().__init__(graph, layouts, {}, pair_inputs=pair_inputs)
        self._matrices, self._deferred = matrices, deferred
        # Every slot of every ciphertext is an element's.
        self._shown = frozenset()
        self._three: set[int] = set()

    def lower(self, node: Node) -> None:
        """Append the instructions of a node, and a relinearisation where one is due."""
        super().lower(node)
        name = node.output.name
        if name not in self._deferred:
            self.results[name] = self._relinearized(self.results[name], name, str(node.source))

    def _relinearized(self, x: int, value: str, source: str) -> int:
        return self.emit(Relinearize(x=x, source=source), value) if x in self._three else x

    def emit(self, instruction: Instruction, value: str) -> int:
        """As of any builder, but remembers which values have three polynomials."""
        index = super().emit(instruction, value)
        reads_three = not self._three.isdisjoint(instruction.operands)
        traits = instruction.traits
        if Trait.PRODUCT in traits or (reads_three and Trait.RELINEARIZES not in traits):
            self._three.add(index)
        return index

    def _affine(self, node: AffineNode, source: str) -> int:
        name = node.output.name
        bias: NDArray[np.float64] | None = None
        if node.bias is not None:
            bias = np.asarray(self.graph.parameters[node.bias], dtype=np.float64)
            bias = np.broadcast_to(bias, node.output.shape).reshape(-1).copy()
        total: int | None = None
        for k, (term, matrix) in enumerate(zip(node.terms, self._matrices[name], strict=True)):
            x = self._product(self.results[term.value], matrix, f"{name}.{k}", name, source, bias=bias)
            total = x if total is None else self.emit(Add(x=total, y=x, source=source), name)
            bias = None
        assert total is not None
        return total

    def _quadratic(self, node: QuadraticNode, source: str) -> int:
        """``x^2 + c1 x + c0``: it is monic."""
        name, x = node.output.name, self.results[node.value]
        constant, linear = (_spread(self.graph.parameters, c, node) for c in node.coefficients[:2])
        total = self.emit(Square(x=x, source=source), name)
        if name not in self._deferred:
            total = self._relinearized(total, name, source)
        if bool(np.any(linear)) or bool(np.any(constant)):
            matrix = scipy.sparse.csr_array(scipy.sparse.diags_array(linear))
            bias = constant if bool(np.any(constant)) else None
            added = self._product(x, matrix, f"{name}.linear", name, source, bias=bias)
            total = self.emit(Add(x=total, y=added, source=source), name)
        return total

    def _multiply(self, node: ProductNode, source: str) -> int:
        product = Multiply(x=self.results[node.left], y=self.results[node.right], source=source)
        return self.emit(product, node.output.name)

    def _window_sum(self, node: WindowSumNode, source: str) -> int:
        name = node.output.name
        (matrix,) = self._matrices[name]
        return self._product(self.results[node.value], matrix, f"{name}.window", name, source, exact=True)

    def _product(
        self,
        x: int,
        matrix: scipy.sparse.csr_array,
        prefix: str,
        value: str,
        source: str,
        *,
        bias: NDArray[np.float64] | None = None,
        exact: bool = False,
    ) -> int:
        """A matrix product; an ``exact`` one is of integers at scale one."""
        matrix.sort_indices()
        self.constant(f"{prefix}.offsets", matrix.indptr.astype(np.int64))
        self.constant(f"{prefix}.columns", matrix.indices.astype(np.int32))
        self.constant(f"{prefix}.values", matrix.data.astype(np.float32))
        added = None if bias is None else self.constant(f"{prefix}.bias", bias)
        scale = ONE if exact else None
        return self.emit(
            MatrixProduct(x=x, count=matrix.shape[0], matrix=prefix, bias=added, scale=scale, source=source), value
        )


def _window_matrix(node: WindowSumNode, parameters: Parameters) -> list[scipy.sparse.csr_array]:
    matrix = node.window.matrix(parameters)
    matrix.data = np.ones_like(matrix.data)
    return [matrix]


def _affine_matrices(node: AffineNode, parameters: Parameters) -> list[scipy.sparse.csr_array]:
    return [] if node.reshapes_only else [_linear_map(term.map.matrix(parameters)) for term in node.terms]


def _linear_map(matrix: scipy.sparse.csr_array) -> scipy.sparse.csr_array:
    """The matrix with one entry at least, as an instruction needs, should all of them be zero."""
    if matrix.nnz:
        return matrix
    return scipy.sparse.csr_array((np.zeros(1), ([0], [0])), shape=matrix.shape)


def _spread(parameters: Parameters, name: str, node: QuadraticNode) -> NDArray[np.float64]:
    """A coefficient for each element."""
    coefficient = np.asarray(parameters[name], dtype=np.float64)
    return np.broadcast_to(coefficient, node.output.shape).reshape(-1).copy()


_MATRICES: Reading[Callable[[Any, Parameters], list[scipy.sparse.csr_array]]] = Reading(
    "matrices of a node",
    NODES,
    {
        InputNode: lambda node, _: [],
        AffineNode: _affine_matrices,
        QuadraticNode: lambda node, _: [],
        ChebyshevNode: lambda node, _: [],
        WindowSumNode: _window_matrix,
        ProductNode: lambda node, _: [],
    },
    without={
        FunctionNode: "functions are polynomials in an arithmetic graph",
        OperatorNode: "operators are taken apart or refused before",
        BootstrapNode: "networks with bootstraps are not lowered to batch layouts",
    },
)
"""Of what it multiplies its inputs by, one per input."""

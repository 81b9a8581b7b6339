"""Lowering to batch layouts: one ciphertext for each tensor element, one example in each slot of the ring.

Nothing ever moves between slots (CryptoNets, Gilad-Bachrach et al., ICML 2016, section 4). An affine node becomes one
matrix product per term, the first of which adds the bias; a polynomial a square, a relinearisation and, if it has a
linear part, the product with a diagonal matrix; a window sum the product with a matrix of ones at scale one, which
takes no level. The circuit has one logical slot: what happens in it happens in every slot of the ring.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from hecc.compiler.ir.affine import Parameters
from hecc.compiler.ir.graph import AffineNode, Graph, PolynomialNode, WindowSumNode
from hecc.compiler.lowering import Builder, Lowered
from hecc.runtime.circuit import ONE, Add, MatrixProduct, Relinearize, Square
from hecc.runtime.errors import CompileError
from hecc.runtime.layout import MAX_COUNT, Layout, vector_layout

__all__ = ["batch_layouts", "lower_batch"]


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


def lower_batch(graph: Graph) -> Lowered:
    """Lower a canonical graph, for one example; for more it is the same with more lanes."""
    return _BatchBuilder(graph, batch_layouts(graph)).finish(1)


class _BatchBuilder(Builder):
    """Matrix products for everything linear."""

    def __init__(self, graph: Graph, layouts: Mapping[str, Layout]) -> None:
        super().__init__(graph, layouts, {})

    def _affine(self, node: AffineNode, source: str) -> int:
        name = node.output.name
        bias: NDArray[np.float64] | None = None
        if node.bias is not None:
            bias = np.asarray(self.graph.parameters[node.bias], dtype=np.float64)
            bias = np.broadcast_to(bias, node.output.shape).reshape(-1).copy()
        total: int | None = None
        for k, term in enumerate(node.terms):
            matrix = _linear_map(term.map.matrix(self.graph.parameters))
            x = self._product(self.results[term.value], matrix, f"{name}.{k}", name, source, bias=bias)
            total = x if total is None else self.emit(Add(x=total, y=x, source=source), name)
            bias = None
        assert total is not None
        return total

    def _polynomial(self, node: PolynomialNode, source: str) -> int:
        """``x^2 + c1 x + c0``; a canonical graph's polynomials are monic."""
        name, x = node.output.name, self.results[node.value]
        constant, linear = (_spread(self.graph.parameters, c, node) for c in node.coefficients[:2])
        total = self.emit(Relinearize(x=self.emit(Square(x=x, source=source), name), source=source), name)
        if bool(np.any(linear)) or bool(np.any(constant)):
            matrix = scipy.sparse.csr_array(scipy.sparse.diags_array(linear))
            bias = constant if bool(np.any(constant)) else None
            added = self._product(x, matrix, f"{name}.linear", name, source, bias=bias)
            total = self.emit(Add(x=total, y=added, source=source), name)
        return total

    def _window_sum(self, node: WindowSumNode, source: str) -> int:
        name = node.output.name
        matrix = node.window.matrix(self.graph.parameters)
        matrix.data = np.ones_like(matrix.data)
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


def _linear_map(matrix: scipy.sparse.csr_array) -> scipy.sparse.csr_array:
    """The matrix with one entry at least, as an instruction needs, should all of them be zero."""
    if matrix.nnz:
        return matrix
    return scipy.sparse.csr_array((np.zeros(1), ([0], [0])), shape=matrix.shape)


def _spread(parameters: Parameters, name: str, node: PolynomialNode) -> NDArray[np.float64]:
    """A coefficient for each element."""
    coefficient = np.asarray(parameters[name], dtype=np.float64)
    return np.broadcast_to(coefficient, node.output.shape).reshape(-1).copy()

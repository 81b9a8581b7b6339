"""Lowering: a canonical graph with layouts becomes a Circuit, scales and levels still open.

An affine node becomes one linear transform per term, a fold where the embedding leaves partial sums, and the bias. A
polynomial becomes a square, a relinearisation and, if it has a linear part, a plaintext product of the same scale; a
product a multiplication and a relinearisation. A Chebyshev series is one instruction, which evaluators expand. A window
sum becomes rotations and additions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.ckks.chain.bootstrapping import Bootstrapping
from hecc.compiler.ckks.lowering.embedding import Embedding, embed
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
from hecc.runtime.ckks.circuit.instructions import (
    Add,
    AddPlain,
    Circuit,
    Fold,
    Input,
    Instruction,
    LinearTransform,
    Multiply,
    MultiplyPlain,
    Output,
    PairedInput,
    Polynomial,
    Relinearize,
    Rotate,
    Square,
)
from hecc.runtime.ckks.circuit.layout import Layout
from hecc.runtime.reading import Reading

__all__ = ["Builder", "Lowered", "lower"]


@dataclass(frozen=True)
class Lowered:
    """A Circuit without scales, and what the scale pass has to know about it.

    Attributes
    ----------
    circuit
        Its instructions have ``scale=None``; there are no rescales.
    values
        For each instruction, the graph value that it helps to compute.
    results
        For each graph value, the instruction that holds it.
    """

    circuit: Circuit
    values: tuple[str, ...]
    results: Mapping[str, int]


def lower(
    graph: Graph,
    layouts: Mapping[str, Layout],
    embeddings: Mapping[str, tuple[Embedding, ...]],
    slots: int,
    *,
    pair_inputs: bool = False,
    bootstrapping: Bootstrapping | None = None,
) -> Lowered:
    """Lower a canonical graph under chosen layouts.

    With ``pair_inputs`` a ciphertext of an input that has several holds two of its vectors; ``bootstrapping`` says what
    becomes of the graph's bootstraps, if it has any.
    """
    return Builder(graph, layouts, embeddings, pair_inputs=pair_inputs, bootstrapping=bootstrapping).finish(slots)


class Builder:
    """Collects instructions and constants, node by node."""

    def __init__(
        self,
        graph: Graph,
        layouts: Mapping[str, Layout],
        embeddings: Mapping[str, tuple[Embedding, ...]],
        *,
        pair_inputs: bool,
        bootstrapping: Bootstrapping | None = None,
    ) -> None:
        self.graph, self.layouts, self.embeddings = graph, layouts, embeddings
        self.pair_inputs, self.bootstrapping = pair_inputs, bootstrapping
        self._shown = _shown(graph)
        self.instructions: list[Instruction] = []
        self.values: list[str] = []
        self.results: dict[str, int] = {}
        self.constants: dict[str, NDArray[Any]] = {}

    def finish(self, slots: int) -> Lowered:
        """Lower all nodes, and the outputs."""
        for node in self.graph.nodes:
            self.lower(node)
        for name in self.graph.outputs:
            occupied = self.constant(f"{name}.occupied", self.layouts[name].occupied.astype(np.uint8))
            self.emit(Output(x=self.results[name], name=name, occupied=occupied), name)
        return Lowered(Circuit(slots, tuple(self.instructions), self.constants), tuple(self.values), self.results)

    def emit(self, instruction: Instruction, value: str) -> int:
        """Append an instruction, which helps to compute a graph value; its number."""
        self.instructions.append(instruction)
        self.values.append(value)
        return len(self.instructions) - 1

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Add a constant; its name."""
        self.constants[name] = array
        return name

    def lower(self, node: Node) -> None:
        """Append the instructions of a node."""
        name, source = node.output.name, str(node.source)
        self.results[name] = _LOWERED.of(node)(self, node, source)

    def _input(self, node: InputNode, source: str) -> int:
        name = node.output.name
        layout = self.layouts[name]
        occupied = self.constant(f"{name}.occupied", layout.occupied.astype(np.uint8))
        kind = PairedInput if self.pair_inputs and layout.count > 1 else Input
        ins = kind(name=name, count=layout.count, occupied=occupied, period=layout.period, source=source)
        return self.emit(ins, name)

    def _linear(self, node: AffineNode, source: str) -> int:
        return self.results[node.inputs[0]] if node.reshapes_only else self._affine(node, source)

    def _affine(self, node: AffineNode, source: str) -> int:
        name = node.output.name
        target = self.layouts[name]
        total: int | None = None
        for k, (term, embedding) in enumerate(zip(node.terms, self.embeddings[name], strict=True)):
            diagonals = embed(term.map, self.graph.parameters, embedding)
            prefix = f"{name}.{k}"
            for field in diagonals.FIELDS:
                self.constant(f"{prefix}.{field}", getattr(diagonals, field))
            x = self.emit(
                LinearTransform(
                    x=self.results[term.value],
                    count=target.count,
                    diagonals=prefix,
                    partial=embedding.fold[0] if embedding.fold else 0,
                    source=source,
                ),
                name,
            )
            if embedding.fold:
                x = self.emit(Fold(x=x, period=embedding.fold[0], span=embedding.fold[1], source=source), name)
            total = x if total is None else self.emit(Add(x=total, y=x, source=source), name)
        assert total is not None
        if node.bias is None:
            return total
        bias = np.broadcast_to(np.asarray(self.graph.parameters[node.bias], dtype=np.float64), node.output.shape)
        vector = self.constant(f"{name}.bias", target.pack(bias.reshape(target.shape)))
        return self.emit(AddPlain(x=total, vector=vector, source=source), name)

    def _quadratic(self, node: QuadraticNode, source: str) -> int:
        """``x^2 + c1 x + c0``: it is monic."""
        name, x = node.output.name, self.results[node.value]
        constant, linear, _ = (np.asarray(self.graph.parameters[c], dtype=np.float64) for c in node.coefficients)
        total = self.emit(Relinearize(x=self.emit(Square(x=x, source=source), name), source=source), name)
        if bool(np.any(linear)):
            vector = self.constant(f"{name}.linear", self._packed(linear, node))
            product = self.emit(MultiplyPlain(x=x, vector=vector, source=source), name)
            total = self.emit(Add(x=total, y=product, source=source), name)
        if bool(np.any(constant)):
            vector = self.constant(f"{name}.constant", self._packed(constant, node))
            total = self.emit(AddPlain(x=total, vector=vector, source=source), name)
        return total

    def _multiply(self, node: ProductNode, source: str) -> int:
        name = node.output.name
        product = Multiply(x=self.results[node.left], y=self.results[node.right], source=source)
        return self.emit(Relinearize(x=self.emit(product, name), source=source), name)

    def _chebyshev(self, node: ChebyshevNode, source: str) -> int:
        """One set of coefficients for all slots; of what becomes a result of the network, none where it has no data."""
        name = node.output.name
        coefficients = np.asarray(self.graph.parameters[node.coefficients], dtype=np.float64)
        if name in self._shown:
            # A constant term would show between the data.
            coefficients = coefficients[:, np.newaxis, np.newaxis] * self.layouts[name].occupied
        vector = self.constant(f"{name}.coefficients", np.ascontiguousarray(coefficients))
        return self.emit(
            Polynomial(
                x=self.results[node.value],
                coefficients=vector,
                basis="chebyshev",
                interval=node.interval,
                source=source,
            ),
            name,
        )

    def _bootstrap(self, node: BootstrapNode, source: str) -> int:
        """Of all slots of the ring, whatever they hold."""
        assert self.bootstrapping is not None, "a graph has bootstraps where there is a way to bootstrap"
        instruction = self.bootstrapping.instruction(self.results[node.value], node.interval, source)
        return self.emit(instruction, node.output.name)

    def _window_sum(self, node: WindowSumNode, source: str) -> int:
        """Row by row, then column by column; a window of ``2 k`` doubles one of ``k``."""
        x = self.results[node.value]
        pixels = self.layouts[node.value].image_axes[-2:]
        for taps, dilation, digits in zip(node.window.kernel, node.window.dilations, pixels, strict=True):
            x = self._doubled(x, taps, digits[-1].stride * dilation, node.output.name, source)
        return x

    def _doubled(self, x: int, taps: int, step: int, value: str, source: str) -> int:
        """``x`` plus its rotations by ``step``, ``2 step``, … up to ``taps`` terms."""
        if taps == 1:
            return x
        half = self._doubled(x, taps // 2, step, value, source)
        shift = self.emit(Rotate(x=half, step=taps // 2 * step, source=source), value)
        total = self.emit(Add(x=half, y=shift, source=source), value)
        if taps % 2:
            last = self.emit(Rotate(x=x, step=(taps - 1) * step, source=source), value)
            total = self.emit(Add(x=total, y=last, source=source), value)
        return total

    def _packed(self, coefficient: NDArray[np.float64], node: QuadraticNode) -> NDArray[np.float64]:
        layout = self.layouts[node.output.name]
        spread = np.broadcast_to(coefficient, node.output.shape if coefficient.ndim else layout.shape)
        return layout.pack(np.ascontiguousarray(spread).reshape(layout.shape))


def _shown(graph: Graph) -> frozenset[str]:
    """The values whose empty slots the client would see: the outputs, and what they are functions of, slot by slot."""
    shown = set(graph.outputs)
    for node in reversed(graph.nodes):
        reshape = isinstance(node, AffineNode) and node.reshapes_only
        if node.output.name in shown and (multiplies_values(node) or reshape):
            shown.update(node.inputs)
    return frozenset(shown)


_LOWERED: Reading[Callable[[Builder, Any, str], int]] = Reading(
    "instructions of a node",
    NODES,
    {
        # Each by the builder's own method: one of batches does some of them otherwise.
        InputNode: lambda builder, node, source: builder._input(node, source),
        AffineNode: lambda builder, node, source: builder._linear(node, source),
        QuadraticNode: lambda builder, node, source: builder._quadratic(node, source),
        ChebyshevNode: lambda builder, node, source: builder._chebyshev(node, source),
        BootstrapNode: lambda builder, node, source: builder._bootstrap(node, source),
        WindowSumNode: lambda builder, node, source: builder._window_sum(node, source),
        ProductNode: lambda builder, node, source: builder._multiply(node, source),
    },
    without={
        FunctionNode: "functions are polynomials in an arithmetic graph",
        OperatorNode: "operators are taken apart or refused before",
    },
)
"""Each rule appends the instructions and returns the number of the one that holds the node's value."""

"""The rows of a batch stay apart: a check, node by node, against the network as it acts on made-up batches.

A plan evaluates one row. That is right only if a network computes row i of its outputs from row i of its inputs, and
computes the same whatever the number of rows. So the network is imported several times in lockstep: for one row, and
for whole batches that count as one example each. Every node of every batch must make of rows that lie together what the
node for one row makes of each of them.

Both are compared on random numbers, drawn anew for the operands of every node. What a node computes is linear, or a
product, or a function of one element that is the same for all; such maps agree everywhere if they agree at one random
point, up to rounding (for polynomials this is the lemma of Schwartz and Zippel). The functions are compared as such.

Inside a network the rows need not lie along axis 0: where attention is written for sequences first, they lie along
axis 1, or in one axis with the heads. An *arrangement* is a number of elements: that many of one row lie together, then
as many of the next row. It is the size of a whole row where rows lie one behind the other.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import onnx
from numpy.typing import NDArray

from hecc.compiler.graph.affine import Parameters
from hecc.compiler.graph.clear import CLEAR
from hecc.compiler.graph.function import Primitive
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
    Value,
    WindowSumNode,
)
from hecc.compiler.importer.building.batch import Batch, encrypted_inputs
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.refusals import InvalidNodeError, RefusedNodeError
from hecc.compiler.importer.building.scope import Constant, Decoded, Operand, Scope, Unknown
from hecc.compiler.importer.expansion.expand import expand
from hecc.compiler.importer.reading.inference import infer_shapes
from hecc.compiler.importer.tail.program import encrypted_part, program, roots
from hecc.runtime.reading import Reading
from hecc.runtime.tail.epilogue import apply_steps

__all__ = ["MADE_UP", "Rows", "TracedBatchError"]

MADE_UP = (2, 3)
"""Rows of the batches that stand for an open batch axis."""

DOMAINS = ((-1.0, 1.0), (0.1, 0.9), (1.1, 2.0))
"""Where random numbers are drawn: what the client computes may be defined for positive numbers only."""

POINTS = 18
"""Random inputs of what the client computes: its comparisons and choices agree by chance at some."""

ENOUGH = 1 << 18
"""Elements of all these inputs together that are enough."""

CLOSE = 1e-7
"""Relative differences up to this are rounding."""

Array = NDArray[np.float64]


class TracedBatchError(Exception):
    """The network fits no batch but the one that an exporter wrote into the target of a Reshape: check that one."""

    def __init__(self, extent: int) -> None:
        super().__init__(extent)
        self.extent = extent


@dataclass
class _Together:
    """The network as it acts on a whole batch.

    Attributes
    ----------
    extent
        Rows of the batch.
    scope
        The import, to which the whole batch is one example.
    arranged
        How the rows lie in each value, by its name; zero where a value is the same for all rows.
    """

    extent: int
    scope: Scope
    arranged: dict[str, int]

    def join(self, alone: Array, name: str) -> Array:
        """A value of the batch, of shape (points, elements), from that of each row, (points, rows, elements)."""
        return _joined(alone[:, : self.extent], self.arranged[name])


@dataclass
class Rows:
    """The check that goes along with an import.

    Attributes
    ----------
    scope
        The import for one row.
    convert
        What converts a node.
    batches
        The whole batches; none where a network has a batch of one, or turns out to fit no other.
    sizes
        Elements that each value has for one row, by its name.
    makers
        The ONNX nodes of what the client computes, by the names of their outputs, in order.
    """

    scope: Scope
    convert: Callable[[Call], None]
    batches: list[_Together] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    makers: dict[str, onnx.NodeProto] = field(default_factory=dict)

    @classmethod
    def of(cls, scope: Scope, convert: Callable[[Call], None], extents: Sequence[int] = MADE_UP) -> Rows:
        """Start the check.

        Parameters
        ----------
        extents
            The batches to make up, where the file leaves the batch open.
        """
        batch, rows = scope.batch, cls(scope, convert)
        if not batch.axis or not (batch.dynamic or batch.extent > 1):
            return rows
        for extent in [batch.extent] if batch.extent > 1 else extents:
            whole = Batch(axis=False, made_up=extent)
            together = _Together(extent, scope.like(whole), {})
            for item in encrypted_inputs(scope.model):
                size = rows.sizes[item.name] = math.prod(batch.input_shape(item))
                together.arranged[item.name] = 0 if math.prod(whole.input_shape(item)) == size else size
            rows.batches.append(together)
        return rows

    def follow_expansion(self, node: onnx.NodeProto, made: Sequence[onnx.NodeProto]) -> None:
        """See that a node stands for the same nodes as for one row.

        Raises
        ------
        RefusedNodeError
            It does not: a batch takes another branch, or another number of steps.
        """
        for together in self.batches:
            if expand(together.scope, node) != made:
                raise Call.of(self.scope, node).refuse_mixing()

    def follow(self, node: onnx.NodeProto, made: Sequence[Node]) -> None:
        """Convert a node for the batches, too, and compare.

        Parameters
        ----------
        made
            What its conversion for one row added to the graph.

        Raises
        ------
        RefusedNodeError
            It mixes the rows, or computes something else for a batch.
        TracedBatchError
            It fits no made-up batch, but may fit this one.
        """
        names = [name for name in node.output if name]
        self.makers.update({name: node for name in names if isinstance(self.scope.operands[name], Decoded)})
        functions = _functions(made)
        alone: dict[str, Array] | None = None
        for together in list(self.batches):
            before = len(together.scope.nodes)
            if not self._converted(together, node):
                self.batches.remove(together)
                continue
            others = together.scope.nodes[before:]
            if functions != _functions(others):
                raise Call.of(self.scope, node).refuse_mixing()
            if alone is None:
                alone = self._evaluated(made)
            whole = self._evaluated_together(together, others)
            for name in names:
                self._arrange(together, node, name, alone, whole)

    def stand_in(self, node: onnx.NodeProto) -> None:
        """Take whatever a batch does not know of a node's outputs to be as it should be."""
        for together in self.batches:
            operands = together.scope.operands
            for name in filter(None, node.output):
                operand = self.scope.operands[name]
                if isinstance(operand, Value):
                    if operand.name not in together.arranged:
                        leading, *others = operand.shape or (1,)
                        operands[name] = Value(operand.name, (leading * together.extent, *others))
                        self.sizes[operand.name] = together.arranged[operand.name] = math.prod(operand.shape)
                elif type(operands.get(name)) is not type(operand):
                    operands[name] = operand if isinstance(operand, Constant) else Unknown.UNKNOWN

    def finish(self, outputs: Sequence[str]) -> None:
        """Check the outputs, and what the client computes.

        Raises
        ------
        RefusedNodeError
            A node there mixes the rows, or an output has no row for each row of the inputs.
        """
        for together in self.batches:
            for name in outputs:
                operand, whole = self.scope.operands[name], together.scope.operands[name]
                if isinstance(operand, Decoded):
                    self._check_decoded(together, name)
                elif isinstance(operand, Value) and isinstance(whole, Value) and together.arranged[whole.name]:
                    rows_in_front = whole.shape == (together.extent, *operand.shape[1:])
                    if operand.shape[:1] == (1,) and not rows_in_front:
                        self._refuse_output(name)

    def _refuse_output(self, name: str) -> NoReturn:
        node = next(node for node in self.scope.model.graph.node if name in node.output)
        raise Call.of(self.scope, node).refuse(
            f"of a batch, its result, which is output '{name}', has no row for every example along axis 0",
            "keep the batch axis in front, and flatten from axis 1 on",
        )

    def _converted(self, together: _Together, node: onnx.NodeProto) -> bool:
        """Convert a node for a batch; False where it does not fit one, so that the network has a batch of one."""
        alone, batch = self.scope.operands, together.scope.operands
        if all(alone[name] is batch[name] for name in node.input if name) and isinstance(
            alone[node.output[0]], Constant
        ):
            # Constants of constants, whatever the batch.
            batch.update({name: alone[name] for name in node.output if name})
            return True
        try:
            self.convert(Call.of(together.scope, node))
        except InvalidNodeError:
            if self.scope.batch.extent > 1:
                raise
        except RefusedNodeError:
            if self.scope.batch.extent > 1 or infer_shapes(together.scope, node):
                raise
        else:
            return True
        target = self.scope.operands[node.input[1]] if node.op_type == "Reshape" and not node.domain else None
        if isinstance(target, Constant):
            traced = int(target.array.reshape(-1)[0]) if target.array.size else 0
            if traced > 1 and traced != together.extent and len(self.batches) == 1:
                raise TracedBatchError(traced)
        return False

    def _evaluated(self, nodes: Sequence[Node]) -> dict[str, Array]:
        """The values that nodes define for single rows, each of shape (1, rows, elements)."""
        rows = max(together.extent for together in self.batches)
        given = {name: self._drawn(name, 1)[0] for name in _read(nodes)}
        return {name: made.reshape(1, rows, -1) for name, made in _evaluate(self.scope, nodes, given).items()}

    def _evaluated_together(self, together: _Together, nodes: Sequence[Node]) -> dict[str, Array]:
        """The values that nodes define for a batch, each of shape (1, elements)."""
        given = {name: together.join(self._drawn(name, 1), name) for name in _read(nodes)}
        return _evaluate(together.scope, nodes, given)

    def _drawn(self, name: str, points: int) -> Array:
        """Random numbers for a value, always the same, of shape (points, rows, elements)."""
        rows = max(together.extent for together in self.batches)
        shared = any(together.arranged[name] == 0 for together in self.batches)
        uniform = np.random.default_rng(zlib.crc32(name.encode())).random((points, rows, self.sizes[name]))
        for number, (low, high) in enumerate(DOMAINS):
            part = uniform[number :: len(DOMAINS)]
            part *= high - low
            part += low
        return np.repeat(uniform[:, :1], rows, axis=1) if shared else uniform

    def _arrange(
        self, together: _Together, node: onnx.NodeProto, name: str, alone: dict[str, Array], joined: dict[str, Array]
    ) -> None:
        """Find out how the rows lie in an output, and that there are rows."""
        operand, whole, batch = self.scope.operands[name], together.scope.operands.get(name), self.scope.batch
        if type(operand) is not type(whole):
            raise Call.of(self.scope, node).refuse_mixing()
        both = (operand, whole) if isinstance(operand, Value) and isinstance(whole, Value) else None
        if batch.extent > 1 and both and both[1].shape != batch.whole(both[0].shape):
            raise Call.of(self.scope, node).refuse_mixing()
        for value in _values(operand):
            if value.name not in alone or value.name in together.arranged:
                continue
            shared = all(together.arranged[source] == 0 for source in node.input if source in together.arranged)
            rows = alone[value.name][:, : together.extent]
            for stride in (0,) if shared else self._strides(value, together, node):
                if value.name in joined and _alike(_joined(rows, stride), joined[value.name]):
                    self.sizes[value.name] = math.prod(value.shape)
                    together.arranged[value.name] = stride
                    break
            else:
                raise Call.of(self.scope, node).refuse_mixing()

    def _strides(self, operand: Value | Decoded, together: _Together, node: onnx.NodeProto) -> list[int]:
        """Arrangements that the rows may have in an output: the likeliest first."""
        size = math.prod(operand.shape)
        if self.scope.batch.extent > 1:
            # Where the file has the batch, the import for one row divides leading extents by it.
            return [size]
        behind = [math.prod(operand.shape[axis:]) for axis in range(len(operand.shape) + 1)]
        read = [together.arranged[name] for name in node.input if name in together.arranged]
        return [stride for stride in dict.fromkeys([size, *read, *behind]) if stride and size % stride == 0]

    def _check_decoded(self, together: _Together, output: str) -> None:
        """Compare what the client computes for an output."""
        if self._agrees(together, output, [math.prod(_decoded(self.scope, output).shape)]):
            return
        for name, node in self.makers.items():
            operand = _decoded(self.scope, name)
            if not self._agrees(together, name, self._strides(operand, together, node)):
                raise Call.of(self.scope, node).refuse_mixing()
        self._refuse_output(output)

    def _agrees(self, together: _Together, name: str, strides: Sequence[int]) -> bool:
        points = max(1, min(POINTS, ENOUGH // max(1, math.prod(_decoded(self.scope, name).shape))))
        alone = _computed(self.scope, name, lambda source: self._drawn(source, points)[:, : together.extent])
        whole = _computed(
            together.scope, name, lambda source: together.join(self._drawn(source, points), source)[:, np.newaxis]
        )
        return any(_alike(_joined(alone, stride), whole[:, 0]) for stride in strides)


def _decoded(scope: Scope, name: str) -> Decoded:
    decoded = scope.operands[name]
    assert isinstance(decoded, Decoded), "the client computes it"
    return decoded


def _computed(scope: Scope, name: str, drawn: Callable[[str], Array]) -> NDArray[Any]:
    """What the client computes at random points, of shape (points, rows, elements)."""
    decoded = _decoded(scope, name)
    node = encrypted_part(name, decoded, batch_axis=scope.batch.axis)
    given = {source: drawn(source) for source in node.inputs}
    points, rows, _ = next(iter(given.values())).shape
    flat = {source: value.reshape(points * rows, -1) for source, value in given.items()}
    values = Graph((), (), {}).evaluate_node(node, flat)
    shape = node.output.shape[1:] if scope.batch.axis else node.output.shape
    return apply_steps(values.reshape(len(values), *shape), program(decoded)).reshape(points, rows, -1)


def _values(operand: Operand) -> list[Value]:
    """The encrypted values that a tensor is, or is computed from by the client."""
    return [operand] if isinstance(operand, Value) else roots(operand) if isinstance(operand, Decoded) else []


def _functions(nodes: Sequence[Node]) -> list[tuple[str, tuple[tuple[str, float], ...]]]:
    """The functions of one variable that nodes compute."""
    functions = [node.function for node in nodes if isinstance(node, FunctionNode)]
    return [(one.name, one.attributes) for one in functions if isinstance(one, Primitive)]


def _read(nodes: Sequence[Node]) -> list[str]:
    """The values that some nodes read and do not define themselves."""
    own = {node.output.name for node in nodes}
    return list(dict.fromkeys(name for node in nodes for name in node.inputs if name not in own))


def _evaluate(scope: Scope, nodes: Sequence[Node], given: dict[str, Array]) -> dict[str, Array]:
    """The values that nodes define, from those that they read, all of shape (rows, elements).

    A polynomial stands for every function: that the functions are the same is known already. Something smooth stands
    for a maximum, which at a random point says nothing of the numbers that are not the largest.
    """
    values = dict(given)
    functions = itertools.count(1)
    for node in nodes:
        values[node.output.name] = _AT_RANDOM.of(node)(node, values, scope.parameters, functions)
    return {name: value for name, value in values.items() if name not in given}


def _in_clear(node: Any, values: Mapping[str, Array], parameters: Parameters, _: Iterator[int]) -> Array:
    return CLEAR.of(node)(node, values, parameters)


def _function(node: FunctionNode, values: Mapping[str, Array], _: Parameters, numbers: Iterator[int]) -> Array:
    return values[node.value] * (values[node.value] + next(numbers))


def _operator(node: OperatorNode, values: Mapping[str, Array], parameters: Parameters, _: Iterator[int]) -> Array:
    return node.operator.apply([values[name] for name in node.values], parameters, smooth=True)


_AT_RANDOM: Reading[Callable[[Any, Mapping[str, Array], Parameters, Iterator[int]], Array]] = Reading(
    "nodes at random points",
    NODES,
    {
        AffineNode: _in_clear,
        QuadraticNode: _in_clear,
        FunctionNode: _function,
        ProductNode: _in_clear,
        OperatorNode: _operator,
    },
    without={
        InputNode: "an input's value is given",
        ChebyshevNode: "the importer makes none",
        BootstrapNode: "the importer makes none",
        WindowSumNode: "the importer makes none",
    },
)
"""Each rule takes a node, the values it reads, the parameters, and numbers by which functions differ."""


def _joined(alone: NDArray[Any], stride: int) -> NDArray[Any]:
    """Rows, of shape (points, rows, elements), in an arrangement: (points, elements)."""
    points, rows, size = alone.shape
    if stride == 0:
        return alone[:, 0]
    return alone.reshape(points, rows, size // stride, stride).transpose(0, 2, 1, 3).reshape(points, rows * size)


def _alike(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind != "f" or other.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    finite = np.abs(one[np.isfinite(one) & (one != 0)])
    # Where terms cancel, what is left of them is rounding.
    rounding = 1e-12 * float(np.median(finite)) if finite.size else 0.0
    return bool(np.allclose(one, other, rtol=CLOSE, atol=rounding, equal_nan=True))

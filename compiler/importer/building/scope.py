"""The state of one import: what every ONNX tensor name stands for, and the graph built so far."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from hecc.compiler.graph.nodes import InputNode, Node, Source, Value
from hecc.compiler.importer.building.batch import Batch, encrypted_inputs
from hecc.compiler.importer.building.refusals import Limits
from hecc.compiler.importer.reading.messages import parts
from hecc.compiler.importer.reading.prepare import opset_of
from hecc.runtime.errors import InputError, UnsupportedError
from hecc.runtime.tail.epilogue import Step, Values

__all__ = ["Constant", "Decoded", "Operand", "Scope", "Tail", "Unknown", "array"]

MAX_FOLDED = 1 << 28
"""Bytes that constants computed at import may take together. A few bytes of a file can make many of these."""

MAX_ELEMENTS = 1 << 25
"""Elements of all values of a network together, for one row."""


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor known at compile time, in the type that the model gives it."""

    name: str
    array: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return self.array.shape


@dataclass(frozen=True, eq=False)
class Decoded:
    """What the client computes after decryption: an encrypted value, or a step that acts on what it computes.

    Attributes
    ----------
    shape
        For one example, with the batch axis where the network has one.
    values
        What the client holds: of what kind, and in what shape, which has no batch axis.
    source
        The node that made it.
    value
        The encrypted value, if it is one.
    step
        Otherwise the step.
    operands
        What the step acts on.
    """

    shape: tuple[int, ...]
    values: Values
    source: Source
    value: Value | None = None
    step: Step | None = None
    operands: tuple[Decoded, ...] = ()

    @property
    def constant(self) -> bool:
        """Whether it is the same for every example."""
        return self.value is None and not self.operands


@dataclass(frozen=True)
class Tail:
    """The end of a network, as tensor names.

    Attributes
    ----------
    names
        Tensors that only outputs depend on, through operators that the client can compute.
    chosen
        Those among them that lead to something which nobody but the client can compute, through elementwise operators:
        it may as well compute a function that is no polynomial, exactly and at no cost.
    """

    names: frozenset[str] = frozenset()
    chosen: frozenset[str] = frozenset()


class Unknown(enum.Enum):
    """The result of a refused node, if not even its shape could be inferred."""

    UNKNOWN = "unknown"


Operand = Value | Constant | Decoded | Unknown


@dataclass
class Scope:
    """What converters read and write.

    Attributes
    ----------
    model
        The prepared model.
    batch
        Its batch axis.
    tail
        Tensors at the end of the network, which the client can compute, and of these the ones that it should.
    limits
        What is refused for the scheme's sake.
    operands
        What each tensor name stands for, so far.
    nodes
        The graph so far.
    parameters
        The parameters so far, by name.
    decoded
        The values that the client decrypts, by name.
    masked
        Where a value is minus infinity to the network, as the scores of an attention are before the softmax, by the
        value's name; the value itself is finite there, and has one row.
    taken
        Names of all tensors that nodes of the model define.
    read
        Names of all tensors that nodes read, or the model returns.
    folded
        Bytes of the constants computed so far.
    elements
        Elements of the graph's values so far.
    """

    model: onnx.ModelProto
    batch: Batch
    tail: Tail = field(default_factory=lambda: Tail())
    limits: Limits = field(default_factory=Limits)
    operands: dict[str, Operand] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    parameters: dict[str, NDArray[Any]] = field(default_factory=dict)
    decoded: dict[str, Decoded] = field(default_factory=dict)
    masked: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()
    read: frozenset[str] = frozenset()
    folded: int = 0
    elements: int = 0

    @classmethod
    def of(cls, model: onnx.ModelProto, batch: Batch, tail: Tail | None = None, limits: Limits | None = None) -> Scope:
        """Start an import: the inputs are values, the initializers constants."""
        scope = cls(model, batch, tail or Tail(), limits or Limits())
        nodes = list(parts(model.graph, onnx.NodeProto))
        graphs = parts(model.graph, onnx.GraphProto)
        scope.taken = frozenset(name for node in nodes for name in node.output)
        scope.read = frozenset(name for node in nodes for name in node.input) | {
            item.name for graph in graphs for item in graph.output
        }
        for tensor in model.graph.initializer:
            scope.operands[tensor.name] = Constant(tensor.name, array(tensor))
        scope.start()
        return scope

    def like(self, batch: Batch) -> Scope:
        """Start an import of the same model with another batch."""
        weights = {tensor.name: self.operands[tensor.name] for tensor in self.model.graph.initializer}
        scope = Scope(self.model, batch, self.tail, self.limits, weights, taken=self.taken, read=self.read)
        scope.start()
        return scope

    def start(self) -> None:
        """Define the inputs."""
        for item in encrypted_inputs(self.model):
            value = Value(item.name, self.batch.input_shape(item))
            self.define(InputNode(value, Source(item.name, "input", opset_of(self.model))))

    def define(self, node: Node) -> None:
        """Add a node to the graph.

        Raises
        ------
        UnsupportedError
            The values have become more than :data:`MAX_ELEMENTS` together.
        """
        self.elements += math.prod(node.output.shape)
        if self.elements > MAX_ELEMENTS * self.batch.room:
            raise UnsupportedError(
                f"{node.source}: with it, the values in the network have more than {MAX_ELEMENTS} elements together; "
                "use a smaller network or smaller inputs"
            )
        self.nodes.append(node)
        self.operands[node.output.name] = node.output

    def fresh(self, name: str) -> str:
        """A name for a value that no ONNX tensor has: the one given, if it is free."""
        number, unique = 1, name
        while unique in self.taken or unique in self.operands:
            number += 1
            unique = f"{name}#{number}"
        return unique

    def parameter(self, name: str, array: NDArray[Any]) -> str:
        """Store a parameter and return its name: the one given, unless another array has it already.

        Half-precision numbers become float32, which holds them exactly.
        """
        if array.dtype.name in ("float16", "bfloat16"):
            array = array.astype(np.float32)
        number, unique = 1, name
        while unique in self.parameters:
            if _same(self.parameters[unique], array):
                return unique
            number += 1
            unique = f"{name}#{number}"
        self.parameters[unique] = array
        return unique


def array(tensor: onnx.TensorProto) -> NDArray[Any]:
    """The numbers of a weight.

    Raises
    ------
    InputError
        They do not fit its shape and type.
    """
    try:
        return numpy_helper.to_array(tensor)
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"the weight '{tensor.name}' is damaged: its data do not fit its shape and type; export the network again"
        ) from None


def _same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a is b or (a.dtype == b.dtype and np.array_equal(a, b))

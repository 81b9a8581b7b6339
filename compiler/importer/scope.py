"""The state of one import: what every ONNX tensor name stands for, and the graph built so far."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from hecc.compiler.importer.batch import Batch, encrypted_inputs
from hecc.compiler.importer.prepare import opset_of
from hecc.compiler.ir.graph import InputNode, Node, Source, Value
from hecc.runtime.epilogue import Step, Values
from hecc.runtime.errors import InputError

__all__ = ["Constant", "Decoded", "Operand", "Scope", "Tail", "Unknown", "array"]


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
    operands
        What each tensor name stands for, so far.
    nodes
        The graph so far.
    parameters
        The parameters so far, by name.
    decoded
        The values that the client decrypts, by name.
    """

    model: onnx.ModelProto
    batch: Batch
    tail: Tail = field(default_factory=lambda: Tail())
    operands: dict[str, Operand] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    parameters: dict[str, NDArray[Any]] = field(default_factory=dict)
    decoded: dict[str, Decoded] = field(default_factory=dict)

    @classmethod
    def of(cls, model: onnx.ModelProto, batch: Batch, tail: Tail | None = None) -> Scope:
        """Start an import: the inputs are values, the initializers constants."""
        scope = cls(model, batch, tail or Tail())
        for tensor in model.graph.initializer:
            scope.operands[tensor.name] = Constant(tensor.name, array(tensor))
        for item in encrypted_inputs(model):
            value = Value(item.name, batch.input_shape(item))
            scope.operands[item.name] = value
            scope.nodes.append(InputNode(value, Source(item.name, "input", opset_of(model))))
        return scope

    def define(self, node: Node) -> None:
        """Add a node to the graph."""
        self.nodes.append(node)
        self.operands[node.output.name] = node.output

    def fresh(self, name: str) -> str:
        """A name for a value that no ONNX tensor has: the one given, if it is free."""
        taken = {output for node in self.model.graph.node for output in node.output} | self.operands.keys()
        number, unique = 1, name
        while unique in taken:
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

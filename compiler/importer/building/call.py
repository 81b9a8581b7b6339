"""One use of an operator, as its converter sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray

from hecc.compiler.graph.affine import AffineMap, Reshape
from hecc.compiler.graph.nodes import (
    AffineNode,
    ProductNode,
    QuadraticNode,
    Source,
    Term,
    Value,
)
from hecc.compiler.importer.building.batch import LARGEST, LARGEST_WINDOW
from hecc.compiler.importer.building.refusals import InvalidNodeError, RefusedNodeError, Sentence, way_out
from hecc.compiler.importer.building.scope import Constant, Operand, Scope
from hecc.compiler.importer.building.trees import trees
from hecc.compiler.importer.reading.prepare import opset_of
from hecc.runtime.errors import InputError

__all__ = ["Call"]

MASKABLE = frozenset(
    {"Add", "Cast", "CastLike", "Dropout", "Flatten", "Identity", "Reshape", "Softmax", "Squeeze", "Unsqueeze"}
)
"""Operators that may read scores of which some are minus infinity."""

T = TypeVar("T", int, float, str, tuple[int, ...])


@dataclass(frozen=True)
class Call:
    """An ONNX node with its operands looked up.

    Attributes
    ----------
    scope
        The import that it is part of.
    node
        The ONNX node.
    source
        How errors and graph nodes name it.
    attributes
        Its attributes by name: numbers, strings, tuples of integers.
    """

    scope: Scope
    node: onnx.NodeProto
    source: Source
    attributes: Mapping[str, Any]

    @classmethod
    def of(cls, scope: Scope, node: onnx.NodeProto) -> Call:
        """Look a node up."""
        name = node.name or next((output for output in node.output if output), "")
        operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        source = Source(name, operator, opset_of(scope.model, node.domain))
        return cls(scope, node, source, {a.name: _plain(onnx.helper.get_attribute_value(a)) for a in node.attribute})

    @property
    def name(self) -> str:
        """Name of the first output: the value that a converter defines."""
        return str(self.node.output[0])

    def used(self, name: str) -> bool:
        """Whether a node reads a tensor, or the model returns it."""
        return name in self.scope.read

    @property
    def operands(self) -> list[Operand | None]:
        """The inputs in order; None where an optional one is left out."""
        return [self.scope.operands[name] if name else None for name in self.node.input]

    def attribute(self, name: str, default: T) -> T:
        """An attribute, or the default."""
        value = self.attributes.get(name, default)
        if not isinstance(value, type(default)):
            raise self.fault(f"its attribute '{name}' has the wrong type")
        return value

    def operand(self, index: int) -> Value | Constant:
        """An input that must be there."""
        operand = self.optional(index)
        if operand is None:
            raise self.fault(f"its input {index} is missing")
        return operand

    def optional(self, index: int) -> Value | Constant | None:
        """An input, or None where it is left out."""
        operands = self.operands
        operand = operands[index] if index < len(operands) else None
        if not isinstance(operand, Value | Constant | None):
            raise self.refuse(
                f"its input '{self.node.input[index]}' is computed after decryption", "end the network there"
            )
        if isinstance(operand, Value) and operand.name in self.scope.masked and self.node.op_type not in MASKABLE:
            raise self.refuse_mask(operand)
        return operand

    def value(self, index: int) -> Value:
        """An encrypted input."""
        operand = self.operand(index)
        if isinstance(operand, Constant):
            raise self.refuse(
                f"its input '{operand.name}' is a constant where the data is expected",
                "make the data the first input, and the weights constants",
            )
        return operand

    def constant(self, index: int) -> Constant:
        """An input that must be known at compile time."""
        operand = self.operand(index)
        if isinstance(operand, Value):
            raise self.refuse(
                f"its input '{operand.name}' depends on encrypted data",
                "make it a constant (an initializer) of the model",
            )
        return operand

    def integers(self, index: int) -> tuple[int, ...] | None:
        """A constant input of integers such as axes or a shape, or None where it is left out."""
        if self.optional(index) is None:
            return None
        array = self.constant(index).array
        if array.dtype.kind not in "biuf" or not bool(np.isfinite(array).all()):
            raise self.fault(f"its input {index} does not hold integers")
        return tuple(int(number) for number in array.reshape(-1))

    def axes(self, axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
        """Axes counted from the front, without repetition, for a tensor of some rank."""
        for axis in axes:
            if not -rank <= axis < rank:
                raise self.fault(f"axis {axis} does not exist in a tensor of rank {rank}")
        counted = tuple(axis % rank for axis in axes)
        if len(set(counted)) < len(counted):
            raise self.fault(f"axes {list(axes)} repeat one another")
        return counted

    def broadcast(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        """The common shape of several tensors."""
        try:
            return self.bounded(np.broadcast_shapes(*shapes))
        except ValueError:
            listed = " and ".join("x".join(map(str, shape)) or "scalar" for shape in shapes)
            raise self.fault(f"shapes {listed} do not broadcast together") from None

    def example(self, constant: Constant, rank: int) -> Constant:
        """A constant that a fixed batch has once for every example, all the same, as it is for one example."""
        extent = self.scope.batch.extent
        whole = constant.array
        if extent == 1 or whole.ndim != rank or whole.shape[:1] != (extent,) or not bool((whole == whole[:1]).all()):
            return constant
        return Constant(f"{constant.name}:example", whole[:1])

    def bounded(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape, unless it is absurdly large."""
        if math.prod(shape) > LARGEST * self.scope.batch.room:
            raise self.refuse(f"its result would have {math.prod(shape)} elements", f"stay below {LARGEST} elements")
        return shape

    def parameter(self, constant: Constant, suffix: str = "", array: NDArray[Any] | None = None) -> str:
        """Name of the parameter that holds a constant, or an array derived from it by what ``suffix`` says."""
        kept = constant.array if array is None else array
        if not np.issubdtype(kept.dtype, np.floating) and kept.dtype.name != "bfloat16":
            raise self.refuse(
                f"its constant '{constant.name}' holds {kept.dtype.name}", "cast it to float32 in the network"
            )
        if not bool(np.isfinite(kept).all()):
            # A mask ahead of a softmax is minus infinity by habit; nothing else than numbers can be encrypted.
            masks = not bool(np.isnan(kept).any())
            remedy = "write a number such as -1e4 if it is a mask, or train" if masks else "train"
            raise InputError(
                f"{self.place}: its constant '{constant.name}' holds infinity or NaN; {remedy} the network again"
            )
        return self.scope.parameter(constant.name + suffix, kept)

    def number(self, value: float) -> str:
        """Name of the scalar parameter that holds a number which no ONNX tensor holds."""
        return self.scope.parameter(f"constant:{value:g}", np.array(value, dtype=np.float64))

    def affine(self, output: Value, *terms: tuple[Value, AffineMap], bias: str | None = None) -> None:
        """Define a value as a sum of maps of values, plus a bias."""
        self.bounded(output.shape)
        taps = max((step.taps for _, step in terms), default=1)
        if taps > LARGEST_WINDOW * self.scope.batch.room:
            raise self.refuse(
                f"it combines {taps} elements into one", f"stay below {LARGEST_WINDOW}, or do it in steps"
            )
        self.scope.define(AffineNode(output, self.source, tuple(Term(v.name, m) for v, m in terms), bias))

    def rename(self, value: Value, shape: tuple[int, ...] | None = None) -> None:
        """Define the output as the same numbers, perhaps in another shape."""
        output = Value(self.name, value.shape if shape is None else shape)
        self.affine(output, (value, Reshape(value.shape, output.shape)))
        if value.name in self.scope.masked:
            self.scope.masked[output.name] = self.scope.masked[value.name].reshape(output.shape)

    def square(self, value: Value, name: str | None = None) -> Value:
        """Define a value's square: the output, or an intermediate value of another name."""
        zero, one = self.number(0.0), self.number(1.0)
        squared = Value(self.name if name is None else self.scope.fresh(name), value.shape)
        self.scope.define(QuadraticNode(squared, self.source, value.name, (zero, zero, one)))
        return squared

    def product(self, left: Value, right: Value, name: str | None = None) -> Value:
        """Define the product of two values of one shape: the output, or an intermediate value of another name."""
        product = Value(self.name if name is None else self.scope.fresh(name), left.shape)
        self.scope.define(ProductNode(product, self.source, left.name, right.name))
        return product

    @property
    def place(self) -> str:
        """How errors name the node."""
        return f"{self.source} (opset {self.source.opset})"

    def refuse(self, reason: str, remedy: str) -> RefusedNodeError:
        """Refuse this use of the operator."""
        return RefusedNodeError(self.source, reason, remedy)

    def refuse_mixing(self) -> RefusedNodeError:
        """Refuse a node that computes something from several examples of a batch, or from how many there are."""
        if self.scope.batch.extent == 1:
            return self.refuse(
                "it mixes the examples of a batch, which are encrypted apart",
                "leave it out; or, if the whole input is one example, export the network with a fixed size and compile "
                "it with --no-batch-axis (batch_axis=False)",
            )
        return self.refuse(
            f"it mixes the {self.scope.batch.extent} examples of the batch",
            "export the network with a batch of one or a dynamic batch axis",
        )

    def refuse_mask(self, value: Value) -> RefusedNodeError:
        """Refuse what reads scores of which some are minus infinity, and is no softmax."""
        return self.refuse(
            f"its input '{value.name}' is minus infinity in places, which only a Softmax may read",
            "write a number such as -1e4 if it is a mask, or move the mask right before the Softmax",
        )

    def refuse_operator(self) -> RefusedNodeError:
        """Refuse the operator as such."""
        if self.node.domain and self.node.op_type.startswith("TreeEnsemble"):
            return self.refuse(*trees(self.scope.model.graph.node))
        return RefusedNodeError(self.source, *(self.limit or way_out(self.node.domain, self.node.op_type)))

    @property
    def limit(self) -> Sentence | None:
        """Why the scheme refuses the operator, if it does."""
        return None if self.node.domain else self.scope.limits.refused.get(self.node.op_type)

    def fault(self, reason: str) -> InvalidNodeError:
        """Refuse a node that is not valid ONNX."""
        return InvalidNodeError(f"{self.place}: {reason}; the model is not valid ONNX: export the network again")


def _plain(value: Any) -> Any:
    """An attribute's value without the traces of protocol buffers."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, str | int | float) or not hasattr(value, "__iter__"):
        return value
    return tuple(_plain(item) if isinstance(item, bytes) else item for item in value)

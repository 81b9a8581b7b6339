"""The batch axis: what it was in the file, and how shapes of a whole batch and of one example correspond.

A plan evaluates one example. A network exported with a dynamic batch, or a batch of one, is imported as it acts on a
batch of one. A network exported with a fixed batch B > 1 is imported by division: every value of leading extent k B
there has leading extent k here, which is right as long as no node mixes examples, and the importer checks that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx

from hecc.compiler.importer.reading.prepare import FLOATS, type_name
from hecc.runtime.errors import InputError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Batch", "encrypted_inputs"]

LARGEST = 1 << 23
"""Elements that a tensor may have: 256 ciphertexts of the largest ring. Files may claim anything."""

LARGEST_WINDOW = 1 << 18
"""Elements that a window may have, or what is averaged: more than an image of 500 pixels squared."""

LARGEST_INPUT = 1 << 22
"""Elements that an input may have: 128 ciphertexts of the largest ring, and an image of a thousand pixels squared."""

ROOM = 4
"""Rows of which there may be as many elements as there may be of one."""

MOST_INPUTS = 256
"""Inputs that a network may have."""


@dataclass(frozen=True)
class Batch:
    """The batch axis of a model.

    Attributes
    ----------
    axis
        Whether axis 0 of the inputs and outputs is a batch axis.
    extent
        The fixed batch that the network was exported with, otherwise one.
    dynamic
        Whether the file leaves the batch open.
    made_up
        An extent to take where it does; then the whole batch is one example.
    """

    axis: bool
    extent: int = 1
    dynamic: bool = False
    made_up: int = 0

    @classmethod
    def of(cls, model: onnx.ModelProto, batch_axis: bool) -> Batch:
        """Find the batch of a model.

        Raises
        ------
        UnsupportedError
            Inputs disagree about the batch.
        """
        inputs = encrypted_inputs(model)
        if len(inputs) > MOST_INPUTS:
            raise UnsupportedError(f"the network has {len(inputs)} inputs, more than {MOST_INPUTS}; join them in one")
        shapes = {value.name: _dimensions(value, batch_axis) for value in inputs}
        if not batch_axis or not shapes:
            return cls(axis=False)
        leading = {name: dims[0] if len(dims) > 1 else None for name, dims in shapes.items()}
        fixed = {name: extent for name, extent in leading.items() if isinstance(extent, int) and extent > 1}
        dynamic = any(isinstance(extent, str) for extent in leading.values())
        if fixed and (len(set(fixed.values())) > 1 or len(fixed) < len(leading)):
            name, extent = next(iter(fixed.items()))
            other = next(n for n, e in leading.items() if e != extent)
            raise UnsupportedError(
                f"input '{name}' has a batch of {extent} and input '{other}' has not; export the network with a "
                "batch of one or a dynamic batch axis"
            )
        vectors = [name for name, extent in leading.items() if extent is None]
        if dynamic and vectors:
            raise UnsupportedError(
                f"input '{vectors[0]}' has no batch axis while another input has a dynamic one; export the network "
                "with a fixed batch of one and compile it with --no-batch-axis (batch_axis=False)"
            )
        return cls(axis=not vectors, extent=next(iter(fixed.values()), 1), dynamic=dynamic)

    @property
    def room(self) -> int:
        """How many times as many elements as for one row there may be."""
        return min(max(1, self.made_up), ROOM)

    def whole(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape in the file, from the shape of one example."""
        return shape if self.extent == 1 or not shape else (shape[0] * self.extent, *shape[1:])

    def example(self, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """The shape of one example, from the shape in the file; None where examples would be torn or mixed."""
        if self.extent == 1:
            return shape
        if not shape or shape[0] % self.extent:
            return None
        return (shape[0] // self.extent, *shape[1:])

    def input_shape(self, value: onnx.ValueInfoProto) -> tuple[int, ...]:
        """The shape of one example of an input.

        Raises
        ------
        InputError
            The input has no elements.
        UnsupportedError
            An axis other than the batch is dynamic, or the input holds something else than real numbers.
        """
        dims = list(_dimensions(value, self.axis or self.made_up > 0))
        if len(dims) > 1 and (self.axis or self.dynamic or self.extent > 1):
            dims[0] = 1
        elif self.made_up and isinstance(dims[0], str):
            dims[0] = self.made_up
        for axis, extent in enumerate(dims):
            if isinstance(extent, str):
                label = f" ('{extent}')" if extent else ""
                batch = ", or import with batch_axis=True if it is the batch" if axis == 0 and len(dims) > 1 else ""
                raise UnsupportedError(
                    f"input '{value.name}' has a dynamic axis {axis}{label}; export the network with a fixed size "
                    f"there{batch}"
                )
        shape = tuple(extent for extent in dims if isinstance(extent, int))
        if not self.made_up and math.prod(shape) > LARGEST_INPUT:
            raise UnsupportedError(
                f"input '{value.name}' has {math.prod(shape)} elements, more than {LARGEST_INPUT}; use smaller inputs"
            )
        return shape


def encrypted_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The graph's inputs that are not weights."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def _dimensions(value: onnx.ValueInfoProto, batch_axis: bool) -> Sequence[int | str]:
    """Extent of every axis: a number, or the name of a dynamic one."""
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        what = (kind or "nothing").removesuffix("_type").replace("_", " ")
        raise UnsupportedError(
            f"input '{value.name}' is declared as {what}, not as a tensor; only tensors can be encrypted"
        )
    tensor = value.type.tensor_type
    if tensor.elem_type not in FLOATS:
        if tensor.elem_type == onnx.TensorProto.STRING:
            raise UnsupportedError(
                f"input '{value.name}' holds strings; only real numbers can be encrypted: encode categories as numbers "
                "before encryption, and train the model on these"
            )
        raise UnsupportedError(
            f"input '{value.name}' holds {type_name(tensor.elem_type)}; only real numbers can be encrypted: "
            "make the input float32 and drop "
            "the Cast behind it, if any, and look up embeddings before encryption"
        )
    if not tensor.HasField("shape"):
        raise UnsupportedError(f"input '{value.name}' has no shape; export the network with a fixed input shape")
    dims: list[int | str] = []
    for axis, dim in enumerate(tensor.shape.dim):
        # Old exporters write -1, and some a batch of 0, for "unknown".
        unknown = dim.dim_value < 0 or (batch_axis and axis == 0 and len(tensor.shape.dim) > 1)
        if dim.HasField("dim_value") and dim.dim_value > 0:
            dims.append(dim.dim_value)
        elif dim.HasField("dim_value") and not unknown:
            raise InputError(
                f"input '{value.name}' has no elements: axis {axis} has extent 0; export the network again"
            )
        else:
            dims.append(dim.dim_param)
    return dims

"""Walking through a model: all its graphs, nodes and tensors, wherever they are.

Tensors are not only the graph's weights. They are in the attributes of nodes, dense or sparse, in the branches of an If
and the bodies of loops, to any depth, in local functions and their attributes' defaults, and in what is kept for
training. The walk asks protocol buffers what a message holds, so that none is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import onnx
from google.protobuf.message import Message  # type: ignore[import-untyped]

__all__ = ["parts"]

M = TypeVar("M")

LEAVES = (onnx.OperatorSetIdProto, onnx.StringStringEntryProto, onnx.TensorProto, onnx.TypeProto)
"""Messages in which nothing is looked for."""


def parts(message: object, *kinds: type[M]) -> Iterator[M]:
    """All messages of some kinds in a message, itself included, in no particular order."""
    waiting: list[Any] = [message]
    while waiting:
        one = waiting.pop()
        if isinstance(one, kinds):
            yield one
        if isinstance(one, LEAVES):
            continue
        for field, value in one.ListFields():
            if field.message_type is not None:
                if isinstance(value, Message):
                    waiting.append(value)
                else:
                    waiting.extend(value)

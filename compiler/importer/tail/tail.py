"""Finding the end of a network: the tensors that only outputs depend on, through what the client can compute."""

from __future__ import annotations

import onnx

from hecc.compiler.importer.building.scope import Tail
from hecc.compiler.importer.operators.ml import ML
from hecc.compiler.importer.tail.arithmetic import ARITHMETIC, FUNCTIONS
from hecc.compiler.importer.tail.movement import RESHAPING
from hecc.compiler.importer.tail.rules import FOLLOWING, STARTING

__all__ = ["tail"]

ELEMENTWISE = frozenset({*ARITHMETIC, *FUNCTIONS, *RESHAPING, "Concat"})
"""Operators through which a function may be put off to the client: what is decrypted gets no larger by it."""

CLASSIFIERS = frozenset({"LinearClassifier", "SVMClassifier"})
"""Operators that compute scores, which a server does, and the class, which the client does."""


def tail(graph: onnx.GraphProto) -> Tail:
    """The end of a network."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        # The shape of a tensor is known whoever computes it.
        if node.domain or node.op_type not in ("Shape", "Size"):
            for name in node.input:
                readers.setdefault(name, []).append(node)
    names: set[str] = set()
    chosen: set[str] = set()
    # What may act on a step; a classifier may only be the first.
    following: set[str] = set()
    for node in reversed(graph.node):
        own = node.domain in ("", ML)
        follows = own and node.op_type in FOLLOWING
        if not follows and not (node.domain == ML and node.op_type in CLASSIFIERS):
            continue
        behind = [reader for name in node.output for reader in readers.get(name, [])]
        if not all(reader.output[0] in following for reader in behind):
            continue
        names.update(node.output)
        if follows:
            following.update(node.output)
        if any(
            reader.op_type in STARTING or (reader.op_type in ELEMENTWISE and reader.output[0] in chosen)
            for reader in behind
        ):
            chosen.update(node.output)
    return Tail(frozenset(names), frozenset(chosen))

"""Classes and their probabilities: softmax and its like, norms, argmax, names of classes and columns."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.scope import Constant, Decoded
from hecc.compiler.importer.tail.decoded import axes, operand, then
from hecc.runtime.tail import epilogue as steps

__all__ = ["extreme", "looked_up", "looks_up", "normalise", "over", "sigmoid", "top", "zip_map"]


def over(call: Call, kind: Callable[[tuple[int, ...]], steps.Step]) -> Decoded:
    """Softmax and its like: over one axis, or before opset 13 over all axes from one on."""
    decoded = operand(call, 0)
    if call.source.opset >= 13:
        return then(call, decoded, kind(axes(call, (call.attribute("axis", -1),), decoded)))
    rank = len(decoded.shape)
    (first,) = call.axes((call.attribute("axis", 1),), rank)
    return then(call, decoded, kind(axes(call, tuple(range(first, rank)), decoded)))


def sigmoid(call: Call) -> Decoded:
    """The logistic function."""
    return then(call, operand(call, 0), steps.Sigmoid())


def extreme(call: Call, *, largest: bool) -> Decoded:
    """ArgMax and ArgMin."""
    decoded = operand(call, 0)
    axis = call.attribute("axis", 0)
    (place,) = call.axes((axis,), len(decoded.shape))
    (inside,) = axes(call, (axis,), decoded)
    step = steps.ArgMax(axis=inside, largest=largest, last=bool(call.attribute("select_last_index", 0)))
    kept = (1,) if call.attribute("keepdims", 1) else ()
    return then(call, decoded, step, (*decoded.shape[:place], *kept, *decoded.shape[place + 1 :]))


def top(call: Call) -> dict[str, Decoded | Constant]:
    """TopK: the first elements, and their indices, of those in order."""
    decoded = operand(call, 0)
    (count,) = call.integers(1) or (0,) if call.source.opset >= 10 else (call.attribute("k", 0),)
    (place,) = call.axes((call.attribute("axis", -1),), len(decoded.shape))
    (inside,) = axes(call, (place,), decoded)
    extent = decoded.shape[place]
    if not 0 < count <= extent:
        raise call.fault(f"it wants {count} of {extent} elements")
    shape = (*decoded.shape[:place], count, *decoded.shape[place + 1 :])
    size = math.prod(decoded.values.shape)
    index = np.arange(size).reshape(decoded.values.shape).take(range(count), axis=inside)
    pick = steps.Pick(values=(0,), index=tuple(index.reshape(-1).tolist()), shape=index.shape)
    results: dict[str, Decoded | Constant] = {}
    for name, indices in zip(call.node.output, (False, True), strict=False):
        if name:
            largest = bool(call.attribute("largest", 1))
            ordered = then(call, decoded, steps.Sort(axis=inside, largest=largest, index=indices))
            results[name] = then(call, ordered, pick, shape)
    return results


def normalise(call: Call) -> Decoded:
    """Normalizer and LpNormalization."""
    decoded = operand(call, 0)
    norm, axis = call.attribute("norm", "MAX"), -1
    if call.node.op_type == "LpNormalization":
        norm, axis = {1: "L1", 2: "L2"}.get(call.attribute("p", 2), "of this order"), call.attribute("axis", -1)
    kinds: dict[str, Literal["l1", "l2", "max"]] = {"L1": "l1", "L2": "l2", "MAX": "max"}
    if norm not in kinds:
        raise call.fault(f"its norm '{norm}' does not exist")
    (inside,) = axes(call, (axis,), decoded)
    return then(call, decoded, steps.Normalize(norm=kinds[norm], axis=inside))


def zip_map(call: Call) -> Decoded:
    """ZipMap: names for the columns."""
    decoded = operand(call, 0)
    labels = call.attribute("classlabels_int64s", ()) or call.attribute("classlabels_strings", ())
    if decoded.shape[-1:] != (len(labels),):
        raise call.fault(f"it has {len(labels)} names for {decoded.shape[-1:]} columns")
    return then(call, decoded, steps.Columns(labels=labels))


def looks_up(call: Call) -> bool:
    """Whether a Gather or an ArrayFeatureExtractor takes names of classes by indices that the client computes."""
    lookup = call.node.op_type in ("ArrayFeatureExtractor", "Gather")
    return lookup and isinstance(call.operands[0], Constant) and isinstance(call.operands[1], Decoded)


def looked_up(call: Call) -> Decoded:
    """The names of classes in place of their indices."""
    table, index = call.constant(0), operand(call, 1)
    labels = tuple(table.array.reshape(-1).tolist())
    if table.array.ndim > 2 or table.array.size != table.shape[-1] or not all(isinstance(x, int | str) for x in labels):
        raise call.refuse(
            f"its table '{table.name}' is no list of names or integers, one for each class",
            "give the classes names; if it calibrates probabilities, use a sigmoid in place of an isotonic function",
        )
    # What an ArrayFeatureExtractor extracts is one row, whatever the shape of the indices.
    shape = index.shape if call.node.op_type == "Gather" else (1, math.prod(index.shape))
    return then(call, index, steps.Labels(labels=labels), shape)

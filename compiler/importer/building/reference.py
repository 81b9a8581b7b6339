"""What ONNX's reference implementation computes for a node.

It has the newest meaning of every operator, whatever the opset, and errors of its own. So it is asked only about
operators that move elements, or that make shapes, indices and ranges: there the meanings do not differ, and
``tests/fuzz/importing.py`` compares it with onnxruntime at every opset.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.reading.inference import infer_shapes

__all__ = ["evaluate"]


def _clamped(call: Call, feeds: Mapping[str, NDArray[Any]]) -> tuple[onnx.NodeProto, Mapping[str, NDArray[Any]]]:
    """A Slice that begins at the first element where it would begin before it, as one backwards does in ONNX."""
    names = [*call.node.input, "", "", ""][:5]
    data, starts = feeds[names[0]], feeds[names[1]].reshape(-1)
    axes = feeds[names[3]].reshape(-1) if names[3] else np.arange(starts.size)
    if data.ndim == 0 or axes.size != starts.size or bool((np.abs(axes) > data.ndim).any()):
        return call.node, feeds
    lowest = [-data.shape[int(axis) % data.ndim] for axis in axes]
    node = onnx.NodeProto()
    node.CopyFrom(call.node)
    node.input[1] = f"{names[1]}:clamped"
    return node, {**feeds, node.input[1]: np.maximum(starts, np.asarray(lowest, dtype=starts.dtype))}


def evaluate(call: Call, feeds: Mapping[str, NDArray[Any]], remedy: str) -> dict[str, NDArray[Any]]:
    """What ONNX's reference implementation computes for a node, by the names of its outputs.

    Raises
    ------
    RefusedNodeError
        It cannot; ``remedy`` says what to do.
    """
    for shape in infer_shapes(call.scope, call.node).values():
        call.bounded(shape)
    outputs = [name for name in call.node.output if name]
    node = call.node
    if node.op_type == "Slice" and call.source.opset >= 10:
        node, feeds = _clamped(call, feeds)
    graph = helper.make_graph(
        [node],
        "evaluated",
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in feeds.items()],
        [helper.make_value_info(name, onnx.TypeProto()) for name in outputs],
    )
    model = helper.make_model(graph, opset_imports=call.scope.model.opset_import)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            results: Any = ReferenceEvaluator(model).run(None, dict(feeds))
    except Exception as error:  # the evaluator raises whatever its numpy code happens to raise
        raise call.refuse(
            f"ONNX's reference implementation cannot evaluate it ({type(error).__name__})", remedy
        ) from None
    if not all(isinstance(result, np.ndarray | np.generic) for result in results):
        raise call.refuse("its result is not a tensor", "use tensors instead of sequences, maps and optionals")
    return {name: np.asarray(result) for name, result in zip(outputs, results, strict=True)}

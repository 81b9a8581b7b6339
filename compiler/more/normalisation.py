"""The batch normalisations of an ONNX file that a training keeps as such: those whose four tensors are initializers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnx.numpy_helper

from hecc.compiler.graph.affine import Scale
from hecc.compiler.graph.gradients.batch_normalisation import BatchNormalisation
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode

__all__ = ["batch_normalisations"]


def batch_normalisations(graph: Graph, model: bytes) -> dict[str, BatchNormalisation]:
    """By the name of the value that each makes in the imported graph.

    A tensor that two of them share is left as it is: it would be two running averages.
    """
    loaded = onnx.load_model_from_string(model).graph
    known = {
        each.name: np.asarray(onnx.numpy_helper.to_array(each), dtype=np.float64).reshape(-1)
        for each in loaded.initializer
        if each.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
    }
    made = {node.output.name: node for node in graph.nodes}
    uses = Counter(name for node in loaded.node for name in node.input)
    found = {}
    for node in loaded.node:
        affine = made.get(node.output[0]) if node.op_type == "BatchNormalization" else None
        names = list(node.input[1:5])
        if not isinstance(affine, AffineNode) or len(affine.terms) != 1 or not isinstance(affine.terms[0].map, Scale):
            continue
        if not all(name in known and uses[name] == 1 for name in names):
            continue
        given = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        shape = affine.output.shape
        if len(shape) < 2 or any(known[name].size != shape[1] for name in names):
            continue
        scale, shift, mean, variance = names
        found[affine.output.name] = BatchNormalisation(
            value=affine.terms[0].value,
            shape=shape,
            scale=scale,
            shift=shift,
            mean=mean,
            variance=variance,
            values={name: known[name] for name in names},
            epsilon=float(given.get("epsilon", 1e-5)),
            momentum=float(given.get("momentum", 0.9)),
        )
    return found

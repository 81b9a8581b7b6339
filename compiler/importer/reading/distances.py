"""Distances to constant rows, which skl2onnx writes as a loop: one operator takes their place.

The operator is ``CDist`` of onnxruntime (domain ``com.microsoft``), which skl2onnx writes itself where it is asked to
(``options={"optim": "cdist"}``). Where the distances are compared, the model looks for nearest neighbours, and is
refused.
"""

from __future__ import annotations

import onnx
from onnx import numpy_helper

from hecc.runtime.errors import UnsupportedError

__all__ = ["CONTRIBUTED", "name_distances"]

CONTRIBUTED = "com.microsoft"
"""The domain of operators that onnxruntime adds."""

ALONG = frozenset({"Abs", "Cast", "Identity", "Mul", "Neg", "Pow", "Reshape", "Sqrt", "Transpose"})
"""What may be done to distances before they are compared."""

SORTING = frozenset({"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "TopK"})
"""What compares them."""


def name_distances(model: onnx.ModelProto) -> None:
    """Replace the loops that compute squared distances.

    Raises
    ------
    UnsupportedError
        The distances are compared.
    """
    _refuse_neighbours(model.graph)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if not _is_distances(node) or any(node.output[0] in other.input for other in model.graph.node):
            nodes.append(node)
            continue
        rows, others, result = node.input[0], node.input[1], node.output[1]
        between = f"{result}:distances"
        nodes += [
            onnx.helper.make_node(
                "CDist", [rows, others], [between], name=node.name, domain=CONTRIBUTED, metric="sqeuclidean"
            ),
            onnx.helper.make_node("Transpose", [between], [result], name=f"{node.name}:transposed", perm=[1, 0]),
        ]
    if len(nodes) > len(model.graph.node):
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        if all(entry.domain != CONTRIBUTED for entry in model.opset_import):
            model.opset_import.append(onnx.helper.make_opsetid(CONTRIBUTED, 1))


def _is_distances(node: onnx.NodeProto) -> bool:
    """Whether a Scan computes the squared distances of the rows of its state to each row that it goes through."""
    if node.op_type != "Scan" or node.domain or len(node.input) != 2 or len(node.output) != 2:
        return False
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if not {"body", "num_scan_inputs"} >= attributes.keys() or "body" not in attributes:
        return False
    body = attributes["body"].g
    if len(body.input) != 2 or len(body.output) != 2:
        return False
    makers = {output: inner for inner in body.node for output in inner.output}
    state, row = (item.name for item in body.input)
    if _origin(makers, body.output[0].name) != state:
        return False
    summed = makers.get(_origin(makers, body.output[1].name))
    if summed is None or summed.op_type != "ReduceSumSquare" or _keeps(summed) or _axes(summed, body) != [1]:
        return False
    difference = makers.get(summed.input[0])
    return difference is not None and difference.op_type == "Sub" and list(difference.input) == [state, row]


def _origin(makers: dict[str, onnx.NodeProto], name: str) -> str:
    """The tensor that a name stands for, behind nodes that change nothing."""
    seen: set[str] = set()
    while name not in seen and name in makers and makers[name].op_type == "Identity":
        seen.add(name)
        name = makers[name].input[0]
    return name


def _keeps(node: onnx.NodeProto) -> bool:
    return next((attribute.i for attribute in node.attribute if attribute.name == "keepdims"), 1) != 0


def _axes(node: onnx.NodeProto, body: onnx.GraphProto) -> list[int]:
    """The axes, which were an attribute before opset 18."""
    if len(node.input) < 2:
        return next((list(attribute.ints) for attribute in node.attribute if attribute.name == "axes"), [])
    tensor = next((one for one in body.initializer if one.name == node.input[1]), None)
    known = tensor is not None and tensor.data_type == onnx.TensorProto.INT64 and list(tensor.dims) == [1]
    return numpy_helper.to_array(tensor).tolist() if known and tensor is not None else []


def _refuse_neighbours(graph: onnx.GraphProto) -> None:
    distances = {
        output
        for node in graph.node
        if node.op_type in ("CDist", "Scan")
        for output in (node.output if node.domain else node.output[1:])
    }
    for node in graph.node:
        if not distances.intersection(node.input):
            continue
        if node.op_type in ALONG:
            distances.update(node.output)
        elif node.op_type in SORTING:
            raise UnsupportedError(
                f"{node.op_type} '{node.name or node.output[0]}': nearest neighbours compare the distances to all rows "
                "that the model was trained on, which a server that only adds and multiplies cannot do, and from which "
                "a client can compute these rows; use a support vector machine, a linear model or a neural network "
                "instead"
            )

"""Models of opset 1 to 6, in the words of opset 7.

Before opset 7 broadcasting was an attribute, and before opset 5 shapes were; some nodes said which inputs they might
overwrite. What a node means is written as opset 7 has it. The version converter of onnx is not asked: it puts the axes
of a bias in the wrong place where the file does not declare the shapes inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hecc.runtime.errors import UnsupportedError

__all__ = ["OLDEST", "renew"]

OLDEST = 7
"""The opset in whose words models are written."""

Rule = Callable[[onnx.NodeProto, int], list[onnx.NodeProto]]


def renew(model: onnx.ModelProto) -> None:
    """Write a model of an older opset as one of opset 7; others stay as they are.

    Raises
    ------
    UnsupportedError
        It has an operator that meant something else, and that is not written anew.
    """
    entry = next((one for one in model.opset_import if one.domain == ""), None)
    if entry is None or not 0 < entry.version < OLDEST or model.functions:
        return
    opset, nodes = entry.version, []
    for node in model.graph.node:
        nodes += _renewed(node, opset)
    entry.version = OLDEST
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _spread(model)


def _renewed(node: onnx.NodeProto, opset: int) -> list[onnx.NodeProto]:
    if node.domain or not _changed(node.op_type, opset):
        return [node]
    rule = _RULES.get(node.op_type)
    if rule is None:
        raise _refusal(node, opset)
    _drop(node, "consumed_inputs")
    return rule(node, opset)


def _changed(operator: str, opset: int) -> bool:
    """Whether an operator was another in an opset than in opset 7."""
    try:
        old, new = (onnx.defs.get_schema(operator, version, "") for version in (opset, OLDEST))
    except onnx.defs.SchemaError:
        # Whatever it is, it is refused by its name.
        return False
    return bool(old.since_version != new.since_version)


def _refusal(node: onnx.NodeProto, opset: int) -> UnsupportedError:
    return UnsupportedError(
        f"{node.op_type} '{node.name or node.output[0]}' (opset {opset}): the operator means something else than in "
        f"opset {OLDEST}, the oldest that is imported with it; export the network again with opset 13 or newer"
    )


def _drop(node: onnx.NodeProto, *names: str) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name not in names]
    del node.attribute[:]
    node.attribute.extend(kept)


def _integer(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == name), default)


def _same(node: onnx.NodeProto, _: int) -> list[onnx.NodeProto]:
    return [node]


def _arithmetic(node: onnx.NodeProto, _: int) -> list[onnx.NodeProto]:
    """The axis from which on the second operand lies is kept for :func:`_spread`; without it, both end together."""
    _drop(node, "broadcast")
    return [node]


def _reshape(node: onnx.NodeProto, _: int) -> list[onnx.NodeProto]:
    shape = next((list(attribute.ints) for attribute in node.attribute if attribute.name == "shape"), [])
    _drop(node, "shape")
    name = f"{node.output[0]}:shape"
    node.input.append(name)
    tensor = numpy_helper.from_array(np.asarray(shape, dtype=np.int64), name)
    return [helper.make_node("Constant", [], [name], value=tensor), node]


def _concat(node: onnx.NodeProto, _: int) -> list[onnx.NodeProto]:
    if not any(attribute.name == "axis" for attribute in node.attribute):
        node.attribute.append(helper.make_attribute("axis", 1))
    return [node]


def _pad(node: onnx.NodeProto, _: int) -> list[onnx.NodeProto]:
    for attribute in node.attribute:
        if attribute.name == "paddings":
            attribute.name = "pads"
    return [node]


def _cast(node: onnx.NodeProto, opset: int) -> list[onnx.NodeProto]:
    kinds = onnx.TensorProto.DataType
    name = next((attribute.s.decode("utf-8", "replace") for attribute in node.attribute if attribute.name == "to"), "")
    if name not in kinds.keys():  # noqa: SIM118 - an enumeration of protocol buffers is no mapping
        raise _refusal(node, opset)
    _drop(node, "to")
    node.attribute.append(helper.make_attribute("to", kinds.Value(name)))
    return [node]


def _inference(node: onnx.NodeProto, opset: int) -> list[onnx.NodeProto]:
    """BatchNormalization and Dropout, which trained unless they were told not to."""
    if not _integer(node, "is_test", 0):
        raise UnsupportedError(
            f"{node.op_type} '{node.name or node.output[0]}' (opset {opset}): it is in training mode; export the "
            "network in inference mode: call model.eval() first"
        )
    _drop(node, "is_test")
    return [node]


_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(("Abs", "AveragePool", "Ceil", "Clip", "Elu", "Exp", "Floor", "HardSigmoid"), _same),
        **dict.fromkeys(("InstanceNormalization", "LeakyRelu", "Log", "Max", "Mean", "Min", "Neg"), _same),
        **dict.fromkeys(("Reciprocal", "Relu", "Sigmoid", "Sqrt", "Sum", "Tanh"), _same),
        **dict.fromkeys(("Add", "And", "Div", "Equal", "Gemm", "Greater", "Less"), _arithmetic),
        **dict.fromkeys(("Mul", "Or", "Pow", "Sub", "Xor"), _arithmetic),
        **dict.fromkeys(("BatchNormalization", "Dropout"), _inference),
        "Cast": _cast,
        "Concat": _concat,
        "Pad": _pad,
        "Reshape": _reshape,
    }
)
"""What to write in place of a node whose operator has changed, by operator."""

SPREAD = frozenset({"Add", "And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "Pow", "Sub", "Xor"})


def _spread(model: onnx.ModelProto) -> None:
    """Give second operands, which lie along some axes of the first ones, the axes of extent one that are behind."""
    places = {
        index: _integer(node, "axis", 0)
        for index, node in enumerate(model.graph.node)
        if node.op_type in SPREAD and any(attribute.name == "axis" for attribute in node.attribute)
    }
    if not places:
        return
    ranks = _ranks(model, places)
    nodes: list[onnx.NodeProto] = []
    for index, node in enumerate(model.graph.node):
        if index in places:
            _drop(node, "axis")
            whole, part = (ranks.get(name) for name in node.input)
            if whole is None or part is None:
                raise _refusal(node, OLDEST - 1)
            axis = places[index] + whole if places[index] < 0 else places[index]
            behind = whole - axis - part
            if behind > 0:
                name = f"{node.output[0]}:spread"
                nodes.append(
                    helper.make_node("Unsqueeze", [node.input[1]], [name], axes=list(range(part, part + behind)))
                )
                node.input[1] = name
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _ranks(model: onnx.ModelProto, places: Mapping[int, int]) -> dict[str, int]:
    """How many axes tensors have, where a result has as many as its first operand."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for index in places:
        node = copy.graph.node[index]
        node.op_type = "Identity"
        del node.input[1:], node.attribute[:]
    try:
        graph = onnx.shape_inference.infer_shapes(copy).graph
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, RuntimeError, ValueError):
        graph = copy.graph
    ranks = {tensor.name: len(tensor.dims) for tensor in graph.initializer}
    for item in [*graph.input, *graph.value_info, *graph.output]:
        if item.type.tensor_type.HasField("shape"):
            ranks.setdefault(item.name, len(item.type.tensor_type.shape.dim))
    return ranks

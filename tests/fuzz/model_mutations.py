"""Mutations of ONNX models: attributes, shapes, types, inputs and weights that are not what they should be.

Everything follows from one `random.Random`, so that a number names a mutation for ever.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

import onnx
from onnx import AttributeProto, TensorProto, helper

INTEGERS = (0, 1, -1, 2, -2, 3, 7, 1 << 20, 1 << 31, -(1 << 31), 1 << 40, 1 << 62, -(1 << 63), (1 << 63) - 1)
NUMBERS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e-30, 1e30, 3.4e38, -3.4e38, float("inf"), float("-inf"), float("nan"))
TYPES = (0, 1, 2, 6, 7, 8, 9, 10, 11, 14, 16, 17, 21, 22, 99)
NAMES = ("", "x", "y", "w", "nowhere", "a" * 600, "\x1b[2J", "é")


def mutated(model: onnx.ModelProto, random: Random) -> onnx.ModelProto:
    """The model with one to three things changed."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        random.choice(MUTATIONS)(made, random)
    return made


def _attribute(model: onnx.ModelProto, random: Random) -> None:
    """Another value, another type, another name, or none."""
    node = _node(model, random)
    if node is None or not node.attribute:
        return
    attribute = random.choice(node.attribute)
    way = random.randrange(6)
    if way == 0:
        node.attribute.remove(attribute)
    elif way == 1:
        attribute.name = random.choice(("axis", "axes", "to", "perm", "kernel_shape", "alpha", "value", "mode"))
    elif way == 2:
        other = random.choice((1, 1.5, "text", [1, -1], [0.5], helper.make_tensor("t", TensorProto.FLOAT, [2], [1, 2])))
        attribute.CopyFrom(helper.make_attribute(attribute.name, other))
    elif way == 3:
        attribute.ref_attr_name = "outer"
    elif attribute.type == AttributeProto.INT:
        attribute.i = random.choice(INTEGERS)
    elif attribute.type == AttributeProto.INTS and attribute.ints:
        attribute.ints[random.randrange(len(attribute.ints))] = random.choice(INTEGERS)
    elif attribute.type == AttributeProto.FLOAT:
        attribute.f = random.choice(NUMBERS)
    elif attribute.type == AttributeProto.STRING:
        attribute.s = random.choice((b"", b"\xff", b"NOTSET", b"SAME_UPPER", b"cubic", b"reflect", b"ij,jk->ik"))


def _add_attribute(model: onnx.ModelProto, random: Random) -> None:
    if node := _node(model, random):
        name = random.choice(("axis", "axes", "keepdims", "alpha", "auto_pad", "group", "training_mode", "perm", "to"))
        node.attribute.append(helper.make_attribute(name, random.choice((0, 1, -9, 1e38, "SAME_LOWER", [1, 1, 1, 1]))))


def _inputs(model: onnx.ModelProto, random: Random) -> None:
    node = _node(model, random)
    if node is None or not node.input:
        return
    place = random.randrange(len(node.input))
    way = random.randrange(4)
    if way == 0:
        del node.input[place]
    elif way == 1:
        node.input[place] = random.choice((*NAMES, *(name for other in model.graph.node for name in other.output)))
    elif way == 2:
        node.input.append(random.choice(NAMES))
    else:
        node.input[place], node.input[0] = node.input[0], node.input[place]


def _outputs(model: onnx.ModelProto, random: Random) -> None:
    node = _node(model, random)
    if node is None or not node.output:
        return
    way = random.randrange(3)
    if way == 0:
        node.output.append(random.choice(("more", "", "x")))
    elif way == 1:
        model.graph.output.add(name=random.choice(node.output))
    else:
        node.output[random.randrange(len(node.output))] = random.choice(NAMES)


def _operator(model: onnx.ModelProto, random: Random) -> None:
    if node := _node(model, random):
        node.op_type = random.choice([schema.name for schema in SCHEMAS])


def _shape(model: onnx.ModelProto, random: Random) -> None:
    if not model.graph.input:
        return
    shape = random.choice(model.graph.input).type.tensor_type.shape
    way = random.randrange(4)
    if way == 0 and shape.dim:
        random.choice(shape.dim).dim_value = random.choice(INTEGERS)
    elif way == 1 and shape.dim:
        del shape.dim[random.randrange(len(shape.dim))]
    elif way == 2:
        shape.dim.add().dim_value = random.choice((1, 2, 1 << 40))
    elif shape.dim:
        random.choice(shape.dim).dim_param = random.choice(("N", "M", "", "x" * 600))


def _weight_shape(model: onnx.ModelProto, random: Random) -> None:
    tensor = _tensor(model, random)
    if tensor is None:
        return
    way = random.randrange(4)
    if way == 0 and tensor.dims:
        tensor.dims[random.randrange(len(tensor.dims))] = random.choice(INTEGERS)
    elif way == 1:
        tensor.dims.append(random.choice((0, 1, 2)))
    elif way == 2 and tensor.dims:
        place = random.randrange(len(tensor.dims))
        tensor.dims[place] = 0
        tensor.ClearField("float_data")
        tensor.ClearField("int64_data")
        tensor.raw_data = b""
    else:
        tensor.data_type = random.choice(TYPES)


def _weight_numbers(model: onnx.ModelProto, random: Random) -> None:
    tensor = _tensor(model, random)
    if tensor is None or len(tensor.raw_data) < 8:
        return
    data = bytearray(tensor.raw_data)
    way = random.randrange(3)
    if tensor.data_type == TensorProto.INT64:
        place = random.randrange(len(data) // 8) * 8
        data[place : place + 8] = struct.pack("<q", random.choice(INTEGERS))
    elif way == 0:
        data = data[: random.randrange(len(data))]
    else:
        places = range(0, len(data) - 3, 4) if way == 1 else [random.randrange(len(data) // 4) * 4]
        number = struct.pack("<f", random.choice(NUMBERS))
        for place in places:
            data[place : place + 4] = number
    tensor.raw_data = bytes(data)


def _opset(model: onnx.ModelProto, random: Random) -> None:
    model.opset_import[0].version = random.choice((0, -1, 1, 6, 7, 8, 9, 10, 11, 12, 13, 16, 18, 21, 23, 1 << 40))


def _input_type(model: onnx.ModelProto, random: Random) -> None:
    if not model.graph.input:
        return
    item = random.choice(model.graph.input)
    if random.random() < 0.8:
        item.type.tensor_type.elem_type = random.choice(TYPES)
    else:
        item.type.sequence_type.elem_type.tensor_type.elem_type = TensorProto.FLOAT


def _nodes(model: onnx.ModelProto, random: Random) -> None:
    nodes = model.graph.node
    if not nodes:
        return
    way = random.randrange(3)
    if way == 0:
        del nodes[random.randrange(len(nodes))]
    elif way == 1:
        nodes.append(random.choice(nodes))
    else:
        shuffled = random.sample(list(nodes), len(nodes))
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in shuffled]
        del nodes[:]
        nodes.extend(copies)


def _node(model: onnx.ModelProto, random: Random) -> onnx.NodeProto | None:
    return random.choice(model.graph.node) if model.graph.node else None


def _tensor(model: onnx.ModelProto, random: Random) -> onnx.TensorProto | None:
    attributes = [attribute.t for node in model.graph.node for attribute in node.attribute if attribute.HasField("t")]
    tensors = [*model.graph.initializer, *attributes]
    return random.choice(tensors) if tensors else None


SCHEMAS = sorted((s for s in onnx.defs.get_all_schemas() if s.domain == ""), key=lambda schema: schema.name)

MUTATIONS: tuple[Callable[[onnx.ModelProto, Random], None], ...] = (
    _attribute,
    _attribute,
    _attribute,
    _add_attribute,
    _inputs,
    _outputs,
    _operator,
    _shape,
    _weight_shape,
    _weight_shape,
    _weight_numbers,
    _weight_numbers,
    _opset,
    _input_type,
    _nodes,
)

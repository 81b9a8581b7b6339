"""The digit network that comes with hecc, compiled once."""

from collections.abc import Callable
from importlib import resources
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import hecc
from hecc.runtime.plan.plan import Plan


@pytest.fixture(scope="session")
def model() -> bytes:
    """The network."""
    return (resources.files("hecc") / "data" / "digits.onnx").read_bytes()


@pytest.fixture(scope="session")
def digits() -> dict[str, NDArray[Any]]:
    """Images, their labels, and calibration images."""
    with np.load(str(resources.files("hecc") / "data" / "digits.npz")) as archive:
        return dict(archive)


@pytest.fixture(scope="session")
def plan(model: bytes, digits: dict[str, NDArray[Any]]) -> Plan:
    """Its plan."""
    return hecc.compile(model, calibration=digits["calibration"])


def make_network(shape: tuple[int, ...], *layers: tuple[Any, ...]) -> bytes:
    """An ONNX network with random weights, layer by layer.

    Layers are ("conv", channels, stride), ("gemm", features), ("pool", size), ("square",), ("flatten",) and functions
    by their operators, such as ("Tanh",); the n-th node is called by its kind and n.
    """
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])
    generator = np.random.default_rng(3)
    nodes, weights, value = [], [], "x"
    for number, (kind, *numbers) in enumerate(layers):
        name = f"{kind}{number}"
        if kind == "conv":
            channels, stride = numbers
            weight = generator.normal(size=(channels, shape[0], 3, 3)) / np.sqrt(9 * shape[0])
            nodes.append(
                helper.make_node("Conv", [value, name + ".w"], [name], name, strides=[stride] * 2, pads=[1] * 4)
            )
            shape = (channels, *((size - 1) // stride + 1 for size in shape[1:]))
        elif kind == "gemm":
            weight = generator.normal(size=(shape[0], *numbers)) / np.sqrt(shape[0])
            nodes.append(helper.make_node("Gemm", [value, name + ".w"], [name], name))
            shape = (numbers[0],)
        elif kind == "pool":
            nodes.append(
                helper.make_node("AveragePool", [value], [name], name, kernel_shape=numbers * 2, strides=numbers * 2)
            )
            shape = (shape[0], *((size - numbers[0]) // numbers[0] + 1 for size in shape[1:]))
        elif kind == "square":
            nodes.append(helper.make_node("Mul", [value, value], [name], name))
        elif kind[0].isupper():
            nodes.append(helper.make_node(kind, [value], [name], name))
        else:
            nodes.append(helper.make_node("Flatten", [value], [name], name))
            shape = (int(np.prod(shape)),)
        if kind in ("conv", "gemm"):
            weights.append(numpy_helper.from_array(weight.astype(np.float32), name + ".w"))
        value = name
    returned = helper.make_tensor_value_info(value, TensorProto.FLOAT, ["batch", *shape])
    graph = helper.make_graph(nodes, "network", [given], [returned], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def network() -> Callable[..., bytes]:
    """Makes networks with random weights."""
    return make_network

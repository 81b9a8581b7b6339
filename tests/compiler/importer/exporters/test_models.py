"""Real networks and what exporters write: the imported graph computes what onnxruntime and PyTorch compute."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from hecc.compiler.ckks.limits import LIMITS
from hecc.compiler.graph.graph import Graph
from hecc.compiler.importer import import_model
from hecc.runtime.errors import UnsupportedError
from hecc.runtime.tail.epilogue import apply_steps

EXPORTED = sorted((Path(__file__).resolve().parents[3] / "data" / "exporters").glob("*.onnx"))
SUPPORTED = [
    "ace_resnet20_cifar10",
    "debjyoti_lenet5",
    "emclab_har_cnn",
    "ezkl_4l_relu_conv_fc",
    "ezkl_accuracy",
    "ezkl_lenet5",
    "heman_cryptonets_square",
    "heman_lenet5",
    "heman_mnist_demo",
    "marabou_cnn_max_mnist2",
    "marabou_mnist_2x10",
    "marabou_mnist_leaky_relu_5x20",
    "marabou_mnist_sigmoid_2x5",
    "onnxzoo_mnist_8",
    "peers/lesion_lenet_128",
    "peers/orion_lenet",
    "peers/orion_lola",
    "peers/orion_mlp",
    "ppml_slp",
    "verifiable_nn_mnist",
    "vnn2020_mnist_conv_0.1",
    "vnn_acasxu_1_1",
    "vnn_cifar10_resnet_2b",
    "vnn_eran_mnist_relu_9x200",
    "vnn_marabou_cifar10_large",
    "vnn_marabou_cifar10_small",
    "vnn_mnist_256x2",
    "vnn_mnist_256x6",
    "vnn_oval21_cifar_base",
    "vnn_oval21_cifar_deep",
    "vnn_verivital_convnet_maxpool",
    "zkp_lenet_2_4_8",
]
STEPS = [
    "ccoltong_lenet_mnist",
    "diabetes_coquism",
    "fashion_edwin",
    "heart_logreg",
    "marabou_selfattention_mnist",
    "marabou_softmax_last",
    "vnn2020_mnist_logsig_200_100_50",
    "wuhan_mnist_sm",
]
"""Supported, and the client computes what comes out: tests/end_to_end compares it."""
OLD = ["onnxzoo_mnist_v1", "pytorch2caffe2_mnist_cnn"]
"""Supported, although onnxruntime refuses their opsets: tests/compiler/importer/reading/test_older.py compares them."""
SENTENCE = re.compile(r"[\w.]+ '[^']+' \(opset \d+\): [^;]+; [^;]+|the model uses opset \d+, .+; .+")


def evaluate(graph: Graph, data: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The first output, with what the client does to it."""
    (source,) = graph.inputs()
    name = graph.outputs[0]
    values = graph.evaluate({source.output.name: data})[name]
    steps = graph.epilogues.get(name, ())
    return apply_steps(values.reshape(-1, *graph.example_shape(graph.node(name).output.shape)), steps)


def agree(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> None:
    # Networks of squares have outputs of any magnitude, so the largest one is the yardstick.
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=0, atol=2e-6 * np.abs(expected).max())


def inputs(network: onnx.ModelProto, graph: Graph) -> dict[str, np.ndarray[Any, Any]]:
    """Random rows for a network with one input: one, or as many as its batch has."""
    (source,) = graph.inputs()
    declared = next(item for item in network.graph.input if item.name == source.output.name)
    rows = max(declared.type.tensor_type.shape.dim[0].dim_value, 1)
    shape = (rows, *source.output.shape[1:])
    return {source.output.name: np.random.default_rng(0).random(shape, dtype=np.float32)}


def replace(network: onnx.ModelProto, operators: dict[str, str]) -> onnx.ModelProto:
    """The network with operators that cannot be compiled replaced by ones that can."""
    for node in network.graph.node:
        if node.op_type in operators:
            node.op_type = operators[node.op_type]
            if node.op_type == "Identity":
                del node.attribute[:]
    return network


@pytest.mark.parametrize("path", EXPORTED, ids=lambda path: path.stem)
def test_what_pytorch_exports_computes_what_pytorch_computes(path: Path) -> None:
    with np.load(path.with_suffix(".npz")) as arrays:
        graph = import_model(path)
        assert graph.batch_axis
        assert all(node.output.shape[0] == 1 for node in graph.inputs())
        agree(evaluate(graph, arrays["input"]), arrays["output"])


def test_there_are_exported_networks() -> None:
    assert len(EXPORTED) >= 50


@pytest.mark.parametrize("name", SUPPORTED)
def test_a_real_network_computes_what_onnxruntime_computes(
    name: str, shared_models: Path, runtime: Callable[..., Any]
) -> None:
    network = onnx.load(shared_models / f"{name}.onnx")
    graph = import_model(network)
    data = inputs(network, graph)
    agree(evaluate(graph, data[graph.nodes[0].output.name]), runtime(network, data))


def test_every_real_network_is_imported_or_refused_in_a_sentence(shared_models: Path) -> None:
    refusals = {}
    for path in sorted(shared_models.rglob("*.onnx")):
        name = str(path.relative_to(shared_models).with_suffix(""))
        try:
            import_model(path, limits=LIMITS)
        except UnsupportedError as refusal:
            refusals[name] = str(refusal).splitlines()[0]
        else:
            assert name in SUPPORTED + STEPS + OLD
    assert not [refusal for refusal in refusals.values() if not SENTENCE.fullmatch(refusal)]
    assert not refusals.keys() & set(SUPPORTED + STEPS + OLD)


@pytest.mark.parametrize(
    ("name", "operators"),
    [
        # A reshape computed from the shape, for a batch of ten.
        ("debjyoti_lenet5", {"Tanh": "Identity"}),
        # A reshape to [10, 400], for a batch of ten.
        ("ccoltong_lenet_mnist", {"Relu": "Identity", "Softmax": "Identity", "MaxPool": "AveragePool"}),
        # Reshape to [-1, 1024] behind Shape, Gather, Unsqueeze and Concat, for a batch of one.
        ("vnn2020_mnist_conv_0.1", {"Relu": "Identity"}),
        # Squeeze and Unsqueeze around convolutions; a dynamic batch; Dropout.
        ("emclab_har_cnn", {"Relu": "Identity", "MaxPool": "AveragePool"}),
        # Channels last, with Transpose.
        ("vnn_marabou_cifar10_small", {"Relu": "Identity"}),
        # Weights of a MatMul that are reshaped in the network; automatic padding.
        ("onnxzoo_mnist_8", {"Relu": "Identity", "MaxPool": "AveragePool"}),
        # Nodes that are not in topological order.
        ("wuhan_mnist_sm", {"Relu": "Identity", "Softmax": "Identity", "MaxPool": "AveragePool"}),
        # Residual connections.
        ("ace_resnet20_cifar10", {"Relu": "Identity"}),
    ],
)
def test_the_linear_part_of_a_real_network_computes_what_onnxruntime_computes(
    name: str, operators: dict[str, str], shared_models: Path, runtime: Callable[..., Any]
) -> None:
    network = replace(onnx.load(shared_models / f"{name}.onnx"), operators)
    graph = import_model(network)
    data = inputs(network, graph)
    agree(evaluate(graph, data[graph.nodes[0].output.name]), runtime(network, data))


def test_a_network_of_local_functions_is_inlined(model: Callable[..., onnx.ModelProto]) -> None:
    network = model("g (float[1,3] x) => (float[1,3] y) { y = Neg(x) }")
    square = helper.make_function(
        "my.functions",
        "Square",
        ["a"],
        ["b"],
        [helper.make_node("Mul", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 13)],
    )
    network.functions.append(square)
    network.opset_import.append(helper.make_opsetid("my.functions", 1))
    del network.graph.node[:]
    network.graph.node.append(helper.make_node("Square", ["x"], ["y"], domain="my.functions"))
    graph = import_model(network)
    np.testing.assert_array_equal(graph.evaluate({"x": np.array([[1.0, 2.0, -3.0]])})["y"], [[1, 4, 9]])

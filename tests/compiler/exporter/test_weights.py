"""ONNX models with other weights: the same network, of its own types and shapes."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hecc.compiler.exporter.weights import with_weights
from hecc.runtime.errors import FileFormatError


def model(kind=np.float32):
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "b"], ["y"])],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 2, 3])],
        [numpy_helper.from_array(np.zeros((2, 3), kind), "b"), numpy_helper.from_array(np.ones(1, kind), "c")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_initializers_keep_their_types_and_shapes(kind):
    values = np.arange(6.0) / 7
    made = onnx.load_model_from_string(with_weights(model(kind), {"b": values.reshape(3, 2)}))
    b, c = (numpy_helper.to_array(each) for each in made.graph.initializer)
    assert (b.dtype, b.shape) == (kind, (2, 3))
    np.testing.assert_array_equal(b, values.reshape(2, 3).astype(kind))
    np.testing.assert_array_equal(c, np.ones(1))
    onnx.checker.check_model(made)


@pytest.mark.parametrize("weights", [{"z": np.zeros(6)}, {"b": np.zeros(5)}])
def test_weights_of_another_network_are_refused(weights):
    with pytest.raises(FileFormatError, match="the network has no initializer"):
        with_weights(model(), weights)


def test_what_is_no_model_is_a_sentence():
    with pytest.raises(FileFormatError, match="no ONNX model"):
        with_weights(b"\xff\xff\xff", {})

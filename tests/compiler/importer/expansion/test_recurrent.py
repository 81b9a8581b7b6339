"""RNN, GRU and LSTM written out, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from hecc.compiler.importer import import_model
from hecc.runtime.errors import HeccError, InputError, UnsupportedError

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
SCALED = {
    "activations": ["HardSigmoid", "Softsign", "ScaledTanh"],
    "activation_alpha": [0.2, 1.2],
    "activation_beta": [0.5, 0.7],
}
STEPS, BATCH, FEATURES, HIDDEN = 3, 2, 4, 5


def layer(operator: str, given: tuple[str, ...] = ("B",), **attributes: Any) -> onnx.ModelProto:
    """A layer whose whole input, of all sequences, is one example."""
    random = np.random.default_rng(0)
    count = 2 if attributes.get("direction") == "bidirectional" else 1
    gates, layout = GATES[operator], attributes.get("layout", 0)
    state = (BATCH, count, HIDDEN) if layout else (count, BATCH, HIDDEN)
    shapes = {
        "W": (count, gates * HIDDEN, FEATURES),
        "R": (count, gates * HIDDEN, HIDDEN),
        "B": (count, 2 * gates * HIDDEN),
        "lengths": (BATCH,),
        "initial_h": state,
        "initial_c": state,
        "P": (count, 3 * HIDDEN),
    }
    weights = {name: random.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    weights["lengths"] = np.asarray([STEPS, STEPS - 1], np.int32)
    names = ["x", "W", "R", *(name if name in given else "" for name in list(shapes)[2:])]
    while not names[-1]:
        names.pop()
    outputs = ["y", "last", "cell"][: 3 if operator == "LSTM" else 2]
    node = helper.make_node(operator, names, outputs, hidden_size=HIDDEN, **attributes)
    shape = (BATCH, STEPS, FEATURES) if layout else (STEPS, BATCH, FEATURES)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(weights[name], name) for name in names[1:] if name],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


@pytest.mark.parametrize(
    ("operator", "given", "attributes"),
    [
        ("RNN", ("B", "initial_h"), {}),
        ("RNN", (), {"activations": ["Relu"], "direction": "reverse"}),
        ("RNN", ("B",), {"activations": ["Affine"], "activation_alpha": [0.5], "activation_beta": [0.1]}),
        ("RNN", ("B", "lengths", "initial_h"), {}),
        ("RNN", ("B", "lengths"), {"direction": "reverse"}),
        ("GRU", ("B",), {}),
        ("GRU", ("B", "initial_h"), {"linear_before_reset": 1, "direction": "bidirectional"}),
        ("GRU", ("B",), {"linear_before_reset": 1, "clip": 0.3}),
        ("GRU", ("initial_h", "lengths"), {}),
        ("LSTM", ("B", "initial_h", "initial_c", "P"), {}),
        ("LSTM", ("B",), {"direction": "bidirectional"}),
        ("LSTM", ("B", "initial_c"), SCALED),
        ("LSTM", ("initial_h", "initial_c"), {"input_forget": 1}),
        ("LSTM", ("B", "initial_h", "initial_c", "lengths"), {}),
    ],
)
def test_a_recurrent_layer_is_what_onnxruntime_computes(
    operator: str, given: tuple[str, ...], attributes: dict[str, Any], compare: Callable[..., None]
) -> None:
    x = np.random.default_rng(1).uniform(-1, 1, (STEPS, BATCH, FEATURES)).astype(np.float32)
    compare(layer(operator, given, **attributes), x=x)


def test_a_batch_is_kept_apart_from_the_steps(compare: Callable[..., None]) -> None:
    built = layer("LSTM", ("B",), layout=0)
    # As exporters write it for a batch in front.
    built.graph.node[0].input[0] = "turned"
    built.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", STEPS, FEATURES]))
    built.graph.node.insert(0, helper.make_node("Transpose", ["x"], ["turned"], perm=[1, 0, 2]))
    built.graph.node.append(helper.make_node("Transpose", ["last"], ["z"], perm=[1, 0, 2]))
    del built.graph.output[:]
    built.graph.output.append(onnx.ValueInfoProto(name="z"))
    compare(built, batch_axis=True, x=np.random.default_rng(1).uniform(-1, 1, (1, STEPS, FEATURES)).astype(np.float32))


def refused(built: onnx.ModelProto, kind: type[HeccError]) -> str:
    with pytest.raises(kind) as caught:
        import_model(built, batch_axis=False)
    return str(caught.value)


def test_what_a_recurrent_layer_cannot_be_is_refused() -> None:
    built = layer("GRU")
    built.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1025
    assert refused(built, UnsupportedError) == (
        "GRU 'y' (opset 14): it has 1025 steps, more than the 1024 that are unrolled; use shorter sequences"
    )
    built = layer("GRU")
    built.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 3
    assert "its weights do not fit its input" in refused(built, InputError)
    built = layer("GRU")
    weights = next(tensor for tensor in built.graph.initializer if tensor.name == "W")
    built.graph.initializer.remove(weights)
    built.graph.input.append(helper.make_tensor_value_info("W", onnx.TensorProto.FLOAT, list(weights.dims)))
    assert "its input 'W' depends on encrypted data; make it a constant" in refused(built, UnsupportedError)
    assert "its activations do not exist" in refused(layer("RNN", activations=["Sine"]), InputError)
    assert "its activation ScaledTanh needs an alpha" in refused(layer("RNN", activations=["ScaledTanh"]), InputError)

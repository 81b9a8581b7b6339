"""The end of a network is cut off where the client can compute it, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from hecc.compiler.importer import import_model
from hecc.runtime.errors import InputError, UnsupportedError
from hecc.runtime.tail.epilogue import ArgMax, Columns, Labels, Reshape, Sigmoid, Softmax, apply_steps

Model = Callable[..., onnx.ModelProto]
W = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
X = np.random.default_rng(1).normal(size=(3, 2, 3)).astype(np.float32)


def all_outputs(built: onnx.ModelProto, data: dict[str, Any]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    results: list[Any] = onnxruntime.InferenceSession(built.SerializeToString(), options).run(None, data)
    return results


def decrypted(built: onnx.ModelProto, data: np.ndarray[Any, Any]) -> dict[str, Any]:
    """What a client would return, in exact arithmetic."""
    graph = import_model(built)
    values = graph.evaluate({"x": data})
    results = {}
    for name in graph.outputs:
        shape = graph.node(name).output.shape[1:]
        results[name] = apply_steps(values[name].reshape(-1, *shape), graph.epilogues.get(name, ()))
    return results


@pytest.mark.parametrize("batch", ["N", "3"])
@pytest.mark.parametrize(
    ("body", "opset"),
    [
        ("y = Softmax(s)", 13),
        ("y = Softmax<axis = 1>(s)", 13),
        ("y = Softmax(s)", 11),
        ("y = LogSoftmax(s)", 13),
        ("y = Sigmoid(s)", 13),
        ("y = Hardmax(s)", 13),
        ("y = LpNormalization<p = 1>(s)", 13),
        ("y = LpNormalization<axis = 2>(s)", 13),
        ("y = ArgMax<axis = 2>(s)", 13),
        ("y = ArgMax<axis = 1, keepdims = 0>(s)", 13),
        ("y = ArgMin<axis = -1, keepdims = 0>(s)", 13),
        ("p = Softmax(s)  y = ArgMax<axis = 2, keepdims = 0>(p)", 13),
        ("p = Softmax(s)  q = Identity(p)  r = Flatten(q)  y = Cast<to = 1>(r)", 13),
        ("p = Sigmoid(s)  t = Constant<value_ints = [0, -1]>()  y = Reshape(p, t)", 13),
        ("p = Sigmoid(s)  t = Constant<value_ints = [1]>()  y = Unsqueeze(p, t)", 13),
        ("p = ArgMax<axis = 2>(s)  y = Cast<to = 6>(p)", 13),
        ("p = Softmax<axis = 1>(s)  y = Softmax<axis = 2>(p)", 13),
    ],
)
def test_the_end_of_a_network_is_what_onnxruntime_computes(body: str, opset: int, batch: str, model: Model) -> None:
    built = model(
        f"g (float[{batch},2,3] x) => (float[{batch},2,2] y) {{ f = Flatten(x)  m = MatMul(f, w)"
        f"  s = Reshape(m, two)  {body} }}",
        opset,
        w=W,
        two=np.array([-1, 2, 2]),
    )
    # An output is of whatever type its nodes give it.
    built.graph.output[0].type.CopyFrom(onnx.TypeProto())
    if "Arg" in body or "to = 6" in body:
        element = onnx.TensorProto.INT32 if "to = 6" in body else onnx.TensorProto.INT64
        built.graph.output[0].type.CopyFrom(helper.make_tensor_type_proto(element, None))
    else:
        built.graph.output[0].type.CopyFrom(helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None))
    (expected,) = all_outputs(built, {"x": X})
    found = decrypted(built, X)["y"]
    assert found.shape == expected.shape
    assert found.dtype.kind == expected.dtype.kind
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_what_a_step_starts_from_is_the_networks_own_value(model: Model) -> None:
    built = model("g (float[N,6] x) => (float[N,4] y, float[N,4] z) { z = MatMul(x, w)  y = Softmax(z) }", w=W)
    graph = import_model(built)
    assert graph.outputs == ("y", "z")
    assert graph.epilogues == {"y": (Softmax(axes=(0,)),)}
    assert graph.node("y").inputs == ("z",)
    assert str(graph.node("y").source) == "Softmax 'y'"


def test_without_a_batch_axis_all_axes_count(model: Model) -> None:
    built = model("g (float[6,4] x) => (float[6,4] y) { y = Softmax<axis = 0>(x) }")
    assert import_model(built, batch_axis=False).epilogues == {"y": (Softmax(axes=(0,)),)}


def test_two_outputs_may_have_ends_of_their_own(model: Model) -> None:
    built = model(
        "g (float[N,6] x) => (float[N,4] p, int64[N] c) { z = MatMul(x, w)  p = Sigmoid(z)"
        "  c = ArgMax<axis = 1, keepdims = 0>(z) }",
        w=W,
    )
    assert import_model(built).epilogues == {"p": (Sigmoid(),), "c": (ArgMax(axis=0),)}


def test_in_the_middle_nothing_is_cut_off(model: Model) -> None:
    built = model(
        "g (float[N,6] x) => (float[N,6] y, float[N,4] p) { z = MatMul(x, w)  p = Hardmax(z)  y = MatMul(p, v) }",
        w=W,
        v=W.T.copy(),
    )
    with pytest.raises(UnsupportedError) as caught:
        import_model(built)
    assert str(caught.value) == (
        "Hardmax 'p' (opset 13): hardmax cannot be computed on encrypted data in the middle of a network; move it to "
        "the end, where the client applies it after decryption"
    )


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("y = Softmax<axis = 0>(x)", "it combines the examples of a batch, which are encrypted apart"),
        ("y = ArgMax(x)", "it combines the examples of a batch"),
        ("p = Softmax(x)  y = Cast<to = 2>(p)", "a cast to uint8 is not supported after decryption"),
    ],
)
def test_ends_that_a_client_cannot_compute_row_by_row_are_refused(body: str, says: str, model: Model) -> None:
    with pytest.raises(UnsupportedError, match=says):
        import_model(model(f"g (float[N,6] x) => (float[N,6] y) {{ {body} }}"))


# --- classical machine learning ---------------------------------------------------------------------------------------


def classical(nodes: list[onnx.NodeProto], outputs: list[str], features: int = 3) -> onnx.ModelProto:
    """A model of operators of ai.onnx.ml."""
    kind = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, features])],
        [helper.make_value_info(name, kind) for name in outputs],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def ml(operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, outputs, name=operator, domain="ai.onnx.ml", **attributes)


DATA = np.random.default_rng(2).normal(size=(20, 3)).astype(np.float32)


def untyped(built: onnx.ModelProto, kinds: list[int]) -> onnx.ModelProto:
    """With the types of the outputs that onnxruntime insists on."""
    for output, kind in zip(built.graph.output, kinds, strict=True):
        output.type.CopyFrom(helper.make_tensor_type_proto(kind, None))
    return built


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX"])
@pytest.mark.parametrize("names", [{"classlabels_ints": [7, 3, 5]}, {"classlabels_strings": ["a", "b", "c"]}])
def test_a_classifier_gives_labels_and_scores(transform: str, names: Any) -> None:
    weights = np.random.default_rng(3).normal(size=12).tolist()
    node = ml(
        "LinearClassifier",
        ["x"],
        ["label", "scores"],
        coefficients=weights[:9],
        intercepts=weights[9:],
        post_transform=transform,
        **names,
    )
    kind = onnx.TensorProto.INT64 if "classlabels_ints" in names else onnx.TensorProto.STRING
    built = untyped(classical([node], ["label", "scores"]), [kind, onnx.TensorProto.FLOAT])
    label, scores = all_outputs(built, {"x": DATA})
    found = decrypted(built, DATA)
    np.testing.assert_array_equal(found["label"], label)
    np.testing.assert_allclose(found["scores"], scores, rtol=1e-5, atol=1e-6)


def test_one_score_is_enough_for_two_classes() -> None:
    weights: dict[str, Any] = {"coefficients": [1.0, -2.0, 0.5], "intercepts": [0.25], "classlabels_ints": [4, 9]}
    node = ml("LinearClassifier", ["x"], ["label", "scores"], post_transform="LOGISTIC", **weights)
    built = untyped(classical([node], ["label", "scores"]), [onnx.TensorProto.INT64, onnx.TensorProto.FLOAT])
    label, scores = all_outputs(built, {"x": DATA})
    found = decrypted(built, DATA)
    np.testing.assert_array_equal(found["label"], label)
    np.testing.assert_allclose(found["scores"], scores, rtol=1e-5, atol=1e-6)
    node = ml("LinearClassifier", ["x"], ["label", "scores"], **weights)
    with pytest.raises(UnsupportedError, match="it has one score for two classes and the post_transform 'NONE'"):
        import_model(classical([node], ["label"]))


def test_scaler_regressor_and_feature_extractor_are_affine() -> None:
    nodes = [
        ml("Scaler", ["x"], ["s"], offset=[1.0, 2.0, 3.0], scale=[0.5, 2.0, 1.0]),
        ml("ArrayFeatureExtractor", ["s", "columns"], ["f"]),
        ml("LinearRegressor", ["f"], ["y"], coefficients=[1.0, -2.0, 0.5, 3.0], intercepts=[0.5, 1.5], targets=2),
    ]
    built = classical(nodes, ["y"])
    built.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2, 0]), "columns"))
    built = untyped(built, [onnx.TensorProto.FLOAT])
    (expected,) = all_outputs(built, {"x": DATA})
    np.testing.assert_allclose(decrypted(built, DATA)["y"], expected, rtol=1e-5, atol=1e-6)


def test_a_zip_map_names_the_columns() -> None:
    nodes = [
        ml(
            "LinearClassifier",
            ["x"],
            ["label", "scores"],
            coefficients=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            intercepts=[0.0, 0.5],
            post_transform="SOFTMAX",
            classlabels_strings=["no", "yes"],
        ),
        ml("ZipMap", ["scores"], ["named"], classlabels_strings=["no", "yes"]),
    ]
    built = classical(nodes, ["label", "named"])
    found = import_model(built).epilogues
    assert found["label"] == (ArgMax(axis=0), Labels(labels=("no", "yes")))
    assert found["named"] == (Softmax(axes=(0,)), Columns(labels=("no", "yes")))
    nodes[1].attribute[0].strings.append(b"more")
    with pytest.raises(InputError, match="it has 3 names for"):
        import_model(classical(nodes, ["label", "named"]))


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        (
            [ml("Normalizer", ["x"], ["n"], norm="L2"), ml("Scaler", ["n"], ["y"], offset=[0.0], scale=[1.0])],
            "it divides by a norm of encrypted data; normalise the data before encryption and remove it from the model",
        ),
        (
            [
                ml(
                    "LinearClassifier",
                    ["x"],
                    ["l", "p"],
                    coefficients=[1.0] * 6,
                    classlabels_ints=[0, 1],
                    post_transform="SOFTMAX",
                ),
                ml("LinearRegressor", ["p"], ["y"], coefficients=[1.0] * 2),
            ],
            "its label and softmax cannot be computed on encrypted data in the middle of a network",
        ),
        (
            [ml("LinearRegressor", ["x"], ["y"], coefficients=[1.0] * 3, post_transform="PROBIT")],
            "its post_transform 'PROBIT' is not supported",
        ),
        ([ml("TreeEnsembleRegressor", ["x"], ["y"])], "decision trees compare encrypted features; use a linear model"),
        ([ml("Imputer", ["x"], ["y"], replaced_value_float=1.0)], "it replaces the number 1, which needs a comparison"),
        ([ml("OneHotEncoder", ["x"], ["y"])], "it compares encrypted features; encode categories before encryption"),
        ([ml("DictVectorizer", ["x"], ["y"])], "only linear ones and support vector machines are supported"),
    ],
)
def test_models_that_are_not_linear_are_refused(nodes: Any, says: str) -> None:
    with pytest.raises(UnsupportedError, match=says):
        import_model(classical(nodes, ["y"]))


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (ml("Scaler", ["x"], ["y"], offset=[1.0, 2.0], scale=[1.0]), "its offset or scale does not fit 3 features"),
        (
            ml("LinearRegressor", ["x"], ["y"], coefficients=[1.0, 2.0]),
            "its 2 coefficients and 0 intercepts do",
        ),
        (ml("Scaler", ["x"], ["y"], offset=[float("nan")], scale=[1.0]), "'offset' holds infinity or NaN"),
    ],
)
def test_models_that_contradict_themselves_are_refused(node: onnx.NodeProto, says: str) -> None:
    with pytest.raises(InputError, match=says):
        import_model(classical([node], ["y"]))


def test_a_reshape_that_changes_nothing_is_no_step(model: Model) -> None:
    built = model(
        "g (float[N,4] x) => (float[N,4] y) { p = Sigmoid(x)  t = Constant<value_ints = [-1, 4]>()"
        "  r = Reshape(p, t)  y = Identity(r) }"
    )
    assert import_model(built).epilogues == {"y": (Sigmoid(),)}
    other = model("g (float[N,4] x) => (float[N,2,2] y) { p = Sigmoid(x)  y = Reshape(p, t) }", t=np.array([-1, 2, 2]))
    assert import_model(other).epilogues == {"y": (Sigmoid(), Reshape(shape=(2, 2)))}


def test_a_step_that_merges_the_examples_of_a_fixed_batch_is_refused(model: Model) -> None:
    for body in ("t = Greater(x, c)  y = Flatten<axis = 0>(t)", "t = Sign(x)  y = Flatten<axis = 0>(t)"):
        built = model(f"g (float[3,4] x) => (bool[1,12] y) {{ {body} }}", c=np.zeros((1, 4), np.float32))
        with pytest.raises(UnsupportedError, match=r"Flatten 'y' .* mixes the 3 examples of the batch"):
            import_model(built)

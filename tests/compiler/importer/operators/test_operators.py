"""The maps that operators become, against onnxruntime, over random shapes and attributes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from hecc.compiler.graph.nodes import AffineNode, ProductNode, QuadraticNode
from hecc.compiler.importer import import_model
from hecc.runtime.errors import HeccError

Array = np.ndarray[Any, Any]
EXAMPLES = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def random(shape: tuple[int, ...], seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def single(
    operator: str,
    data: dict[str, Array],
    constants: dict[str, Array],
    order: list[str],
    opset: int = 13,
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one node."""
    node = helper.make_node(operator, order, ["y"], name="node", **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, array.shape) for name, array in data.items()],
        [helper.make_value_info("y", helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None))],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def check(built: onnx.ModelProto, data: dict[str, Array], runtime: Callable[..., Any]) -> None:
    """The imported graph computes what onnxruntime computes, in the same shape; so do the maps' matrices."""
    expected = runtime(built, data)
    graph = import_model(built, batch_axis=False)
    values = graph.evaluate({name: array[np.newaxis] for name, array in data.items()})
    assert graph.node("y").output.shape == expected.shape
    np.testing.assert_allclose(values["y"].reshape(expected.shape), expected, rtol=1e-4, atol=1e-4)
    for node in graph.nodes:
        for term in node.terms if isinstance(node, AffineNode) else ():
            x = values[term.value]
            matrix = term.map.matrix(graph.parameters)
            np.testing.assert_allclose((matrix @ x.T).T, term.map.apply(x, graph.parameters), rtol=1e-9, atol=1e-9)
            assert matrix.nnz <= term.map.nonzeros()
            assert term.map.parameters <= graph.parameters.keys()


@st.composite
def windows(draw: st.DrawFn, dilated: bool = True) -> dict[str, Any]:
    """Spatial extents and the attributes of a window that fits them."""
    rank = draw(st.integers(1, 3))
    few = st.integers(1, 3)
    kernel = draw(st.lists(few, min_size=rank, max_size=rank))
    strides = draw(st.lists(few, min_size=rank, max_size=rank))
    dilations = draw(st.lists(st.integers(1, 2), min_size=rank, max_size=rank)) if dilated else [1] * rank
    spatial = draw(st.lists(st.integers(5, 7), min_size=rank, max_size=rank))
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": strides}
    if dilated:
        attributes["dilations"] = dilations
    padding = draw(st.sampled_from(["explicit", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if padding == "explicit":
        attributes["pads"] = [draw(st.integers(0, k - 1)) for k in [*kernel, *kernel]]
    else:
        attributes["auto_pad"] = padding
        # No two implementations agree on both; the importer refuses them.
        assume("SAME" not in padding or max(dilations) == 1)
    return {"spatial": tuple(spatial), "attributes": attributes}


@EXAMPLES
@given(
    window=windows(),
    group=st.sampled_from([1, 2, 4]),
    maps=st.integers(1, 2),
    bias=st.booleans(),
    batch=st.integers(1, 2),
)
def test_conv(window: Any, group: int, maps: int, bias: bool, batch: int, runtime: Callable[..., Any]) -> None:
    data = {"x": random((batch, 4, *window["spatial"]))}
    weight = random((maps * group, 4 // group, *window["attributes"]["kernel_shape"]))
    constants = {"w": weight} | ({"b": random((maps * group,))} if bias else {})
    built = single("Conv", data, constants, ["x", *constants], group=group, **window["attributes"])
    check(built, data, runtime)


@EXAMPLES
@given(window=windows(), ceil=st.booleans(), counted=st.booleans())
def test_averagepool(window: Any, ceil: bool, counted: bool, runtime: Callable[..., Any]) -> None:
    attributes = window["attributes"]
    # Neither ONNX's reference nor frameworks define both.
    assume(not (ceil and "auto_pad" in attributes))
    data = {"x": random((1, 2, *window["spatial"]))}
    built = single(
        "AveragePool", data, {}, ["x"], 19, ceil_mode=int(ceil), count_include_pad=int(counted), **attributes
    )
    check(built, data, runtime)


@pytest.mark.parametrize("shape", [(2, 3, 5), (1, 3, 4, 5), (2, 2, 3, 4, 2)])
def test_globalaveragepool(shape: tuple[int, ...], runtime: Callable[..., Any]) -> None:
    data = {"x": random(shape)}
    check(single("GlobalAveragePool", data, {}, ["x"]), data, runtime)


@EXAMPLES
@given(
    shape=st.sampled_from([(2, 3), (3, 2, 4), (1, 2, 2, 3)]),
    axes=st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True),
    keep=st.booleans(),
    opset=st.sampled_from([13, 18]),
)
def test_reducemean(shape: Any, axes: list[int], keep: bool, opset: int, runtime: Callable[..., Any]) -> None:
    axes = [axis for axis in axes if axis < len(shape)]
    assume(axes)
    data = {"x": random(shape)}
    if opset == 13:
        built = single("ReduceMean", data, {}, ["x"], opset, axes=axes, keepdims=int(keep))
    else:
        built = single("ReduceMean", data, {"axes": np.array(axes)}, ["x", "axes"], opset, keepdims=int(keep))
    check(built, data, runtime)


@EXAMPLES
@given(
    m=st.integers(1, 3),
    k=st.integers(1, 4),
    n=st.integers(1, 3),
    flip_a=st.booleans(),
    flip_b=st.booleans(),
    left=st.booleans(),
    alpha=st.sampled_from([1.0, 0.5, -2.0]),
    beta=st.sampled_from([1.0, 0.25, 0.0]),
    summand=st.sampled_from(["none", "scalar", "row", "column", "matrix", "encrypted"]),
)
def test_gemm(
    m: int,
    k: int,
    n: int,
    flip_a: bool,
    flip_b: bool,
    left: bool,
    alpha: float,
    beta: float,
    summand: str,
    runtime: Callable[..., Any],
) -> None:
    a, b = random((k, m) if flip_a else (m, k)), random((n, k) if flip_b else (k, n), 1)
    c = random({"scalar": (), "row": (n,), "column": (m, 1), "encrypted": (1, n)}.get(summand, (m, n)), 2)
    data = {"b": b} if left else {"a": a}
    constants = {"a": a} if left else {"b": b}
    order = ["a", "b"] + ([] if summand == "none" else ["c"])
    if summand == "encrypted":
        data["c"] = c
    elif summand != "none":
        constants["c"] = c
    built = single("Gemm", data, constants, order, transA=int(flip_a), transB=int(flip_b), alpha=alpha, beta=beta)
    check(built, data, runtime)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((2, 3), (3, 4)),
        ((3,), (3, 4)),
        ((2, 3), (3,)),
        ((3,), (3,)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((2, 1, 2, 3), (5, 3, 4)),
        ((3,), (5, 3, 4)),
        ((5, 2, 3), (3,)),
    ],
)
@pytest.mark.parametrize("left", [False, True])
def test_matmul(a: tuple[int, ...], b: tuple[int, ...], left: bool, runtime: Callable[..., Any]) -> None:
    arrays = {"a": random(a), "b": random(b)}
    data = {"b" if left else "a": arrays.pop("b" if left else "a")}
    check(single("MatMul", data, arrays, ["a", "b"]), data, runtime)


@pytest.mark.parametrize(
    ("operator", "left"),
    [("Add", False), ("Add", True), ("Sub", False), ("Sub", True), ("Mul", False), ("Mul", True), ("Div", True)],
)
@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize(
    ("a", "b"), [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 3), ()), ((3,), (2, 3)), ((2, 1), (1, 3)), ((1,), (2, 1, 3))]
)
def test_elementwise_arithmetic(
    operator: str, left: bool, encrypted: bool, a: tuple[int, ...], b: tuple[int, ...], runtime: Callable[..., Any]
) -> None:
    data, constants = {"a": random(a)}, {"b": random(b, 1)}
    if encrypted and operator != "Div":
        data, constants = data | constants, {}
    check(single(operator, data, constants, ["a", "b"] if left else ["b", "a"]), data, runtime)


def test_sum_of_encrypted_and_constant_tensors(runtime: Callable[..., Any]) -> None:
    data = {"a": random((2, 3)), "b": random((3,))}
    constants = {"c": random((2, 1)), "d": random((1, 3), 1)}
    check(single("Sum", data, constants, ["a", "c", "b", "d"]), data, runtime)


def test_a_tensor_may_be_added_to_itself(runtime: Callable[..., Any]) -> None:
    data = {"a": random((2, 3))}
    check(single("Add", data, {}, ["a", "a"]), data, runtime)


@EXAMPLES
@given(
    channels=st.integers(1, 4),
    spatial=st.lists(st.integers(1, 3), max_size=3),
    epsilon=st.sampled_from([1e-5, 0.1]),
    opset=st.sampled_from([7, 9, 13, 15]),
)
def test_batchnormalization(
    channels: int, spatial: list[int], epsilon: float, opset: int, runtime: Callable[..., Any]
) -> None:
    data = {"x": random((2, channels, *spatial))}
    names = ["scale", "shift", "mean", "variance"]
    constants = {name: random((channels,), i) for i, name in enumerate(names)}
    constants["variance"] = np.asarray(np.abs(constants["variance"]) + np.float32(0.1))
    check(single("BatchNormalization", data, constants, ["x", *names], opset, epsilon=epsilon), data, runtime)


def test_batchnormalization_of_every_element_on_its_own() -> None:
    x = random((2, 3, 4))
    scale, shift, mean, variance = (random((3, 4), i) for i in range(4))
    variance = np.asarray(np.abs(variance) + np.float32(0.1))
    constants = {"scale": scale, "shift": shift, "mean": mean, "variance": variance}
    built = single("BatchNormalization", {"x": x}, constants, ["x", *constants], 7, spatial=0)
    found = import_model(built, batch_axis=False).evaluate({"x": x[np.newaxis]})["y"].reshape(x.shape)
    np.testing.assert_allclose(found, (x - mean) / np.sqrt(variance + 1e-5) * scale + shift, rtol=1e-5, atol=1e-5)


@EXAMPLES
@given(
    mode=st.sampled_from(["constant", "reflect", "edge"]),
    pads=st.lists(st.integers(-1, 2), min_size=4, max_size=4),
    filling=st.sampled_from([0.0, 1.5]),
    opset=st.sampled_from([7, 11, 18]),
)
def test_pad(mode: str, pads: list[int], filling: float, opset: int, runtime: Callable[..., Any]) -> None:
    # onnxruntime mixes cropping with borders made of the tensor in another order.
    assume(mode == "constant" or min(pads) >= 0)
    data = {"x": random((3, 4))}
    if opset == 7:
        built = single("Pad", data, {}, ["x"], opset, mode=mode, pads=pads, value=filling)
    else:
        constants = {"pads": np.array(pads), "value": np.array(filling, np.float32)}
        built = single("Pad", data, constants, ["x", "pads", "value"], opset, mode=mode)
    check(built, data, runtime)


def test_pad_of_some_axes(runtime: Callable[..., Any]) -> None:
    data = {"x": random((2, 3, 4))}
    constants = {"pads": np.array([1, 2, 0, 1]), "axes": np.array([-1, 0])}
    check(single("Pad", data, constants, ["x", "pads", "", "axes"], 18), data, runtime)


@given(order=st.permutations(range(4)))
@settings(EXAMPLES, max_examples=10)
def test_transpose(order: list[int], runtime: Callable[..., Any]) -> None:
    data = {"x": random((2, 1, 3, 4))}
    check(single("Transpose", data, {}, ["x"], perm=list(order)), data, runtime)


@pytest.mark.parametrize(
    ("operator", "opset", "constants", "attributes"),
    [
        ("Flatten", 9, {}, {"axis": 0}),
        ("Flatten", 9, {}, {"axis": 4}),
        ("Flatten", 13, {}, {"axis": -1}),
        ("Reshape", 7, {"s": [0, -1, 2]}, {}),
        ("Reshape", 14, {"s": [6, -1]}, {"allowzero": 1}),
        ("Squeeze", 7, {}, {"axes": [1]}),
        ("Squeeze", 7, {}, {}),
        ("Squeeze", 13, {"s": [1]}, {}),
        ("Squeeze", 13, {"s": [-3, 0]}, {}),
        ("Unsqueeze", 7, {}, {"axes": [0, 3]}),
        ("Unsqueeze", 13, {"s": [-1, 1]}, {}),
        ("Identity", 7, {}, {}),
        ("Neg", 7, {}, {}),
        ("Dropout", 7, {}, {"ratio": 0.5}),
        ("Dropout", 13, {}, {}),
        ("Cast", 13, {}, {"to": onnx.TensorProto.FLOAT}),
        ("Expand", 8, {"s": [3, 1, 4, 2]}, {}),
        ("ReduceMean", 13, {}, {}),
        ("ReduceMean", 18, {}, {"noop_with_empty_axes": 1}),
    ],
)
def test_operators_that_move_elements(
    operator: str, opset: int, constants: Any, attributes: Any, runtime: Callable[..., Any]
) -> None:
    data = {"x": random((1, 1, 4, 2) if operator in {"Squeeze", "Expand"} else (3, 2, 4, 2))}
    arrays = {name: np.array(numbers) for name, numbers in constants.items()}
    check(single(operator, data, arrays, ["x", *arrays], opset, **attributes), data, runtime)


@pytest.mark.parametrize(("exponent", "kind"), [(2.0, QuadraticNode), (1.0, AffineNode)])
def test_pow(exponent: float, kind: type, runtime: Callable[..., Any]) -> None:
    data = {"x": random((2, 3))}
    built = single("Pow", data, {"e": np.array(exponent, np.float32)}, ["x", "e"])
    check(built, data, runtime)
    assert isinstance(import_model(built).node("y"), kind)


def test_a_product_of_a_value_with_itself_is_a_square_and_one_of_two_values_a_product(
    runtime: Callable[..., Any],
) -> None:
    data = {"x": random((2, 3)), "z": random((2, 3), 1)}
    squared = import_model(single("Mul", {"x": data["x"]}, {}, ["x", "x"]), batch_axis=False).node("y")
    assert isinstance(squared, QuadraticNode)
    assert isinstance(import_model(single("Mul", data, {}, ["x", "z"]), batch_axis=False).node("y"), ProductNode)


def test_parameters_keep_their_names_and_types() -> None:
    data = {"x": random((1, 4, 5, 5))}
    constants = {"conv.weight": random((2, 4, 3, 3)), "conv.bias": random((2,))}
    graph = import_model(single("Conv", data, constants, ["x", *constants]))
    np.testing.assert_array_equal(graph.parameters["conv.weight"], constants["conv.weight"])
    np.testing.assert_array_equal(graph.parameters["conv.bias:channels"].reshape(-1), constants["conv.bias"])
    assert {array.dtype for array in graph.parameters.values()} == {np.dtype(np.float32)}
    names = ["bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"]
    statistics = {name: np.abs(random((4,), i)) + np.float32(0.5) for i, name in enumerate(names)}
    graph = import_model(single("BatchNormalization", data, statistics, ["x", *names]))
    assert graph.parameters.keys() == {"bn.weight/bn.running_var:scale", "bn.bias-bn.running_mean:shift"}


def test_half_precision_weights_become_float32() -> None:
    built = single("Mul", {"x": random((2, 3))}, {"w": random((3,)).astype(np.float16)}, ["x", "w"])
    built.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    assert import_model(built).parameters["w"].dtype == np.float32


def test_one_name_for_two_derived_parameters_is_told_apart() -> None:
    node = [
        helper.make_node("Gemm", ["x", "w"], ["h"], name="first", alpha=0.3000001),
        helper.make_node("Gemm", ["h", "w"], ["y"], name="second", alpha=0.3000002),
    ]
    built = single("Gemm", {"x": random((1, 3))}, {"w": random((3, 3))}, ["x", "w"])
    del built.graph.node[:]
    built.graph.node.extend(node)
    graph = import_model(built)
    assert graph.parameters.keys() == {"w:alpha=0.3", "w:alpha=0.3#2"}


@EXAMPLES
@given(
    window=windows(),
    group=st.sampled_from([1, 2]),
    maps=st.integers(1, 2),
    bias=st.booleans(),
    extra=st.booleans(),
)
def test_convtranspose(
    window: Any, group: int, maps: int, bias: bool, extra: bool, runtime: Callable[..., Any]
) -> None:
    attributes = dict(window["attributes"])
    # What has to be padded to reach the strides is refused.
    short = any(k < s for k, s in zip(attributes["kernel_shape"], attributes["strides"], strict=True))
    assume(not (short and attributes.get("auto_pad", "").startswith("SAME")))
    if extra and "auto_pad" not in attributes:
        # A padding of the output is smaller than what makes it ambiguous.
        attributes["output_padding"] = [
            min(s, d) - 1 for s, d in zip(attributes["strides"], attributes["dilations"], strict=True)
        ]
    data = {"x": random((2, 4, *window["spatial"]))}
    constants = {"w": random((4, maps, *attributes["kernel_shape"]))} | ({"b": random((maps * group,))} if bias else {})
    built = single("ConvTranspose", data, constants, ["x", *constants], group=group, **attributes)
    check(built, data, runtime)


def test_convtranspose_with_the_size_of_its_output(runtime: Callable[..., Any]) -> None:
    data = {"x": random((1, 2, 3, 3))}
    built = single("ConvTranspose", data, {"w": random((2, 2, 3, 3))}, ["x", "w"], strides=[3, 2], output_shape=[10, 8])
    check(built, data, runtime)


@EXAMPLES
@given(
    sizes=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    mode=st.sampled_from(["nearest", "linear", "cubic"]),
    coordinates=st.sampled_from(["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"]),
    rounding=st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]),
)
def test_resize_to_a_size(
    sizes: tuple[int, int], mode: str, coordinates: str, rounding: str, runtime: Callable[..., Any]
) -> None:
    data = {"x": random((1, 2, 4, 3))}
    built = single(
        "Resize",
        data,
        {"sizes": np.array([1, 2, *sizes])},
        ["x", "", "", "sizes"],
        mode=mode,
        coordinate_transformation_mode=coordinates,
        nearest_mode=rounding,
    )
    check(built, data, runtime)


@pytest.mark.parametrize(
    ("opset", "order", "attributes"),
    [
        (10, ["x", "scales"], {"mode": "nearest"}),
        (10, ["x", "scales"], {"mode": "linear"}),
        (13, ["x", "", "scales"], {"mode": "linear", "coordinate_transformation_mode": "align_corners"}),
        (18, ["x", "", "scales"], {"mode": "cubic", "exclude_outside": 1, "cubic_coeff_a": -0.5}),
        (19, ["x", "", "scales"], {"mode": "linear", "coordinate_transformation_mode": "half_pixel_symmetric"}),
    ],
)
def test_resize_by_scales(opset: int, order: list[str], attributes: Any, runtime: Callable[..., Any]) -> None:
    data = {"x": random((1, 2, 4, 3))}
    constants = {"scales": np.array([1, 1, 2, 3], np.float32)}
    check(single("Resize", data, constants, order, opset, **attributes), data, runtime)


@pytest.mark.parametrize("opset", [11, 13, 18, 28])
@pytest.mark.parametrize(
    "attributes",
    [
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        {"mode": "cubic", "coordinate_transformation_mode": "align_corners"},
        {"mode": "nearest", "coordinate_transformation_mode": "align_corners"},
        {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"},
        {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        {"mode": "nearest", "nearest_mode": "round_prefer_floor"},
    ],
)
@pytest.mark.parametrize("factors", [(1.5, 1.5), (0.7, 0.6), (1.25, 2.3), (0.4, 1.0)])
def test_resize_by_fractions_aligns_whole_pixels(
    opset: int, attributes: dict[str, Any], factors: tuple[float, float], runtime: Callable[..., Any]
) -> None:
    constants = {"r": np.zeros(0, np.float32), "s": np.array([1, 1, *factors], np.float32)}
    check(single("Resize", {"x": random((2, 1, 3, 5))}, constants, ["x", "r", "s"], opset, **attributes),
          {"x": random((2, 1, 3, 5))}, runtime)  # fmt: skip


def test_pytorch_aligns_the_same_corners() -> None:
    torch = pytest.importorskip("torch")
    image = random((1, 1, 3, 5))
    for mode, name in (("linear", "bilinear"), ("cubic", "bicubic")):
        expected = torch.nn.functional.interpolate(torch.tensor(image), scale_factor=1.5, mode=name, align_corners=True)
        constants = {"r": np.zeros(0, np.float32), "s": np.array([1, 1, 1.5, 1.5], np.float32)}
        attributes = {"mode": mode, "coordinate_transformation_mode": "align_corners"}
        built = single("Resize", {"x": image}, constants, ["x", "r", "s"], 13, **attributes)
        found = import_model(built, batch_axis=False).evaluate({"x": image[np.newaxis]})["y"]
        np.testing.assert_allclose(found.reshape(expected.shape), expected.numpy(), atol=1e-5)


def test_a_factor_rounds_the_size_in_single_precision(runtime: Callable[..., Any]) -> None:
    # 0.7 in single precision is less than 0.7, but ten times that is 7 again.
    data = {"x": random((1, 1, 1, 10))}
    constants = {"r": np.zeros(0, np.float32), "s": np.array([1, 1, 1, 0.7], np.float32)}
    check(single("Resize", data, constants, ["x", "r", "s"], mode="linear"), data, runtime)


@pytest.mark.parametrize(
    ("operator", "opset", "inputs", "attributes", "sentence"),
    [
        (
            "AveragePool", 11, {}, {"kernel_shape": [1, 1], "strides": [3, 3], "auto_pad": "SAME_UPPER"},
            "a window smaller than its stride",
        ),
        (
            "Resize", 18, {"sizes": np.array([4, 4])},
            {"axes": [-2, -1], "keep_aspect_ratio_policy": "not_larger"}, "axes counted from the back",
        ),
    ],
)  # fmt: skip
def test_where_onnxruntime_contradicts_the_text_a_node_is_refused(
    operator: str, opset: int, inputs: dict[str, Array], attributes: dict[str, Any], sentence: str
) -> None:
    order = ["x", "", "", "sizes"] if inputs else ["x"]
    with pytest.raises(HeccError, match=sentence):
        import_model(
            single(operator, {"x": random((1, 1, 6, 6))}, inputs, order, opset, **attributes), batch_axis=False
        )


def test_a_number_is_no_example_of_a_fixed_batch(runtime: Callable[..., Any]) -> None:
    built = single("Sub", {"x": random((2, 3))}, {"c": np.array(1.5, np.float32)}, ["x", "c"])
    assert import_model(built).node("y").output.shape == (1, 3)


def test_resize_with_antialiasing(runtime: Callable[..., Any]) -> None:
    data = {"x": random((1, 2, 12, 9))}
    for mode in ("linear", "cubic"):
        built = single(
            "Resize", data, {"sizes": np.array([5, 4])}, ["x", "", "", "sizes"], 18, mode=mode, axes=[2, 3], antialias=1
        )
        check(built, data, runtime)


@pytest.mark.parametrize("opset", [7, 9])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_upsample(opset: int, mode: str, runtime: Callable[..., Any]) -> None:
    data = {"x": random((1, 2, 3, 4))}
    scales = [1.0, 1.0, 2.0, 3.0]
    if opset == 7:
        built = single("Upsample", data, {}, ["x"], opset, mode=mode, scales=scales)
    else:
        built = single("Upsample", data, {"s": np.array(scales, np.float32)}, ["x", "s"], opset, mode=mode)
    check(built, data, runtime)


def parts(extent: int) -> st.SearchStrategy[tuple[int, int, int]]:
    """Start, end and step of all slices of an axis that hold something."""
    bounds = range(-extent - 2, extent + 2)
    found = [(s, e, t) for s in bounds for e in bounds for t in (-3, -2, -1, 1, 2) if range(extent)[s:e:t]]
    return st.sampled_from(found)


@EXAMPLES
@given(rows=parts(5), columns=parts(4))
def test_slice(rows: tuple[int, int, int], columns: tuple[int, int, int], runtime: Callable[..., Any]) -> None:
    data = {"x": random((2, 5, 4))}
    starts, ends, steps = np.array([rows, columns]).T
    constants = {"s": starts, "e": ends, "a": np.array([1, -1]), "t": steps}
    check(single("Slice", data, constants, ["x", *constants]), data, runtime)


@pytest.mark.parametrize(
    ("operator", "opset", "constants", "attributes"),
    [
        ("Slice", 9, {}, {"starts": [1, 0], "ends": [3, -1], "axes": [2, 0]}),
        ("Gather", 13, {"i": [[1, -1], [0, 0]]}, {"axis": 2}),
        ("Gather", 13, {"i": 1}, {"axis": 0}),
        ("GatherElements", 13, {"i": [[[[1], [0]]]]}, {"axis": 3}),
        ("GatherND", 13, {"i": [[0, 1], [2, 0]]}, {}),
        ("GatherND", 13, {"i": [[1], [0], [1]]}, {"batch_dims": 1}),
        ("Tile", 13, {"r": [1, 2, 1, 3]}, {}),
        ("DepthToSpace", 13, {}, {"blocksize": 2, "mode": "DCR"}),
        ("DepthToSpace", 13, {}, {"blocksize": 2, "mode": "CRD"}),
        ("SpaceToDepth", 13, {}, {"blocksize": 2}),
        ("Trilu", 14, {"k": -1}, {"upper": 0}),
        ("Trilu", 14, {}, {}),
        ("CumSum", 14, {"a": 1}, {"exclusive": 1, "reverse": 1}),
        ("CumSum", 14, {"a": -2}, {}),
        ("ReduceSum", 11, {}, {"axes": [1, 3], "keepdims": 0}),
        ("ReduceSum", 13, {"a": [-1]}, {}),
        ("ReduceSum", 13, {}, {"noop_with_empty_axes": 1}),
        ("ReduceSumSquare", 13, {}, {"axes": [0, 2]}),
        ("ReduceSumSquare", 18, {"a": [3]}, {"keepdims": 0}),
        ("Einsum", 13, {}, {"equation": "...ij->...ji"}),
        ("Einsum", 13, {}, {"equation": "abcd"}),
    ],
)
def test_linear_operators_of_one_tensor(
    operator: str, opset: int, constants: Any, attributes: Any, runtime: Callable[..., Any]
) -> None:
    data = {"x": random((3, 4, 2, 4))}
    arrays = {name: np.array(numbers) for name, numbers in constants.items()}
    check(single(operator, data, arrays, ["x", *arrays], opset, **attributes), data, runtime)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("bij,jk->bik", ((2, 3, 4), (4, 5))),
        ("bij,bjk", ((2, 3, 4), (2, 4, 5))),
        ("i,j->ij", ((3,), (4,))),
        ("ii,i->i", ((3, 3), (3,))),
        ("...k,kd->...d", ((2, 3, 4), (4, 2))),
        ("ij,ij->", ((3, 4), (3, 4))),
    ],
)
@pytest.mark.parametrize("left", [False, True])
def test_einsum_with_a_constant(equation: str, shapes: Any, left: bool, runtime: Callable[..., Any]) -> None:
    arrays = {"a": random(shapes[0]), "b": random(shapes[1], 1)}
    data = {"b" if left else "a": arrays.pop("b" if left else "a")}
    check(single("Einsum", data, arrays, ["a", "b"], equation=equation), data, runtime)


@pytest.mark.parametrize("constant", [None, "a", "b"])
def test_concat_of_encrypted_and_constant_tensors(constant: str | None, runtime: Callable[..., Any]) -> None:
    data = {"a": random((2, 3)), "b": random((2, 1), 1), "c": random((2, 2), 2)}
    constants = {} if constant is None else {constant: data.pop(constant)}
    check(single("Concat", data, constants, ["a", "b", "a", "c"], axis=-1), data, runtime)


def test_where_chooses_between_encrypted_and_constant_tensors(runtime: Callable[..., Any]) -> None:
    mask = np.array([[True, False, True]])
    for data, constants in (({"a", "b"}, set()), ({"a"}, {"b"}), ({"b"}, {"a"})):
        arrays = {"a": random((2, 3)), "b": random((2, 1), 1)}
        built = single(
            "Where",
            {name: arrays[name] for name in sorted(data)},
            {"m": mask, **{name: arrays[name] for name in constants}},
            ["m", "a", "b"],
        )
        check(built, {name: arrays[name] for name in data}, runtime)


def test_scatter_puts_constants_into_encrypted_tensors_and_the_reverse(runtime: Callable[..., Any]) -> None:
    arrays = {"x": random((3, 4)), "u": random((2, 4), 1)}
    index = np.array([[0], [2]])
    for data in ({"x"}, {"u"}, {"x", "u"}):
        constants = {"i": index, **{name: array for name, array in arrays.items() if name not in data}}
        given = {name: arrays[name] for name in sorted(data)}
        check(single("ScatterND", given, constants, ["x", "i", "u"], 16), given, runtime)


def test_mean_of_encrypted_and_constant_tensors(runtime: Callable[..., Any]) -> None:
    data = {"a": random((2, 3)), "b": random((3,))}
    check(single("Mean", data, {"c": random((2, 1))}, ["a", "c", "b"]), data, runtime)


@pytest.mark.parametrize(("opset", "sizes"), [(11, [1, 3, 2]), (13, [1, 3, 2]), (13, None), (18, None)])
def test_all_outputs_of_a_split(opset: int, sizes: list[int] | None) -> None:
    data = {"x": random((2, 6))}
    constants = {"s": np.array(sizes)} if sizes and opset > 11 else {}
    attributes: dict[str, Any] = {"split": sizes} if sizes and opset == 11 else {}
    if opset == 18:
        attributes["num_outputs"] = 3
    built = single("Split", data, constants, ["x", *constants], opset, axis=1, **attributes)
    built.graph.node[0].output.extend(["z", "w"])
    for name in ("w", "z"):
        kind = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
        built.graph.output.append(helper.make_value_info(name, kind))
    graph = import_model(built, batch_axis=False)
    values = graph.evaluate({"x": data["x"][np.newaxis]})
    parts = np.split(data["x"], np.cumsum(sizes or [2, 2])[:2] if sizes else 3, axis=1)
    assert graph.outputs == ("y", "w", "z")
    for name, part in zip(("y", "z", "w"), parts, strict=True):
        np.testing.assert_array_equal(values[name].reshape(part.shape), part)


def test_a_part_without_elements_disappears(runtime: Callable[..., Any]) -> None:
    """Exporters cut tensors in two of which one may be empty, and put them together again."""
    data = {"x": random((2, 4))}
    built = single("Concat", data, {}, ["none", "x"], axis=1)
    constants = {"s": np.array([4]), "e": np.array([9]), "a": np.array([1])}
    built.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    built.graph.node.insert(0, helper.make_node("Slice", ["x", *constants], ["none"]))
    check(built, data, runtime)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("aligned", [0, 1])
def test_gridsample(mode: str, padding: str, aligned: int, runtime: Callable[..., Any]) -> None:
    data = {"x": random((2, 3, 4, 5))}
    # Some points lie outside, some far.
    grid = np.asarray(1.3 * random((2, 3, 6, 2), 1), dtype=np.float32)
    attributes = {"mode": mode, "padding_mode": padding, "align_corners": aligned}
    check(single("GridSample", data, {"g": grid}, ["x", "g"], 16, **attributes), data, runtime)


@pytest.mark.parametrize(
    ("shape", "image", "block", "attributes"),
    [
        ((2, 12, 12), [4, 5], [2, 2], {}),
        ((1, 8, 4), [5, 5], [2, 2], {"strides": [3, 2], "pads": [0, 0, 1, 0]}),
        ((1, 4, 9), [5, 5], [2, 2], {"dilations": [2, 2]}),
    ],
)
def test_col2im(shape: Any, image: Any, block: Any, attributes: Any, runtime: Callable[..., Any]) -> None:
    data = {"x": random(shape)}
    constants = {"image": np.array(image), "block": np.array(block)}
    check(single("Col2Im", data, constants, ["x", "image", "block"], 18, **attributes), data, runtime)


@pytest.mark.parametrize(
    ("operator", "constants", "attributes", "says"),
    [
        ("Gather", {"i": [7]}, {}, r"cannot evaluate it \(IndexError\); check that its indices, axes and shapes fit"),
        ("GatherElements", {"i": [[5, 0]]}, {}, "its indices do not fit axis 0"),
        ("Tile", {"r": [1 << 40, 1]}, {}, "its result would have"),
        ("Einsum", {}, {"equation": "ijk->i"}, "does not fit the ranks"),
        ("Einsum", {"w": np.ones((2, 3), np.float32)}, {"equation": "ij,jk->ik"}, "index 'j' has extents 4 and 2"),
        ("CumSum", {"a": 5}, {}, "axis 5 does not exist"),
    ],
)
def test_operators_that_do_not_fit_are_refused(operator: str, constants: Any, attributes: Any, says: str) -> None:
    data = {"x": random((3, 4))}
    arrays = {name: np.array(numbers) for name, numbers in constants.items()}
    with pytest.raises(HeccError, match=says):
        import_model(single(operator, data, arrays, ["x", *arrays], **attributes), batch_axis=False)


@pytest.mark.parametrize(
    ("operator", "opset", "constants", "attributes", "says"),
    [
        ("Resize", 13, {"roi": [], "s": [1.0, 1.0, 1e9, 1e9]}, {}, "its result would have"),
        ("Resize", 13, {"roi": [], "s": [1.0, 1.0, -1.0, 1.0]}, {}, "its scales or sizes are not positive"),
        ("Resize", 13, {"roi": [], "s": [1.0, 2.0]}, {}, "do not fit 4 axes"),
        ("Resize", 13, {"roi": [], "s": [1.0, 1.0, 0.1, 1.0]}, {}, "its result has no elements"),
        ("ConvTranspose", 13, {"w": np.ones((3, 2, 3, 3))}, {}, "does not fit 2 channels in 1 groups"),
        ("ConvTranspose", 13, {"w": np.ones((2, 2, 3, 3))}, {"dilations": [1 << 30, 1]}, "its result would have"),
        ("ConvTranspose", 13, {"w": np.ones((2, 2, 1, 1))}, {"pads": [3, 3, 3, 3]}, "its pads leave no pixels"),
        ("GridSample", 16, {"g": np.ones((1, 2, 2, 3))}, {}, "its grid of shape 1x2x2x3 does not fit"),
    ],
)
def test_images_that_do_not_fit_are_refused(
    operator: str, opset: int, constants: Any, attributes: Any, says: str
) -> None:
    data = {"x": random((1, 2, 4, 4))}
    arrays = {name: np.asarray(numbers, np.float32) for name, numbers in constants.items()}
    with pytest.raises(HeccError, match=says):
        import_model(single(operator, data, arrays, ["x", *arrays], opset, **attributes), batch_axis=False)

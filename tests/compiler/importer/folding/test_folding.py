"""Constants that a network computes: what onnxruntime computes, in its types, at every opset; or a sentence."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from hecc.compiler.importer import import_model
from hecc.compiler.importer.building.batch import Batch
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.scope import Constant, Scope
from hecc.compiler.importer.folding.fold import CONVERTED, REFERENCE, RULES, fold
from hecc.compiler.importer.reading.prepare import OLDEST_OPSET, newest_opset
from hecc.runtime.errors import InputError, UnsupportedError

Model = Callable[..., onnx.ModelProto]
OPSETS = range(OLDEST_OPSET, newest_opset() + 1)
QUANTISED = min(27, newest_opset())
"""The newest opset whose quantisation onnxruntime 1.32 has; the official tests of ONNX are about the newest."""
GRID = np.linspace(-2, 2, 24).reshape(2, 3, 4).astype(np.float32)


def single(
    operator: str, opset: int, *inputs: Any, outputs: int = 1, **attributes: Any
) -> tuple[onnx.ModelProto, list[np.ndarray]]:
    """A model of one node of constants."""
    names = [f"i{number}" for number in range(len(inputs))]
    results = [f"o{number}" for number in range(outputs)]
    node = helper.make_node(operator, names, results, **attributes)
    constants = [numpy_helper.from_array(np.asarray(array), name) for array, name in zip(inputs, names, strict=True)]
    graph = helper.make_graph([node], "g", [], [onnx.ValueInfoProto(name=name) for name in results], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def folded(built: onnx.ModelProto) -> list[Any]:
    scope = Scope.of(built, Batch(axis=False))
    results = fold(Call.of(scope, built.graph.node[0]))
    return [results[output.name].array for output in built.graph.output]


def expected(built: onnx.ModelProto) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return list(onnxruntime.InferenceSession(built.SerializeToString(), options).run(None, {}))


def check(built: onnx.ModelProto, tolerance: float = 1e-6) -> None:
    for mine, theirs in zip(folded(built), expected(built), strict=True):
        assert mine.dtype == theirs.dtype
        assert mine.shape == theirs.shape
        if mine.dtype.kind == "f":
            np.testing.assert_allclose(mine, theirs, tolerance, tolerance)
        else:
            np.testing.assert_array_equal(mine, theirs)


# --- the meaning that an operator has at the model's opset -----------------------------------------------------------


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax", "Hardmax"])
def test_a_softmax_of_constants_is_that_of_its_opset(operator: str, opset: int) -> None:
    check(single(operator, opset, GRID))
    check(single(operator, opset, GRID, axis=1))


@pytest.mark.parametrize("opset", range(10, QUANTISED + 1))
@pytest.mark.parametrize("kind", ["int8", "uint8", "int32"])
def test_quantised_weights_are_dequantised_at_every_opset(opset: int, kind: str) -> None:
    weight = np.random.default_rng(0).integers(0, 100, (8, 3)).astype(kind)
    zero = np.asarray(0 if kind == "int32" else 7, dtype=kind)
    check(single("DequantizeLinear", opset, weight, np.float32(0.02), zero))
    if opset >= 13:
        scales = np.array([0.01, 0.02, 0.03], np.float32)
        check(single("DequantizeLinear", opset, weight, scales, axis=1))


@pytest.mark.parametrize("opset", range(10, QUANTISED + 1))
def test_weights_that_are_quantised_and_dequantised_are_rounded(opset: int) -> None:
    halves = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 300.0], np.float32)
    for zero in (np.uint8(3), np.int8(-3)):
        check(single("QuantizeLinear", opset, halves, np.float32(1.0), zero))


@pytest.mark.parametrize("opset", range(18, newest_opset() + 1))
@pytest.mark.parametrize("operator", ["ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp", "ReduceMean"])
def test_a_reduction_over_no_axes_acts_on_each_element(operator: str, opset: int) -> None:
    check(single(operator, opset, GRID, noop_with_empty_axes=1))


@pytest.mark.parametrize("opset", OPSETS)
def test_the_quotient_of_integers_is_truncated(opset: int) -> None:
    for kind in ("int32", "int64"):
        check(single("Div", opset, np.array([7, -7, 7, -7], kind), np.array([2, 2, -2, -2], kind)))


def test_numbers_are_truncated_or_rounded_as_they_are_cast() -> None:
    numbers = np.array([-2.7, -0.5, 0.0, 0.5, 2.7, 1e-6], np.float32)
    for to in ("INT32", "INT64", "BOOL", "FLOAT16", "DOUBLE", "INT8"):
        check(single("Cast", 13, numbers, to=getattr(onnx.TensorProto, to)))
    check(single("Cast", 13, np.array([300, -300, 127]), to=onnx.TensorProto.INT8))


def test_ends_beyond_a_shape_are_moved_to_it() -> None:
    check(single("Shape", 15, GRID, end=-4))
    check(single("Shape", 15, GRID, start=-9, end=2))


def test_a_slice_backwards_from_before_the_first_element_begins_there(runtime: Callable[..., Any]) -> None:
    ends = [np.array([-5]), np.array([-5]), np.array([0]), np.array([-1])]
    check(single("Slice", 13, np.arange(4), *ends))
    check(single("Slice", 13, np.arange(4), np.array([9]), np.array([-9]), np.array([0]), np.array([-2])))
    names = ["start", "end", "axis", "step"]
    node = helper.make_node("Slice", ["x", *names], ["y"])
    along = dict(zip(names, [*ends[:2], np.array([1]), ends[3]], strict=True))
    constants = [numpy_helper.from_array(array, name) for name, array in along.items()]
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph([node], "g", [x], [onnx.ValueInfoProto(name="y")], constants)
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=10)
    data = np.arange(4, dtype=np.float32)[np.newaxis]
    np.testing.assert_array_equal(import_model(built).evaluate({"x": data})["y"], runtime(built, {"x": data}))


@pytest.mark.parametrize("opset", [7, 11, 13, 28])
def test_new_axes_are_those_of_the_result_in_any_order(opset: int) -> None:
    if opset < 13:
        check(single("Unsqueeze", opset, GRID, axes=[3, 0, 2]))
    else:
        check(single("Unsqueeze", opset, GRID, np.array([3, 0, 2])))


def test_a_product_of_no_extents_is_one() -> None:
    check(single("ReduceProd", 18, np.zeros(0, np.int64)))
    check(single("ReduceSum", 18, np.zeros(0, np.int64)))


def test_a_mask_of_infinities_may_be_folded_on_its_way_to_finite_numbers() -> None:
    mask = np.array([[1, 0], [0, 1]], dtype=bool)
    check(single("Where", 13, mask, np.float32(-np.inf), np.float32(0)))
    check(single("Max", 13, np.array([-np.inf, 2.0], np.float32), np.float32(-1e4)))


def test_operators_of_which_networks_fold_only_constants() -> None:
    check(single("Shrink", 13, GRID, lambd=0.75, bias=0.25))
    check(single("ThresholdedRelu", 13, GRID, alpha=0.5))
    check(single("Scatter", 10, GRID, np.array([[[2, 0, 1, 0]]]), np.full((1, 1, 4), 9, np.float32), axis=1))
    theta = np.random.default_rng(0).uniform(-1, 1, (2, 2, 3)).astype(np.float32)
    for aligned in (0, 1):
        check(single("AffineGrid", 20, theta, np.array([2, 1, 3, 4]), align_corners=aligned))


def test_infinity_is_clipped_to_the_largest_number() -> None:
    infinities = np.array([-np.inf, 1.0, np.inf], np.float32)
    check(single("Clip", 10, infinities, max=2.0))
    check(single("Clip", 13, infinities))


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_a_mask_of_infinities_may_be_one_hot(axis: int) -> None:
    index = np.array([[4, -1, 0], [7, -9, 2]])
    check(single("OneHot", 13, index, np.array(5), np.array([0, -np.inf], np.float32), axis=axis))


def test_determinants() -> None:
    check(single("Det", 13, np.random.default_rng(0).uniform(-1, 1, (2, 3, 3)).astype(np.float32)))


def test_of_equal_elements_the_first_comes_first() -> None:
    check(single("TopK", 13, np.array([1, 3, 3, 2, 1, 3]), np.array([5]), outputs=2))
    check(single("TopK", 13, np.array([1, 3, 3, 2, 1, 3]), np.array([5]), outputs=2, largest=0))


# --- what is refused -------------------------------------------------------------------------------------------------


def test_every_operator_is_folded_in_one_way() -> None:
    ways = [RULES.keys(), REFERENCE, CONVERTED]
    assert sum(map(len, ways)) == len(set().union(*ways))


def test_an_operator_without_a_checked_rule_is_refused_by_name(model: Model) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { w = GlobalMaxPool(v)  r = Squeeze(w)  y = Add(x, r) }", v=GRID)
    with pytest.raises(UnsupportedError) as caught:
        import_model(built)
    # What reads the constant is not accused.
    assert str(caught.value) == (
        "GlobalMaxPool 'w' (opset 13): its inputs are constants, and hecc has no checked rule to compute it; fold the "
        "network's constants before importing, for instance with onnxsim"
    )


def test_a_weight_that_was_refused_is_not_said_to_be_encrypted(model: Model) -> None:
    built = model(
        "g (float[1,1,4,4] x) => (float[1,1,3,3] y) { w = MaxPool<kernel_shape = [1, 1]>(v)  y = Conv(x, w) }",
        v=np.ones((1, 1, 2, 2), np.float32),
    )
    with pytest.raises(UnsupportedError) as caught:
        import_model(built)
    assert str(caught.value).startswith("MaxPool 'w'")
    assert "encrypted" not in str(caught.value)


def test_text_is_not_folded(model: Model) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { t = RegexFullMatch<pattern = \"(a|a)*b\">(s)  "
                  "c = Cast<to = 1>(t)  y = Add(x, c) }", opset=20, s=np.array(["aaaa"]))  # fmt: skip
    with pytest.raises(UnsupportedError, match=r"RegexFullMatch 't' .*it computes with text"):
        import_model(built)


@pytest.mark.parametrize(
    ("built", "sentence"),
    [
        (single("Div", 13, np.array([1]), np.array([0])), "divides an integer by zero"),
        (single("Mod", 13, np.array([1]), np.array([0])), "divides an integer by zero"),
        (single("Cast", 13, np.float32(1e10), to=onnx.TensorProto.INT32), "into int32 that this type cannot hold"),
        (single("Cast", 13, np.float32(-1.5), to=onnx.TensorProto.UINT8), "into uint8 that this type cannot hold"),
        (single("Cast", 13, np.float32(np.nan), to=onnx.TensorProto.INT64), "into int64 that this type cannot hold"),
        (single("Cast", 19, np.float32(1), to=onnx.TensorProto.FLOAT8E4M3FN), "no checked rule to cast"),
        (single("QuantizeLinear", 19, np.float16(1), np.float16(1), np.uint8(0)), "no checked rule to quantise"),
        (single("Log", 13, np.float32(-1)), "its result is not a number"),
        (single("LpNormalization", 13, np.zeros(2, np.float32)), "its result is not a number"),
        (single("LpNormalization", 13, np.full(2, np.inf, np.float32)), "holds infinity or NaN"),
        (single("DynamicQuantizeLinear", 13, np.full(2, np.inf, np.float32), outputs=3), "infinity or NaN"),
        (single("Det", 13, np.full((2, 2), np.inf, np.float32)), "infinity or NaN"),
        (single("ReduceProd", 13, np.full(40, 3)), "its result is beyond int64"),
        (single("LpNormalization", 13, np.zeros(0, np.float32)), "its input has no elements"),
        (single("ReduceLogSum", 13, np.array([1, 2])), "to what is no integer"),
        (single("Sigmoid", 13, np.array([1, 2])), "no checked rule"),
        (
            single("AffineGrid", 20, np.ones((1, 2, 3), np.float32), np.array([1, 1, 1, 4]), align_corners=1),
            "ambiguous with align_corners",
        ),
        (single("ReduceMax", 13, np.zeros((0, 2), np.float32)), "no elements"),
    ],
)
def test_what_no_type_can_hold_is_refused(built: onnx.ModelProto, sentence: str) -> None:
    with pytest.raises(UnsupportedError, match=sentence):
        folded(built)


@pytest.mark.parametrize(
    "built",
    [
        single("Add", 13, np.float32(1), np.float64(1)),
        single("MatMul", 13, np.ones(3, np.float32), np.ones((2, 2), np.float32)),
        single("MatMul", 13, np.ones(2, np.float32), np.ones((2, 2))),
        single("TopK", 13, np.ones(3, np.float32), np.array([4]), outputs=2),
        single("Where", 13, np.array([True]), np.float32(1), np.int64(1)),
    ],
)
def test_what_is_no_valid_onnx_is_a_sentence(built: onnx.ModelProto) -> None:
    with pytest.raises(InputError, match="the model is not valid ONNX"):
        folded(built)


def test_a_folded_constant_is_a_weight_like_any_other(model: Model, runtime: Callable[..., Any]) -> None:
    built = model("g (float[1,4] x) => (float[1,3] y) { w = DequantizeLinear(q, s)  y = MatMul(x, w) }",
                  q=np.arange(12, dtype=np.int8).reshape(4, 3), s=np.float32(0.5))  # fmt: skip
    x = np.ones((1, 4), np.float32)
    np.testing.assert_allclose(import_model(built).evaluate({"x": x})["y"], runtime(built, {"x": x}), 1e-6)
    assert isinstance(Scope.of(built, Batch(axis=False)).operands["q"], Constant)

"""The batch axis: one example is imported, whatever batch the network was exported with."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from hecc.compiler.importer import import_model
from hecc.runtime.errors import InputError, UnsupportedError

Model = Callable[..., onnx.ModelProto]
W = np.random.default_rng(0).standard_normal((6, 2)).astype(np.float32)
MIXES = "it mixes the 4 examples of the batch; export the network with a batch of one or a dynamic batch axis"


@pytest.mark.parametrize("batch", ["N", "1", "4"])
@pytest.mark.parametrize(
    "body",
    [
        "r = Flatten(x)  y = MatMul(r, w)",
        "s = Constant<value_ints=[-1, 6]>()  r = Reshape(x, s)  y = MatMul(r, w)",
        "s = Constant<value_ints=[0, -1]>()  r = Reshape(x, s)  y = MatMul(r, w)",
        # Through rows that are not examples, and back.
        (
            "s = Constant<value_ints=[-1, 3]>()  r = Reshape(x, s)  t = Constant<value_ints=[-1, 6]>()"
            "  q = Reshape(r, t)  y = MatMul(q, w)"
        ),
        # The usual arithmetic of shapes.
        (
            "h = Shape(x)  i = Constant<value_int=0>()  b = Gather(h, i)  a = Constant<value_ints=[0]>()  u = "
            "Unsqueeze(b, a)"
            "  m = Constant<value_ints=[-1]>()  s = Concat<axis=0>(u, m)  r = Reshape(x, s)  y = MatMul(r, w)"
        ),
        # Elements that are moved.
        (
            "s = Constant<value_ints=[0, 2]>()  r = Gather<axis=2>(x, s)  p = Concat<axis=2>(r, x, r)  "
            "a, b = Split<axis=2>(p, l)  f = Flatten(b)  y = MatMul(f, w)"
        ),
        "t = Slice(x, one, nine, one, one)  q = Flatten(t)  v = Concat<axis=1>(q, q)  y = MatMul(v, w)",
        "h = Shape(x)  z = ConstantOfShape(h)  p = Add(x, z)  r = Flatten(p)  y = MatMul(r, w)",
    ],
)
def test_each_row_of_a_batch_is_an_example(batch: str, body: str, model: Model, runtime: Callable[..., Any]) -> None:
    moves = {"l": np.array([4, 3]), "one": np.array([1]), "nine": np.array([9])}
    built = model(f"g (float[{batch},2,3] x) => (float[{batch},2] y) {{ {body} }}", w=W, **moves)
    graph = import_model(built)
    assert graph.batch_axis
    assert [graph.node(name).output.shape for name in ("x", "y")] == [(1, 2, 3), (1, 2)]
    data = np.random.default_rng(1).standard_normal((int(batch) if batch != "N" else 3, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(graph.evaluate({"x": data})["y"], runtime(built, {"x": data}), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch", ["N", "4"])
def test_a_target_that_names_the_batch_of_the_export_is_adapted(batch: str, model: Model) -> None:
    built = model(
        f"g (float[{batch},2,3] x) => (float[4,6] y) {{ s = Constant<value_ints=[4, 6]>()  y = Reshape(x, s) }}"
    )
    assert import_model(built).node("y").output.shape == (1, 6)


def test_squeezing_all_unit_axes_keeps_an_open_batch(model: Model) -> None:
    built = model("g (float[N,1,3,1] x) => (float[N,3] y) { y = Squeeze(x) }")
    assert import_model(built).node("y").output.shape == (1, 3)


@pytest.mark.parametrize(
    ("node", "constants"),
    [
        ("Transpose(x)", {}),
        ("Transpose<perm=[1,0]>(x)", {}),
        ("Flatten<axis=0>(x)", {}),
        ("ReduceMean<axes=[0]>(x)", {}),
        ("ReduceMean<axes=[0], keepdims=0>(x)", {}),
        ("Reshape(x, s)", {"s": np.array([6, 4])}),
        ("Reshape(x, s)", {"s": np.array([1, -1])}),
        ("Unsqueeze(x, s)", {"s": np.array([0])}),
        ("Expand(x, s)", {"s": np.array([3, 4, 6])}),
        ("Pad(x, s)", {"s": np.array([1, 0, 0, 0])}),
        ("Add(x, w)", {"w": np.arange(24, dtype=np.float32).reshape(4, 6)}),
        ("Mul(x, w)", {"w": np.ones((2, 4, 6), np.float32)}),
        ("Gemm<transA=1>(x, w)", {"w": np.ones((4, 2), np.float32)}),
        ("MatMul(w, x)", {"w": np.ones((3, 4), np.float32)}),
        ("Slice(x, a, b, c, d)", {"a": np.array([-1]), "b": np.array([-9]), "c": np.array([0]), "d": np.array([-1])}),
        ("Slice(x, a, b)", {"a": np.array([1]), "b": np.array([4])}),
        ("Gather(x, s)", {"s": np.array([3, 1, 2, 0])}),
        ("Gather(x, s)", {"s": np.array([0, 0, 0, 0])}),
        ("GatherElements(x, s)", {"s": np.zeros((4, 6), np.int64)}),
        ("Tile(x, s)", {"s": np.array([2, 1])}),
        ("Concat<axis=0>(x, x)", {}),
        ("Concat<axis=1>(x, w)", {"w": np.arange(8, dtype=np.float32).reshape(4, 2)}),
        ("Where(m, x, x)", {"m": np.ones((3, 4, 6), bool)}),
        ("CumSum(x, s)", {"s": np.array(0)}),
        ("ReduceSum(x, s)", {"s": np.array([0])}),
        ('Einsum<equation = "ij->j">(x)', {}),
        ("Resize(x, , s)", {"s": np.array([2, 1], np.float32)}),
    ],
)
def test_mixing_the_examples_of_a_fixed_batch_is_refused(node: str, constants: Any, model: Model) -> None:
    built = model(f"g (float[4,6] x) => (float[4,6] y) {{ y = {node} }}", **constants)
    with pytest.raises(UnsupportedError, match=MIXES):
        import_model(built)


TURNED = "t = Transpose<perm=[1,0,2]>(x)"
APART = (
    r"^(\w+) '\w+' \(opset \d+\): "
    r"(it mixes the examples of a batch|it combines the examples of a batch|of a batch, its result, which is output)"
)
FIRST, UNIT, NARROW = np.array([0]), np.array([1]), np.ones((6, 2), np.float32)
BRANCHES = "then_branch = t () => (r) { r = Neg(x) }, else_branch = f () => (q) { q = Identity(x) }"
ROWS = "h = Shape(x)  i = Constant<value_int=0>()  b = Gather(h, i)  c = Cast<to=1>(b)"


@pytest.mark.parametrize(
    ("operator", "body", "opset", "constants"),
    [
        ("ReduceMean", "y = ReduceMean<axes=[0]>(x)", 13, {}),
        ("ReduceMean", "m = ReduceMean<axes=[0]>(x)  y = Sub(x, m)", 13, {}),
        ("ReduceMean", "m = ReduceMean(x)  y = Sub(x, m)", 13, {}),
        ("ReduceSum", "y = ReduceSum(x, s)", 13, {"s": FIRST}),
        ("ReduceMax", "m = ReduceMax<axes=[0]>(x)  y = Sub(x, m)", 13, {}),
        ("ReduceL2", "m = ReduceL2<axes=[0]>(x)  y = Div(x, m)", 13, {}),
        ("ReduceLogSumExp", "m = ReduceLogSumExp<axes=[0]>(x)  y = Sub(x, m)", 13, {}),
        ("MatMul", "t = Transpose<perm=[1,0]>(x)  y = MatMul(x, t)", 13, {}),
        ("Gemm", "y = Gemm<transB=1>(x, x)", 13, {}),
        ("Gemm", "p = Gemm<transB=1>(x, x)  y = MatMul(p, x)", 13, {}),
        ("Einsum", 'm = Einsum<equation = "ij->j">(x)  y = Add(x, m)', 13, {}),
        ("Einsum", 'y = Einsum<equation = "ij,kj->ik">(x, x)', 13, {}),
        ("ReduceMean", "a = Concat<axis=0>(x, x)  m = ReduceMean<axes=[0]>(a)  y = Add(x, m)", 13, {}),
        ("Slice", "m = Slice(x, s, e)  y = Sub(x, m)", 13, {"s": FIRST, "e": UNIT}),
        (
            "Slice",
            "y = Slice(x, a, b, c, d)",
            13,
            {"a": np.array([-1]), "b": np.array([-9]), "c": FIRST, "d": np.array([-1])},
        ),
        ("Gather", "m = Gather<axis=0>(x, s)  y = Sub(x, m)", 13, {"s": FIRST}),
        ("Gather", "m = Gather<axis=0>(x, s)  y = Sub(x, m)", 13, {"s": np.array(-1)}),
        ("GatherElements", "y = GatherElements<axis=0>(x, s)", 13, {"s": np.zeros((1, 6), np.int64)}),
        ("GatherND", "g = GatherND(x, s)  y = Add(x, g)", 13, {"s": np.array([[0]])}),
        (
            "ScatterND",
            "g = ScatterND(x, s, u)  y = Neg(g)",
            13,
            {"s": np.array([[0]]), "u": np.zeros((1, 6), np.float32)},
        ),
        ("Compress", "y = Compress<axis=0>(x, s)", 13, {"s": np.array([True])}),
        ("Split", "a, b = Split<axis=0>(x)  y = Add(x, a)", 13, {}),
        ("Trilu", "y = Trilu(x)", 14, {}),
        ("CumSum", "y = CumSum(x, s)", 13, {"s": np.array(0)}),
        ("CumSum", "y = CumSum<reverse=1>(x, s)", 13, {"s": np.array(0)}),
        ("Softmax", "y = Softmax<axis=0>(x)", 13, {}),
        ("Softmax", "y = Softmax<axis=0>(x)", 11, {}),
        ("Softmax", "a = Softmax<axis=0>(x)  y = MatMul(a, w)", 13, {"w": NARROW}),
        ("Softmax", "t = Transpose<perm=[1,0]>(x)  a = Softmax<axis=1>(t)  y = Transpose<perm=[1,0]>(a)", 13, {}),
        ("Hardmax", "y = Hardmax<axis=0>(x)", 13, {}),
        ("ArgMax", "y = ArgMax<axis=0>(x)", 13, {}),
        ("TopK", "y, i = TopK<axis=0>(x, s)", 13, {"s": UNIT}),
        ("LayerNormalization", "y = LayerNormalization<axis=0>(x, k)", 17, {"k": np.ones(6, np.float32)}),
        ("RMSNormalization", "y = RMSNormalization<axis=0>(x, k)", 23, {"k": np.ones(6, np.float32)}),
        ("MeanVarianceNormalization", "y = MeanVarianceNormalization<axes=[0]>(x)", 13, {}),
        ("LpNormalization", "y = LpNormalization<axis=0>(x)", 13, {}),
        (
            "InstanceNormalization",
            "u = Unsqueeze(x, s)  v = InstanceNormalization(u, k, k)  y = Squeeze(v, s)",
            13,
            {"s": np.array([0, 1]), "k": np.ones(1, np.float32)},
        ),
        ("LRN", "u = Unsqueeze(x, s)  v = LRN<size=3>(u)  y = Squeeze(v, s)", 13, {"s": np.array([0, 3])}),
        (
            "Conv",
            "u = Unsqueeze(x, s)  v = Conv<pads=[1,1,1,1]>(u, k)  y = Squeeze(v, s)",
            13,
            {"s": np.array([0, 1]), "k": np.ones((1, 1, 3, 3), np.float32)},
        ),
        (
            "GlobalAveragePool",
            "u = Unsqueeze(x, s)  v = GlobalAveragePool(u)  w = Squeeze(v, s)  y = Add(x, w)",
            13,
            {"s": np.array([0, 1])},
        ),
        ("Resize", 'm = Resize<mode = "linear">(x, , , s)  y = Add(x, m)', 13, {"s": np.array([1, 6])}),
        ("Pad", "p = Pad(x, s)  m = ReduceMean<axes=[0]>(p)  y = Add(x, m)", 13, {"s": np.array([1, 0, 0, 0])}),
        (
            "ReduceMean",
            "r = Reshape(x, s)  m = ReduceMean<axes=[1]>(r)  y = Sub(x, m)",
            13,
            {"s": np.array([1, -1])},
        ),
        ("Flatten", "y = Flatten<axis=0>(x)", 13, {}),
        ("Unsqueeze", "y = Unsqueeze(x, s)", 13, {"s": FIRST}),
        # An exporter wrote the batch that it traced: the network is for five examples together.
        ("ReduceMean", "r = Reshape(x, s)  m = ReduceMean<axes=[0]>(r)  y = Sub(x, m)", 13, {"s": np.array([5, 6])}),
        # What depends on how many rows there are.
        ("Div", f"{ROWS}  y = Div(x, c)", 13, {}),
        ("Add", f"{ROWS}  y = Add(x, c)", 13, {}),
        ("Div", "h = Size(x)  c = Cast<to=1>(h)  y = Div(x, c)", 13, {}),
        ("Clip", f"{ROWS}  a = Clip(x, z, c)  y = MatMul(a, w)", 13, {"z": np.array(0, np.float32), "w": NARROW}),
        ("Clip", f"{ROWS}  y = Clip(x, z, c)", 13, {"z": np.array(0, np.float32)}),
        (
            "If",
            f"{ROWS}  o = Constant<value_int=1>()  e = Equal(b, o)  y = If(e) <{BRANCHES}>",
            13,
            {},
        ),
        (
            "Add",
            f"{ROWS}  r = Range(z, b, o)  f = Cast<to=1>(r)  u = Unsqueeze(f, s)  y = Add(x, u)",
            13,
            {"s": UNIT, "z": np.array(0), "o": np.array(1)},
        ),
    ],
)
def test_mixing_the_examples_of_an_open_batch_is_refused_by_name(
    operator: str, body: str, opset: int, constants: Any, model: Model
) -> None:
    built = model(f"g (float[N,6] x) => (float[?,?] y) {{ {body} }}", opset, **constants)
    with pytest.raises(UnsupportedError) as caught:
        import_model(built)
    found = re.match(APART, str(caught.value))
    assert found, str(caught.value)
    assert found[1] == operator


@pytest.mark.parametrize(("operator", "opset"), [("LayerNormalization", 17), ("RMSNormalization", 23)])
def test_normalising_over_a_fixed_batch_is_refused(operator: str, opset: int, model: Model) -> None:
    built = model(
        f"g (float[4,6] x) => (float[4,6] y) {{ y = {operator}<axis=0>(x, k) }}", opset, k=np.ones(6, np.float32)
    )
    with pytest.raises(UnsupportedError, match=f"{operator} 'y' .*: {MIXES}"):
        import_model(built)


@pytest.mark.parametrize(
    ("body", "constants"),
    [
        # Rows that lie along another axis for a while, as in attention that has sequences first.
        ("t = Transpose<perm=[1,0,2]>(x)  q = MatMul(t, w)  y = Transpose<perm=[1,0,2]>(q)", {"w": np.eye(3) + 1}),
        (
            f"{TURNED}  r = Reshape(t, s)  q = MatMul(r, w)  p = Reshape(q, u)  y = Transpose<perm=[1,0,2]>(p)",
            {"w": np.eye(3) + 1, "s": np.array([-1, 3]), "u": np.array([2, -1, 3])},
        ),
        (
            "t = Transpose<perm=[1,0,2]>(x)  a = Softmax<axis=0>(t)  q = MatMul(a, w)  y = Transpose<perm=[1,0,2]>(q)",
            {"w": np.eye(3) + 1},
        ),
        ("h = Shape(x)  z = ConstantOfShape(h)  p = Concat<axis=1>(x, z)  y = ReduceMean<axes=[1]>(p)", {}),
        ("h = Shape(x)  p = Expand(o, h)  y = Add(p, x)", {"o": np.ones((1, 1, 3))}),
        ("y = LayerNormalization<axis=1>(x, o)", {"o": np.ones((2, 3))}),
    ],
)
def test_rows_may_lie_along_other_axes_in_between(
    body: str, constants: Any, model: Model, runtime: Callable[..., Any]
) -> None:
    arrays = {name: a.astype(np.float32) if a.dtype == float else a for name, a in constants.items()}
    built = model(f"g (float[N,2,3] x) => (float[?,?,?] y) {{ {body} }}", 17, **arrays)
    data = np.random.default_rng(1).standard_normal((5, 2, 3)).astype(np.float32)
    want = runtime(built, {"x": data})
    np.testing.assert_allclose(import_model(built).evaluate({"x": data})["y"], want.reshape(5, -1), rtol=1e-4)


def test_a_network_that_fits_a_batch_of_one_only_is_imported_as_such(model: Model) -> None:
    built = model(
        "g (float[N,6] x) => (float[1,2] y) { r = Reshape(x, s)  y = MatMul(r, w) }", s=np.array([1, -1]), w=W
    )
    assert import_model(built).node("y").output.shape == (1, 2)


def test_a_node_that_does_not_fit_its_fixed_batch_is_not_valid(model: Model) -> None:
    with pytest.raises(InputError, match="its factors have inner extents 1 and 4"):
        import_model(model("g (float[4,6] x) => (float[4,6] y) { y = MatMul(w, x) }", w=np.ones((1, 1), np.float32)))


def test_flattening_the_batch_away_is_refused_at_the_output(model: Model) -> None:
    built = model("g (float[4,6] x) => (float[24] y) { y = Reshape(x, s) }", s=np.array([-1]))
    with pytest.raises(UnsupportedError, match="output 'y' of one example has shape 6, so its axis 0 is not the batch"):
        import_model(built)


def test_a_node_that_fits_no_batch_is_not_valid(model: Model) -> None:
    with pytest.raises(InputError, match="its factors have inner extents 6 and 5"):
        import_model(model("g (float[4,6] x) => (float[4,2] y) { y = MatMul(x, w) }", w=np.ones((5, 2), np.float32)))


def test_inputs_that_disagree_about_the_batch_are_refused(model: Model) -> None:
    with pytest.raises(UnsupportedError) as caught:
        import_model(model("g (float[4,3] x, float[1,3] z) => (float[4,3] y) { y = Add(x, z) }"))
    assert str(caught.value) == (
        "input 'x' has a batch of 4 and input 'z' has not; export the network with a batch of one or a dynamic batch "
        "axis"
    )
    with pytest.raises(UnsupportedError) as caught:
        import_model(model("g (float[N,3] x, float[3] z) => (float[N,3] y) { y = Add(x, z) }"))
    assert str(caught.value) == (
        "input 'z' has no batch axis while another input has a dynamic one; export the network with a fixed batch of "
        "one and compile it with --no-batch-axis (batch_axis=False)"
    )


def test_vectors_have_no_batch(model: Model) -> None:
    graph = import_model(model("g (float[6] x) => (float[2] y) { y = MatMul(x, w) }", w=W))
    assert not graph.batch_axis
    assert graph.node("y").output.shape == (2,)


def test_without_a_batch_axis_the_whole_tensor_is_one_example(model: Model) -> None:
    built = model("g (float[4,6] x) => (float[6,4] y) { y = Transpose(x) }")
    graph = import_model(built, batch_axis=False)
    assert not graph.batch_axis
    data = np.arange(24.0).reshape(4, 6)
    np.testing.assert_array_equal(graph.evaluate({"x": data[np.newaxis]})["y"].reshape(6, 4), data.T)


def test_several_encrypted_inputs(model: Model) -> None:
    graph = import_model(model("g (float[N,3] x, float[N,3] z) => (float[N,3] y) { p = Mul(x, z)  y = Sub(p, z) }"))
    x, z = np.random.default_rng(0).standard_normal((2, 5, 3))
    np.testing.assert_allclose(graph.evaluate({"x": x, "z": z})["y"], x * z - z)


def test_the_callers_model_is_left_alone(model: Model) -> None:
    built = model("g (float[4,6] x) => (float[4,6] y) { z = Neg(x)  y = Neg(x) }")
    before = built.SerializeToString()
    import_model(built)
    assert built.SerializeToString() == before


def test_weights_declared_as_inputs_are_not_encrypted(model: Model) -> None:
    built = model("g (float[1,6] x, float[6,2] w) => (float[1,2] y) { y = MatMul(x, w) }", w=W)
    assert [node.output.name for node in import_model(built).inputs()] == ["x"]


@pytest.mark.parametrize(
    "constant",
    [
        "value_float=2.0",
        "value_floats=[2.0, 2.0, 2.0]",
        "value=float[3] {2, 2, 2}",
        "value=float {2}",
    ],
)
def test_constants_in_all_their_forms(constant: str, model: Model) -> None:
    graph = import_model(model(f"g (float[1,3] x) => (float[1,3] y) {{ c = Constant<{constant}>()  y = Mul(x, c) }}"))
    np.testing.assert_array_equal(graph.evaluate({"x": np.ones((1, 3))})["y"], [[2, 2, 2]])
    assert "c" in graph.parameters

"""Every operator claimed: onnxruntime == graph == circuit in clear == decrypted result, within the precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Draw = Callable[..., np.ndarray[Any, Any]]

ROWS = 8

LINEAR: dict[str, tuple[str, tuple[int, ...], dict[str, tuple[int, ...]]]] = {
    "conv_stride_and_padding": (
        "y = Conv<strides=[2,2], pads=[1,1,1,1]>(x, w, b)",
        (2, 8, 8),
        {"w": (3, 2, 3, 3), "b": (3,)},
    ),
    "conv_groups": ("y = Conv<group=2>(x, w)", (4, 6, 6), {"w": (6, 2, 3, 3)}),
    "conv_dilation": ("y = Conv<dilations=[2,2], pads=[2,2,2,2]>(x, w)", (1, 8, 8), {"w": (2, 1, 3, 3)}),
    "conv_asymmetric": ("y = Conv<strides=[1,2], pads=[0,1,2,0]>(x, w)", (2, 5, 7), {"w": (2, 2, 2, 3)}),
    "conv_1d": ("y = Conv<strides=[2], pads=[1,1]>(x, w)", (2, 15), {"w": (3, 2, 3)}),
    "conv_3d": ("y = Conv(x, w)", (1, 4, 4, 4), {"w": (2, 1, 2, 2, 2)}),
    "gemm": ("y = Gemm<transB=1, alpha=0.5, beta=2.0>(x, w, b)", (12,), {"w": (5, 12), "b": (5,)}),
    "matmul": ("y = MatMul(x, w)", (12,), {"w": (12, 20)}),
    "matmul_of_matrices": ("y = MatMul(x, w)", (3, 4), {"w": (4, 5)}),
    "add_constant": ("y = Add(x, w)", (3, 4), {"w": (4,)}),
    "sub_constant": ("y = Sub(w, x)", (3, 4), {"w": (3, 4)}),
    "mul_constant": ("y = Mul(x, w)", (3, 4, 4), {"w": (3, 1, 1)}),
    "div_constant": ("y = Div(x, w)", (3, 4), {"w": (4,)}),
    "neg": ("y = Neg(x)", (7,), {}),
    "batch_normalization": (
        "y = BatchNormalization(x, s, b, m, v)",
        (3, 4, 4),
        {"s": (3,), "b": (3,), "m": (3,), "v": (3,)},
    ),
    "average_pool": ("y = AveragePool<kernel_shape=[2,2], strides=[2,2]>(x)", (2, 6, 6), {}),
    "average_pool_padded": (
        "y = AveragePool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], count_include_pad=1>(x)",
        (2, 6, 6),
        {},
    ),
    "global_average_pool": ("y = GlobalAveragePool(x)", (3, 5, 5), {}),
    "flatten": ("t = Flatten(x) y = MatMul(t, w)", (2, 3, 4), {"w": (24, 3)}),
    "identity_and_dropout": ("s = Identity(x) t = Dropout(s) y = Mul(t, w)", (6,), {"w": (6,)}),
    "transpose": ("t = Transpose<perm=[0,2,1]>(x) y = Mul(t, w)", (3, 4), {"w": (4, 3)}),
    "reduce_mean": ("y = ReduceMean<axes=[2,3], keepdims=0>(x)", (3, 4, 4), {}),
    "sum_of_three": ("s = Mul(x, w) y = Sum(x, s, x)", (5,), {"w": (5,)}),
}


MOVED: dict[str, tuple[str, tuple[int, ...], int]] = {
    "slice": (
        """a = Constant<value_ints=[3]>() b = Constant<value_ints=[-9]>() c = Constant<value_ints=[2]>()
            d = Constant<value_ints=[-2]>() m = Slice(x, a, b, c, d)""",
        (3, 4),
        6,
    ),
    "concat": (
        """z = Constant<value_floats=[0.5, -1.0]>() s = Constant<value_ints=[1, 1, 2]>() r = Reshape(z, s)
            m = Concat<axis=-1>(x, r, x)""",
        (1, 4),
        10,
    ),
    "split": ("s = Constant<value_ints=[1, 3]>() a, m = Split<axis=2>(x, s)", (3, 4), 9),
    "gather": ("i = Constant<value_ints=[2, 0, -1]>() m = Gather<axis=1>(x, i)", (3, 4), 12),
    "tile": ("r = Constant<value_ints=[1, 2, 1]>() m = Tile(x, r)", (3, 4), 24),
    "depth_to_space": ("m = DepthToSpace<blocksize=2>(x)", (4, 2, 3), 24),
    "reduce_sum": ("a = Constant<value_ints=[2]>() m = ReduceSum<keepdims=0>(x, a)", (3, 4), 3),
    "cumsum": ("a = Constant<value_ints=[2]>() m = CumSum<reverse=1>(x, a)", (3, 4), 12),
    "einsum": ('m = Einsum<equation="bij->bji">(x)', (3, 4), 12),
    "resize": ('e = Constant<value_floats=[1.0, 1.0, 2.0, 1.5]>() m = Resize<mode="linear">(x, , e)', (2, 3, 4), 72),
    "conv_transpose": (
        """k = Constant<value_floats=[0.5, -1.0, 0.25, 2.0, -0.75, 1.0, 0.1, 0.3]>()
            s = Constant<value_ints=[2, 1, 2, 2]>()
            r = Reshape(k, s) m = ConvTranspose<strides=[2, 2]>(x, r)""",
        (2, 3, 3),
        36,
    ),
}
"""Operators between the input and a dense layer: what comes out of them, and how many elements that are."""


@pytest.mark.parametrize("name", MOVED)
def test_operators_in_front_of_a_dense_layer_cost_no_level(name: str, three_way: Any, draw: Draw) -> None:
    """They are fused into it, and the product is squared, so that an error in the map cannot hide."""
    body, shape, size = MOVED[name]
    dims = ",".join(map(str, ("N", *shape)))
    model = three_way.build(
        f"g (float[{dims}] x) => (float[N,3] y) {{ {body} f = Flatten(m) h = MatMul(f, w) y = Mul(h, h) }}",
        w=draw(size, 3),
    )
    outcome = three_way(model, {"x": draw(ROWS, *shape, seed=1)})
    assert outcome.plan.header.estimate.depth == 2


def positive(name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Variances and divisors are away from zero."""
    return np.abs(array) + 0.5 if name in {"v", "s"} else array


@pytest.mark.parametrize("name", LINEAR)
def test_linear_operator(name: str, three_way: Any, draw: Draw) -> None:
    body, shape, weights = LINEAR[name]
    constants = {w: positive(w, draw(*dims)) for w, dims in weights.items()}
    if name == "div_constant":
        constants["w"] = np.abs(constants["w"]) + 0.5
    dims = ",".join(map(str, ("N", *shape)))
    model = three_way.build(f"g (float[{dims}] x) => (float[{rank_of(name, shape)}] y) {{ {body} }}", **constants)
    outcome = three_way(model, {"x": draw(ROWS, *shape, seed=1)})
    assert outcome.plan.header.estimate.depth == 1


def rank_of(name: str, shape: tuple[int, ...]) -> str:
    """Symbolic output shape, of the rank that the operator gives."""
    rank = {"flatten": 2, "reduce_mean": 2}.get(name, len(shape) + 1)
    return ",".join(["N", *(f"d{k}" for k in range(1, rank))])


def test_reshapes_alone_cost_no_product(three_way: Any, draw: Draw) -> None:
    """Around a dense layer, so that there is something to encrypt for."""
    model = three_way.build(
        "g (float[N,2,6] x) => (float[N,2,2] y) { t = Reshape(x, flat) u = MatMul(t, w) y = Reshape(u, square) }",
        flat=np.array([-1, 12]),
        square=np.array([-1, 2, 2]),
        w=draw(12, 4),
    )
    assert three_way(model, {"x": draw(ROWS, 2, 6)}).plan.header.estimate.depth == 1


ACTIVATIONS = {
    "square": "y = Mul(t, t)",
    "pow": "y = Pow(t, two)",
    "x_times_x_plus_x": "s = Mul(t, t) y = Add(s, t)",
    "scalar_polynomial": "s = Mul(t, t) q = Mul(s, eighth) h = Mul(t, half) u = Add(q, h) y = Add(u, quarter)",
    "per_channel": "s = Mul(t, t) q = Mul(s, c2) h = Mul(t, c1) u = Add(q, h) y = Add(u, c0)",
    "product_of_two_affine_functions": "a = Mul(t, c2) b = Add(t, c1) y = Mul(a, b)",
    "normalised_then_squared": "n = BatchNormalization(t, bs, bb, bm, bv) y = Mul(n, n)",
    "constant_minus_square": "s = Mul(t, t) y = Sub(half, s)",
}

CHANNELS = {
    "two": np.array(2.0),
    "eighth": np.array(0.125),
    "half": np.array(0.5),
    "quarter": np.array(0.25),
    "c2": np.array([0.3, -0.7, 1.1]).reshape(3, 1, 1),
    "c1": np.array([0.5, 0.25, -0.5]).reshape(3, 1, 1),
    "c0": np.array([0.1, 0.0, -0.2]).reshape(3, 1, 1),
    "bs": np.array([0.5, 1.5, 1.0]),
    "bb": np.array([0.1, -0.2, 0.3]),
    "bm": np.array([0.2, 0.1, -0.1]),
    "bv": np.array([0.5, 1.0, 2.0]),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_between_two_layers(name: str, three_way: Any, draw: Draw) -> None:
    """Whatever shape the exporter gave the activation, it costs one level."""
    body = ACTIVATIONS[name].replace("y =", "a_out =")
    used = {key: value for key, value in CHANNELS.items() if key in body}
    model = three_way.build(
        "g (float[N,2,6,6] x) => (float[N,4] y) { t = Conv(x, w) " + body + " f = Flatten(a_out) y = MatMul(f, v) }",
        w=draw(3, 2, 3, 3),
        v=draw(48, 4),
        **used,
    )
    assert three_way(model, {"x": draw(ROWS, 2, 6, 6)}).plan.header.estimate.depth == 3


@pytest.mark.parametrize("name", ["square", "x_times_x_plus_x", "scalar_polynomial", "per_channel"])
def test_input_straight_into_an_activation_that_is_the_output(name: str, three_way: Any, draw: Draw) -> None:
    used = {key: value for key, value in CHANNELS.items() if key in ACTIVATIONS[name]}
    body = ACTIVATIONS[name].replace("(t,", "(x,").replace(", t)", ", x)")
    model = three_way.build(f"g (float[N,3,4,4] x) => (float[N,3,4,4] y) {{ {body} }}", **used)
    # What the square is multiplied with is left to the client.
    assert three_way(model, {"x": draw(ROWS, 3, 4, 4)}).plan.header.estimate.depth == 1


def test_output_after_a_square(three_way: Any, draw: Draw) -> None:
    model = three_way.build("g (float[N,12] x) => (float[N,5] y) { t = MatMul(x, w) y = Mul(t, t) }", w=draw(12, 5))
    three_way(model, {"x": draw(ROWS, 12)})


def test_residual_addition(three_way: Any, draw: Draw) -> None:
    """A square, and the value that was squared, meet again in a sum."""
    model = three_way.build(
        """g (float[N,2,6,6] x) => (float[N,2,6,6] y) {
            t = Conv<pads=[1,1,1,1]>(x, w) s = Mul(t, t) u = Conv<pads=[1,1,1,1]>(s, v) y = Add(u, t) }""",
        w=draw(2, 2, 3, 3),
        v=draw(2, 2, 3, 3),
    )
    three_way(model, {"x": draw(ROWS, 2, 6, 6)})


def test_several_inputs(three_way: Any, draw: Draw) -> None:
    model = three_way.build(
        """g (float[N,6] a, float[N,3] b) => (float[N,3] y) {
            t = MatMul(a, w) u = Add(t, b) s = Mul(u, u) y = Sub(s, b) }""",
        w=draw(6, 3),
    )
    three_way(model, {"a": draw(ROWS, 6), "b": draw(ROWS, 3)})


def test_several_outputs_at_different_depths(three_way: Any, draw: Draw) -> None:
    model = three_way.build(
        """g (float[N,6] x) => (float[N,4] t, float[N,4] s, float[N,2] y) {
            t = MatMul(x, w) s = Mul(t, t) y = MatMul(s, v) }""",
        w=draw(6, 4),
        v=draw(4, 2),
    )
    outcome = three_way(model, {"x": draw(ROWS, 6)})
    assert [output.name for output in outcome.plan.header.outputs] == ["t", "s", "y"]


def test_two_squares_in_a_row(three_way: Any, draw: Draw) -> None:
    model = three_way.build("g (float[N,6] x) => (float[N,6] y) { s = Mul(x, x) y = Mul(s, s) }")
    assert three_way(model, {"x": draw(ROWS, 6)}).plan.header.estimate.depth == 2


def test_a_tensor_of_several_ciphertexts(three_way: Any, draw: Draw) -> None:
    """24 x 32 x 32 values do not fit the slots of any ring that this depth needs."""
    model = three_way.build(
        """g (float[N,3,32,32] x) => (float[N,2] y) {
            t = Conv<strides=[2,2], pads=[1,1,1,1]>(x, w) s = Mul(t, t)
            p = GlobalAveragePool(s) f = Flatten(p) y = MatMul(f, v) }""",
        w=draw(24, 3, 3, 3),
        v=draw(24, 2),
    )
    outcome = three_way(model, {"x": draw(ROWS, 3, 32, 32)}, precision=8)
    assert outcome.plan.circuit is not None
    assert max(outcome.plan.circuit.counts()) > 1


def test_several_rows_are_independent(three_way: Any, draw: Draw) -> None:
    model = three_way.build("g (float[N,6] x) => (float[N,6] y) { y = Mul(x, x) }")
    outcome = three_way(model, {"x": draw(ROWS, 6)}, rows=3)
    assert outcome.decrypted["y"].shape == (3, 6)


# --- corners ---------------------------------------------------------------------------------------------------------

CORNERS: dict[str, tuple[str, dict[str, Any]]] = {
    "no_layer_at_all": ("(float[N,6] x) => (float[N,6] y) { y = Identity(x) }", {}),
    "nothing_but_a_reshape": (
        "(float[N,6] x) => (float[N,2,3] y) { y = Reshape(x, shape) }",
        {"shape": np.array([-1, 2, 3])},
    ),
    "a_layer_of_zeros": (
        "(float[N,6] x) => (float[N,2] y) { y = Gemm(x, w, b) }",
        {"w": np.zeros((6, 2)), "b": np.ones(2)},
    ),
    "a_branch_of_zeros": (
        "(float[N,6] x) => (float[N,6] y) { t = Mul(x, w) s = Mul(t, t) y = Add(x, s) }",
        {"w": np.zeros(1)},
    ),
    "two_squares_of_one_value_one_much_larger": (
        "(float[N,6] x) => (float[N,6] y, float[N,6] z) { s = Mul(x, x) u = Mul(x, k) y = Add(s, u) z = Mul(x, x) }",
        {"k": np.array(1000.0)},
    ),
    "two_squares_of_one_value_under_two_shapes": (
        """(float[N,6] x) => (float[N,2,3] y, float[N,6] z) {
            r = Reshape(x, shape) y = Mul(r, r) u = Mul(x, k) s = Mul(x, x) z = Add(s, u) }""",
        {"k": np.array(1000.0), "shape": np.array([-1, 2, 3])},
    ),
    "an_activation_that_is_nearly_linear": (
        """(float[N,6] x) => (float[N,2] y) {
            t = MatMul(x, w) s = Mul(t, t) u = Mul(t, k) q = Add(s, u) y = MatMul(q, v) }""",
        {"k": np.array(1e5), "w": 0.01 * np.eye(6), "v": np.ones((6, 2))},
    ),
    "squares_that_cancel": (
        """(float[N,6] x) => (float[N,6] z) {
            a = Add(x, k) b = Sub(x, k) p = Mul(a, b) q = Mul(x, x) d = Sub(p, q) z = Add(d, x) }""",
        {"k": np.array(0.5)},
    ),
    "one_element": ("(float[N,1] x) => (float[N,1] y) { y = Mul(x, x) }", {}),
    "one_result": ("(float[N,6] x) => (float[N,1] y) { y = MatMul(x, w) }", {"w": np.arange(6.0).reshape(6, 1)}),
    "an_input_that_is_also_an_output": (
        "(float[N,6] x) => (float[N,6] y, float[N,6] z) { y = Identity(x) z = Mul(x, x) }",
        {},
    ),
    "one_value_under_two_names": (
        "(float[N,6] x) => (float[N,6] y, float[N,6] z) { y = Mul(x, x) z = Identity(y) }",
        {},
    ),
    "tiny_weights": ("(float[N,6] x) => (float[N,6] y) { y = Mul(x, k) }", {"k": np.array(1e-30)}),
    "six_squares": (
        """(float[N,6] x) => (float[N,6] y) {
            a = Mul(x, x) b = Mul(a, a) c = Mul(b, b) d = Mul(c, c) e = Mul(d, d) y = Mul(e, e) }""",
        {},
    ),
}


@pytest.mark.parametrize("name", CORNERS)
def test_corner(name: str, three_way: Any, draw: Draw) -> None:
    graph, constants = CORNERS[name]
    shape = (ROWS, 1) if name == "one_element" else (ROWS, 6)
    three_way(three_way.build(f"g {graph}", **constants), {"x": draw(*shape)})


def test_an_input_that_nothing_reads_is_still_sent(three_way: Any, draw: Draw) -> None:
    model = three_way.build("g (float[N,6] x, float[N,3] u) => (float[N,6] y) { y = Mul(x, x) }")
    outcome = three_way(model, {"x": draw(ROWS, 6), "u": draw(ROWS, 3)})
    assert {signature.name for signature in outcome.plan.header.inputs} == {"x", "u"}


def test_inputs_from_0_to_255(three_way: Any, draw: Draw) -> None:
    model = three_way.build("g (float[N,6] x) => (float[N,6] y) { y = Mul(x, x) }")
    three_way(model, {"x": (draw(ROWS, 6) + 1) * 127.5})

"""Reciprocals, roots and what is made of them, three ways: onnxruntime, in clear with polynomials, and encrypted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hecc

Draw = Callable[..., np.ndarray[Any, Any]]

BITS = 6.0
ROWS = 64

FUNCTIONS = {
    "Acos": "Acos (s)",
    "Acosh": "Acosh (p)",
    "Asin": "Asin (s)",
    "Asinh": "Asinh (h)",
    "Atan": "Atan (h)",
    "Atanh": "Atanh (s)",
    "Cos": "Cos (h)",
    "Cosh": "Cosh (h)",
    "Log": "Log (p)",
    "Power": "Pow (p, e)",
    "Reciprocal": "Reciprocal (p)",
    "Sin": "Sin (h)",
    "Sinh": "Sinh (h)",
    "Sqrt": "Sqrt (p)",
    "Tan": "Tan (s)",
}
"""Of h, of any sign; of s, small; of p, at least 1.5."""


def check(three_way: Any, model: Any, inputs: dict[str, Any], precision: float = BITS, rows: int = 2) -> hecc.Plan:
    expected = three_way.reference(model, inputs)
    # A little more than is held against it: another encryption has another largest error.
    plan = hecc.compile(model, calibration=inputs, precision=precision + 0.5)
    found = three_way.encrypted(plan, {name: values[:rows] for name, values in inputs.items()})
    for name, exact in expected.items():
        allowed = 2.0**-precision * np.abs(exact).max()
        error = np.abs(found[name].reshape(exact[:rows].shape) - exact[:rows]).max()
        assert 0 < error <= allowed, f"{name} is off by {error / allowed:.2f} of what is allowed"
    return plan


def test_every_function_of_analysis(three_way: Any, draw: Draw) -> None:
    # With a layer behind: at the end of a network the client computes roots and the like.
    body = " ".join(f"f{name} = {written} y{name} = MatMul (f{name}, u)" for name, written in FUNCTIONS.items())
    outputs = ", ".join(f"float[1,5] y{name}" for name in FUNCTIONS)
    model = three_way.build(
        f"g (float[1,8] x) => ({outputs}) {{ h = MatMul (x, w) s = MatMul (x, v)"
        f" q = Mul (h, h) p = Add (q, c) {body} }}",
        17,
        w=draw(8, 5) / 2,
        v=draw(8, 5, seed=1) / 8,
        c=np.array(1.5),
        e=np.array(-0.75),
        u=draw(5, 5, seed=2),
    )
    check(three_way, model, {"x": draw(ROWS, 8)})


DIVISIONS = {
    "constant_by_encrypted": ("z = Div(k, p) y = MatMul(z, u)", {"k": (5,), "u": (5, 3)}),
    "encrypted_by_encrypted": ("z = Div(h, p) y = MatMul(z, u)", {"u": (5, 3)}),
    "softmax": ("y0 = Softmax(h) y = MatMul(y0, u)", {"u": (5, 3)}),
    "log_softmax": ("y0 = LogSoftmax(h) y = MatMul(y0, u)", {"u": (5, 3)}),
    "norm": ("y0 = LpNormalization<axis=1>(p) y = MatMul(y0, u)", {"u": (5, 3)}),
    "reduced_norm": ("y0 = ReduceL2<axes=[1]>(p) y = MatMul(y0, u)", {"u": (1, 3)}),
    "log_of_a_sum": ("y0 = ReduceLogSum<axes=[1]>(p) y = MatMul(y0, u)", {"u": (1, 3)}),
    "log_of_exponentials": ("y0 = ReduceLogSumExp<axes=[1]>(h) y = MatMul(y0, u)", {"u": (1, 3)}),
}


@pytest.mark.parametrize("name", DIVISIONS)
def test_a_division(name: str, three_way: Any, draw: Draw) -> None:
    body, constants = DIVISIONS[name]
    model = three_way.build(
        f"g (float[1,8] x) => (float y) {{ h = MatMul (x, w) q = Mul (h, h) p = Add (q, c) {body} }}",
        17,
        w=draw(8, 5) / 2,
        c=np.array(1.5),
        **{key: draw(*shape) for key, shape in constants.items()},
    )
    check(three_way, model, {"x": draw(ROWS, 8)})


NORMALISATIONS = {
    "layer": ("n = LayerNormalization<axis=2>(c, s6, b6)", 17),
    "layer_over_two_axes": ("n = LayerNormalization<axis=1>(c, s46, b46)", 17),
    "instance": ("n = InstanceNormalization(c, s4, b4)", 17),
    "group": ("n = GroupNormalization<num_groups=2>(c, s4, b4)", 21),
    "root_mean_square": ("n = RMSNormalization<axis=-1>(c, s6)", 23),
    "mean_variance": ("n = MeanVarianceNormalization<axes=[2]>(c)", 17),
    "local_response": ("n = LRN<size=3, alpha=0.5, beta=0.75, bias=1.0>(c)", 17),
}


QUICK = {"layer", "root_mean_square"}
"""Of the normalisations; the others take rings of the same size again."""


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NORMALISATIONS]
)
def test_a_normalisation_between_two_layers(name: str, three_way: Any, draw: Draw) -> None:
    body, opset = NORMALISATIONS[name]
    image = name == "local_response"
    if image:
        body = f"c1 = Reshape(c, four) n0 = {body.removeprefix('n = ').replace('(c)', '(c1)')} n = Reshape(n0, three)"
    shapes = {"s6": (6,), "b6": (6,), "s46": (4, 6), "b46": (4, 6), "s4": (4,), "b4": (4,)}
    constants: dict[str, Any] = {key: 1 + draw(*shape) / 2 for key, shape in shapes.items() if f", {key}" in body}
    if image:
        constants |= {"four": np.array([-1, 4, 6, 1]), "three": np.array([-1, 4, 6])}
    model = three_way.build(
        f"g (float[1,3,8] x) => (float[1,5] y) {{ c = Conv (x, w) {body} f = Flatten (n) y = MatMul (f, v) }}",
        opset,
        w=draw(4, 3, 3),
        v=draw(24, 5),
        **constants,
    )
    check(three_way, model, {"x": draw(ROWS, 3, 8)})


def test_attention_between_encrypted_tensors(three_way: Any, draw: Draw) -> None:
    """Queries times keys, a softmax, times values: one head over four places."""
    model = three_way.build(
        """g (float[1,4,6] x) => (float[1,4,3] y) {
            q = MatMul(x, wq) k = MatMul(x, wk) v = MatMul(x, wv) t = Transpose<perm=[0,2,1]>(k)
            s = MatMul(q, t) a = Softmax<axis=-1>(s) y = MatMul(a, v) }""",
        wq=draw(6, 3, seed=1) / 2,
        wk=draw(6, 3, seed=2) / 2,
        wv=draw(6, 3, seed=3),
    )
    check(three_way, model, {"x": draw(ROWS, 4, 6)})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("y = MatMul(x, z)", (4, 3)),
        ("y = Gemm<transA=1, transB=1, alpha=0.5>(z, x)", (3, 4)),
        ('y = Einsum<equation="ij,jk->k">(x, z)', (3,)),
        ('y = Einsum<equation="ij,jk,k->ik">(x, z, k)', (4, 3)),
        ('y = Einsum<equation="ij,jk->ijk">(x, z)', (4, 5, 3)),
    ],
)
def test_a_contraction_of_two_encrypted_tensors(
    body: str, expected: tuple[int, ...], three_way: Any, draw: Draw
) -> None:
    used = {"k": draw(3)} if ", k)" in body else {}
    model = three_way.build(f"g (float[4,5] x, float[5,3] z) => (float y) {{ {body} }}", 17, **used)
    inputs = {"x": draw(4, 5), "z": draw(5, 3)}
    rows = {name: values[np.newaxis] for name, values in inputs.items()}
    plan = hecc.compile(model, calibration=rows, batch_axis=False)
    found = three_way.encrypted(plan, rows)["y"][0]
    assert found.shape == expected
    path = body.split('"')[1] if "Einsum" in body else "ij,jk->ik"
    left, right = inputs["x"], inputs["z"]
    if "Gemm" in body:
        exact = 0.5 * right.T @ left.T
    else:
        exact = np.einsum(path, left, right, *used.values())
    np.testing.assert_allclose(found, exact, rtol=0, atol=2.0**-12 * np.abs(exact).max())


def test_a_divisor_that_can_be_zero_is_refused(three_way: Any, draw: Draw) -> None:
    model = three_way.build("g (float[1,5] x) => (float[1,5] y) { z = Reciprocal(x) y = MatMul(z, w) }", w=draw(5, 5))
    with pytest.raises(
        hecc.CompileError,
        match=r"Reciprocal 'z' \(opset 13\) is not finite everywhere between .*; scale them down, or add a constant",
    ):
        hecc.compile(model, calibration={"x": draw(ROWS, 5)})


def test_the_statistics_of_a_layer_normalisation_are_outputs_too(three_way: Any, draw: Draw) -> None:
    model = three_way.build(
        """g (float[1,6] x) => (float[1,6] y, float[1,1] m, float[1,1] r) {
            y, m, r = LayerNormalization(x, s) }""",
        17,
        s=draw(6),
    )
    check(three_way, model, {"x": draw(ROWS, 6)})

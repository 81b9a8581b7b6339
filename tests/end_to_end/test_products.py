"""Products of two encrypted tensors: onnxruntime == graph == circuit in clear == decrypted result, in every packing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hecc

Draw = Callable[..., np.ndarray[Any, Any]]

ROWS = 8
SPARE = 0.75

NETWORKS: dict[str, tuple[str, dict[str, tuple[int, ...]], dict[str, tuple[int, ...]], int]] = {
    "two_inputs": ("y = Mul(x, z)", {"x": (6,), "z": (6,)}, {}, 1),
    "two_layers": (
        "a = MatMul(x, v) b = MatMul(x, w) p = Mul(a, b) y = MatMul(p, u)",
        {"x": (6,)},
        {"v": (6, 9), "w": (6, 9), "u": (9, 4)},
        3,
    ),
    "gated_linear_unit": (
        "a, b = Split<axis=1>(x) s = MatMul(a, w) q = Mul(s, s) y = Mul(q, b)",
        {"x": (12,)},
        {"w": (6, 6)},
        3,
    ),
    "input_times_its_own_layer": ("a = MatMul(x, w) y = Mul(x, a)", {"x": (6,)}, {"w": (6, 6)}, 2),
    "squeeze_and_excitation": (
        """a = Conv<pads=[1,1,1,1], strides=[2,2]>(x, c) q = Mul(a, a) g = GlobalAveragePool(q) h = Conv(g, d)
            i = Mul(h, h) k = Conv(i, e) y = Mul(q, k)""",
        {"x": (2, 8, 8)},
        {"c": (4, 2, 3, 3), "d": (2, 4, 1, 1), "e": (4, 2, 1, 1)},
        6,
    ),
    "images_with_and_without_gaps": (
        "a = Conv<strides=[2,2]>(x, c) q = Mul(a, a) b = Conv(z, d) y = Mul(q, b)",
        {"x": (1, 9, 9), "z": (2, 6, 6)},
        {"c": (3, 1, 3, 3), "d": (3, 2, 3, 3)},
        3,
    ),
    "window_sum_times_an_input": (
        "q = Mul(x, x) p = AveragePool<kernel_shape=[2,2], strides=[2,2]>(q) y = Mul(p, z)",
        {"x": (2, 6, 6), "z": (2, 3, 3)},
        {},
        3,
    ),
    "broadcast_on_both_sides": ("y = Mul(x, z)", {"x": (3, 1), "z": (1, 4)}, {}, 2),
    "scalar_times_a_tensor": ("y = Mul(x, z)", {"x": (3, 4), "z": (1, 1)}, {}, 2),
    "product_of_products": ("p = Mul(x, z) q = Mul(p, x) y = Mul(q, p)", {"x": (5,), "z": (5,)}, {}, 3),
    "pairs_of_parts": (
        """a, b, c = Split<axis=1>(x) p = Mul(a, b) q = Mul(c, a) r = Mul(c, b) s = Mul(b, b)
            t = Concat<axis=1>(p, q, r, s, x) y = MatMul(t, w)""",
        {"x": (6,)},
        {"w": (14, 4)},
        3,
    ),
    "residual_around_a_gate": (
        "a = MatMul(x, w) p = Mul(a, x) y = Add(p, x)",
        {"x": (6,)},
        {"w": (6, 6)},
        3,
    ),
    "horner": (
        """h = MatMul(x, v) a = Mul(h, k) b = Add(a, l) c = Mul(b, h) d = Add(c, m) e = Mul(d, h) f = Add(e, n)
            y = MatMul(f, w)""",
        {"x": (6,)},
        {"v": (6, 6), "k": (), "l": (), "m": (), "n": (), "w": (6, 3)},
        4,
    ),
}


def model_of(name: str, three_way: Any, draw: Draw) -> tuple[Any, dict[str, Any], int]:
    body, inputs, constants, depth = NETWORKS[name]
    listed = ", ".join(f"float[N,{','.join(map(str, shape))}] {x}" for x, shape in inputs.items())
    drawn = {key: draw(*shape, seed=k) for k, (key, shape) in enumerate(constants.items(), start=1)}
    model = three_way.build(f"g ({listed}) => (float y) {{ {body} }}", opset=17, **drawn)
    given = {x: draw(ROWS, *shape, seed=k) for k, (x, shape) in enumerate(inputs.items(), start=20)}
    return model, given, depth


@pytest.mark.parametrize("name", NETWORKS)
def test_a_product(name: str, three_way: Any, draw: Draw) -> None:
    model, inputs, depth = model_of(name, three_way, draw)
    assert three_way(model, inputs, spare=SPARE).plan.header.estimate.depth == depth


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("options", [{"batch": 3}, {"batch": ROWS, "optimize": "throughput"}])
def test_a_product_of_several_rows_at_once(name: str, options: dict[str, Any], three_way: Any, draw: Draw) -> None:
    model, inputs, _ = model_of(name, three_way, draw)
    three_way(model, inputs, rows=4, precision=10.0, spare=SPARE, **options)


@pytest.mark.parametrize(("exponent", "depth"), [(3, 2), (4, 2), (5, 3), (7, 3), (8, 3), (13, 4)])
def test_a_power_takes_as_few_products_in_a_row_as_there_can_be(
    exponent: int, depth: int, three_way: Any, draw: Draw
) -> None:
    model = three_way.build("g (float[N,6] x) => (float[N,6] y) { y = Pow(x, e) }", e=np.array(float(exponent)))
    assert three_way(model, {"x": draw(ROWS, 6)}, spare=SPARE).plan.header.estimate.depth == depth


def test_a_polynomial_activation_of_a_higher_degree_is_one_polynomial(three_way: Any, draw: Draw) -> None:
    """Of three powers the layer behind would read each."""
    model = three_way.build(
        """g (float[N,6] x) => (float[N,3] y) {
            h = MatMul(x, w) b = Pow(h, two) c = Pow(h, three) l = Mul(h, k) m = Mul(b, k) n = Mul(c, k)
            s = Add(l, m) t = Add(s, n) y = MatMul(t, v) }""",
        w=draw(6, 6),
        v=draw(6, 3),
        k=np.array(0.5),
        two=np.array(2.0),
        three=np.array(3.0),
    )
    estimate = three_way(model, {"x": draw(ROWS, 6)}, spare=SPARE).plan.header.estimate
    assert estimate.depth == 4


@pytest.mark.parametrize("body", ["s = Sigmoid(x) y = Mul(s, s)", "s = Sigmoid(x) t = Add(s, k) y = Mul(s, t)"])
def test_a_result_shows_nothing_beside_its_elements(body: str, three_way: Any, draw: Draw) -> None:
    """The sigmoid of an empty slot is one half, and so its square is not zero."""
    used = {"k": draw(3)} if ", k)" in body else {}
    model = three_way.build(f"g (float[N,3] x) => (float[N,3] y) {{ {body} }}", **used)
    inputs = {"x": draw(ROWS, 3)}
    expected = three_way.reference(model, inputs)["y"]
    found = three_way.encrypted(hecc.compile(model, calibration=inputs), inputs)["y"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=2.0**-12 * np.abs(expected).max())


def test_a_polynomial_with_coefficients_for_each_channel(three_way: Any, draw: Draw) -> None:
    model = three_way.build(
        """g (float[N,3,4,4] x) => (float[N,2] y) {
            h = Conv(x, w) c = Pow(h, three) n = Mul(c, k) t = Add(h, n) f = Flatten(t) y = MatMul(f, v) }""",
        w=draw(4, 3, 3, 3),
        v=draw(16, 2),
        k=np.array([0.5, -0.25, 0.0, 1.0]).reshape(4, 1, 1),
        three=np.array(3.0),
    )
    assert three_way(model, {"x": draw(ROWS, 3, 4, 4)}, spare=SPARE).plan.header.estimate.depth == 4

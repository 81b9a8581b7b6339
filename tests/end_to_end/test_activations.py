"""Smooth activations three ways: onnxruntime, the plan in clear with its polynomials, and encrypted."""

import numpy as np
import onnx
import pytest

import hecc

BITS = 7.0

FUNCTIONS = {
    "Celu": "Celu <alpha = 0.8>",
    "Elu": "Elu",
    "Erf": "Erf",
    "Exp": "Exp",
    "Gelu": "Gelu",
    "GeluTanh": 'Gelu <approximate = "tanh">',
    "HardSwish": "HardSwish",
    "Mish": "Mish",
    "Selu": "Selu",
    "Sigmoid": "Sigmoid",
    "Softplus": "Softplus",
    "Softsign": "Softsign",
    "Tanh": "Tanh",
}


def check(three_way, model, inputs, *, rows=2, precision=BITS, **options):
    """The promise, on calibration inputs: in clear and encrypted within it, and the plan's own word better than it."""
    expected = three_way.reference(model, inputs)
    plan = hecc.compile(model, calibration=inputs, precision=precision, **options)
    assert plan.header.estimate.precision_bits >= precision
    clear = hecc.simulate(plan, inputs, noise=False)
    decrypted = three_way.encrypted(plan, {name: values[:rows] for name, values in inputs.items()})
    for name, exact in expected.items():
        allowed = 2.0**-precision * np.abs(exact).max()
        assert np.abs(clear[name].reshape(exact.shape) - exact).max() <= allowed
        error = np.abs(decrypted[name].reshape(exact[:rows].shape) - exact[:rows]).max()
        assert 0 < error <= allowed, f"{name} is off by {error / allowed:.2f} of what is allowed"
    return plan


def test_every_smooth_function(three_way, draw):
    # Each is an output of its own, whose slots between the data have to stay empty, too.
    body = " ".join(f"y{name} = {written} (h)" for name, written in FUNCTIONS.items())
    outputs = ", ".join(f"float[1,5] y{name}" for name in FUNCTIONS)
    model = three_way.build(
        f"g (float[1,8] x) => ({outputs}) {{ h = Gemm (x, w, b) {body} }}", 20, w=draw(8, 5), b=draw(5)
    )
    plan = check(three_way, model, {"x": draw(64, 8, seed=1)})
    kinds = [ins.op for ins in plan.require_circuit().instructions]
    assert kinds.count("polynomial") >= len(FUNCTIONS) // 2


@pytest.mark.parametrize("options", [{}, {"device": "seal"}, {"batch": 4}], ids=["native", "seal", "batch"])
def test_two_layers_of_tanh(options, three_way, draw):
    model = three_way.build(
        "g (float[1,2,6,6] x) => (float[1,3] y) {"
        " c = Conv <pads = [1, 1, 1, 1]> (x, w1) t = Tanh (c)"
        " p = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (t)"
        " f = Flatten (p) h = Gemm (f, w2, b2) s = Sigmoid (h) y = MatMul (s, w3) }",
        w1=draw(3, 2, 3, 3),
        w2=draw(27, 6),
        b2=draw(6),
        w3=draw(6, 3),
    )
    plan = check(three_way, model, {"x": draw(100, 2, 6, 6)}, **options)
    polynomials = [ins for ins in plan.require_circuit().instructions if ins.op == "polynomial"]
    assert [ins.source for ins in polynomials] == ["Tanh 't'", "Sigmoid 's'"]


def test_an_activation_that_is_written_out(three_way, draw):
    model = three_way.build(
        "g (float[1,8] x) => (float[1,3] y) {"
        " h = MatMul (x, w1) s = Sigmoid (h) a = Mul (h, s) k = MatMul (a, w2) d = Div (k, root) e = Erf (d)"
        " f = Add (e, one) m = Mul (k, f) n = Mul (m, half) y = MatMul (n, w3) }",
        w1=draw(8, 6),
        w2=draw(6, 6),
        w3=draw(6, 3),
        root=np.float32(np.sqrt(2)),
        one=np.float32(1),
        half=np.float32(0.5),
    )
    check(three_way, model, {"x": draw(100, 8)})


def test_a_rectifier_at_a_low_precision_and_slopes_per_channel(three_way, draw):
    model = three_way.build(
        "g (float[1,4,3] x) => (float[1,4] y) { h = PRelu (x, slopes) r = Relu (h) f = Flatten (r) y = MatMul (f, w) }",
        slopes=np.array([[0.1], [0.2], [0.3], [0.4]]),
        w=draw(12, 4),
    )
    check(three_way, model, {"x": draw(100, 4, 3)}, precision=4.0)
    with pytest.raises(
        hecc.CompileError,
        match=r"Relu '[hr]' \(opset 13\), like 1 other, is not a polynomial, .* or ask for --precision \d",
    ):
        hecc.compile(model, calibration=draw(100, 4, 3), precision=12.0)


def test_without_calibration_the_intervals_are_wider_and_a_warning_says_why(three_way, draw, caplog):
    model = three_way.build(
        "g (float[1,8] x) => (float[1,3] y) { h = MatMul (x, w1) t = Tanh (h) y = MatMul (t, w2) }",
        w1=draw(8, 6),
        w2=draw(6, 3),
    )
    plan = hecc.compile(model, precision=8.0)
    assert "no calibration inputs" in caplog.records[0].getMessage()
    inputs = draw(50, 8)
    expected = three_way.reference(model, {"x": inputs})["y"]
    found = hecc.simulate(plan, inputs)["y"]
    assert np.abs(found - expected).max() <= 2.0**-7 * np.abs(expected).max()


def test_a_steep_sigmoid_on_a_wide_interval(three_way, draw):
    # Two polynomials in a row, steep enough that noise could drive them out of bounds: the search leaves it no room to.
    model = three_way.build(
        "g (float[1,20] x) => (float[1,4] y) { h = MatMul (x, w1) s = Sigmoid (h) y = MatMul (s, w2) }",
        w1=100 * draw(20, 12),
        w2=draw(12, 4),
    )
    plan = check(three_way, model, {"x": draw(200, 20)}, rows=3, precision=5.0)
    polynomials = [ins for ins in plan.require_circuit().instructions if ins.op == "polynomial"]
    assert len(polynomials) == 2


def test_predicted_noise_is_what_the_simulation_draws(three_way, draw):
    model = three_way.build(
        "g (float[1,16] x) => (float[1,8] y) { h = MatMul (x, w1) t = Tanh (h) k = MatMul (t, w2) s = Sigmoid (k)"
        " y = MatMul (s, w3) }",
        w1=draw(16, 12),
        w2=draw(12, 12),
        w3=draw(12, 8),
    )
    inputs = draw(400, 16)
    plan = hecc.compile(model, calibration=inputs, precision=9.0)
    noise = hecc.simulate(plan, inputs)["y"] - hecc.simulate(plan, inputs, noise=False)["y"]
    (output,) = plan.header.outputs
    # The error is that of which the largest is the worst, or what is predicted where that is more.
    assert 0.3 < np.std(noise) / output.error < 2.0


def test_a_plan_with_polynomials_is_the_same_every_time(three_way, draw):
    model = three_way.build("g (float[1,8] x) => (float[1,4] y) { h = MatMul (x, w) y = Gelu (h) }", 20, w=draw(8, 4))
    assert isinstance(model, onnx.ModelProto)
    first, second = (hecc.compile(model, calibration=draw(50, 8), precision=8.0) for _ in range(2))
    assert first.header == second.header
    assert str(first.circuit) == str(second.circuit)

"""Batch plans: many rows at once, packed in either way, and the same answers as one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import hecc
from hecc.runtime.ckks.circuit.instructions import Circuit, LinearTransform, MatrixProduct, Relinearize
from hecc.runtime.ckks.circuit.parameters import conjugation_element
from hecc.runtime.plan.plan import Plan

Array = np.ndarray[Any, Any]
PRECISION = 12.0


def cnn(three_way: Any, draw: Callable[..., Array]) -> tuple[Any, dict[str, Array]]:
    """Biases, an activation with a linear part in each channel, and a pooling that fusion leaves alone."""
    model = three_way.build(
        """g (float[N,1,6,6] x) => (float[N,3] y) {
            c = Conv <strides = [1, 1], pads = [1, 1, 1, 1]> (x, w1, b1)
            a = Mul (c, c)
            b = Mul (slope, c)
            s = Add (a, b)
            p = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (s)
            d = Conv (p, w2)
            f = Flatten (d)
            y = Gemm (f, w3, b3)
        }""",
        w1=draw(2, 1, 3, 3),
        b1=draw(2),
        slope=draw(1, 2, 1, 1),
        w2=draw(4, 2, 2, 2, seed=1),
        w3=draw(16, 3),
        b3=draw(3),
    )
    return model, {"x": draw(40, 1, 6, 6, seed=2)}


def mlp(three_way: Any, draw: Callable[..., Array]) -> tuple[Any, dict[str, Array]]:
    """Two squares, and a shortcut past the second."""
    model = three_way.build(
        """g (float[N,6] x) => (float[N,2] y) {
            h = Gemm (x, w1, b1)
            s = Mul (h, h)
            k = MatMul (s, w2)
            t = Mul (k, k)
            r = Add (t, s)
            y = MatMul (r, w3)
        }""",
        w1=draw(6, 5),
        b1=draw(5),
        w2=draw(5, 5, seed=3),
        w3=draw(5, 2),
    )
    return model, {"x": draw(40, 6, seed=4)}


def two_inputs(three_way: Any, draw: Callable[..., Array]) -> tuple[Any, dict[str, Array]]:
    """Two inputs and two outputs, the second of them no product of anything."""
    model = three_way.build(
        """g (float[N,3] x, float[N,4] z) => (float[N,2] y, float[N,2] linear) {
            a = MatMul (x, w1)
            b = MatMul (z, w2)
            linear = Add (a, b)
            y = Mul (linear, linear)
        }""",
        w1=draw(3, 2),
        w2=draw(4, 2),
    )
    return model, {"x": draw(40, 3, seed=5), "z": draw(40, 4, seed=6)}


NETWORKS = {"cnn": cnn, "mlp": mlp, "two inputs": two_inputs}


def circuit_of(plan: Plan) -> Circuit:
    return plan.require_circuit()


def agree(found: dict[str, Array], expected: dict[str, Array], rows: int, precision: float = PRECISION) -> None:
    assert set(found) == set(expected)
    for name, values in found.items():
        assert values.shape == (rows, *expected[name].shape[1:])
        error = np.abs(values - expected[name][:rows]).max() / np.abs(expected[name]).max()
        assert error <= 2.0**-precision, f"{name} is off by 2^{np.log2(error):.1f}"


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("batch", "rows"), [(1, 2), (5, 13), (16, 16)])
def test_batches_answer_as_onnxruntime_does(
    three_way: Any, draw: Callable[..., Array], network: str, batch: int, rows: int
) -> None:
    model, inputs = NETWORKS[network](three_way, draw)
    expected = three_way.reference(model, inputs)
    plan = hecc.compile(model, calibration=inputs, precision=PRECISION, optimize="throughput", batch=batch)
    assert plan.header.batch == batch
    # No rotation, only what takes apart the two elements of each ciphertext.
    assert {key.element for key in plan.header.keys.galois} <= {conjugation_element(plan.header.keys.ring_degree)}
    assert not any(isinstance(ins, LinearTransform) for ins in circuit_of(plan).instructions)
    assert plan.header.estimate.precision_bits >= PRECISION
    agree(hecc.simulate(plan, inputs, noise=False), expected, 40, 17)
    agree(hecc.simulate(plan, inputs), expected, 40)
    agree(three_way.encrypted(plan, {name: values[:rows] for name, values in inputs.items()}), expected, rows)


@pytest.mark.parametrize("network", ["cnn", "mlp"])
@pytest.mark.parametrize(("batch", "rows"), [(3, 4), (8, 8)])
def test_a_few_rows_lie_side_by_side(
    three_way: Any, draw: Callable[..., Array], network: str, batch: int, rows: int
) -> None:
    model, inputs = NETWORKS[network](three_way, draw)
    expected = three_way.reference(model, inputs)
    plan = hecc.compile(model, calibration=inputs, precision=PRECISION, batch=batch)
    circuit = circuit_of(plan)
    assert plan.header.batch == batch
    assert circuit.lanes == 1 << (batch - 1).bit_length()
    assert circuit.slots > 1
    assert any(isinstance(ins, LinearTransform) for ins in circuit.instructions)
    agree(hecc.simulate(plan, inputs, noise=False), expected, 40, 17)
    agree(hecc.simulate(plan, inputs), expected, 40)
    agree(three_way.encrypted(plan, {name: values[:rows] for name, values in inputs.items()}), expected, rows)


def test_rows_side_by_side_take_little_longer_than_one(three_way: Any, draw: Callable[..., Array]) -> None:
    model, inputs = cnn(three_way, draw)
    one, four, many = (
        hecc.compile(model, calibration=inputs, batch=batch).header.estimate.seconds for batch in (1, 4, 2048)
    )
    assert four < 1.5 * one
    assert many / 2048 < four / 4


def test_a_plan_for_throughput_fills_the_slots(three_way: Any, draw: Callable[..., Array], tmp_path: Path) -> None:
    model, inputs = mlp(three_way, draw)
    plan = hecc.compile(model, calibration=inputs, optimize="throughput")
    batch = plan.header.batch
    assert batch == plan.header.keys.slots
    many = {"x": np.resize(inputs["x"], (batch + 3, 6))}
    client, keys = three_way.keys(plan)
    request = client.encrypt_to(tmp_path / "request", many)
    assert (request.header.rows, request.header.batch, request.batches) == (batch + 3, batch, 2)
    seen = []
    with hecc.Server(plan, keys.evaluation) as server:
        result = server.run_to(tmp_path / "result", tmp_path / "request", progress=lambda *step: seen.append(step[:2]))
    assert [step[0] for step in seen] == sorted(step[0] for step in seen)
    assert {step[0] for step in seen} == {0, 1}
    expected = np.resize(three_way.reference(model, inputs)["y"], (batch + 3, 2))
    agree(client.decrypt(result), {"y": expected}, batch + 3)
    agree(client.decrypt(tmp_path / "result"), {"y": expected}, batch + 3)


@pytest.mark.parametrize("optimize", ["latency", "throughput"])
def test_both_evaluators_run_a_batch(
    three_way: Any, draw: Callable[..., Array], tmp_path: Path, optimize: Literal["latency", "throughput"]
) -> None:
    model, inputs = cnn(three_way, draw)
    plan = hecc.compile(model, calibration=inputs, batch=3, optimize=optimize, device="seal")
    client = hecc.Client(plan)
    keys = client.keygen(tmp_path)
    with hecc.Server(plan, keys.evaluation) as server:
        assert server.device.name == "seal"
        result = server.run(client.encrypt(inputs["x"][:4]))
    agree(client.decrypt(result), three_way.reference(model, inputs), 4)
    agree(
        three_way.encrypted(hecc.compile(model, calibration=inputs), {"x": inputs["x"][:1]}), client.decrypt(result), 1
    )


def test_what_is_left_of_a_batch_repeats_its_last_row(three_way: Any, draw: Callable[..., Array]) -> None:
    """Zeros might be no input at all, and overflow where inputs do not."""
    model, inputs = mlp(three_way, draw)
    inputs = {"x": inputs["x"] + 5}
    plan = hecc.compile(model, calibration=inputs, optimize="throughput", batch=4)
    client, _ = three_way.keys(plan)
    request = client.encrypt(inputs["x"][:2])
    layout, spec = plan.header.outputs[0].layout, plan.header.inputs[0]
    assert layout.batch == 4
    session = client._require()
    cipher = session._cipher(spec.limbs)
    # Elements 2 and 3 are one ciphertext: the latter is its imaginary part, negated in every other slot.
    slots = cipher.decrypt(request.stream("x", 0, 1), float(spec.scale)).imag.reshape(-1, 4) * [1, -1, 1, -1]
    np.testing.assert_allclose(slots, np.tile(inputs["x"][[0, 1, 1, 1], 3], (len(slots), 1)), atol=1e-3)


def test_a_batch_of_another_size_is_of_another_plan(three_way: Any, draw: Callable[..., Array]) -> None:
    model, inputs = mlp(three_way, draw)
    small, large = (hecc.compile(model, calibration=inputs, batch=batch) for batch in (3, 4))
    client, _ = three_way.keys(small)
    _, keys = three_way.keys(large)
    with hecc.Server(large, keys.evaluation) as server, pytest.raises(hecc.KeyMismatchError, match="another plan"):
        server.run(client.encrypt(inputs["x"][:1]))


@pytest.mark.parametrize("optimize", ["latency", "throughput"])
def test_weights_that_are_zero_and_branches_need_no_care(
    three_way: Any, draw: Callable[..., Array], optimize: Literal["latency", "throughput"]
) -> None:
    model = three_way.build(
        """g (float[N,4] x) => (float[N,2] y) {
            a = MatMul (x, w)
            b = Mul (a, a)
            c = MatMul (x, nothing)
            y = Add (b, c)
        }""",
        w=draw(4, 2),
        nothing=np.zeros((4, 2)),
    )
    inputs = {"x": draw(20, 4, seed=7)}
    plan = hecc.compile(model, calibration=inputs, optimize=optimize, batch=2)
    agree(three_way.encrypted(plan, {"x": inputs["x"][:3]}), three_way.reference(model, inputs), 3)


@pytest.mark.parametrize(("optimize", "batch", "rows"), [("throughput", None, None), ("latency", 64, 512)])
def test_the_simulated_errors_of_full_batches_are_as_large_as_the_real_ones(
    three_way: Any,
    draw: Callable[..., Array],
    optimize: Literal["latency", "throughput"],
    batch: int | None,
    rows: int | None,
) -> None:
    """The largest, too, although a slot in which the secret is large has large errors in all ciphertexts.

    And what scalars err by that are rounded is not noise: it is the same whenever an input comes again.
    """
    model, inputs = mlp(three_way, draw)
    # With a small special prime, as 12 bits of precision take here, errors of key switching are overestimated.
    plan = hecc.compile(model, calibration=inputs, optimize=optimize, batch=batch, precision=13)
    many = {"x": np.resize(inputs["x"], (rows or plan.header.batch, 6))}
    exact = hecc.simulate(plan, many, noise=False)["y"]
    simulated = hecc.simulate(plan, many)["y"] - exact
    real = three_way.encrypted(plan, many)["y"] - exact
    assert 0.7 < simulated.std() / real.std() < 1.6
    assert 0.3 < np.abs(simulated).max() / np.abs(real).max() < 3
    if optimize == "throughput":
        # Of 40 inputs each comes a hundred times.
        found, expected = (
            errors[: len(errors) // 40 * 40].reshape(-1, 40, 2).mean(axis=0) for errors in (real, simulated)
        )
        np.testing.assert_allclose(found, expected, atol=0.2 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch": 0}, "a batch of 0 rows; give a number from 1 to 32768, since no ciphertext holds more rows"),
        ({"batch": -4}, "a batch of -4 rows"),
        ({"batch": 32769}, "a batch of 32769 rows"),
        ({"optimize": "speed"}, "a plan optimised for 'speed'; choose latency or throughput"),
    ],
)
def test_impossible_batches_are_refused(
    three_way: Any, draw: Callable[..., Array], options: dict[str, Any], says: str
) -> None:
    model, inputs = mlp(three_way, draw)
    with pytest.raises(hecc.InputError, match=says):
        hecc.compile(model, calibration=inputs, **options)


def test_a_tensor_of_too_many_elements_for_a_batch_is_refused(three_way: Any) -> None:
    model = three_way.build("g (float[N,70000] x) => (float[N,1] y) { y = ReduceMean <axes = [1], keepdims = 1> (x) }")
    with pytest.raises(hecc.CompileError, match="'x' has 70000 elements, and a batch needs a ciphertext for each"):
        hecc.compile(model, input_range=(0, 1), calibration=np.zeros((1, 70000)), optimize="throughput")


def test_a_larger_batch_than_a_ring_has_slots_takes_a_larger_ring(three_way: Any, draw: Callable[..., Array]) -> None:
    model, inputs = mlp(three_way, draw)
    plan = hecc.compile(model, calibration=inputs, batch=10000)
    assert plan.header.keys.slots == 16384
    assert plan.header.batch == 10000


def test_a_matrix_product_is_as_sparse_as_the_network(three_way: Any, draw: Callable[..., Array]) -> None:
    model, inputs = cnn(three_way, draw)
    circuit = circuit_of(hecc.compile(model, calibration=inputs, optimize="throughput", batch=8))
    products = [ins for ins in circuit.instructions if isinstance(ins, MatrixProduct)]
    # Of a convolution with nine taps, less at the border: 2 maps of 16 x 9 + 16 x 6 + 4 x 4 entries.
    assert len(circuit.matrix(products[0]).values) == 2 * (16 * 9 + 16 * 6 + 4 * 4)
    # Nothing of the size of the slots is kept.
    assert circuit.slots == 1
    assert max(array.size for array in circuit.constants.values()) <= 2 * (16 * 9 + 16 * 6 + 4 * 4)
    assert sum(isinstance(ins, Relinearize) for ins in circuit.instructions) == 1


def narrowing(three_way: Any, draw: Callable[..., Array]) -> tuple[Any, dict[str, Array]]:
    """Twelve squares, of which only two sums are squared again; a shortcut with two polynomials joins them."""
    model = three_way.build(
        """g (float[N,6] x) => (float[N,1] y) {
            h = MatMul (x, w1)
            s = Mul (h, h)
            k = MatMul (s, w2)
            l = MatMul (x, w3)
            m = Add (k, l)
            t = Mul (m, m)
            y = MatMul (t, w4)
        }""",
        w1=draw(6, 12),
        w2=draw(12, 2, seed=1),
        w3=draw(6, 2, seed=2),
        w4=draw(2, 1, seed=3),
    )
    return model, {"x": draw(40, 6, seed=4)}


@pytest.mark.parametrize("device", ["native", "seal"])
def test_squares_are_relinearised_where_they_are_fewer(
    three_way: Any, draw: Callable[..., Array], device: str, tmp_path: Path
) -> None:
    model, inputs = narrowing(three_way, draw)
    plan = hecc.compile(model, calibration=inputs, optimize="throughput", batch=7, device=device)
    circuit, counts = circuit_of(plan), circuit_of(plan).counts()
    relinearised = [counts[i] for i, ins in enumerate(circuit.instructions) if isinstance(ins, Relinearize)]
    # Of a dense layer of twelve by two, and of one of two by one.
    assert relinearised == [2, 1]
    client = hecc.Client(plan)
    keys = client.keygen(tmp_path)
    with hecc.Server(plan, keys.evaluation) as server:
        result = server.run(client.encrypt(inputs["x"][:7]))
    agree(client.decrypt(result), three_way.reference(model, inputs), 7)


def test_squares_stay_where_a_linear_layer_widens(three_way: Any, draw: Callable[..., Array]) -> None:
    model = three_way.build(
        """g (float[N,6] x) => (float[N,1] y) {
            h = MatMul (x, w1)
            s = Mul (h, h)
            k = MatMul (s, w2)
            t = Mul (k, k)
            y = MatMul (t, w3)
        }""",
        w1=draw(6, 2),
        w2=draw(2, 9, seed=1),
        w3=draw(9, 1, seed=2),
    )
    inputs = {"x": draw(20, 6, seed=3)}
    plan = hecc.compile(model, calibration=inputs, optimize="throughput", batch=4)
    circuit, counts = circuit_of(plan), circuit_of(plan).counts()
    assert [counts[i] for i, ins in enumerate(circuit.instructions) if isinstance(ins, Relinearize)] == [2, 1]
    agree(three_way.encrypted(plan, {"x": inputs["x"][:4]}), three_way.reference(model, inputs), 4)

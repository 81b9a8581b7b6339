"""A network whose values are of another size is compiled all the same, or told of the size: never of its layers."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import hecc
from hecc.passes.ckks import search

ROWS = np.random.default_rng(1).uniform(-1, 1, (48, 4))


def network(
    sizes: tuple[float, ...],
    activation: str,
    *,
    seed: int = 0,
    outputs: int = 4,
    normalised: bool = False,
    deviation: float = 1.0,
) -> onnx.ModelProto:
    """Dense layers of width four with weights of such sizes, and an activation between any two.

    ``normalised`` puts a batch normalization before each activation, with the statistics of the calibration inputs.
    """
    generator = np.random.default_rng(seed)
    nodes, weights, values = [], {}, ROWS
    name = "x"
    for i, size in enumerate(sizes):
        width = outputs if i == len(sizes) - 1 else 4
        matrix = (generator.normal(size=(4, width)) / 2 * size).astype(np.float32)
        bias = (generator.normal(size=width) / 10 * size).astype(np.float32)
        weights |= {f"w{i}": matrix, f"b{i}": bias}
        nodes.append(helper.make_node("Gemm", [name, f"w{i}", f"b{i}"], [f"h{i}"]))
        name, values = f"h{i}", values @ matrix.astype(float) + bias
        if i == len(sizes) - 1:
            break
        if normalised:
            mean, variance = values.mean(axis=0), values.var(axis=0)
            values = deviation * (values - mean) / np.sqrt(variance)
            numbers = {"scale": np.full(4, deviation), "shift": np.zeros(4), "mean": mean, "variance": variance}
            weights |= {f"{key}{i}": number.astype(np.float32) for key, number in numbers.items()}
            names = [name, *(f"{key}{i}" for key in numbers)]
            nodes.append(helper.make_node("BatchNormalization", names, [f"n{i}"], epsilon=0.0))
            name = f"n{i}"
        operator = {"Square": ("Mul", [name, name])}.get(activation, (activation, [name]))
        nodes.append(helper.make_node(*operator, [f"a{i}"], name=f"act{i}"))
        name = f"a{i}"
        values = values**2 if activation == "Square" else 1 / (1 + np.exp(-np.clip(values, -700, 700)))
    shapes = {"x": 4, name: outputs}
    ends = [helper.make_tensor_value_info(each, onnx.TensorProto.FLOAT, ["N", n]) for each, n in shapes.items()]
    stored = [numpy_helper.from_array(value, key) for key, value in weights.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def small_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were no rings with room for many levels, so that small networks are too deep."""
    monkeypatch.setattr(search, "RING_DEGREES", (1 << 13, 1 << 14))


def shape(plan: Any) -> tuple[int, int]:
    """What a plan's size costs: ring degree and primes."""
    keys = plan.header.keys
    return keys.ring_degree, len(keys.data_primes)


@pytest.mark.parametrize("high", [255.0, 1e6, 1e9])
def test_inputs_of_any_size_take_the_same_ring(high: float) -> None:
    plain = hecc.compile(network((1, 1, 1), "Square"), calibration=ROWS, input_range=(-1, 1))
    large = hecc.compile(network((1, 1, 1), "Square"), calibration=high * ROWS, input_range=(-high, high))
    assert shape(large) == shape(plain)


@pytest.mark.parametrize("sizes", [(1e4, 1e-8, 1), (1e-6, 1e12, 1), (1, 1e4, 1e-8), (1e4, 1e4, 1e4)])
@pytest.mark.parametrize("seed", range(3))
def test_weights_of_any_size_before_a_square_take_the_same_ring(sizes: tuple[float, ...], seed: int) -> None:
    plain = hecc.compile(network((1, 1, 1), "Square", seed=seed), calibration=ROWS)
    scaled = hecc.compile(network(sizes, "Square", seed=seed), calibration=ROWS)
    assert scaled.header.keys.ring_degree == plain.header.keys.ring_degree


@pytest.mark.usefixtures("small_rings")
@pytest.mark.parametrize(
    ("activation", "size", "seed"),
    [
        ("Sigmoid", 30.0, 0),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in itertools.product(("Sigmoid", "Tanh"), (30.0, 300.0), (1, 2))
        ),
    ],
)
def test_a_scaled_copy_of_what_compiles_is_told_of_scaling_and_not_of_layers(
    activation: str, size: float, seed: int
) -> None:
    hecc.compile(network((1, 1, 1), activation, seed=seed), calibration=ROWS)
    with pytest.raises(hecc.CompileError) as refusal:
        hecc.compile(network((size, size, 1), activation, seed=seed), calibration=ROWS)
    message = str(refusal.value)
    assert "fewer layers" not in message
    assert re.search(rf"{activation} 'act[01]'", message)
    assert "with a BatchNormalization before" in message


@pytest.mark.usefixtures("small_rings")
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_the_batch_normalization_that_is_named_works(seed: int) -> None:
    sizes = (30.0, 30.0, 1.0)
    with pytest.raises(hecc.CompileError, match=r"no parameters give .*; keep the arguments of Sigmoid") as refusal:
        hecc.compile(network(sizes, "Sigmoid", seed=seed), calibration=ROWS)
    scales = re.search(r"with scales of about ([\d.]+)", str(refusal.value))
    deviation = float(scales[1]) if scales else 1.0
    assert hecc.compile(network(sizes, "Sigmoid", seed=seed, normalised=True, deviation=deviation), calibration=ROWS)


@pytest.mark.usefixtures("small_rings")
def test_where_depth_is_the_cause_fewer_layers_are() -> None:
    for activation in ("Square", "Sigmoid"):
        with pytest.raises(hecc.CompileError, match=r"; use fewer layers") as refusal:
            hecc.compile(network((0.5,) * 9, activation), calibration=ROWS)
        assert "BatchNormalization" not in str(refusal.value)


@pytest.mark.slow
def test_the_precision_that_eight_dense_layers_are_told_works() -> None:
    model = network((8.0,) * 8, "Tanh", outputs=2)
    with pytest.raises(hecc.CompileError, match=r"or ask for --precision \d+") as refusal:
        hecc.compile(model, calibration=ROWS, input_range=(-1.0, 1.0))
    assert hecc.compile(
        model, calibration=ROWS, input_range=(-1.0, 1.0), precision=int(str(refusal.value).rpartition(" ")[2])
    )

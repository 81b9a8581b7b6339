"""What models look like from outside: several inputs and outputs, weights elsewhere, open names and shapes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hecc

Array = np.ndarray[Any, Any]
Draw = Callable[..., Array]
ROWS = 6


def test_three_inputs_and_three_outputs(three_way: Any, draw: Draw) -> None:
    """Of different shapes; one output in the middle, one that is a part of another, and one that mixes all inputs."""
    model = three_way.build(
        """g (float[N,1,6,6] image, float[N,4] table, float[N,2,3] series)
                => (float[N,3] scores, float[N,2,4,4] features, float[N,1] first) {
            features = Conv (image, k)
            s = Mul (features, features)  f = Flatten (s)  a = MatMul (f, w1)
            b = MatMul (table, w2)
            t = Flatten (series)  c = MatMul (t, w3)
            scores = Sum (a, b, c)
            first = Gather<axis = 1> (scores, zero)
        }""",
        k=draw(2, 1, 3, 3),
        w1=draw(32, 3),
        w2=draw(4, 3),
        w3=draw(6, 3),
        zero=np.array([0]),
    )
    inputs = {"image": draw(ROWS, 1, 6, 6), "table": draw(ROWS, 4), "series": draw(ROWS, 2, 3)}
    outcome = three_way(model, inputs, rows=2)
    assert list(outcome.decrypted) == ["scores", "features", "first"]


def test_an_output_of_one_number_per_row_has_no_other_axis(three_way: Any, draw: Draw) -> None:
    model = three_way.build(
        "g (float[N,5] x) => (float[N] y) { h = MatMul (x, w) y = Squeeze (h, axis) }",
        w=draw(5, 1),
        axis=np.array([1]),
    )
    inputs = {"x": draw(ROWS, 5)}
    outcome = three_way(model, inputs, rows=3)
    assert outcome.decrypted["y"].shape == (3,)
    evaluated = hecc.evaluate(outcome.plan, inputs, model=model).outcomes
    assert {found.values.shape for found in evaluated} == {(ROWS,)}


def test_features_of_very_different_sizes(three_way: Any, draw: Draw) -> None:
    """As tables have them: the largest weight belongs to the smallest feature, so that rounding it matters little."""
    model = three_way.build(
        "g (float[N,2] x) => (float[N,2] y) { y = MatMul (x, w) }", w=np.array([[1e-3, 2e-3], [1e3, -1e3]])
    )
    inputs = {"x": np.abs(draw(64, 2)) * [5000, 0.005]}
    three_way(model, inputs, rows=2)


def test_inputs_that_are_missing_or_unknown_are_named(three_way: Any, draw: Draw) -> None:
    model = three_way.build("g (float[N,3] a, float[N,3] b) => (float[N,3] y) { y = Add (a, b) }")
    plan = hecc.compile(model, input_range=(-1.0, 1.0))
    client, _ = three_way.keys(plan)
    with pytest.raises(hecc.InputError, match="inputs: 'a' was given; the network takes 'a', 'b'"):
        client.encrypt({"a": draw(1, 3)})
    with pytest.raises(hecc.InputError, match="the network has 2 inputs"):
        client.encrypt(draw(1, 3))
    with pytest.raises(hecc.InputError, match=r"different numbers of rows \('a': 1, 'b': 2\)"):
        client.encrypt({"a": draw(1, 3), "b": draw(2, 3)})


def test_weights_in_another_file(three_way: Any, draw: Draw, tmp_path: Path) -> None:
    model = three_way.build("g (float[N,6] x) => (float[N,40] y) { y = MatMul (x, w) }", w=draw(6, 40))
    inputs = {"x": draw(ROWS, 6, seed=1)}
    expected = three_way.reference(model, inputs)["y"]
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert path.stat().st_size < (tmp_path / "weights.bin").stat().st_size
    plan = hecc.compile(path, calibration=inputs)
    np.testing.assert_allclose(hecc.simulate(plan, inputs)["y"], expected, atol=1e-2)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(hecc.InputError, match=r"keeps the weight 'w' in 'weights\.bin', which is missing"):
        hecc.compile(path, calibration=inputs)


def test_initializers_that_are_declared_as_inputs_are_weights(three_way: Any, draw: Draw) -> None:
    """As exporters wrote them before IR version 4; some say later still that they may be overridden."""
    model = three_way.build(
        "g (float[N,6] x) => (float[N,3] y) { m = MatMul (x, w)  y = Add (m, b) }", w=draw(6, 3), b=draw(3)
    )
    for name, shape in (("w", (6, 3)), ("b", (3,))):
        model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    model.ir_version = 3
    inputs = {"x": draw(ROWS, 6, seed=1)}
    outcome = three_way(model, inputs)
    assert [signature.name for signature in outcome.plan.header.inputs] == ["x"]


def test_nodes_without_names_are_called_by_their_results(three_way: Any, draw: Draw) -> None:
    model = three_way.build("g (float[N,6] x) => (float[N,3] y) { y = MatMul (x, w) }", w=draw(6, 3))
    assert model.graph.node[0].name == ""
    outcome = three_way(model, {"x": draw(ROWS, 6, seed=1)})
    sources = {instruction.source for instruction in outcome.plan.require_circuit().instructions}
    assert "MatMul 'y'" in sources


def test_shapes_with_names(three_way: Any, draw: Draw) -> None:
    """The batch may have any name; another axis must have a number, and the message says which has none."""
    model = three_way.build(
        "g (float[rows,6] x) => (float[rows,classes] y) { s = Shape (x)  r = Reshape (x, s)  y = MatMul (r, w) }",
        w=draw(6, 3),
    )
    three_way(model, {"x": draw(ROWS, 6, seed=1)})
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "features"
    with pytest.raises(
        hecc.UnsupportedError, match=r"input 'x' has a dynamic axis 1 \('features'\); export the network"
    ):
        hecc.compile(model)


@pytest.mark.parametrize("batch", [2, 10])
def test_a_network_exported_with_a_fixed_batch(batch: int, three_way: Any, draw: Draw) -> None:
    """One row is one example, whatever batch the file says."""
    body = """{
        c = Conv<strides = [2, 2]> (x, k)  s = Mul (c, c)
        h = Shape (s)  i = Constant<value_int = 0> ()  n = Gather (h, i)  a = Constant<value_ints = [0]> ()
        u = Unsqueeze (n, a)  m = Constant<value_ints = [-1]> ()  t = Concat<axis = 0> (u, m)
        f = Reshape (s, t)  z = MatMul (f, w)  y = Softmax (z)
    }"""
    constants = {"k": draw(2, 1, 2, 2), "w": draw(18, 3)}
    fixed = three_way.build(f"g (float[{batch},1,6,6] x) => (float[{batch},3] y) {body}", **constants)
    free = three_way.build(f"g (float[N,1,6,6] x) => (float[N,3] y) {body}", **constants)
    inputs = {"x": draw(10, 1, 6, 6, seed=1)}
    plan = hecc.compile(fixed, calibration=inputs)
    expected = three_way.reference(free, inputs)["y"]
    found = three_way.encrypted(plan, {"x": inputs["x"][:3]})["y"]
    assert found.shape == (3, 3)
    np.testing.assert_allclose(found, expected[:3], atol=1e-3)


def test_batches_of_two_sizes_are_refused(three_way: Any) -> None:
    model = three_way.build("g (float[2,3] a, float[4,3] b) => (float[4,3] y) { y = Identity (b)  z = Neg (a) }")
    with pytest.raises(hecc.UnsupportedError, match="input 'a' has a batch of 2 and input 'b' has not"):
        hecc.compile(model)


def test_an_initializer_that_is_an_output_is_refused(draw: Draw) -> None:
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in ("y", "w")],
        [numpy_helper.from_array(draw(1, 3), "w")],
    )
    with pytest.raises(hecc.UnsupportedError, match="output 'w' does not depend on any input; remove it"):
        hecc.compile(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8))

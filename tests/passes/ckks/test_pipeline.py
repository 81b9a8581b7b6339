"""The pipeline: same model, same bytes; every plan passes the verifier; refusals are sentences."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

import hecc
from hecc.compiler.graph.nodes import ProductNode, QuadraticNode
from hecc.compiler.importer import import_model
from hecc.passes.ckks.pipeline import canonicalise
from hecc.runtime.ckks.alarms import ALARM
from hecc.runtime.ckks.circuit.security import check_keys, limit
from hecc.runtime.ckks.readings.types import verify
from hecc.runtime.errors import CompileError
from hecc.runtime.plan.plan import Plan

GRAPH = """g (float[N,2,6,6] x) => (float[N,4] y) {
    t = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w, b) s = Mul(t, t) h = Mul(t, half) u = Add(s, h)
    p = AveragePool<kernel_shape=[3,3]>(u) f = Flatten(p) y = Gemm(f, v, c) }"""


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    generator = np.random.default_rng(9)
    parsed = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13]> {GRAPH}')
    for name, shape in {"w": (3, 2, 3, 3), "b": (3,), "v": (3, 4), "c": (4,), "half": ()}.items():
        array = np.asarray(generator.uniform(-1, 1, shape), dtype=np.float32)
        parsed.graph.initializer.append(numpy_helper.from_array(array, name))
    return parsed


@pytest.fixture(scope="module")
def calibration() -> np.ndarray[Any, Any]:
    return np.random.default_rng(3).uniform(-1, 1, (16, 2, 6, 6))


def test_compiling_twice_gives_the_same_bytes(
    model: onnx.ModelProto, calibration: np.ndarray[Any, Any], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        hecc.compile(model, calibration=calibration).save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


SCRIPT = """
import sys, hashlib
from pathlib import Path
import hecc
hecc.compile(sys.argv[1], input_range=(-1.0, 1.0)).save(sys.argv[2])
print(hashlib.sha256(Path(sys.argv[2]).read_bytes()).hexdigest())
"""


def test_processes_with_different_hash_seeds_write_the_same_bytes(model: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(model, tmp_path / "model.onnx")
    digests = set()
    for seed in ("1", "2"):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / "model.onnx"), str(tmp_path / f"plan{seed}")]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
        digests.add(done.stdout.strip())
    assert len(digests) == 1
    assert len(digests.pop()) == 64


def test_the_plan_passes_the_verifier_and_the_security_check(
    model: onnx.ModelProto, calibration: np.ndarray[Any, Any]
) -> None:
    plan = hecc.compile(model, calibration=calibration)
    assert plan.circuit is not None
    verify(plan.circuit, plan.header.keys)
    check_keys(plan.header.keys, 128)


def test_a_saved_plan_computes_the_same(
    model: onnx.ModelProto, calibration: np.ndarray[Any, Any], tmp_path: Path
) -> None:
    plan = hecc.compile(model, calibration=calibration)
    plan.save(tmp_path / "plan")
    (before,), (after,) = (
        hecc.simulate(p, calibration, noise=False).values() for p in (plan, Plan.load(tmp_path / "plan"))
    )
    np.testing.assert_array_equal(before, after)


def test_a_canonical_graph_has_monic_squares_and_no_products(model: onnx.ModelProto) -> None:
    graph = canonicalise(import_model(model))
    assert [node.kind for node in graph.nodes][:3] == ["input", "affine", "quadratic"]
    assert not any(isinstance(node, ProductNode) for node in graph.nodes)
    (square,) = [node for node in graph.nodes if isinstance(node, QuadraticNode)]
    assert np.all(graph.parameters[square.coefficients[2]] == 1.0)


@pytest.mark.parametrize(("security", "quantum"), [(128, False), (128, True), (192, False), (256, True)])
def test_the_security_asked_for_is_the_security_given(
    model: onnx.ModelProto, calibration: np.ndarray[Any, Any], security: int, quantum: bool
) -> None:
    keys = hecc.compile(model, calibration=calibration, security=security, quantum=quantum).header.keys
    adversary: Any = "quantum" if quantum else "classical"
    assert (keys.security.level, keys.security.adversary) == (security, adversary)
    assert keys.log2_qp <= limit(keys.ring_degree, security, adversary)


@pytest.mark.parametrize("precision", [6.0, 12.0, 20.0])
def test_the_precision_promised_is_the_precision_asked_for(
    model: onnx.ModelProto, calibration: np.ndarray[Any, Any], precision: float
) -> None:
    plan = hecc.compile(model, calibration=calibration, precision=precision)
    assert plan.header.estimate.precision_bits >= precision
    ((exact,), (noisy,)) = (hecc.simulate(plan, calibration, noise).values() for noise in (False, True))
    assert np.abs(noisy - exact).max() <= 2.0**-precision * np.abs(exact).max()


def test_stages_are_reported_in_order(model: onnx.ModelProto, calibration: np.ndarray[Any, Any]) -> None:
    stages: list[str] = []
    hecc.compile(model, calibration=calibration, progress=stages.append)
    assert stages[:3] == ["import the network", "fuse and simplify", "measure ranges"]
    assert stages[-1] == "check precision"


def test_an_impossible_precision_is_refused_with_a_way_out(
    model: onnx.ModelProto, calibration: np.ndarray[Any, Any]
) -> None:
    with pytest.raises(CompileError) as fault:
        hecc.compile(model, calibration=calibration, precision=45)
    sentence, _, bits = str(fault.value).partition(" or ask for --precision ")
    assert sentence == (
        "no parameters give 45.0 bits of precision at depth 3 and 128-bit security up to N = 65536; use fewer layers"
    )
    assert hecc.compile(model, calibration=calibration, precision=int(bits)).header.estimate.precision_bits >= int(bits)


def test_the_precision_that_a_refusal_names_is_kept_by_the_simulation_too() -> None:
    """The errors of eighty levels are as uneven as the values, which no prediction knows."""
    generator = np.random.default_rng(0)
    graph = "g (float[N,4] t0) => (float[N,4] t80) {"
    initializers = []
    for k in range(0, 80, 2):
        graph += f" t{k + 1} = Gemm(t{k}, w{k}, b{k}) t{k + 2} = Mul(t{k + 1}, t{k + 1})"
        for name, shape in ((f"w{k}", (4, 4)), (f"b{k}", (4,))):
            array = generator.uniform(-0.5, 0.5, shape).astype(np.float32)
            initializers.append(numpy_helper.from_array(array, name))
    parsed = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13]> {graph} }}')
    parsed.graph.initializer.extend(initializers)
    calibration = generator.uniform(-1, 1, (32, 4))
    with pytest.raises(CompileError) as fault:
        hecc.compile(parsed, calibration=calibration, precision=20)
    bits = int(str(fault.value).partition(" or ask for --precision ")[2])
    assert hecc.compile(parsed, calibration=calibration, precision=bits).header.estimate.precision_bits >= bits


def test_a_product_of_two_inputs_takes_one_level_and_no_rotation() -> None:
    parsed = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 13]> g (float[N,4] a, float[N,4] b) => (float[N,4] y) { y = Mul(a, b) }'
    )
    estimate = hecc.compile(parsed, input_range=(-1.0, 1.0)).header.estimate
    assert (estimate.depth, estimate.rotations) == (1, 0)


def test_calibration_inputs_of_zeros_do_not_stop_the_compiler(model: onnx.ModelProto) -> None:
    plan = hecc.compile(model, calibration=np.zeros((4, 2, 6, 6)), input_range=(-1.0, 1.0))
    assert plan.header.estimate.precision_bits >= 12


def test_outputs_that_are_zero_on_all_calibration_inputs_do_not_stop_the_compiler() -> None:
    parsed = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 13]> g (float[N,4] x) => (float[N,4] y) { y = Mul(x, x) }'
    )
    plan = hecc.compile(parsed, calibration=np.zeros((4, 4)), input_range=(-1.0, 1.0))
    assert plan.header.estimate.precision_bits > 0


@pytest.mark.parametrize("options", [{}, {"batch": 8}, {"optimize": "throughput"}], ids=["one", "batch", "throughput"])
def test_there_is_room_for_a_constant_that_all_but_cancels(options: Any) -> None:
    """A value of size one may be the sum of a thousand and of minus a thousand, both of which have to fit."""
    built = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 13]>
        g (float[N,4] x) => (float[N,2] y) { h = Mul(x, x) y = Gemm(h, w, b) }"""
    )
    for name, array in {"w": np.full((4, 2), -250.0), "b": np.full(2, 1000.0)}.items():
        built.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    x = np.random.default_rng(0).uniform(0.999, 1.001, (48, 4))
    plan = hecc.compile(built, calibration=x, input_range=(0.999, 1.001), **options)
    expected = np.repeat(1000 - 250 * (x[:8] ** 2).sum(axis=1, keepdims=True), 2, axis=1)
    np.testing.assert_allclose(hecc.simulate(plan, x[:8])["y"], expected, atol=0.01)


def test_large_keys_are_warned_of_with_what_makes_them_smaller(
    model: onnx.ModelProto,
    calibration: np.ndarray[Any, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("hecc.passes.ckks.driving.drafts.LARGE_KEYS", 1_000_000)
    plan = hecc.compile(model, calibration=calibration)
    (warning,) = (record.getMessage() for record in caplog.records if "evaluation keys" in record.getMessage())
    assert "--key-budget" in warning
    size = plan.header.estimate.evaluation_key_bytes
    assert f"--key-budget {size // (2 * 10**6)}MB" in warning
    caplog.clear()
    hecc.compile(model, calibration=calibration, key_budget=size)
    assert "evaluation keys" not in caplog.text


def test_what_is_promised_of_a_result_is_no_sign_of_an_overflow() -> None:
    """Acosh is infinitely steep at one, and so is its polynomial, nearly: there errors are not those of the mean."""
    parsed = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 13]> g (float[N,3] x) => (float[N,3] y) { y = Acosh(x) }'
    )
    rows = np.array([[10.0, 1.0, 2.0]])
    plan = hecc.compile(parsed, calibration=rows, input_range=(1.0, 10.0), precision=10)
    (output,) = plan.header.outputs
    promised = 2.0**-plan.header.estimate.precision_bits * np.arccosh(10.0)
    assert ALARM * output.error > 1.5 * promised

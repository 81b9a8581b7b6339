"""Networks that are bootstrapped: placed, planned, simulated, refused; and encrypted, where there is time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

import hecc
from hecc.compiler.ckks.chain.bootstrapping import BOOTSTRAPPING
from hecc.measure.layers import plan_layers
from hecc.runtime.ckks.circuit.instructions import Bootstrap, Input, Polynomial
from hecc.runtime.ckks.circuit.security import check_keys, sparse_limit
from hecc.runtime.ckks.readings.types import verify
from hecc.runtime.errors import CompileError

WIDTH, RANGE = 32, (-4.0, 4.0)
DRAW = np.random.default_rng(17)


def rows(count: int) -> np.ndarray[Any, Any]:
    return DRAW.normal(size=(count, WIDTH)).clip(*RANGE).astype(np.float32)


CALIBRATION = rows(600)
OPTIONS: dict[str, Any] = {"input_range": RANGE, "accuracy_loss": 3, "bootstrap": True}


def dense(name: str, inner: int, outer: int) -> list[onnx.TensorProto]:
    weights = DRAW.normal(size=(inner, outer)) * math.sqrt(2 / inner)
    shift = 0.1 * DRAW.normal(size=outer)
    return [
        numpy_helper.from_array(array.astype(np.float32), f"{name}{part}")
        for part, array in (("w", weights), ("b", shift))
    ]


def network(body: str, *layers: tuple[str, int, int]) -> onnx.ModelProto:
    graph = f"g (float[N,{WIDTH}] x) => (float[N,10] y) {{ {body} }}"
    parsed = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13]> {graph}')
    for layer in layers:
        parsed.graph.initializer.extend(dense(*layer))
    return parsed


RESIDUAL = network(
    "h = Gemm(x, aw, ab) r = Relu(h) i = Gemm(r, cw, cb) s = Relu(i) j = Gemm(s, dw, db) k = Add(j, r) "
    "t = Relu(k) y = Gemm(t, ew, eb)",
    ("a", WIDTH, WIDTH),
    ("c", WIDTH, WIDTH),
    ("d", WIDTH, WIDTH),
    ("e", WIDTH, 10),
)
"""Three activations, and a skip around two of them."""


@pytest.fixture(scope="module")
def plan() -> hecc.Plan:
    return hecc.compile(RESIDUAL, calibration=CALIBRATION, **OPTIONS)


def test_ahead_of_every_activation_there_is_a_bootstrap(plan: hecc.Plan) -> None:
    circuit = plan.circuit
    bootstraps = dict(circuit.every(Bootstrap))
    assert [ins.source.split()[0] for ins in bootstraps.values()] == ["Relu"] * 3
    assert [ins.x for _, ins in circuit.every(Polynomial)] == list(bootstraps)
    assert plan.header.estimate.agreement.kept >= 0.97


def test_values_have_the_limbs_between_bootstraps_and_no_more(plan: hecc.Plan) -> None:
    keys, circuit = plan.header.keys, plan.circuit
    types = verify(circuit, keys)
    levels = len(keys.data_primes) - 2 - BOOTSTRAPPING.behind
    for index, ins in circuit.every(Bootstrap):
        assert types[ins.x].limbs == 2
        assert types[index].limbs == 2 + levels
        # The polynomial behind it is fitted in powers of the sine, which keep the scale of the prime they drop.
        assert float(types[index].scale) == pytest.approx(keys.data_primes[1 + levels], rel=1e-5)
    # An input is encrypted with no more limbs than its layer and the bootstrap behind it take.
    assert [ins.limbs for _, ins in circuit.every(Input)] == [3]


def test_the_keys_are_within_both_tables(plan: hecc.Plan) -> None:
    keys = plan.header.keys
    check_keys(keys, 128)
    assert keys.ring_degree == BOOTSTRAPPING.ring_degree
    secret = keys.encapsulation
    assert secret.weight == 32
    assert secret.limbs == len(keys.data_primes)
    assert math.log2(keys.sparse_modulus) < sparse_limit(keys.ring_degree, 32, 128)


def test_what_is_simulated_decides_as_onnxruntime_does(plan: hecc.Plan) -> None:
    runtime = pytest.importorskip("onnxruntime")
    others = rows(500)
    (expected,) = runtime.InferenceSession(RESIDUAL.SerializeToString()).run(None, {"x": others})
    found = hecc.simulate(plan, others)
    assert not found.lost
    assert (found["y"].argmax(1) == expected.argmax(1)).mean() >= 0.96


def test_a_row_that_is_far_too_large_is_named_and_ruins_nothing(plan: hecc.Plan) -> None:
    few = rows(4)
    few[2] = np.where(few[2] > 0, RANGE[1], RANGE[0])
    found = hecc.simulate(plan, few)
    assert set(found.outside) == {2}
    assert np.abs(found["y"]).max() < 100


def test_saved_and_read_it_is_the_same(plan: hecc.Plan, tmp_path: Any) -> None:
    plan.save(tmp_path / "plan.bin")
    assert hecc.Plan.load(tmp_path / "plan.bin").circuit.instructions == plan.circuit.instructions


def test_layers_tell_what_bootstraps_cost_and_leave_of_the_precision(plan: hecc.Plan) -> None:
    layers = plan_layers(plan)
    assert [layer.source.split()[0] for layer in layers] == [
        "input",
        "Gemm",
        "Relu",
        "Gemm",
        "Relu",
        "Add",
        "Relu",
        "Gemm",
    ]
    assert sum(layer.seconds for layer in layers) == pytest.approx(plan.header.estimate.seconds)
    activations = [layer for layer in layers if layer.source.startswith("Relu")]
    assert all(layer.share > 0.25 and layer.rotations > 50 for layer in activations)
    assert all(layer.precision_bits is not None and 12 < layer.precision_bits < 20 for layer in layers[2:])
    assert layers[5].reads == (2, 4)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"accuracy_loss": None, "precision": 6}, "by decisions.*accuracy loss instead of a precision"),
        ({"disclose": 10, "accuracy_loss": None}, "cannot be disclosed.*without --disclose"),
        ({"security": 192}, "128 bits of security against classical adversaries"),
        ({"quantum": True}, "128 bits of security against classical adversaries"),
        ({"device": "seal"}, "SEAL has no bootstrapping; compile for the native device"),
        ({"batch": 4}, "one row at a time; compile without a batch"),
        ({"optimize": "throughput"}, "one row at a time; compile without a batch"),
    ],
    ids=lambda case: "-".join(case) if isinstance(case, dict) else "",
)
def test_what_bootstraps_cannot_do_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        hecc.compile(RESIDUAL, calibration=CALIBRATION, **{**OPTIONS, **changed})


def test_keys_of_bootstraps_count_in_the_budget(plan: hecc.Plan) -> None:
    """They are a gigabyte, however few rotations layers take."""
    enough = plan.header.estimate.evaluation_key_bytes
    within = hecc.compile(RESIDUAL, calibration=CALIBRATION, **OPTIONS, key_budget=enough)
    assert within.circuit.instructions == plan.circuit.instructions
    with pytest.raises(CompileError, match=r"more than the budget.*--key-budget 1[0-9.]+MB"):
        hecc.compile(RESIDUAL, calibration=CALIBRATION, **OPTIONS, key_budget=enough // 2)


def test_a_network_without_activations_needs_none() -> None:
    linear = network("y = Gemm(x, aw, ab)", ("a", WIDTH, 10))
    with pytest.raises(CompileError, match="compile without --bootstrap"):
        hecc.compile(linear, calibration=CALIBRATION, **{**OPTIONS, "accuracy_loss": None})


def test_too_many_layers_between_activations_are_refused() -> None:
    squares = network(
        "h = Gemm(x, aw, ab) q = Mul(h, h) i = Gemm(q, cw, cb) s = Mul(i, i) j = Gemm(s, dw, db) t = Mul(j, j) "
        "k = Gemm(t, ew, eb) m = Relu(k) y = Gemm(m, fw, fb)",
        *((name, WIDTH, WIDTH) for name in "acde"),
        ("f", WIDTH, 10),
    )
    with pytest.raises(CompileError, match="up to 7 levels of products, and of the 6 between two bootstraps"):
        hecc.compile(squares, calibration=CALIBRATION, **OPTIONS)


def test_decisions_that_are_not_kept_are_refused_with_those_that_are() -> None:
    with pytest.raises(CompileError, match=r"with a bootstrap ahead of every activation.*of 100 decisions"):
        hecc.compile(RESIDUAL, calibration=CALIBRATION, **{**OPTIONS, "accuracy_loss": 0.1})


@pytest.mark.slow
def test_encrypted_it_is_what_was_simulated(plan: hecc.Plan, tmp_path: Any) -> None:
    few = rows(2)
    client = hecc.Client(plan)
    client.keygen(tmp_path / "keys")
    result = hecc.Server(plan, tmp_path / "keys").run(client.encrypt(few))
    assert np.abs(client.decrypt(result)["y"] - hecc.simulate(plan, few)["y"]).max() < 0.01

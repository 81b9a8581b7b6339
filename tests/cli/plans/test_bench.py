"""``hecc bench``: the figures are there and make sense. How large they are is the machine's business."""

import functools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from hecc.compiler.ckks.prediction.cost import NativeCost, circuit_seconds
from hecc.measure import profiling, roofline
from hecc.measure.probes import Probe
from hecc.runtime.ckks.keys.switching_keys import packed_bytes
from hecc.runtime.ckks.plan.rates import Rates
from hecc.runtime.ckks.readings.types import verify
from hecc.runtime.native import implementations
from hecc.runtime.plan.plan import Plan


class TransformCost(NativeCost):
    """The cost model without everything but transforms, each of them one second."""

    RATES = Rates(butterfly=0.0, product=0.0, term=0.0)

    @property
    def transform(self) -> float:
        return 1.0

    def encode(self, limbs: int) -> float:
        return 0.0  # weights are kept

    def _decompose(self, limbs: int) -> float:
        return self._digits(limbs) * self._width(limbs) * self.transform

    def _divide(self, limbs: int) -> float:
        return (self.special_limbs + limbs) * self.transform


class KeyCost(TransformCost):
    """The cost model without everything but the bytes of keys, each of them a second."""

    RATES = Rates(butterfly=0.0, product=0.0, term=0.0, key_byte=1.0)

    @property
    def transform(self) -> float:
        return 0.0


@pytest.fixture(scope="module")
def measured(cli, made):
    """A plan's figures, with both devices."""
    arguments = (made / "plan.bin", "--device", "seal", "--runs", 2, "--threads", 1)
    return json.loads(cli.succeed("bench", *arguments, "--json").stdout)


def test_without_a_plan_kernels_and_memory_are_measured(cli):
    found = cli.answer("bench")
    assert {row["implementation"] for row in found["kernels"]} == set(implementations())
    assert {row["ring_degree"] for row in found["kernels"]} == {2**13, 2**14, 2**15}
    for row in found["kernels"]:
        assert all(value > 0 for name, value in row.items() if name.endswith("_seconds"))
    assert found["chosen"] in implementations()
    assert found["threads"] >= 1
    assert {row["threads"] for row in found["primitives"]} == {1, found["threads"]}
    for row in found["primitives"]:
        assert set(row["seconds"]) == {"rotate", "multiply and relinearise", "hoisted rotation", "encode"}
        assert min(row["seconds"].values()) > 0
        assert row["digits"] == -(-row["limbs"] // row["special_primes"])
    assert found["bandwidth"]["one_thread"] > 0
    assert found["bandwidth"]["all_threads"] > 0
    assert "numpy" in found["bandwidth"]["method"]


def test_a_plan_is_run_by_each_device(measured):
    assert measured["runs"] == 2
    assert measured["threads"] == 1
    assert measured["kernels"] in implementations()
    assert list(measured["devices"]) == ["native", "seal"]
    for found in measured["devices"].values():
        assert len(found["samples"]) == 2
        assert min(found["samples"]) <= found["seconds_per_row"] <= max(found["samples"])
        assert found["peak_memory_bytes"] > 10_000_000
        assert found["prepare_seconds"] > 0
        assert {"input", "linear_transform", "output"} <= set(found["instructions"])
        assert all(seconds > 0 for seconds in found["instructions"].values())
        # Medians of two runs are means, which add up.
        assert sum(found["instructions"].values()) <= found["seconds_per_row"]


def test_the_roofline_adds_up(measured):
    found = measured["roofline"]
    assert all(value > 0 for value in found.values())
    transforms = found["forward_transforms"] * found["forward_transform_seconds"]
    transforms += found["inverse_transforms"] * found["inverse_transform_seconds"]
    reads = (found["key_bytes"] + found["plaintext_bytes"]) / found["bandwidth"]
    assert found["transform_seconds"] == pytest.approx(transforms)
    assert found["read_seconds"] == pytest.approx(reads)
    assert found["seconds"] == pytest.approx(transforms + reads)
    assert found["ratio"] == pytest.approx(measured["devices"]["native"]["seconds_per_row"] / found["seconds"])


def test_work_is_counted_as_the_cost_model_counts_it(made):
    plan = Plan.load(made / "plan.bin")
    circuit, keys = plan.require_circuit(), plan.header.keys
    total = sum(roofline.count_work(circuit, keys), roofline.Work())
    limbs = [kind.limbs for kind in verify(circuit, keys)]
    parameters = (keys.ring_degree, circuit.slots, keys.digit_limbs, len(keys.special_primes))
    assert total.forward + total.inverse == pytest.approx(circuit_seconds(circuit, limbs, TransformCost(*parameters)))
    primes = (*keys.data_primes, *keys.special_primes)
    mean = sum(map(packed_bytes, primes)) / len(primes)
    # The model takes all limbs for equally wide.
    assert total.key_bytes == pytest.approx(circuit_seconds(circuit, limbs, KeyCost(*parameters, mean)), rel=0.1)
    assert total.plaintext_bytes > 0


def test_weights_that_do_not_fit_the_memory_are_transformed_instead_of_read(made):
    plan = Plan.load(made / "plan.bin")
    circuit, keys = plan.require_circuit(), plan.header.keys
    kept, encoded = (sum(roofline.count_work(circuit, keys, memory), roofline.Work()) for memory in (1 << 31, 0))
    assert encoded.plaintext_bytes == 0
    assert encoded.forward > kept.forward
    assert (encoded.inverse, encoded.key_bytes) == (kept.inverse, kept.key_bytes)


def test_plans_with_polynomials_and_products_are_measured(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights = helper.make_tensor("w", TensorProto.FLOAT, [4, 4], np.linspace(-1, 1, 16))
    # With a layer behind the sigmoid, or the client would compute it.
    networks = {
        "product": ("xy", [helper.make_node("Mul", ["x", "y"], ["z"])]),
        "sigmoid": ("x", [helper.make_node("Sigmoid", ["x"], ["s"]), helper.make_node("MatMul", ["s", "w"], ["z"])]),
    }
    for name, (inputs, nodes) in networks.items():
        infos = [helper.make_tensor_value_info(each, TensorProto.FLOAT, [1, 4]) for each in f"{inputs}z"]
        graph = helper.make_graph(nodes, name, infos[:-1], infos[-1:], [weights])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        Path(f"{name}.onnx").write_bytes(model.SerializeToString())
        cli.succeed("compile", f"{name}.onnx", "--output", f"{name}.bin", "--input-range", -3, 3)
        text = cli.succeed("bench", f"{name}.bin", "--runs", 1, "--threads", 1).stdout
        assert "relinearize" in text.partition("instructions")[2]
    plan = Plan.load("sigmoid.bin")
    circuit, keys = plan.require_circuit(), plan.header.keys
    assert "polynomial" in {instruction.op for instruction in circuit.instructions}
    kinds = roofline.count_kinds(circuit, keys)
    assert "polynomial" not in kinds
    total = sum(roofline.count_work(circuit, keys), roofline.Work())
    assert sum(work.key_bytes for work in kinds.values()) == total.key_bytes > 0
    assert sum(work.forward for work in kinds.values()) == pytest.approx(total.forward)


def test_the_text_has_the_same_figures(cli, made):
    text = cli.succeed("bench", made / "plan.bin", "--runs", 1).stdout
    for words in ("native: ", "peak memory", "log2 QP", "roofline", "measured / roofline", "linear_transform"):
        assert words in text


def test_what_is_no_servers_plan_is_refused(cli, here):
    Path("text.bin").write_text("no plan")
    assert "not a hecc file" in cli.refusal("bench", "text.bin")
    assert "the client's plan, without the circuit" in cli.refusal("bench", "plan.client.bin")
    assert "cannot be read" in cli.refusal("bench", "nowhere.bin")
    assert cli.invoke("bench", "plan.bin", "--device", "fast").exit_code == 2


def test_kernels_that_there_are_not_are_refused(cli, here, monkeypatch):
    monkeypatch.setenv("HECC_KERNELS", "magic")
    assert "no kernels 'magic'" in cli.refusal("bench", "plan.bin")


def test_wrong_usage_is_told_from_refusal(cli, here):
    assert cli.invoke("bench", "plan.bin", "--runs", "0").exit_code == 2
    assert cli.invoke("bench", "plan.bin", "--threads", "0").exit_code == 2


def test_a_killed_server_is_a_refusal(cli, here, monkeypatch):
    monkeypatch.setattr("hecc.measure.runs.benchmark._run", functools.partial(os._exit, 1))
    assert "was killed" in cli.refusal("bench", "plan.bin", "--runs", "1")


def test_a_machine_is_calibrated_and_predictions_are_for_it(cli, here, monkeypatch):
    probes = (Probe(1 << 13, 4, 3, 1),)
    monkeypatch.setattr("hecc.measure.probes.PROBES", probes)
    monkeypatch.setattr(profiling, "measure_rates", functools.partial(profiling.measure_rates, probes=probes, rounds=1))
    found = cli.answer("bench", "--machine-profile", "--threads", 2, "--output", "mine.json")
    assert found["file"] == "mine.json"
    assert found["threads"] == 2
    assert set(found["rates"]) == {"1", "2"}
    assert [probe["name"] for probe in found["probes"]] == [probes[0].name]
    compiled = cli.answer("compile", "model.onnx", "--machine", "mine.json", "--output", "for-mine.bin")
    assert compiled["machine"]["name"] == found["machine"]
    assert compiled["machine"]["threads"] == 2
    assert f"predicted for     {found['machine']}" in cli.succeed("inspect", "for-mine.bin").stdout


def test_a_machine_profile_is_of_no_plan(cli, here):
    assert "leave the plan out" in cli.refusal("bench", "plan.bin", "--machine-profile")
    assert "hecc bench --machine-profile" in cli.refusal(
        "compile", "model.onnx", "--machine", "plan.bin", "-o", "other.bin"
    )


def test_a_budget_for_keys_is_a_size(cli, here):
    assert cli.invoke("compile", "model.onnx", "--key-budget", "30").exit_code == 2
    assert "MB at the least" in cli.refusal("compile", "model.onnx", "--key-budget", "100kB")

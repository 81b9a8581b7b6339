"""With a budget for keys transforms rotate by the same steps, and compute what they did before."""

import itertools

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hecc
from hecc.compiler.ckks.lowering.embedding import Embedding, Sharing, split
from hecc.passes.ckks.shared_rotations import share_rotations
from hecc.runtime.ckks.circuit.layout import vector_layout


def dense(*sizes: int) -> onnx.ModelProto:
    """Dense layers with squares in between."""
    generator = np.random.default_rng(0)
    value, nodes, weights = "x", [], []
    for number, (before, after) in enumerate(itertools.pairwise(sizes)):
        weight = generator.normal(size=(before, after)).astype(np.float32) / np.sqrt(before)
        weights.append(numpy_helper.from_array(weight, f"w{number}"))
        nodes.append(helper.make_node("MatMul", [value, f"w{number}"], [f"d{number}"], f"dense{number}"))
        value = f"d{number}"
        if number < len(sizes) - 2:
            nodes.append(helper.make_node("Mul", [value, value], [f"s{number}"], f"square{number}"))
            value = f"s{number}"
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", sizes[0]])
    found = helper.make_tensor_value_info(value, TensorProto.FLOAT, ["batch", sizes[-1]])
    graph = helper.make_graph(nodes, "dense", [given], [found], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


MODEL = dense(256, 100, 60, 10)

BITS = 10
"""Of precision: the ring is the same with and without a budget."""


@pytest.fixture(scope="module")
def free() -> hecc.Plan:
    return hecc.compile(MODEL, precision=BITS)


def embedding(diagonals: list[int]) -> Embedding:
    layout = vector_layout((1, 64), 64)
    return Embedding(np.array(diagonals), layout, layout, (1.0, 4.0))


def test_steps_that_others_need_cost_nothing() -> None:
    first, second = embedding(list(range(12))), embedding(list(range(0, 48, 3)))
    shared = share_rotations({"a": (first,), "b": (second,)}, [16, 32], key=100.0)
    splits = [terms[0].split for terms in shared.values()]
    steps = {16, 32}.union(*(found.steps for found in splits))
    before = {16, 32}.union(first.split.steps, second.split.steps)
    assert len(steps) < len(before)


def test_the_steps_of_a_split_are_those_of_its_rotations() -> None:
    found = embedding(list(range(12))).split
    assert len(found.steps) == found.babies + found.giants
    dear = split(np.arange(12), *[vector_layout((1, 64), 64)] * 2, (1.0, 4.0), Sharing(key=0.0))
    assert dear.rotations == found.rotations


def test_free_keys_change_nothing() -> None:
    embeddings = {"a": (embedding(list(range(12))),)}
    (found,) = share_rotations(embeddings, [], key=0.0)["a"]
    assert found.split == embeddings["a"][0].split


def test_keys_are_within_the_budget_and_results_are_the_same(free: hecc.Plan) -> None:
    allowed = free.header.estimate.evaluation_key_bytes
    budget = int(0.8 * allowed)
    plan = hecc.compile(MODEL, precision=BITS, key_budget=budget)
    assert plan.header.estimate.evaluation_key_bytes <= budget
    assert len(plan.header.keys.galois) < len(free.header.keys.galois)
    assert plan.header.estimate.seconds >= free.header.estimate.seconds
    rows = np.random.default_rng(1).uniform(-1, 1, (4, 256))
    np.testing.assert_allclose(*(hecc.simulate(p, rows)["d2"] for p in (plan, free)), atol=2**-8)


def test_a_budget_that_is_large_enough_changes_nothing(free: hecc.Plan) -> None:
    plan = hecc.compile(MODEL, precision=BITS, key_budget=free.header.estimate.evaluation_key_bytes)
    assert plan.fingerprint == free.fingerprint


def test_the_least_budget_is_named_and_works() -> None:
    with pytest.raises(hecc.CompileError, match=r"take ([0-9.]+) MB at the least.*--key-budget") as refused:
        hecc.compile(MODEL, precision=BITS, key_budget=1_000_000)
    least = float(str(refused.value).split(" MB at the least")[0].split()[-1])
    plan = hecc.compile(MODEL, precision=BITS, key_budget=int(least * 1e6))
    assert plan.header.estimate.evaluation_key_bytes <= least * 1e6


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(hecc.InputError, match="give a positive number"):
        hecc.compile(MODEL, precision=BITS, key_budget=0)

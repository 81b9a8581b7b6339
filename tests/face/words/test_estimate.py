"""`hecc.estimate`: layers add up to the plan, and advice is given where it is true and nowhere else."""

import math
import re

import numpy as np
import pytest

import hecc
from hecc.words.advice import WORTH_CHANGING

SQUARE, FLATTEN = ("square",), ("flatten",)


def deep(squares):
    """Dense layers and squares in turn."""
    return ((16,), *[layer for _ in range(squares) for layer in (("gemm", 16), SQUARE)], ("gemm", 4))


def dense(features):
    """One hidden layer."""
    return ((256,), ("gemm", features), SQUARE, ("gemm", 10))


POOLED = ((1, 16, 16), ("conv", 8, 1), SQUARE, ("pool", 2), ("conv", 16, 1), SQUARE, FLATTEN, ("gemm", 10))
LESS_POOLED = ((1, 16, 16), ("conv", 2, 1), SQUARE, ("pool", 2), ("conv", 8, 1), SQUARE, FLATTEN, ("gemm", 10))
CONVOLUTIONS = ((1, 16, 16), ("conv", 4, 2), SQUARE, ("conv", 16, 1), SQUARE, FLATTEN, ("gemm", 10))
STRIDED = ((1, 16, 16), ("conv", 16, 2), SQUARE, FLATTEN, ("gemm", 10))
EVEN = ((64,), ("gemm", 64), SQUARE, ("gemm", 64), SQUARE, ("gemm", 64))

APPLIES = {
    "dominant layer": (dense(66), EVEN),
    "depth": (deep(3), deep(4)),
    "precision": (deep(3), dense(64)),
    "features": (dense(66), dense(64)),
    "channels": (CONVOLUTIONS, STRIDED),
    "stride": (CONVOLUTIONS, STRIDED),
    "pooling": (POOLED, LESS_POOLED),
}
"""For each kind of advice a network where it helps, and one where it does not."""

REALLY = {
    "depth": (deep(3), None, "square"),
    "features": (dense(66), dense(64), "gemm0"),
    "channels": (CONVOLUTIONS, (*CONVOLUTIONS[:3], ("conv", 8, 1), *CONVOLUTIONS[4:]), "conv2"),
    "stride": (CONVOLUTIONS, (*CONVOLUTIONS[:3], ("conv", 16, 2), *CONVOLUTIONS[4:]), "conv2"),
    "pooling": (POOLED, (POOLED[0], ("conv", 8, 2), SQUARE, *POOLED[4:]), "pool2"),
}
"""For most kinds the network that is advised, as somebody would write it, and the node that it is about; where the
advice says which layer to leave out, the network without it."""


@pytest.fixture(scope="module")
def estimated(network):
    """Estimates networks, each once."""
    known = {}

    def estimate(layers):
        if layers not in known:
            known[layers] = hecc.estimate(network(*layers))
        return known[layers]

    return estimate


def advice(estimation, kind):
    return [found for found in estimation.advice if found.kind == kind]


def test_layers_add_up_to_the_plan(model, digits, plan):
    found = hecc.estimate(model, calibration=digits["calibration"], advice=False)
    assert found.plan.fingerprint == plan.fingerprint
    assert found.advice == ()
    cost = plan.header.estimate
    assert math.isclose(sum(layer.seconds for layer in found.layers), cost.seconds)
    assert sum(layer.rotations for layer in found.layers) == cost.rotations
    assert math.isclose(sum(layer.share for layer in found.layers), 1.0)
    assert math.isclose(sum(layer.error_share for layer in found.layers), 1.0)
    assert found.memory.total == cost.peak_memory
    for layer in found.layers:
        assert layer.key_switching_seconds + layer.diagonal_seconds <= layer.seconds * (1 + 1e-9)


def test_a_layer_is_what_became_of_an_onnx_node(model, digits):
    found = hecc.estimate(model, calibration=digits["calibration"], advice=False)
    names = [layer.source for layer in found.layers]
    assert names == [
        "input 'image'",
        "Conv '/0/Conv'",
        "Mul '/1/Mul'",
        "Gemm '/3/Gemm'",
        "Mul '/4/Mul'",
        "Gemm '/5/Gemm'",
    ]
    assert [layer.reads for layer in found.layers] == [(), (0,), (1,), (2,), (3,), (4,)]
    assert found.merged == ((), (), (), ("Flatten '/2/Flatten'",), (), ())
    assert found.layers[-1].outputs == ("logits",)
    limbs = [layer.limbs for layer in found.layers]
    assert limbs == sorted(limbs, reverse=True)
    assert sum(layer.diagonals for layer in found.layers) == 9 + 64 + 16


def test_the_precision_of_the_last_layer_is_that_of_the_plan(model, digits):
    # The plan's is the largest error over an element's range, a layer's is of root mean squares.
    found = hecc.estimate(model, calibration=digits["calibration"], advice=False)
    assert abs(found.layers[-1].precision_bits - found.plan.header.estimate.precision_bits) < 2


@pytest.mark.parametrize("kind", APPLIES)
def test_advice_is_given_where_it_helps_and_not_where_it_does_not(kind, estimated):
    helped, other = APPLIES[kind]
    assert advice(estimated(helped), kind)
    assert not advice(estimated(other), kind)


@pytest.mark.parametrize("kind", REALLY)
def test_the_network_advised_is_as_fast_as_was_said(kind, estimated, network):
    now, then, node = REALLY[kind]
    found = estimated(now)
    (said,) = [found for found in advice(found, kind) if node in found.layer]
    if then is None:
        number = int(re.search(r"\d+", said.layer)[0]) + 1
        then = (*now[:number], *now[number + 1 :])
    plan = hecc.compile(network(*then))
    speedup = found.plan.header.estimate.seconds / plan.header.estimate.seconds
    assert said.speedup >= WORTH_CHANGING
    assert f"make the network {said.speedup:.1f} times as fast" in said.text
    # Zeros where weights would be, or other random weights: parameters may differ by a bit, not by much.
    assert math.isclose(said.speedup, speedup, rel_tol=0.1)
    assert said.ring_degree == plan.header.keys.ring_degree


def test_less_precision_is_as_fast_as_was_said(estimated, network):
    found = estimated(deep(3))
    (said,) = advice(found, "precision")
    plan = hecc.compile(network(*deep(3)), precision=8)
    assert said.speedup == found.plan.header.estimate.seconds / plan.header.estimate.seconds
    assert said.text == (
        f"8 bits of precision instead of 12 (--precision 8) would make the network {said.speedup:.1f} times as fast, "
        "with N = 2^13; `hecc simulate` tells whether predictions change"
    )


def test_the_dominant_layer_is_named_with_what_dominates_it(estimated):
    found = estimated(dense(66))
    (said,) = advice(found, "dominant layer")
    layer = found.layers[1]
    assert said.layer == layer.source == "Gemm 'gemm0'"
    assert said.text.startswith(f"Gemm 'gemm0' takes {100 * layer.share:.0f}% of the time, ")
    assert f"{layer.rotations} rotations at {layer.limbs} limbs" in said.text


def test_a_layer_behind_a_pooling_is_left_alone(estimated):
    # The pooling might be fused into a smaller layer, which is another network than the variant.
    assert not advice(estimated(POOLED), "stride")
    assert not [said for said in advice(estimated(POOLED), "channels") if "conv3" in said.layer]


def test_a_network_is_not_advised_to_become_linear(estimated):
    assert not advice(estimated(dense(64)), "depth")


def test_features_that_would_cost_nothing_are_offered(estimated, network):
    (said,) = advice(estimated(dense(66)), "features")
    assert "64 would make the network" in said.text
    assert said.text.endswith("and 128 would cost no more than now")
    seconds = [hecc.compile(network(*dense(n))).header.estimate.seconds for n in (66, 128)]
    assert seconds[1] <= 1.02 * seconds[0]


def test_a_layer_is_called_by_the_node_that_says_most(network):
    layers = ((1, 16, 16), ("conv", 16, 1), SQUARE, ("pool", 2), FLATTEN, ("gemm", 10))
    found = hecc.estimate(network(*layers), precision=11)
    assert found.layers[3].source == "Flatten 'flatten3'"
    assert found.merged[3] == ("AveragePool 'pool2'",)
    (said,) = advice(found, "pooling")
    assert said.text.startswith("a stride of 2x2 in the layer before instead of AveragePool 'pool2' would ")


def test_real_inputs_decide_the_layers_precision(model, digits):
    with_digits = hecc.estimate(model, calibration=digits["calibration"], advice=False)
    made_up = hecc.estimate(model, input_range=(0, 1), advice=False)
    assert with_digits.layers[-1].precision_bits != made_up.layers[-1].precision_bits


def test_an_operator_that_cannot_be_compiled_is_named_with_what_to_use_instead():
    from onnx import TensorProto, helper

    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 1, 4, 4]) for name in "xy"]
    node = helper.make_node("LpPool", ["x"], ["y"], "pool", kernel_shape=[1, 1])
    model = helper.make_model(
        helper.make_graph([node], "g", shapes[:1], shapes[1:]), opset_imports=[helper.make_opsetid("", 17)]
    )
    with pytest.raises(hecc.UnsupportedError, match=r"LpPool 'pool' \(opset 17\).*average pooling"):
        hecc.estimate(model)


def test_progress_names_what_is_tried(network):
    stages = []
    hecc.estimate(network(*dense(66)), progress=stages.append)
    assert "try 64 outputs of Gemm 'gemm0'" in stages


def test_estimates_of_the_same_network_are_the_same(model, digits):
    first, second = (hecc.estimate(model, calibration=digits["calibration"]) for _ in range(2))
    assert first.layers == second.layers
    assert first.advice == second.advice
    assert np.isfinite([layer.precision_bits for layer in first.layers]).all()

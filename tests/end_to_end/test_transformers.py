"""A transformer's encoder layer as PyTorch exports it: attention, normalizations and GELU, all of it encrypted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import hecc

ENCODER = Path(__file__).resolve().parents[1] / "data" / "transformer" / "encoder.onnx"
PRECISION = 6


@pytest.fixture(scope="module")
def tokens() -> np.ndarray[Any, Any]:
    """Eight tokens of sixteen numbers a row."""
    return np.random.default_rng(0).normal(size=(300, 8, 16)).clip(-3, 3).astype(np.float32)


@pytest.fixture(scope="module")
def plan(tokens: np.ndarray[Any, Any]) -> hecc.Plan:
    return hecc.compile(onnx.load(ENCODER), calibration=tokens, input_range=(-3, 3), precision=PRECISION)


def test_the_layer_is_what_pytorch_makes_of_its_module() -> None:
    operators = [node.op_type for node in onnx.load(ENCODER).graph.node]
    assert operators.count("LayerNormalization") == 2
    assert {"Softmax", "Erf"} <= set(operators)


def test_simulated_it_encodes_as_onnxruntime_does(
    plan: hecc.Plan, tokens: np.ndarray[Any, Any], three_way: Any
) -> None:
    rows = np.random.default_rng(1).normal(size=(20, 8, 16)).clip(-3, 3).astype(np.float32)
    expected = three_way.reference(ENCODER, {"tokens": rows})["encoded"]
    found = hecc.simulate(plan, rows)["encoded"]
    unit = three_way.units(three_way.reference(ENCODER, {"tokens": tokens})["encoded"])
    assert (np.abs(found - expected) / unit).max() <= 2.0**-PRECISION


@pytest.mark.slow
def test_encrypted_it_encodes_as_onnxruntime_does(
    plan: hecc.Plan, tokens: np.ndarray[Any, Any], three_way: Any
) -> None:
    """The keys take 4 GB on the disk, the server 5 GB of memory."""
    rows = np.random.default_rng(2).normal(size=(2, 8, 16)).clip(-3, 3).astype(np.float32)
    expected = three_way.reference(ENCODER, {"tokens": rows})["encoded"]
    found = three_way.encrypted(plan, {"tokens": rows})["encoded"]
    unit = three_way.units(three_way.reference(ENCODER, {"tokens": tokens})["encoded"])
    assert (np.abs(found - expected) / unit).max() <= 2.0**-PRECISION

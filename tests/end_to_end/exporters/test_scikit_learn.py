"""What scikit-learn trained, encrypted: classes and probabilities as onnxruntime has them.

The files are those of tests/data/sklearn, so that neither scikit-learn nor its exporter is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hecc

PIPELINES = Path(__file__).resolve().parents[2] / "data" / "sklearn"
ENCRYPTED = 3
"""Rows that are encrypted; all of them are simulated."""

CLOSE = 1e-3
"""Of the range of a result."""


def stored(name: str) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
    """The rows, and what onnxruntime computes of them."""
    with np.load(PIPELINES / f"{name}.npz", allow_pickle=False) as arrays:
        data = {key: arrays[key] for key in arrays.files}
    return data.pop("input X"), data


def compare(found: Any, expected: dict[str, NDArray[Any]]) -> None:
    for output, right in expected.items():
        right = right.reshape(len(right), *found[output].shape[1:])[: found.rows]
        if right.dtype.kind == "f":
            # Close to where libsvm stops to couple probabilities, one more round may be done.
            close = 5 * CLOSE if "prob" in output else CLOSE
            np.testing.assert_allclose(found[output], right, rtol=0, atol=close * np.ptp(expected[output]))
        else:
            np.testing.assert_array_equal(found[output], right)


@pytest.mark.parametrize(
    "name", ["svc-rbf", "svc-polynomial", "svc-sigmoid", "svc-probability", "svc-calibrated", "support-vectors-rbf"]
)
def test_a_support_vector_machine_answers_as_in_clear(name: str) -> None:
    rows, expected = stored(name)
    plan = hecc.compile(PIPELINES / f"{name}.onnx", calibration=rows)
    compare(hecc.simulate(plan, rows), expected)


def test_the_votes_and_probabilities_of_encrypted_rows_are_those_in_clear(tmp_path: Path) -> None:
    rows, expected = stored("svc-probability")
    plan = hecc.compile(PIPELINES / "svc-probability.onnx", calibration=rows)
    client = hecc.Client(plan)
    keys = client.keygen(tmp_path / "keys")
    with hecc.Server(plan, keys.evaluation) as server:
        compare(client.decrypt(server.run(client.encrypt(rows[:ENCRYPTED]))), expected)

"""What Keras exports, channels last: graph and client steps compute what Keras computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hecc.compiler.importer import import_model
from hecc.runtime.tail.epilogue import apply_steps, describe

NETWORKS = Path(__file__).resolve().parents[3] / "data" / "keras"
STEPS = {"perceptron": ["sigmoid"], "residual": ["softmax", ""], "series": [""], "vision": ["softmax"]}


def test_every_stored_network_is_in_the_table() -> None:
    assert {path.stem for path in NETWORKS.glob("*.onnx")} == STEPS.keys()


@pytest.mark.parametrize("name", STEPS)
def test_a_network_computes_what_keras_computes(name: str) -> None:
    with np.load(NETWORKS / f"{name}.npz", allow_pickle=False) as arrays:
        data = {key: arrays[key] for key in arrays.files}
    graph = import_model(NETWORKS / f"{name}.onnx")
    assert [describe(graph.epilogues.get(output, ())) for output in graph.outputs] == STEPS[name]
    values = graph.evaluate({node.output.name: data[f"input {k}"] for k, node in enumerate(graph.inputs())})
    for number, output in enumerate(graph.outputs):
        shape = graph.example_shape(graph.node(output).output.shape)
        found = apply_steps(values[output].reshape(-1, *shape), graph.epilogues.get(output, ()))
        right = data[f"output {number}"]
        assert found.shape == right.shape
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-5 * np.abs(right).max())

"""What a network computes, with what the client does at its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from hecc.compiler.importer import import_model
from hecc.runtime.tail.epilogue import apply_steps

Compare = Callable[..., None]


def computed(built: onnx.ModelProto, batch_axis: bool = False, **feeds: Any) -> dict[str, Any]:
    graph = import_model(built, batch_axis=batch_axis)
    rows = {name: array if batch_axis else array[np.newaxis] for name, array in feeds.items()}
    values = graph.evaluate({name: array.astype(np.float64) for name, array in rows.items()})
    shapes = {node.output.name: node.output.shape for node in graph.nodes}
    return {
        name: apply_steps(
            values[name].reshape(-1, *(shapes[name][1:] if batch_axis else shapes[name])), graph.epilogues.get(name, ())
        )
        for name in graph.outputs
    }


@pytest.fixture(scope="session")
def compare(runtime: Callable[..., Any]) -> Compare:
    """Compare all outputs with those of onnxruntime."""

    def check(built: onnx.ModelProto, batch_axis: bool = False, **feeds: Any) -> None:
        values = computed(built, batch_axis, **feeds)
        for output in list(built.graph.output):
            one = onnx.ModelProto()
            one.CopyFrom(built)
            del one.graph.output[:]
            one.graph.output.append(output)
            expected = runtime(one, feeds)
            np.testing.assert_allclose(values[output.name].reshape(expected.shape), expected, rtol=1e-5, atol=1e-5)

    return check

"""Building small models, and running them elsewhere."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

Model = Callable[..., onnx.ModelProto]
Run = Callable[[onnx.ModelProto, Mapping[str, NDArray[Any]]], NDArray[np.float64]]


@pytest.fixture(scope="session")
def model() -> Model:
    """A model from ONNX's textual syntax for graphs, with constants given as arrays."""

    def build(graph: str, opset: int = 13, **constants: NDArray[Any]) -> onnx.ModelProto:
        parsed = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> {graph}')
        parsed.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
        return parsed

    return build


@pytest.fixture(scope="session")
def runtime() -> Run:
    """The first output as onnxruntime computes it."""

    def run(built: onnx.ModelProto, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(built.SerializeToString(), options)
        return np.asarray(session.run(None, dict(inputs))[0], dtype=np.float64)

    return run

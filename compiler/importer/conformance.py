"""The official ONNX backend node tests, run on the importer's cleartext semantics.

Of every test, the first input is the data; the other inputs become constants, as the weights of a network are. A test
passes if every output agrees with the expected one, and is refused if the importer raises one of its sentences. There
is no third way: anything else is an error of hecc.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from hecc.compiler.importer.importer import import_model
from hecc.compiler.importer.operators import CONVERTERS
from hecc.runtime.errors import HeccError

__all__ = ["FOLDED", "NodeTest", "Outcome", "node_tests", "run"]

FOLDED = ("Constant", "Shape", "Size")
"""Operators that are claimed although they have no converter: they are always folded."""

TOLERANCE = {"float16": 1e-3, "bfloat16": 1e-2}
"""Relative tolerance where the expected output itself was rounded to a short type; 1e-4 elsewhere."""

FOUR_DECIMALS = frozenset({"test_averagepool_2d_ceil_last_window_starts_on_pad"})
"""Tests whose expected outputs somebody wrote down with four decimals."""


@dataclass(frozen=True, eq=False)
class NodeTest:
    """One official test: a small model with its inputs and expected outputs."""

    name: str
    operator: str
    model: onnx.ModelProto
    data: tuple[tuple[Sequence[Any], Sequence[Any]], ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a test; ``refusal`` is the sentence if it was refused, and empty if it passed."""

    name: str
    operator: str
    refusal: str = ""


def node_tests() -> Iterator[NodeTest]:
    """The official tests that use only operators which the importer claims.

    Includes those in which ONNX writes an operator out as a function of claimed ones.
    """
    from onnx.backend.test.loader import load_model_tests

    claimed = {*CONVERTERS, *FOLDED}
    with warnings.catch_warnings():
        # Writing the tests' data divides by zero and overflows on purpose.
        warnings.simplefilter("ignore")
        cases = load_model_tests(kind="node")
    for case in cases:
        assert case.model is not None, "node tests are made in memory"
        assert case.data_sets is not None, "and have data"
        nodes = case.model.graph.node
        if all(node.domain in ("", "ai.onnx") and node.op_type in claimed for node in nodes):
            yield NodeTest(case.name, nodes[0].op_type, case.model, tuple(case.data_sets))


def run(test: NodeTest) -> Outcome:
    """Run one test.

    Raises
    ------
    AssertionError
        The importer's graph computes something else than expected.
    """
    for inputs, outputs in test.data:
        model, data = _with_constants(test.model, inputs)
        try:
            graph = import_model(model, batch_axis=False)
        except HeccError as refusal:
            return Outcome(test.name, test.operator, str(refusal).splitlines()[0])
        values = graph.evaluate({name: array[np.newaxis] for name, array in data.items()})
        shapes = {node.output.name: node.output.shape for node in graph.nodes}
        for name, expected in zip(graph.outputs, map(_array, outputs), strict=True):
            if shapes[name] != expected.shape:
                raise AssertionError(f"{test.name}: shape {shapes[name]} instead of {expected.shape}")
            relative = TOLERANCE.get(expected.dtype.name, 1e-4)
            absolute = 1e-4 if test.name in FOUR_DECIMALS else 1e-6
            np.testing.assert_allclose(
                values[name].reshape(expected.shape), expected.astype(np.float64), relative, absolute, err_msg=test.name
            )
    return Outcome(test.name, test.operator)


def _with_constants(model: onnx.ModelProto, inputs: Sequence[Any]) -> tuple[onnx.ModelProto, dict[str, NDArray[Any]]]:
    """The model with all inputs but the data made constants, and the data by name."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    given = list(zip(changed.graph.input, map(_array, inputs), strict=True))
    arrays: dict[str, Any] = {}
    for item, value in given:
        if not arrays or not isinstance(value, np.ndarray):
            arrays[item.name] = value
        else:
            changed.graph.initializer.append(numpy_helper.from_array(value, item.name))
    return changed, arrays


def _array(value: Any) -> Any:
    """An array, whether the test holds an array, a number or a protocol buffer; sequences and optionals as they are."""
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value if isinstance(value, list) or value is None else np.asarray(value)

"""The official ONNX backend node tests, run on the importer's cleartext semantics.

Of every test, all inputs that hold real numbers are encrypted inputs of the network; the others, such as shapes,
indices and conditions, are constants. Where that is refused, one of them becomes a constant, such as the mask of an
attention; and where that is refused, too, only the first input is the data, and all others become constants, as the
weights of a network are. A test passes if every output agrees with the expected one, and is refused if the importer
raises one of its sentences every time. There is no third way: anything else is an error of hecc.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from hecc.compiler.graph.graph import Graph
from hecc.compiler.importer.building.importer import import_model
from hecc.compiler.importer.building.refusals import Limits
from hecc.compiler.importer.reading.prepare import FLOATS
from hecc.runtime.errors import HeccError, UnsupportedError
from hecc.runtime.tail.epilogue import apply_steps, describe

__all__ = ["DISPUTED", "FOLDED", "Network", "NodeTest", "Outcome", "choices", "networks", "node_tests", "run"]

FOLDED = ("Constant", "Shape", "Size")
"""Operators that are folded whatever they act on."""

TOLERANCE = {"float16": 1e-3, "bfloat16": 1e-2}
"""Relative tolerance where the expected output itself was rounded to a short type; 1e-4 elsewhere."""

SMALL_ERROR = 1e-4
"""What a result must not change much for, if it is to be computed encrypted."""

FOUR_DECIMALS = frozenset({"test_averagepool_2d_ceil_last_window_starts_on_pad", "test_gridsample_bicubic"})
"""Tests whose expected outputs somebody wrote down with four decimals."""


HALF_INSIDE = frozenset(
    {
        "test_attention_4d_gqa_with_past_and_present_fp16",
        "test_attention_4d_gqa_with_past_and_present_fp16_expanded",
    }
)
"""Tests whose expected outputs were computed in half precision throughout; they are off by twice as much."""

DISPUTED = frozenset(
    {"test_resize_downsample_scales_cubic_align_corners", "test_resize_downsample_scales_linear_align_corners"}
)
"""Tests whose expected outputs are neither onnxruntime's nor PyTorch's, which hecc follows."""


@dataclass(frozen=True, eq=False)
class NodeTest:
    """One official test: a small model with its inputs and expected outputs."""

    name: str
    operator: str
    model: onnx.ModelProto
    data: tuple[tuple[Sequence[Any], Sequence[Any]], ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a test.

    Attributes
    ----------
    name, operator
        Of the test.
    refusal
        The sentence if it was refused, and empty if it passed.
    steps
        What the client does after decryption, in words.
    encryptable
        Whether the test says something about encrypted data: numbers that can be encrypted, and a result that a small
        error does not change into another, as it does a choice among equal values.
    limit
        The sentence if the scheme refuses what passed in clear.
    """

    name: str
    operator: str
    refusal: str = ""
    steps: str = ""
    encryptable: bool = False
    limit: str = ""


@dataclass(frozen=True, eq=False)
class Network:
    """A test as a network: what is encrypted, and what has to come out."""

    model: onnx.ModelProto
    data: Mapping[str, Any]
    expected: tuple[Any, ...]


def node_tests(*, disputed: bool = False) -> Iterator[NodeTest]:
    """All official tests that hecc follows, or the disputed ones."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        # Writing the tests' data divides by zero and overflows on purpose.
        warnings.simplefilter("ignore")
        cases = load_model_tests(kind="node")
    for case in cases:
        assert case.model is not None, "node tests are made in memory"
        assert case.data_sets is not None, "and have data"
        if (case.name in DISPUTED) == disputed:
            yield NodeTest(case.name, case.model.graph.node[0].op_type, case.model, tuple(case.data_sets))


def run(test: NodeTest, limits: Limits | None = None) -> Outcome:
    """Run one test.

    Parameters
    ----------
    limits
        Of a scheme: whether it evaluates what the test is about.

    Raises
    ------
    AssertionError
        The importer's graph computes something else than expected.
    """
    refusal = HeccError()
    for encrypted in choices(test):
        try:
            graphs = [(network, import_model(network.model, batch_axis=False)) for network in networks(test, encrypted)]
        except HeccError as error:
            refusal = error
            continue
        compared = [_compare(test, network, graph) for network, graph in graphs]
        steps = {describe(steps) for _, graph in graphs for steps in graph.epilogues.values()}
        limit = "" if limits is None else _limit(graphs, limits)
        told = ", ".join(sorted(steps))
        return Outcome(test.name, test.operator, "", told, all(compared) and not limit, limit)
    return Outcome(test.name, test.operator, str(refusal).splitlines()[0])


def _limit(tried: Iterable[tuple[Network, Graph]], limits: Limits) -> str:
    """The sentence with which a scheme refuses networks that can be imported; empty where it refuses none."""
    for network, graph in tried:
        if not any(node.source.operator in limits.refused for node in graph.nodes):
            continue
        try:
            import_model(network.model, batch_axis=False, limits=limits)
        except UnsupportedError as refusal:
            return str(refusal).splitlines()[0]
    return ""


def choices(test: NodeTest) -> list[tuple[str, ...]]:
    """Which inputs to encrypt: all that hold real numbers; all but one; only the first input."""
    inputs = list(test.model.graph.input)
    if not inputs:
        return [()]
    real = tuple(item.name for item in inputs if item.type.tensor_type.elem_type in FLOATS)
    others = [tuple(name for name in real if name != one) for one in reversed(real)] if len(real) > 2 else []
    return list(dict.fromkeys([real or (inputs[0].name,), *others, (inputs[0].name,)]))


def networks(test: NodeTest, encrypted: Collection[str]) -> Iterator[Network]:
    """A test's data sets, with all inputs but some made constants."""
    for inputs, outputs in test.data:
        model = onnx.ModelProto()
        model.CopyFrom(test.model)
        data = {}
        for item, value in zip(model.graph.input, map(_array, inputs), strict=True):
            if item.name in encrypted or not isinstance(value, np.ndarray):
                data[item.name] = value
            else:
                model.graph.initializer.append(numpy_helper.from_array(value, item.name))
        yield Network(model, data, tuple(map(_array, outputs)))


def _compare(test: NodeTest, network: Network, graph: Graph) -> bool:
    """Compare what the graph computes with what has to come out; returns whether the test can be run encrypted."""
    values = graph.evaluate({name: array[np.newaxis] for name, array in network.data.items()})
    shapes = {node.output.name: node.output.shape for node in graph.nodes}
    encryptable = all(array.size > 0 and bool(np.isfinite(array).all()) for array in network.data.values())
    for name, expected in zip(graph.outputs, network.expected, strict=True):
        steps = graph.epilogues.get(name, ())
        decrypted = values[name].reshape(1, *shapes[name])
        found = apply_steps(decrypted, steps)[0]
        if found.shape != expected.shape:
            raise AssertionError(f"{test.name}: shape {found.shape} instead of {expected.shape}")
        relative = TOLERANCE.get(expected.dtype.name, 1e-4)
        relative = 2 * relative if test.name in HALF_INSIDE else relative
        absolute = 1e-4 if test.name in FOUR_DECIMALS else 1e-6
        np.testing.assert_allclose(found, expected.astype(np.float64), relative, absolute, err_msg=test.name)
        if steps and encryptable:
            error = SMALL_ERROR * np.random.default_rng(0).standard_normal(decrypted.shape)
            disturbed = apply_steps(decrypted + error, steps)[0], apply_steps(decrypted - error, steps)[0]
            encryptable = all(
                bool(np.abs(np.subtract(result, found, dtype=np.float64)).max() < 10 * SMALL_ERROR)
                for result in disturbed
            )
    return encryptable


def _array(value: Any) -> Any:
    """An array, whether the test holds an array, a number or a protocol buffer; sequences and optionals as they are."""
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value if isinstance(value, list) or value is None else np.asarray(value)

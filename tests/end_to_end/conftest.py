"""The three-way check: what onnxruntime computes, what the plan computes in clear, and what comes out of encryption."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from onnx import numpy_helper

import hecc
from hecc.compiler.importer import import_model
from hecc.passes.ckks.pipeline import canonicalise
from hecc.runtime.plan.keyset import KeySet
from hecc.runtime.plan.plan import Plan

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]

FLOAT32 = 2e-6
"""Largest relative difference between onnxruntime's single precision and double precision."""

KEPT = (np.int64, np.bool_)
"""Types that constants keep; others become single precision."""

FEW_ROWS = 16
"""With fewer inputs the range of an element says little."""

CORNERS = 30

WEIGHTS = 2.0**-20
"""Largest relative difference that weights rounded to single precision make in a few layers."""


def build(graph: str, opset: int = 13, **constants: Array) -> onnx.ModelProto:
    """A model from ONNX's textual syntax for graphs, with constants given as arrays."""
    parsed = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> {graph}')
    parsed.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(array, dtype=array.dtype if array.dtype in KEPT else np.float32), name)
        for name, array in ((name, np.asarray(value)) for name, value in constants.items())
    )
    onnx.checker.check_model(parsed)
    return parsed


def reference(model: onnx.ModelProto | Path, inputs: Mapping[str, Array]) -> Arrays:
    """All outputs as onnxruntime computes them, row by row, so that a fixed batch of one does no harm."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    given = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(given, options)
    names = [output.name for output in session.get_outputs()]
    rows = [
        session.run(None, {name: values[i : i + 1].astype(np.float32) for name, values in inputs.items()})
        for i in range(len(next(iter(inputs.values()))))
    ]
    return {name: np.concatenate([row[k] for row in rows]).astype(np.float64) for k, name in enumerate(names)}


def with_corners(inputs: Mapping[str, Array]) -> Arrays:
    """Inputs, and as many corners of what they span as make a range: a few at random, the lowest, and the highest."""
    rng = np.random.default_rng(5)
    joined = {}
    for name, values in inputs.items():
        signs = rng.integers(0, 2, (CORNERS, *values.shape[1:])).astype(bool)
        signs[0], signs[1] = False, True
        joined[name] = np.concatenate([values, np.where(signs, values.max(), values.min()).astype(values.dtype)])
    return joined


def units(expected: Array) -> Array:
    """The range of each element over the rows; its size where it is constant, and of zeros the largest of all."""
    span, size = np.ptp(expected, axis=0), np.abs(expected).max(axis=0)
    unit = np.where(span > 2.0**-22 * size, span, size)
    return np.where(unit > 0, unit, np.abs(expected).max())


@dataclass(frozen=True)
class Outcome:
    """What a three-way check has made, for further assertions."""

    plan: Plan
    expected: Arrays
    decrypted: Arrays


class ThreeWay:
    """Compiles networks, and compares what they compute in clear and encrypted; keys are shared where they can be."""

    build = staticmethod(build)
    reference = staticmethod(reference)
    units = staticmethod(units)

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys: dict[str, KeySet] = {}

    def keys(self, plan: Plan) -> tuple[hecc.Client, KeySet]:
        """A client with keys, which plans of one key specification share."""
        fingerprint = plan.header.keys.fingerprint
        folder = self._folder / fingerprint
        if fingerprint not in self._keys:
            client = hecc.Client(plan)
            self._keys[fingerprint] = client.keygen(folder)
            return client, self._keys[fingerprint]
        return hecc.Client(plan, folder), self._keys[fingerprint]

    def encrypted(self, plan: Plan, inputs: Mapping[str, Array]) -> Arrays:
        """Encrypt, run and decrypt."""
        client, keys = self.keys(plan)
        with hecc.Server(plan, keys.evaluation) as server:
            return client.decrypt(server.run(client.encrypt(dict(inputs))))

    def __call__(
        self,
        model: onnx.ModelProto,
        inputs: Mapping[str, Array],
        *,
        rows: int = 1,
        precision: float = 12.0,
        spare: float = 0.0,
        **options: Any,
    ) -> Outcome:
        """Check one network on ``inputs``, of shape (calibration rows, ...); the first ``rows`` are encrypted.

        The compiler is asked for ``spare`` bits more: where errors are as uneven as the values, the largest of one
        encryption may be larger than that of the one that was simulated. Other options are those of the compiler.

        The bound of the decrypted result is the promise of ``precision``: ``2^-precision`` of each element's own range,
        over the inputs and, where these are few, over corners of what they span as well.
        """
        expected = reference(model, inputs)
        few = len(next(iter(inputs.values()))) < FEW_ROWS
        known = reference(model, with_corners(inputs)) if few else expected

        imported = import_model(model)
        for graph in (imported, canonicalise(imported)):
            values = graph.evaluate(inputs)
            for name, exact in expected.items():
                _agree(values[graph.aliases.get(name, name)], exact, FLOAT32, f"the graph's {name}")

        plan = hecc.compile(model, calibration=dict(inputs), precision=precision + spare, **options)
        for name, values in hecc.simulate(plan, dict(inputs), noise=False).items():
            _agree(values, expected[name], WEIGHTS + FLOAT32, f"the circuit's {name} in clear")

        decrypted = self.encrypted(plan, {name: values[:rows] for name, values in inputs.items()})
        assert set(decrypted) == set(expected)
        for name, values in decrypted.items():
            assert values.shape == expected[name][:rows].shape
            errors = np.abs(values - expected[name][:rows])
            off = errors / units(known[name])
            assert off.max() <= 2.0**-precision, f"an element of {name} is off by {off.max():.3g} of its range"
            # A result that does not depend on the input needs no encryption.
            constant = not np.ptp(expected[name], axis=0).any()
            assert errors.any() or constant, "an encrypted evaluation without any noise is none"
        return Outcome(plan, expected, decrypted)


def _agree(found: Array, exact: Array, relative: float, what: str) -> None:
    largest = float(np.abs(exact).max())
    assert largest > 0, f"{what}: a network that is zero everywhere shows nothing"
    np.testing.assert_allclose(found.reshape(exact.shape), exact, rtol=0, atol=relative * largest, err_msg=what)


@pytest.fixture(scope="session")
def three_way(tmp_path_factory: pytest.TempPathFactory) -> ThreeWay:
    return ThreeWay(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def draw() -> Callable[..., Array]:
    """Numbers that are the same in every run, uniform in [-1, 1]."""

    def numbers(*shape: int, seed: int = 0) -> Array:
        return np.random.default_rng((seed, *shape)).uniform(-1, 1, shape).astype(np.float32)

    return numbers

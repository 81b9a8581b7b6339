"""The official ONNX node tests that pass in clear, encrypted: to a hundredth."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hecc
from hecc.compiler.importer.tables.conformance import Network, NodeTest, choices, networks, node_tests, run
from hecc.runtime.errors import CompileError, UnsupportedError
from hecc.runtime.plan.plan import Plan

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reference" / "operators.md"


def listed() -> set[str]:
    """The tests that say something about encrypted data, by the documentation, which a test of its own keeps current.

    To find them anew would take a minute, whichever tests are to be run.
    """
    sections = DOCUMENT.read_text(encoding="utf-8").split("\n## Official tests passed")[1:]
    lines = [next(line for line in section.splitlines() if line.startswith("`test_")) for section in sections]
    return {name for line in lines for name in re.findall(r"`(\w+)`", line)}


NAMES = listed()
TESTS = [test for test in node_tests() if test.name in NAMES]
ENDS = {"test_acos", "test_acosh", "test_acosh_example", "test_asin", "test_atanh", "test_tan"}
"""Tests with data at the very ends of where the function is defined: with a margin they are beyond them."""

TOLERANCE = 1e-2
BITS = 10.0, 7.0, 5.0
"""Asked for, of the range of every element; the fewer where no polynomial follows a kink more closely. Versions of onnx
draw the data anew: an element that happens to be small beside its argument has few bits."""


def compiled(test: NodeTest) -> tuple[Plan, Network]:
    """The plan of a test, with as many inputs encrypted as can be, calibrated with the test's own data."""
    refusal = None
    for encrypted in choices(test):
        (network,) = networks(test, encrypted)
        rows = {name: np.asarray(array, np.float64)[np.newaxis] for name, array in network.data.items()}
        ranges = {name: (float(array.min()) - 1.0, float(array.max()) + 1.0) for name, array in rows.items()}
        # A softmax is as far off as the values before it, however large they are.
        largest = max(float(np.abs(array).max()) for array in rows.values()) if run(test).steps else 1.0
        try:
            return _plan(network, rows, ranges, max(0.0, np.log2(largest))), network
        except UnsupportedError as error:
            refusal = error
    assert refusal is not None
    raise refusal


def _plan(network: Network, rows: dict[str, Any], ranges: dict[str, tuple[float, float]], more_bits: float) -> Plan:
    for bits in BITS:
        try:
            return hecc.compile(
                network.model, calibration=rows, input_range=ranges, precision=bits + more_bits, batch_axis=False
            )
        except CompileError as error:
            if bits == BITS[-1] or "is not a polynomial" not in str(error):
                raise
    raise AssertionError


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.name)
def test_an_official_node_test_passes_encrypted(test: NodeTest, three_way: Any) -> None:
    if test.name in ENDS:
        with pytest.raises(CompileError, match="is not finite everywhere between"):
            compiled(test)
        return
    plan, network = compiled(test)
    rows = {name: np.asarray(array, np.float64)[np.newaxis] for name, array in network.data.items()}
    found = three_way.encrypted(plan, rows)
    for signature, expected in zip(plan.header.outputs, network.expected, strict=True):
        values = found[signature.name]
        assert values.shape == (1, *expected.shape)
        exact = expected.astype(np.float64)
        tolerance = max(TOLERANCE, 2.0**-plan.header.estimate.precision_bits)
        np.testing.assert_allclose(values[0], exact, rtol=0, atol=tolerance * max(1.0, np.abs(exact).max()))

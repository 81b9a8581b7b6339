"""Official ONNX node tests under sharing, as both parties compute them: one of every family that takes seconds."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

import hecc
from hecc.runtime.errors import HeccError

SPEC = importlib.util.spec_from_file_location("verify_shared", Path(__file__).with_name("verify.py"))
assert SPEC is not None
assert SPEC.loader is not None
verify = importlib.util.module_from_spec(SPEC)
sys.modules["verify_shared"] = verify
SPEC.loader.exec_module(verify)

RECORD = verify.record("sharing")

SECONDS = 1.0
"""A test that takes longer is slow."""

NAMES = [
    name if entry.get("seconds", 0.0) <= SECONDS else pytest.param(name, marks=pytest.mark.slow)
    for name, entry in sorted(RECORD.items())
]


@pytest.mark.filterwarnings("ignore:.*calibration input")
@pytest.mark.parametrize("name", NAMES)
def test_an_official_node_test_passes_shared(name: str) -> None:
    test = verify.tests().get(name)
    if test is None:
        pytest.skip("another version of onnx has other tests")
    if "refused" in RECORD[name]:
        with pytest.raises(HeccError):
            verify.compiled(test, "sharing")
        return
    plan, network = verify.compiled(test, "sharing")
    assert verify.error_of(plan, network, hecc.simulate(plan, verify.own_row(network))) <= 1

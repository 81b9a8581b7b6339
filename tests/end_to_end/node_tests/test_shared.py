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
"""A test that takes longer is slow, and so are all of a family but its first."""


def _names() -> list[object]:
    names: list[object] = []
    families: set[str] = set()
    for name, entry in sorted(RECORD.items()):
        family = name.removeprefix("test_").partition("_")[0]
        if entry.get("seconds", 0.0) <= SECONDS and family not in families:
            families.add(family)
            names.append(name)
        else:
            names.append(pytest.param(name, marks=pytest.mark.slow))
    return names


@pytest.mark.filterwarnings("ignore:.*calibration input")
@pytest.mark.parametrize("name", _names())
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

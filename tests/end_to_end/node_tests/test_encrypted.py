"""The official ONNX node tests that pass in clear, encrypted: one of every operator, and with the slow tests all."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from hecc.runtime.errors import HeccError

SPEC = importlib.util.spec_from_file_location("verify", Path(__file__).with_name("verify.py"))
assert SPEC is not None
assert SPEC.loader is not None
verify = importlib.util.module_from_spec(SPEC)
sys.modules["verify"] = verify
SPEC.loader.exec_module(verify)

RECORD: dict[str, dict[str, Any]] = verify.record()

SECONDS = 1.0
"""That a test of the sample takes at the most."""


def family(name: str) -> str:
    """What a test is named after, about an operator."""
    return name.split("_")[1]


def sample() -> set[str]:
    """Of each family the test that takes least, if it takes little."""
    cheapest: dict[str, str] = {}
    quick = {name: entry["seconds"] for name, entry in RECORD.items() if "error" in entry}
    for name in sorted(quick, key=lambda name: (quick[name], name)):
        if quick[name] <= SECONDS:
            cheapest.setdefault(family(name), name)
    return set(cheapest.values())


SAMPLE = sample()
NAMES = [name if name in SAMPLE else pytest.param(name, marks=pytest.mark.slow) for name in sorted(RECORD)]


@pytest.mark.parametrize("name", NAMES)
def test_an_official_node_test_passes_encrypted(name: str, three_way: Any) -> None:
    test = verify.tests().get(name)
    if test is None:
        pytest.skip("another version of onnx has other tests")
    if "unfinished" in RECORD[name]:
        pytest.skip(RECORD[name]["unfinished"])
    if "refused" in RECORD[name]:
        # Named on the page of operators with this reason.
        with pytest.raises(HeccError):
            verify.compiled(test)
        return
    plan, network = verify.compiled(test)
    assert verify.error_of(plan, network, three_way.encrypted(plan, verify.own_row(network))) <= 1


def test_no_entry_of_the_record_is_a_wrong_result() -> None:
    assert all(entry["error"] <= 1 for entry in RECORD.values() if "error" in entry)


def test_another_result_than_the_expected_one_is_an_error(three_way: Any) -> None:
    plan, network = verify.compiled(verify.tests()["test_transpose_default"])
    found = three_way.encrypted(plan, verify.own_row(network))
    (name,) = found
    assert verify.error_of(plan, network, found) <= 1
    assert verify.error_of(plan, network, {name: found[name] + 0.02}) > 1
    assert verify.error_of(plan, network, {name: found[name][:, :1]}) > 1

"""Official ONNX node tests under MORE, as the server computes them on what is encoded: the first of every family."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location("verify_encoded", Path(__file__).with_name("verify.py"))
assert SPEC is not None
assert SPEC.loader is not None
verify = importlib.util.module_from_spec(SPEC)
sys.modules["verify_encoded"] = verify
SPEC.loader.exec_module(verify)

RECORD = verify.record("more")


def _names() -> list[object]:
    names: list[object] = []
    families: set[str] = set()
    for name in sorted(RECORD):
        family = name.removeprefix("test_").partition("_")[0]
        names.append(pytest.param(name, marks=pytest.mark.slow) if family in families else name)
        families.add(family)
    return names


@pytest.mark.filterwarnings("ignore:.*calibration input")
@pytest.mark.parametrize("name", _names())
def test_an_official_node_test_passes_encoded(name: str) -> None:
    if name not in verify.tests():
        pytest.skip("another version of onnx has other tests")
    found, expected = verify.encoded(name), RECORD[name]
    assert found.get("refused") == expected.get("refused")
    assert found.get("compares") == expected.get("compares")
    assert found.get("error", 0.0) <= max(1.0, expected.get("error", 0.0))

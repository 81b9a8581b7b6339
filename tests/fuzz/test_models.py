"""Mutated networks: each is imported or refused in a sentence, soon."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("model_worker.py")
BLOCK = 250


def _check(block: int) -> None:
    command = [sys.executable, str(WORKER), str(block * BLOCK), str(BLOCK)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wrong = [line for line in done.stdout.splitlines() if line.startswith("seed")]
    assert (done.returncode, wrong) == (0, []), done.stdout[-200:] + done.stderr[-2000:]
    refused = re.search(r"^(\d+) refused$", done.stdout, re.MULTILINE)
    assert refused
    assert 0 < int(refused[1]) < BLOCK


def test_a_mutated_network_is_imported_or_refused() -> None:
    _check(0)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(1, 41))
def test_many_mutated_networks_are_imported_or_refused(block: int) -> None:
    _check(block)

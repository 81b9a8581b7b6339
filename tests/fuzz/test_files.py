"""Mutated files: whatever stands in them, they are refused in a sentence or harmless."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("worker.py")
FORMATS = (
    "server plan",
    "client plan",
    "secret key",
    "public key",
    "evaluation keys",
    "encrypted rows",
    "results",
)


MORE_WORKER = Path(__file__).with_name("more_worker.py")
MORE_FORMATS = (
    "server plan",
    "client plan",
    "secret key",
    "evaluation keys",
    "encoded rows",
    "results",
    "checkpoint",
    "trained network",
)


def receive(specimens: Path, wanted: str, first: int, count: int, worker: Path = WORKER) -> list[str]:
    """What is wrong with how mutations ``first`` to ``first + count - 1`` of a format were received."""
    wrong: list[str] = []
    end = first + count
    while first < end:
        command = [sys.executable, str(worker), str(specimens), wanted, str(first), str(end - first)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        number = first - 1
        for line in done.stdout.splitlines():
            if line.isdigit():
                number = int(line)
            elif line != "done":
                wrong.append(f"{wanted} {number}: {line}")
        if done.stdout.endswith("done\n"):
            break
        wrong.append(f"{wanted} {number}: the process ended with {done.returncode}: {done.stderr[-2000:]}")
        first = number + 1 if number >= first else end
    return wrong


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is bounded and measured as on Linux")
@pytest.mark.parametrize("wanted", FORMATS)
def test_a_mutated_file_is_refused_or_harmless(specimens: Path, wanted: str) -> None:
    assert receive(specimens, wanted, 0, 60) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is bounded and measured as on Linux")
@pytest.mark.parametrize("wanted", FORMATS)
def test_ten_thousand_mutated_files_are_refused_or_harmless(specimens: Path, wanted: str) -> None:
    assert receive(specimens, wanted, 0, 10_000) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is bounded and measured as on Linux")
@pytest.mark.parametrize("wanted", MORE_FORMATS)
def test_a_mutated_file_of_more_is_refused_or_harmless(more_specimens: Path, wanted: str) -> None:
    assert receive(more_specimens, wanted, 0, 60, MORE_WORKER) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is bounded and measured as on Linux")
@pytest.mark.parametrize("wanted", MORE_FORMATS)
def test_ten_thousand_mutated_files_of_more_are_refused_or_harmless(more_specimens: Path, wanted: str) -> None:
    assert receive(more_specimens, wanted, 0, 10_000, MORE_WORKER) == []

"""Ledgers: no block is used twice, whenever a party is killed, whoever else asks, whatever the other party says."""

import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest

from hecc.runtime.errors import FileFormatError, InputError, SecurityError
from hecc.runtime.sharing.material import ledger as module
from hecc.runtime.sharing.material.ledger import Ledger

BATCH = b"a batch"


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path / "ledger", BATCH, 10, 1000)
    made.create()
    return made


def test_blocks_are_taken_in_order(ledger, tmp_path):
    assert [ledger.reserve(rows) for rows in (1, 5, 2)] == [10, 11, 16]
    assert Ledger(tmp_path / "ledger", BATCH, 10, 1000).next == 18


def test_the_later_of_two_ledgers_counts(ledger):
    assert ledger.reserve(2, 50) == 50
    assert ledger.reserve(2, 12) == 52
    assert ledger.reserve(1, 60, at_least=False) == 60


def test_blocks_that_are_gone_are_refused(ledger):
    ledger.reserve(5)
    with pytest.raises(SecurityError, match="has reserved block 14, and blocks before 15 are gone"):
        ledger.reserve(1, 14, at_least=False)
    assert ledger.next == 15


def test_a_proposal_cannot_burn_everything(ledger, monkeypatch):
    monkeypatch.setattr(module, "MOST_SKIPPED", 100)
    with pytest.raises(SecurityError, match="asks for block 111, and the next one here is 10"):
        ledger.reserve(1, 111)
    assert ledger.reserve(1, 110) == 110


@pytest.mark.parametrize(("rows", "proposal"), [(1001, 0), (2, 1009)])
def test_more_than_there_are_is_refused(ledger, rows, proposal, monkeypatch):
    with pytest.raises(InputError, match="are left; deal new material"):
        ledger.reserve(rows, proposal)
    assert ledger.reserve(1000) == 10


def test_processes_and_threads_never_get_the_same_block(ledger):
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: ledger.reserve(3), range(100)))
    assert sorted(taken) == list(range(10, 310, 3))


@pytest.mark.parametrize("change", ["missing", "empty", "other batch", "altered", "shortened record", "rolled on"])
def test_a_ledger_that_is_not_whole_is_refused_or_mended(ledger, tmp_path, change):
    path = tmp_path / "ledger"
    ledger.reserve(5)
    content = path.read_bytes()
    if change == "missing":
        path.unlink()
        with pytest.raises(InputError, match="the ledger is missing"):
            ledger.reserve(1)
    elif change == "empty":
        path.write_bytes(b"")
        with pytest.raises(FileFormatError, match="empty"):
            ledger.reserve(1)
    elif change == "other batch":
        with pytest.raises(FileFormatError, match="not the one of this material"):
            Ledger(path, b"another", 10, 1000).reserve(1)
    elif change == "altered":
        path.write_bytes(content[:40] + bytes([content[40] - 1]) + content[41:])
        with pytest.raises(FileFormatError, match="was altered"):
            ledger.reserve(1)
    elif change == "shortened record":
        # The second record was cut off while it was written: it was never handed out.
        path.write_bytes(content[:-1])
        assert ledger.reserve(1) == 10
        assert ledger.reserve(1) == 11
    else:
        path.write_bytes(content + content[40:])
        with pytest.raises(FileFormatError, match="was altered"):
            ledger.reserve(1)


def test_there_is_one_ledger_for_a_batch(ledger):
    with pytest.raises(InputError):
        ledger.create()


WORKER = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from hecc.runtime.sharing.material.ledger import Ledger

    deadly, path, used = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    points = 0

    def point():
        global points
        points += 1
        if points == deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    def deadly_write(handle, data, write=os.write):
        point()
        half = write(handle, data[: len(data) // 2])
        point()
        rest = write(handle, data[half:])
        point()
        return half + rest

    def deadly_sync(handle, fsync=os.fsync):
        point()
        fsync(handle)
        point()

    os.write, os.fsync = deadly_write, deadly_sync
    ledger = Ledger(path, b"a batch", 10, 1000)
    for _ in range(3):
        block = ledger.reserve(1)
        point()
        with open(used, "a") as file:  # the first masked byte leaves
            file.write(f"{block}\\n")
        point()
    print(points)
    """
)


def test_no_block_is_used_twice_whenever_a_party_is_killed(tmp_path):
    """Killed before, between and after every write and every synchronisation, and started again each time."""
    path, used = tmp_path / "ledger", tmp_path / "used"
    Ledger(path, BATCH, 10, 1000).create()

    def run(deadly):
        return subprocess.run(
            [sys.executable, "-c", WORKER, str(deadly), path, used], capture_output=True, text=True, check=False
        )

    points = int(run(0).stdout)
    assert points == 3 * 7
    for deadly in range(1, points + 1):
        assert run(deadly).returncode == -signal.SIGKILL
    blocks = [int(line) for line in used.read_text().split()]
    assert len(blocks) > points
    assert len(set(blocks)) == len(blocks)
    assert Ledger(path, BATCH, 10, 1000).next > max(blocks)


def test_the_test_of_kills_finds_a_ledger_that_hands_out_first(tmp_path):
    """With the block handed out before it is written down, some kill makes it be used twice."""
    early = "block = ledger.next; open(used, 'a').write(f'{block}\\n'); ledger.reserve(1)\n"
    broken = WORKER.replace("block = ledger.reserve(1)\n", early)
    assert broken != WORKER
    path, used = tmp_path / "ledger", tmp_path / "used"
    Ledger(path, BATCH, 10, 1000).create()
    for deadly in (1, 2):
        subprocess.run([sys.executable, "-c", broken, str(deadly), path, used], capture_output=True, check=False)
    blocks = used.read_text().split()
    assert len(set(blocks)) < len(blocks)

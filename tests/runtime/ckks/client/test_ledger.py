"""Disclosed results are counted: durably, for all plans of a key together, and by one at a time."""

import contextlib
import hmac
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time

import numpy as np
import pytest

from hecc.runtime.ckks.client import ledger as module
from hecc.runtime.ckks.client.ledger import EARLIER, LEDGER, Ledger, file_system
from hecc.runtime.errors import DisclosureError, FileFormatError, InputError

KEY, PLAN, OTHER = "0" * 64, "1" * 64, "2" * 64
SECRET = np.arange(8, dtype=np.uint64).reshape(2, 4)

SPENDER = f"""
import sys
import numpy as np
from pathlib import Path
from hecc.runtime.ckks.client.ledger import Ledger
from hecc.runtime.errors import DisclosureError
ledger = Ledger(Path("."), {KEY!r}, np.arange(8, dtype=np.uint64).reshape(2, 4))
try:
    for _ in range(int(sys.argv[1])):
        ledger.spend({PLAN!r}, int(sys.argv[2]), 1)
        print("shown", flush=True)
except DisclosureError:
    pass
"""


def ledger(folder, key=KEY, secret=SECRET) -> Ledger:
    return Ledger(folder, key, secret)


@pytest.fixture(autouse=True)
def begun(tmp_path):
    ledger(tmp_path).begin()


def spender(folder, number, results):
    command = [sys.executable, "-c", SPENDER, str(number), str(results)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)


def test_results_are_counted_and_refused_when_there_are_none_left(tmp_path):
    assert ledger(tmp_path).left(PLAN, 5) == 5
    ledger(tmp_path).spend(PLAN, 5, 3)
    assert ledger(tmp_path).left(PLAN, 5) == 2
    before = (tmp_path / LEDGER).read_bytes()
    with pytest.raises(DisclosureError, match=r"3 results to be disclosed, and 2 are left of the 5 that the plan"):
        ledger(tmp_path).spend(PLAN, 5, 3)
    assert (tmp_path / LEDGER).read_bytes() == before
    ledger(tmp_path).spend(PLAN, 5, 2)
    assert ledger(tmp_path).left(PLAN, 5) == 0


def test_plans_of_one_key_share_what_may_be_told_of_it(tmp_path):
    ledger(tmp_path).spend(PLAN, 4, 3)
    assert ledger(tmp_path).left(OTHER, 100) == 25
    ledger(tmp_path).spend(OTHER, 100, 20)
    assert ledger(tmp_path).left(PLAN, 4) == 0
    assert ledger(tmp_path).left(OTHER, 100) == 5


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_the_file_is_its_owners(tmp_path):
    ledger(tmp_path).spend(PLAN, 4, 1)
    assert (tmp_path / LEDGER).stat().st_mode & 0o777 == 0o600


ALTERATIONS = {
    "count": "UPDATE spent SET shown = 1",
    "plan": "DELETE FROM spent",
    "type": "UPDATE spent SET shown = 'three'",
    "negative": "UPDATE spent SET shown = -3",
    "another page": "INSERT INTO page SELECT * FROM page",
    "no page": "DELETE FROM page",
    "trigger": "CREATE TRIGGER less AFTER UPDATE ON page BEGIN DELETE FROM spent; END",
    "view": "CREATE VIEW seen AS SELECT * FROM spent",
    "version": "PRAGMA user_version = 2",
    "application": "PRAGMA application_id = 1",
}


@pytest.mark.parametrize("change", [*ALTERATIONS, "garbage", "truncated", "empty", "large"])
def test_an_altered_file_is_refused(tmp_path, change):
    path = tmp_path / LEDGER
    ledger(tmp_path).spend(PLAN, 4, 3)
    if change in ALTERATIONS:
        database = sqlite3.connect(path, isolation_level=None)
        database.execute(ALTERATIONS[change])
        database.close()
    content = path.read_bytes()
    changed = {"garbage": b"no database" * 1000, "truncated": content[:5000], "empty": b"", "large": content * 1000}
    path.write_bytes(changed.get(change, content))
    for use in (lambda: ledger(tmp_path).left(PLAN, 4), lambda: ledger(tmp_path).spend(PLAN, 4, 1)):
        with pytest.raises(
            FileFormatError, match="was altered, or belongs to other keys; restore it, or make new keys"
        ):
            use()


def test_the_file_of_another_key_is_refused(tmp_path):
    ledger(tmp_path).spend(PLAN, 4, 3)
    with pytest.raises(FileFormatError, match="belongs to other keys"):
        ledger(tmp_path, key="f" * 64).left(PLAN, 4)
    with pytest.raises(FileFormatError, match="was altered"):
        ledger(tmp_path, secret=SECRET + np.uint64(1)).left(PLAN, 4)


def test_a_ledger_that_is_not_there_does_not_begin_anew(tmp_path):
    ledger(tmp_path).spend(PLAN, 4, 3)
    (tmp_path / LEDGER).unlink()
    for use in (lambda: ledger(tmp_path).left(PLAN, 4), lambda: ledger(tmp_path).spend(PLAN, 4, 1)):
        with pytest.raises(
            DisclosureError, match=r"is not here, .* so nothing tells how many were disclosed; restore it, or make"
        ):
            use()
    assert not (tmp_path / LEDGER).exists()


def test_what_an_earlier_hecc_counted_is_not_forgotten(tmp_path):
    (tmp_path / EARLIER).write_text("{}")
    with pytest.raises(DisclosureError, match=r"shared\.json: a list of disclosed results by an earlier hecc"):
        ledger(tmp_path).spend(PLAN, 4, 1)


def test_a_ledger_that_is_there_already_goes_on_counting(tmp_path):
    """A count whose name or bytes a new hecc did not know would be lost: this one was written by the first release."""
    entries = f'[{{"plan":"{PLAN}","results":5,"shown":3}}]'
    content = f'{{"key_id":"{KEY}","plans":{entries},"mac":""}}'.encode()
    key = hmac.digest(SECRET.astype("<u8").tobytes(), b"hecc shared results", "sha256")
    with contextlib.closing(sqlite3.connect(tmp_path / "shared.db", isolation_level=None)) as database:
        database.execute("INSERT INTO spent (plan, results, shown) VALUES (?, 5, 3)", (PLAN,))
        database.execute("UPDATE page SET mac = ?", (hmac.digest(key, content, "sha256").hex(),))
    assert ledger(tmp_path).left(PLAN, 5) == 2
    ledger(tmp_path).spend(PLAN, 5, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["shared.db"]
    assert ledger(tmp_path).left(PLAN, 5) == 1


def test_a_copy_of_the_folder_has_a_ledger_of_its_own(tmp_path):
    """As the threat model says: a count is of a folder."""
    ledger(tmp_path).spend(PLAN, 4, 3)
    shutil.copytree(tmp_path, tmp_path / "copy")
    ledger(tmp_path / "copy").spend(PLAN, 4, 1)
    assert ledger(tmp_path).left(PLAN, 4) == 1


def test_processes_that_spend_at_once_show_no_more_than_is_allowed(tmp_path):
    processes = [spender(tmp_path, 6, 10) for _ in range(3)]
    while any(process.poll() is None for process in processes):
        # Who only reads never finds it half written.
        assert 0 <= ledger(tmp_path).left(PLAN, 10) <= 10
        time.sleep(0.02)
    shown = sum(process.communicate(timeout=120)[0].count("shown") for process in processes)
    assert shown == 10
    assert ledger(tmp_path).left(PLAN, 10) == 0


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_a_process_that_is_killed_has_counted_what_it_showed(tmp_path):
    generator, shown, results = np.random.default_rng(3), 0, 10_000
    for turn in range(4):
        process = spender(tmp_path, results, results)
        assert process.stdout.readline() == "shown\n"
        time.sleep(generator.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        shown += 1 + process.communicate(timeout=60)[0].count("shown\n")
        # At each end, one may be counted and not shown; never the other way round.
        assert shown <= results - ledger(tmp_path).left(PLAN, results) <= shown + turn + 1
    ledger(tmp_path).spend(PLAN, results, 1)


def test_a_lock_that_another_process_does_not_see_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PROBE", "")
    with pytest.raises(InputError, match="a second process did not find it locked"):
        ledger(tmp_path).spend(PLAN, 4, 1)
    assert ledger(tmp_path).left(PLAN, 4) == 4


def test_without_a_second_process_nothing_is_disclosed(tmp_path, monkeypatch):
    monkeypatch.setattr(module.sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(InputError, match="the process that has to find it locked could not be run"):
        ledger(tmp_path).spend(PLAN, 4, 1)
    assert ledger(tmp_path).left(PLAN, 4) == 4


def test_a_python_without_sqlite_discloses_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    for use in (ledger(tmp_path).begin, lambda: ledger(tmp_path).spend(PLAN, 4, 1)):
        with pytest.raises(InputError, match="this Python was built without SQLite"):
            use()


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p"])
def test_a_file_system_of_several_machines_is_refused(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(module, "file_system", lambda folder: kind)
    with pytest.raises(InputError, match=f"of type {kind}, where no lock keeps two machines"):
        ledger(tmp_path).spend(PLAN, 4, 1)
    assert ledger(tmp_path).left(PLAN, 4) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_file_system_is_that_of_the_innermost_mount():
    assert file_system(module.Path("/proc/self")) == "proc"
    assert file_system(module.Path("/sys")) in ("sysfs", "")


@pytest.mark.skipif(os.name != "posix", reason="folders are synchronised on POSIX only")
def test_a_count_and_its_folder_are_on_the_disk(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(module.os, "fsync", lambda handle: synced.append(stat.S_ISDIR(os.fstat(handle).st_mode)))
    ledger(tmp_path).spend(PLAN, 4, 1)
    assert True in synced
    with ledger(tmp_path)._open() as database:
        assert database.execute("PRAGMA synchronous").fetchone() == (3,)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert database.execute("PRAGMA trusted_schema").fetchone() == (0,)

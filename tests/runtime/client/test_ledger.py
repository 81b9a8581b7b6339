"""Results that are shown to others are counted: durably, for all plans of a key together, and by one at a time."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from hecc.runtime.client.ledger import LEDGER, Ledger
from hecc.runtime.errors import FileFormatError, ShareError

KEY, PLAN, OTHER = "0" * 64, "1" * 64, "2" * 64
SECRET = np.arange(8, dtype=np.uint64).reshape(2, 4)


def ledger(folder, key=KEY, secret=SECRET) -> Ledger:
    return Ledger(folder, key, secret)


def test_results_are_counted_and_refused_when_there_are_none_left(tmp_path):
    assert ledger(tmp_path).left(PLAN, 5) == 5
    ledger(tmp_path).spend(PLAN, 5, 3)
    assert ledger(tmp_path).left(PLAN, 5) == 2
    before = (tmp_path / LEDGER).read_bytes()
    with pytest.raises(ShareError, match=r"3 results to be shown to others, and 2 are left of the 5 that the plan"):
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


@pytest.mark.parametrize("change", ["count", "plan", "garbage", "truncated"])
def test_an_altered_file_is_refused(tmp_path, change):
    path = tmp_path / LEDGER
    ledger(tmp_path).spend(PLAN, 4, 3)
    page = json.loads(path.read_bytes())
    if change == "count":
        page["plans"][0]["shown"] = 1
    elif change == "plan":
        page["plans"] = []
    text = json.dumps(page, separators=(",", ":"))
    path.write_text({"garbage": "no JSON", "truncated": text[:-5]}.get(change, text))
    for use in (lambda: ledger(tmp_path).left(PLAN, 4), lambda: ledger(tmp_path).spend(PLAN, 4, 1)):
        with pytest.raises(FileFormatError):
            use()


def test_the_file_of_another_key_is_refused(tmp_path):
    ledger(tmp_path).spend(PLAN, 4, 3)
    with pytest.raises(FileFormatError, match="belongs to other keys"):
        ledger(tmp_path, key="f" * 64).left(PLAN, 4)
    with pytest.raises(FileFormatError, match="was altered"):
        ledger(tmp_path, secret=SECRET + np.uint64(1)).left(PLAN, 4)


def test_processes_that_spend_at_once_lose_no_count(tmp_path):
    program = (
        "import numpy as np\nfrom pathlib import Path\nfrom hecc.runtime.client.ledger import Ledger\n"
        f"for _ in range(20):\n    Ledger(Path('.'), {KEY!r}, np.arange(8, dtype=np.uint64).reshape(2, 4))"
        f".spend({PLAN!r}, 100, 1)\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path) for _ in range(3)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert ledger(tmp_path).left(PLAN, 100) == 40

"""Key sets appear whole, and nobody removes what somebody else made: two at once, and stopped at every step."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import hecc
from hecc.runtime.ckks.circuit.security import InsecureLevel
from hecc.runtime.ckks.client.client import Client
from hecc.runtime.ckks.client.keyfolder import KINDS, new_set, waiting
from hecc.runtime.ckks.client.ledger import LEDGER
from hecc.runtime.ckks.client.notes import REQUESTS
from hecc.runtime.ckks.keys.keyfiles import PublicKeyFile, SecretKeyFile
from hecc.runtime.errors import InputError
from hecc.runtime.plan.keyset import EVALUATION, PUBLIC, SECRET

INSECURE = InsecureLevel.INSECURE_FOR_TESTS_ONLY
HERE = Path(__file__).parent
NAMES = {SECRET, PUBLIC, EVALUATION}
posix = pytest.mark.skipif(os.name != "posix", reason="signals and modes are POSIX")


@pytest.fixture(scope="module")
def plan(plans):
    return plans.square(plans.specification(2048, plans.insecure_evidence))


def make(plan, folder, **options):
    return Client.keygen(plan, folder, shape="native", min_security=INSECURE, **options)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def whole(folder):
    found = hecc.verify([folder / name for name in NAMES])
    return found.ok and len(found.proved) == 2


# What is there already ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [(), (SECRET,), (SECRET, PUBLIC), (SECRET, EVALUATION)])
def test_keys_that_are_there_stay_whole_or_not(tmp_path, plan, missing):
    make(plan, tmp_path / "keys")
    for name in missing:
        (tmp_path / "keys" / name).unlink()
    before = contents(tmp_path / "keys")
    with pytest.raises(InputError, match=r"here already, .*choose another folder, or replace"):
        make(plan, tmp_path / "keys")
    assert contents(tmp_path / "keys") == before


@pytest.mark.parametrize("failing", ["the disk", "the evaluation keys", "the secret key"])
@pytest.mark.parametrize("force", [False, True])
def test_a_failure_removes_nothing_of_another_set(tmp_path, plan, monkeypatch, failing, force):
    make(plan, tmp_path / "keys")
    (tmp_path / "keys" / "mine.txt").write_text("mine")
    if not force:
        (tmp_path / "keys" / SECRET).rename(tmp_path / "elsewhere.bin")
    before = contents(tmp_path)
    place = {
        "the disk": "hecc.runtime.ckks.client.keygen.check_target",
        "the evaluation keys": "hecc.runtime.ckks.keys.keyfiles.EvaluationKeyFile.write",
        "the secret key": "hecc.runtime.ckks.keys.keyfiles.SecretKeyFile.save",
    }[failing]

    def fail(*_, **__):
        raise InputError("no")

    monkeypatch.setattr(place, fail)
    with pytest.raises(InputError):
        make(plan, tmp_path / "keys", force=force)
    assert contents(tmp_path) == before


def test_keys_go_beside_other_files_that_stay(tmp_path, plan):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "plan.bin").write_bytes(b"a plan")
    first = make(plan, tmp_path / "keys")
    assert whole(tmp_path / "keys")
    (tmp_path / "keys" / LEDGER).write_bytes(b"the ledger")
    (tmp_path / "keys" / REQUESTS).mkdir()
    second = make(plan, tmp_path / "keys", force=True)
    assert first.key_id != second.key_id == SecretKeyFile.load(second.secret).header.key_id
    # What belonged to the key that was replaced is gone with it.
    assert {path.name for path in (tmp_path / "keys").iterdir()} == NAMES | {"plan.bin"}
    assert (tmp_path / "keys" / "plan.bin").read_bytes() == b"a plan"


@pytest.mark.parametrize("exists", [False, True])
def test_a_ledger_that_is_made_with_the_keys_comes_with_them(tmp_path, plan, exists):
    if exists:
        make(plan, tmp_path / "keys")
        (tmp_path / "keys" / LEDGER).write_bytes(b"the older ledger")
    with new_set(tmp_path / "keys", force=exists) as new:
        for name in (*NAMES, LEDGER):
            (new / name).write_bytes(b"new")
    assert contents(tmp_path / "keys") == {Path(name): b"new" for name in (*NAMES, LEDGER)}


def test_the_ledger_outlives_a_secret_key_that_is_missing(tmp_path, plan):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / LEDGER).write_bytes(b"the ledger")
    for force in (False, True):
        with pytest.raises(InputError, match=f"{LEDGER}: this counts results of a secret key that is not here; move"):
            make(plan, tmp_path / "keys", force=force)
    assert contents(tmp_path / "keys") == {Path(LEDGER): b"the ledger"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_force_replaces_keys_and_nothing_else(tmp_path, plan, name):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / name).write_bytes(b"a thesis")
    with pytest.raises(InputError, match=f"{name}: this is not an? .* key.* file, and stays; choose another folder"):
        make(plan, tmp_path / "keys", force=True)
    assert contents(tmp_path / "keys") == {Path(name): b"a thesis"}


def test_a_link_to_a_folder_stays_one(tmp_path, plan):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    make(plan, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert whole(tmp_path / "real")
    (tmp_path / "later").symlink_to("made")
    make(plan, tmp_path / "later")
    assert (tmp_path / "later").is_symlink()
    assert whole(tmp_path / "made")


def test_files_are_moved_where_there_are_no_links(tmp_path, plan, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "keys").mkdir()
    make(plan, tmp_path / "keys")
    assert whole(tmp_path / "keys")
    before = contents(tmp_path / "keys")
    # The last of the new files cannot be placed: the old ones come back.
    real = Path.touch
    monkeypatch.setattr(Path, "touch", lambda path, **o: refuse() if path.name == SECRET else real(path, **o))
    with pytest.raises(PermissionError):
        make(plan, tmp_path / "keys", force=True)
    assert contents(tmp_path / "keys") == before


# Who may write --------------------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o702])
def test_a_folder_that_others_may_write_is_refused(tmp_path, plan, mode):
    plan.client().save(tmp_path / "plan")
    make(plan, tmp_path / "keys")
    (tmp_path / "keys").chmod(mode)
    problem = "keys: others may write this folder, and put keys of their own here; run `chmod go-w"
    with pytest.raises(InputError, match=problem):
        Client.open(tmp_path / "plan", tmp_path / "keys", min_security=INSECURE)
    with pytest.raises(InputError, match=problem):
        make(plan, tmp_path / "keys", force=True)
    (tmp_path / "keys" / SECRET).unlink()
    with pytest.raises(InputError, match=problem):
        Client.open(tmp_path / "plan", tmp_path / "keys", min_security=INSECURE)
    with pytest.raises(InputError, match=problem):
        hecc.Client(plan, tmp_path / "keys", public=True, min_security=INSECURE)
    (tmp_path / "keys").chmod(0o755)
    Client.open(tmp_path / "plan", tmp_path / "keys", min_security=INSECURE)


@posix
def test_a_secret_key_that_others_may_write_is_refused(tmp_path, plan):
    keys = make(plan, tmp_path / "keys")
    keys.secret.chmod(0o622)
    with pytest.raises(InputError, match="others may write this secret key; run `chmod 600"):
        SecretKeyFile.load(keys.secret)


@posix
def test_a_secret_key_of_another_user_is_refused(tmp_path, plan, monkeypatch):
    keys = make(plan, tmp_path / "keys")
    owner = keys.secret.stat().st_uid
    if owner == 0:
        os.chown(keys.secret, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(InputError, match=r"this secret key belongs to another user .number \d+.; run hecc as that"):
        SecretKeyFile.load(keys.secret)
    PublicKeyFile.load(keys.public)


# Several processes ----------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
from pathlib import Path
from hecc.runtime.ckks.client.client import Client
from hecc.runtime.errors import HeccError
from hecc.runtime.plan.plan import Plan
from hecc.runtime.ckks.circuit.security import InsecureLevel
plan = Plan.load("plan")
print("ready", flush=True)
sys.stdin.readline()
try:
    options = {"min_security": InsecureLevel.INSECURE_FOR_TESTS_ONLY, "shape": "native"}
    print(Client.keygen(plan, "keys", force="force" in sys.argv, **options).key_id)
except HeccError as error:
    sys.exit(str(error))
"""


def at_once(folder, number, *arguments):
    """So many processes that make keys in one place, begun together: what each printed, and what refused it."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], cwd=folder, **pipes) for _ in range(number)
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    found = [process.communicate(timeout=120) for process in started]
    return [out.strip() for out, _ in found if out], [error for _, error in found if error]


@pytest.mark.parametrize("place", ["none", "empty", "other files", "keys"])
def test_of_several_at_once_one_makes_the_keys(tmp_path, plan, place):
    plan.save(tmp_path / "plan")
    arguments = []
    if place != "none":
        (tmp_path / "keys").mkdir()
    if place == "other files":
        (tmp_path / "keys" / "mine.txt").write_text("mine")
    if place == "keys":
        make(plan, tmp_path / "keys")
        arguments = ["force"]
    made, refused = at_once(tmp_path, 3, *arguments)
    # Who begins when the first has finished replaces its keys, and was told to.
    assert made
    assert len(made) == 1 or place == "keys"
    assert len(made) + len(refused) == 3
    assert all("another command made" in error or "here already" in error or "wait here" in error for error in refused)
    assert whole(tmp_path / "keys")
    assert SecretKeyFile.load(tmp_path / "keys" / SECRET).header.key_id in made
    left = {path.name for path in (tmp_path / "keys").iterdir()}
    assert left == NAMES | ({"mine.txt"} if place == "other files" else set())
    assert {path.name for path in tmp_path.iterdir()} == {"plan", "keys"}


def test_keys_that_were_made_meanwhile_are_not_replaced(tmp_path, plan):
    old = make(plan, tmp_path / "keys")

    def meanwhile(done, total):
        if done == total:
            make(plan, tmp_path / "keys", force=True)

    with pytest.raises(InputError, match="another command made keys here meanwhile, and they stay"):
        make(plan, tmp_path / "keys", force=True, progress=meanwhile)
    assert whole(tmp_path / "keys")
    assert SecretKeyFile.load(old.secret).header.key_id != old.key_id


def interrupted(plan, folder, number, *arguments):
    plan.save(folder / "plan")
    result = subprocess.run(
        [sys.executable, HERE / "interrupted.py", folder / "plan", folder / "source", number, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    reports = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(reports) > 10
    assert reports[-1]["finished"]
    return reports


@posix
@pytest.mark.parametrize(
    ("place", "number"),
    [
        ("none", "SIGTERM"),
        ("keys", "SIGKILL"),
        *(
            pytest.param(place, number, marks=pytest.mark.slow)
            for place, number in [
                ("none", "SIGKILL"),
                ("none", "SIGINT"),
                ("other files", "SIGKILL"),
                ("other files", "SIGINT"),
                ("other files", "SIGTERM"),
                ("keys", "SIGINT"),
                ("keys", "SIGTERM"),
            ]
        ),
    ],
)
def test_whatever_stops_it_wherever_a_set_is_whole_or_not_there(tmp_path, plan, place, number):
    arguments, old = [], None
    if place != "none":
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "mine.txt").write_text("mine")
    if place == "keys":
        old = make(plan, tmp_path / "source").key_id
        arguments = ["--force"]
    for report in interrupted(plan, tmp_path, number, *arguments):
        ids = report["ids"]
        shown = {name: key_id for name, key_id in ids.items() if "/" not in name}
        # Never two sets beside one another, never a secret key without its set.
        assert len(set(shown.values())) <= 1, report
        assert report["whole"] in (None, True), report
        assert report["others"] in ((None, False) if place == "none" else (True,)), report
        if old is not None:
            # The old secret is there, or the new set is.
            assert old in (ids.get("secret.bin"), ids.get("old/secret.bin")) or report["whole"], report
        if number != "SIGKILL" and not report["finished"]:
            # Who can clean up does: everything is as before, or done.
            assert report["beside"] == [], report
            assert not any("/" in name for name in ids), report
            assert report["whole"] or set(shown.values()) == ({old} if old else set()), report
        if "next" in report:
            assert report["after"]["whole"], report
            assert set(report["after"]["ids"].values()) == {report["next"]}, report
        elif not report["finished"]:
            assert "here already" in report["refused"] or "wait here" in report["refused"], report
            assert report["after"]["ids"].items() >= shown.items(), report


@posix
def test_keys_that_wait_are_named_and_come_back(tmp_path, plan):
    plan.client().save(tmp_path / "plan")
    keys = make(plan, tmp_path / "keys")
    # As a process leaves it that was killed between taking out the old keys and putting in the new ones.
    (tmp_path / "keys" / ".keys.0123456789abcdef.old").mkdir()
    for name in KINDS:
        (tmp_path / "keys" / name).rename(tmp_path / "keys" / ".keys.0123456789abcdef.old" / name)
    left = waiting(tmp_path / "keys")
    assert left is not None
    folder = keys.secret.parent
    for use in (lambda: hecc.Client(plan, folder, min_security=INSECURE), lambda: make(plan, folder)):
        with pytest.raises(InputError, match=r"0123456789abcdef.old: keys that an interrupted .* wait here; move them"):
            use()
    for name in KINDS:
        (left / name).rename(tmp_path / "keys" / name)
    left.rmdir()
    assert whole(tmp_path / "keys")


@posix
@pytest.mark.slow
def test_processes_killed_at_random_leave_whole_sets(tmp_path, plan):
    plan.save(tmp_path / "plan")
    import random

    source = random.Random(1)
    for _ in range(40):
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM, "force"],
                cwd=tmp_path,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for _ in range(2)
        ]
        for process in processes:
            process.stdout.readline()
            process.stdin.write(b"\n")
            process.stdin.flush()
        time.sleep(source.uniform(0, 0.4))
        processes[0].send_signal(source.choice([signal.SIGKILL, signal.SIGINT, signal.SIGTERM]))
        for process in processes:
            process.communicate(timeout=120)
        if (tmp_path / "keys" / SECRET).exists():
            assert whole(tmp_path / "keys")
        assert waiting(tmp_path / "keys") is None or not (tmp_path / "keys" / SECRET).exists()

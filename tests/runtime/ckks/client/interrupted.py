"""Makes keys again and again, and is stopped at every step that changes a folder.

    python interrupted.py PLAN FOLDER SIGNAL [--force] [--existing]

Each time a child makes keys in a copy of FOLDER, and gets the signal before its n-th change of a name: a file or folder
that is made, renamed, linked or removed. A line of JSON says what it left; the last child is not stopped.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import hecc
from hecc.runtime.ckks.circuit.security import InsecureLevel
from hecc.runtime.ckks.client.client import Client
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, PublicKeyFile, SecretKeyFile
from hecc.runtime.errors import HeccError
from hecc.runtime.files.container import Kind, kind_of
from hecc.runtime.plan.plan import Plan

CHANGES = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir"}
INSECURE = InsecureLevel.INSECURE_FOR_TESTS_ONLY
LOADERS: dict[Kind, Any] = {
    Kind.SECRET_KEY: SecretKeyFile.load,
    Kind.PUBLIC_KEY: PublicKeyFile.load,
    Kind.EVALUATION_KEYS: EvaluationKeyFile.load,
}


def child(plan: Plan, folder: Path, number: int, step: int, force: bool) -> None:
    """Make keys, and get the signal before the step."""
    count = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        creates = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT
        if (event in CHANGES or creates) and str(folder.parent) in str(arguments):
            count += 1
            if count == step:
                os.kill(os.getpid(), number)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if number != signal.SIGKILL:
        signal.signal(number, stop)
    sys.addaudithook(watch)
    with contextlib.suppress(KeyboardInterrupt, HeccError):
        Client.keygen(plan, folder, shape="native", min_security=INSECURE, force=force)
        os._exit(0 if count < step else 3)
    os._exit(3)


def left(folder: Path) -> dict[str, Any]:
    """What is in a folder: ids by name, and whether a set with a secret key is one."""
    ids = {}
    for path in sorted(folder.rglob("*")):
        if kind_of(path) in LOADERS:
            where = "" if path.parent == folder else path.parent.suffix.replace(".", "") + "/"
            ids[where + path.name] = LOADERS[kind_of(path)](path).header.key_id
    whole = None
    if (folder / "secret.bin").exists():
        names = ("secret.bin", "public.bin", "evaluation.bin")
        found = hecc.verify([folder / name for name in names])
        whole = found.ok and len(found.proved) == 2
    return {"ids": ids, "whole": whole, "others": (folder / "mine.txt").exists() if folder.exists() else None}


def main() -> None:
    """Stop it everywhere."""
    plan, source, number = Plan.load(sys.argv[1]), Path(sys.argv[2]), getattr(signal, sys.argv[3])
    place = source.with_name("work")
    step = 0
    while True:
        step += 1
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        folder = place / "keys"
        if source.exists():
            shutil.copytree(source, folder)
        pid = os.fork()
        if pid == 0:
            try:
                child(plan, folder, number, step, "--force" in sys.argv)
            finally:
                os._exit(4)
        _, status = os.waitpid(pid, 0)
        report = {"step": step, "finished": status == 0, **left(folder)}
        report["beside"] = sorted(path.name for path in place.iterdir() if path != folder)
        if status != 0:
            # The next command with the same words either makes a set, or says what is in its way.
            try:
                made = Client.keygen(plan, folder, shape="native", min_security=INSECURE, force="--force" in sys.argv)
                report["next"] = made.key_id
            except HeccError as error:
                report["refused"] = str(error)
            report["after"] = left(folder)
        print(json.dumps(report), flush=True)
        if status == 0:
            return


if __name__ == "__main__":
    main()

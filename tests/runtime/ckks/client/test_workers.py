"""Encryption by several processes: the same values, in the same order, and the key where nobody else can see it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hecc.runtime.ckks.circuit.security import InsecureLevel
from hecc.runtime.ckks.client.client import Client
from hecc.runtime.ckks.client.seal_bridge import LevelCipher
from hecc.runtime.ckks.client.workers import TASK, Workers
from hecc.runtime.ckks.keys.keyfiles import PublicKeyFile, SecretKeyFile
from hecc.runtime.errors import InputError

SCALE = 2.0**30
INSECURE = InsecureLevel.INSECURE_FOR_TESTS_ONLY


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory, insecure_plan: Any) -> Any:
    folder = tmp_path_factory.mktemp("insecure") / "keys"
    return Client.keygen(insecure_plan, folder, min_security=INSECURE)


@pytest.fixture(scope="module")
def client(insecure_plan: Any, keys: Any) -> Client:
    return Client(insecure_plan, secret=SecretKeyFile.load(keys.secret), min_security=INSECURE)


@pytest.fixture
def key(insecure_plan: Any, client: Any) -> dict[str, Any]:
    """Keyword arguments of a cipher, and of workers."""
    return {"spec": insecure_plan.header.keys, "limbs": 3, "enforce_128": False, "secret": client._secret}


def vectors(spec: Any, count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(count).uniform(-1, 1, (count, spec.slots)))


@pytest.mark.parametrize("count", [0, 1, 3 * TASK + 1])
def test_processes_encrypt_what_they_are_given_in_order(key: dict[str, Any], count: int) -> None:
    expected = vectors(key["spec"], count)
    cipher = LevelCipher(**key)
    with Workers(2, **key) as workers:
        streams = list(workers.encrypt(iter(expected), SCALE))
        # And again, with the same processes.
        streams += list(workers.encrypt(expected[:1], SCALE))
    assert len(streams) == count + len(expected[:1])
    for stream, values in zip(streams, [*expected, *expected[:1]], strict=True):
        np.testing.assert_allclose(cipher.decrypt(stream, SCALE).real, values, atol=1e-4)
    # Equal values are never encrypted equally.
    assert len(set(streams)) == len(streams)


def test_the_key_is_in_no_argument_and_no_environment(key: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[Any, dict[str, Any]]] = []
    popen = subprocess.Popen

    def note(command: Any, **options: Any) -> Any:
        started.append((command, options))
        return popen(command, **options)

    monkeypatch.setattr(subprocess, "Popen", note)
    with Workers(2, **key):
        pass
    # In a group of their own, so that an interruption at the terminal is not for them.
    group = 0 if os.name == "posix" else None
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "process_group": group}
    assert started == [([sys.executable, "-P", "-m", "hecc.runtime.ckks.client.workers"], options)] * 2


def test_processes_end_with_their_work(key: dict[str, Any]) -> None:
    with Workers(2, **key) as workers:
        streams = workers.encrypt(vectors(key["spec"], 100), SCALE)
        next(streams)
        # Most of it is never asked for.
        del streams
    assert all(process.returncode is not None for process in workers._processes)


def test_a_process_that_ends_early_is_reported(key: dict[str, Any]) -> None:
    def slowly() -> Iterator[np.ndarray]:
        for number, vector in enumerate(vectors(key["spec"], 100)):
            if number == 2 * TASK:
                for process in workers._processes:
                    process.kill()
                    process.wait()
            yield vector

    with Workers(2, **key) as workers, pytest.raises(InputError, match="ended with exit code -9; free some memory"):
        list(workers.encrypt(slowly(), SCALE))


@pytest.mark.parametrize("public", [False, True])
def test_a_client_encrypts_with_processes(
    insecure_plan: Any, client: Client, keys: Any, tmp_path: Path, public: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = client
    if public:
        made = Client(insecure_plan, public=PublicKeyFile.load(keys.public), min_security=INSECURE)
    monkeypatch.setattr("hecc.runtime.ckks.client.client.MANY", 2)
    monkeypatch.setattr("hecc.runtime.ckks.client.client.default_threads", lambda: 2)
    started = []
    enter = Workers.__enter__
    monkeypatch.setattr(Workers, "__enter__", lambda self: started.append(self._number) or enter(self))
    (signature,) = insecure_plan.header.inputs
    rows = np.random.default_rng(1).uniform(signature.low, signature.high, (5, *signature.shape))
    cipher = client._cipher(signature.limbs)
    for processes, expected in ((None, [2]), (3, [3]), (1, [])):
        started.clear()
        request = made.encrypt_to(tmp_path / "request", rows, processes=processes)
        assert started == expected
        again = made.encrypt(rows, processes=processes)
        for row in range(5):
            for file in (request, again):
                slots = cipher.decrypt(file.stream(signature.name, row, 0), float(signature.scale)).real
                layout = signature.layout
                np.testing.assert_allclose(layout.unpack(slots[: layout.slots][np.newaxis]), rows[row], atol=1e-4)


@pytest.mark.skipif(os.name != "posix", reason="groups of processes are POSIX")
def test_an_interruption_at_the_terminal_is_not_for_the_processes(key: dict[str, Any]) -> None:
    # Or each would show a traceback if it has not begun yet.
    with Workers(1, **key) as workers:
        (process,) = workers._processes
        assert os.getpgid(process.pid) == process.pid != os.getpgid(0)

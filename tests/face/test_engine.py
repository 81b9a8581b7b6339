"""One engine serves many clients: weights are encoded once, and every client's results are its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hecc
from hecc.runtime.ckks.devices.native.encoded import EncodedWeights
from hecc.runtime.ckks.devices.native.engine import NativeEngine
from hecc.runtime.ckks.devices.seal.engine import SealEngine
from hecc.runtime.ckks.devices.seal.evaluator import SealSession
from hecc.runtime.plan.plan import Plan

Array = NDArray[Any]

CLIENTS = 3


@pytest.fixture(scope="module")
def folders(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders of keys, each of a client."""
    root = tmp_path_factory.mktemp("clients")
    folders = [root / str(number) for number in range(CLIENTS)]
    for folder in folders:
        hecc.Client(plan).keygen(folder)
    return folders


def serve(engine: hecc.Engine, plan: Plan, folders: list[Path], images: Array) -> list[Array]:
    """What each client decrypts of images of its own, all evaluated side by side, in a thread for each."""
    clients = [hecc.Client(plan, folder) for folder in folders]
    requests = [client.encrypt(images[2 * k : 2 * k + 2]) for k, client in enumerate(clients)]
    servers = [hecc.Server(engine, folder) for folder in folders]
    together = threading.Barrier(len(servers))

    def run(number: int) -> Any:
        together.wait()
        return servers[number].run(requests[number])

    with ThreadPoolExecutor(len(servers)) as pool:
        results = list(pool.map(run, range(len(servers))))
    return [client.decrypt(result)["logits"] for client, result in zip(clients, results, strict=True)]


def check(plan: Plan, found: list[Array], images: Array) -> None:
    for k, logits in enumerate(found):
        clear = hecc.simulate(plan, images[2 * k : 2 * k + 2])["logits"]
        np.testing.assert_allclose(logits, clear, atol=2**-8 * np.abs(clear).max())


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("memory", [1 << 31, 3_000_000, 0], ids=["all kept", "some kept", "nothing kept"])
def test_clients_side_by_side_share_what_one_encoded(
    plan: Plan,
    folders: list[Path],
    digits: dict[str, Array],
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
    memory: int,
) -> None:
    made: list[str] = []
    for name in ("_make_transform", "_make_matrix"):
        make: Callable[..., Any] = getattr(EncodedWeights, name)

        def counted(*args: Any, make: Callable[..., Any] = make, name: str = name) -> Any:
            made.append(name)
            return make(*args)

        monkeypatch.setattr(EncodedWeights, name, counted)
    images = digits["images"][: 2 * CLIENTS]
    with hecc.Engine(plan, threads=threads, memory=memory) as engine:
        alone = serve(engine, plan, folders[:1], images)
        weights = kept_weights(engine)
        kept, number = weights.kept_bytes(), len(made)
        check(plan, serve(engine, plan, folders, images), images)
        assert (weights.kept_bytes(), len(made)) == (kept, number)
    transforms = sum(ins.op == "linear_transform" for ins in plan.require_circuit().instructions)
    assert number == transforms > 0
    assert (kept > 0) == (memory > 0)
    check(plan, alone, images)


def kept_weights(engine: hecc.Engine) -> EncodedWeights:
    assert isinstance(engine._engine._engine, NativeEngine)
    return engine._engine._engine.weights


def test_weights_are_encoded_once_when_all_clients_begin_at_once(
    plan: Plan, folders: list[Path], digits: dict[str, Array]
) -> None:
    images = digits["images"][: 2 * CLIENTS]
    with hecc.Engine(plan, threads=1) as one, hecc.Engine(plan, threads=1) as several:
        serve(one, plan, folders[:1], images)
        check(plan, serve(several, plan, folders, images), images)
        assert kept_weights(several).kept_bytes() == kept_weights(one).kept_bytes()


def test_clients_of_seals_evaluator_share_encoded_weights_too(
    plan: Plan, digits: dict[str, Array], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / str(number) for number in range(2)]
    for folder in folders:
        hecc.Client(plan).keygen(folder, device="seal")
    encoded: list[int] = []
    encode = SealSession._encode

    def counted(*args: Any) -> Any:
        encoded.append(1)
        return encode(*args)

    images = digits["images"][:4]
    with hecc.Engine(plan, device="seal") as engine:
        assert isinstance(engine._engine._engine, SealEngine)
        serve(engine, plan, folders[:1], images)
        kept = dict(engine._engine._engine.plaintexts._kept)
        monkeypatch.setattr(SealSession, "_encode", counted)
        check(plan, serve(engine, plan, folders, images), images)
        # What is encoded again are vectors that are added, which no engine keeps: none of the diagonals.
        added = sum(ins.op == "add_plain" for ins in plan.require_circuit().instructions)
        assert len(encoded) == 4 * added
        assert all(engine._engine._engine.plaintexts._kept[key] is plaintext for key, plaintext in kept.items())


def test_a_server_leaves_an_engine_that_it_was_given_open(
    plan: Plan, folders: list[Path], digits: dict[str, Array]
) -> None:
    request = hecc.Client(plan, folders[0]).encrypt(digits["images"][:1])
    with hecc.Engine(plan) as engine:
        with hecc.Server(engine, folders[0]) as server:
            server.run(request)
        second = hecc.Server(engine, folders[0])
        second.run(request)
        with pytest.raises(hecc.InputError, match="this server was closed"):
            server.run(request)
    with pytest.raises(hecc.InputError, match="this engine was closed"):
        second.run(request)
    with pytest.raises(hecc.InputError, match="this engine was closed"):
        hecc.Server(engine, folders[0])


def test_what_an_engine_has_is_not_given_twice(plan: Plan, folders: list[Path]) -> None:
    with hecc.Engine(plan) as engine, pytest.raises(hecc.InputError, match="an engine has its device"):
        hecc.Server(engine, folders[0], threads=1)


def test_keys_of_another_shape_are_refused_by_the_engine(plan: Plan, folders: list[Path]) -> None:
    with (
        hecc.Engine(plan, device="seal") as engine,
        pytest.raises(hecc.KeyMismatchError, match="keys of shape 'native', but the device 'seal' needs shape 'seal'"),
    ):
        hecc.Server(engine, folders[0])


def test_a_clients_request_is_refused_by_the_server_of_another(
    plan: Plan, folders: list[Path], digits: dict[str, Array]
) -> None:
    request = hecc.Client(plan, folders[0]).encrypt(digits["images"][:1])
    with hecc.Engine(plan) as engine, pytest.raises(hecc.KeyMismatchError, match="key set"):
        hecc.Server(engine, folders[1]).run(request)

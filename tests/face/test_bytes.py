"""Bytes in, bytes out: what a file would hold goes wherever a file goes, and is checked as a file is."""

import copy
import pickle
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import hecc
from hecc.runtime.files.container import Kind
from hecc.runtime.plan.plan import Plan


@dataclass
class Made:
    """Every kind of file, and the images in it."""

    folder: Path
    images: NDArray[np.float32]

    def bytes(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


FILES = {
    "plan.bin": Kind.SERVER_PLAN,
    "plan.client.bin": Kind.CLIENT_PLAN,
    "keys/secret.bin": Kind.SECRET_KEY,
    "keys/public.bin": Kind.PUBLIC_KEY,
    "keys/evaluation.bin": Kind.EVALUATION_KEYS,
    "encrypted.bin": Kind.CIPHERTEXT,
    "result.bin": Kind.RESULT,
}


@pytest.fixture(scope="module")
def made(plan: Plan, digits: dict[str, NDArray[np.float32]], tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("bytes")
    plan.save(folder / "plan.bin")
    plan.client().save(folder / "plan.client.bin")
    client = hecc.Client(plan)
    keys = client.keygen(folder / "keys")
    client.encrypt(digits["images"][:3]).save(folder / "encrypted.bin")
    with hecc.Server(plan, keys.evaluation) as server:
        server.run_to(folder / "result.bin", folder / "encrypted.bin")
    return Made(folder, digits["images"][:3])


def use(name: str, file: object, made: Made) -> object:
    """What is done with one file, by its path or its bytes, all others being there."""
    kind = FILES[name]
    if kind in (Kind.SERVER_PLAN, Kind.CLIENT_PLAN):
        return Plan.of(file)
    if kind in (Kind.SECRET_KEY, Kind.PUBLIC_KEY):
        folder = file if isinstance(file, bytes) else Path(file).parent
        return hecc.Client(made.folder / "plan.client.bin", folder, public=kind is Kind.PUBLIC_KEY)
    if kind is Kind.RESULT:
        return hecc.Client(made.folder / "plan.client.bin", made.folder / "keys").decrypt(file)
    keys, request = made.folder / "keys", made.folder / "encrypted.bin"
    with hecc.Server(made.folder / "plan.bin", file if kind is Kind.EVALUATION_KEYS else keys) as server:
        return server.run(file if kind is Kind.CIPHERTEXT else request)


def test_a_session_in_bytes(plan, made):
    client = hecc.Client(plan.client().dumps())
    keys = client.keygen(made.folder / "other keys")
    request = client.encrypt(made.images).dumps()
    with hecc.Server(plan.dumps(), keys.evaluation.read_bytes()) as server:
        answer = server.run(request)
    assert isinstance(answer, bytes)
    assert client.decrypt(answer)["logits"].argmax(axis=1).tolist() == [0, 1, 2]
    # Elsewhere, with the secret key in memory only.
    other = hecc.Client(Plan.loads(plan.dumps()), keys.secret.read_bytes())
    assert other.key_id == client.key_id
    assert other.decrypt(answer, request=request)["logits"].argmax(axis=1).tolist() == [0, 1, 2]
    with pytest.raises(hecc.KeyMismatchError, match="there is no note that one was encrypted here"):
        other.decrypt(answer)
    sender = hecc.Client(plan.dumps(), keys.public.read_bytes())
    with pytest.raises(hecc.InputError, match="a public key cannot decrypt"):
        sender.decrypt(answer, request=request)


def test_bytes_are_what_the_file_would_hold(made):
    for name in ("plan.bin", "plan.client.bin"):
        assert Plan.load(made.folder / name).dumps() == Plan.loads(made.bytes(name)).dumps() == made.bytes(name)
    scheme = Plan.load(made.folder / "plan.bin").scheme
    for load, name in ((scheme.request, "encrypted.bin"), (scheme.result, "result.bin")):
        rows = load(made.folder / name)
        assert rows.dumps() == load(made.bytes(name)).dumps() == made.bytes(name)
        assert load(made.bytes(name)).fingerprint == rows.fingerprint
        assert load(made.bytes(name)).path is None
    with hecc.Server(made.folder / "plan.bin", made.folder / "keys") as server:
        answer = server.run(made.bytes("encrypted.bin"))
        assert answer == server.run(made.folder / "encrypted.bin").dumps()
        server.run_to(made.folder / "again.bin", made.bytes("encrypted.bin"))
    assert (made.folder / "again.bin").read_bytes() == answer


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["nothing", "half", "foreign", "header", "table", "trailing", "kind"])
def test_damaged_bytes_are_refused_as_the_damaged_file_is(made, name, damage, tmp_path):
    good = made.bytes(name)
    other = "result.bin" if name != "result.bin" else "encrypted.bin"
    changed = {
        "nothing": b"",
        "half": good[: len(good) // 2],
        "foreign": b"PK\x03\x04" + good[4:],
        "header": good[:100] + b"\x00" + good[101:],
        "table": good[:-1] + b"\x00",
        "trailing": good + b"more",
        "kind": made.bytes(other),
    }[damage]
    spoilt = tmp_path / "keys" / Path(name).name
    spoilt.parent.mkdir(mode=0o700)
    spoilt.write_bytes(changed)
    spoilt.chmod(0o600)
    with pytest.raises(hecc.FileFormatError) as of_file:
        use(name, spoilt, made)
    for content in (changed, bytearray(changed), memoryview(changed)):
        with pytest.raises(hecc.FileFormatError) as of_bytes:
            use(name, bytes(content) if FILES[name] in (Kind.SECRET_KEY, Kind.PUBLIC_KEY) else content, made)
        where, _, sentence = str(of_bytes.value).partition(": ")
        of_file_only = str(of_file.value).removeprefix(f"{spoilt}: ")
        assert re.fullmatch(r"the bytes of an? .* file", where)
        # Only of what is expected there may more be known: bytes have no name that tells secret from public keys.
        assert sentence.partition("expected")[0] == of_file_only.partition("expected")[0]


@pytest.mark.parametrize("name", ["encrypted.bin", "result.bin", "keys/evaluation.bin", "plan.bin"])
def test_a_damaged_blob_is_found_when_it_is_used(made, name):
    good = made.bytes(name)
    middle = len(good) // 2
    changed = good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :]
    with pytest.raises(hecc.FileFormatError, match=r"the bytes of .*: blob '.*' was altered; copy or make the file"):
        use(name, changed, made)


def test_bytes_that_may_change_are_copied(made):
    content = bytearray(made.bytes("plan.bin"))
    plan = Plan.loads(content)
    content[:] = bytes(len(content))
    assert plan.dumps() == made.bytes("plan.bin")


def test_bytes_that_lie_askew_are_used_all_the_same(made):
    for shift in (1, 4):
        padded = memoryview(bytes(shift) + made.bytes("plan.bin"))[shift:]
        assert Plan.loads(padded).dumps() == made.bytes("plan.bin")


def test_a_path_is_no_content(made):
    with pytest.raises(hecc.InputError, match=r"Plan.loads takes the bytes of a plan, not str; load takes a path"):
        Plan.loads(str(made.folder / "plan.bin"))


def test_a_server_says_how_many_rows_it_takes(made):
    with hecc.Server(made.folder / "plan.bin", made.folder / "keys") as server:
        for run in (server.run, lambda rows, **options: server.run_to(made.folder / "never.bin", rows, **options)):
            with pytest.raises(hecc.InputError, match="a request of 3 rows, and 2 are evaluated at once; send fewer"):
                run(made.bytes("encrypted.bin"), max_rows=2)
        assert server.run(made.bytes("encrypted.bin"), max_rows=3)
    assert not (made.folder / "never.bin").exists()


def test_a_result_that_memory_cannot_hold_is_refused_before_it_is_made(made, monkeypatch):
    with hecc.Server(made.folder / "plan.bin", made.folder / "keys") as server:
        monkeypatch.setattr("hecc.measure.machine.available_memory", lambda: 100_000)
        monkeypatch.setattr(server, "_server", None)
        with pytest.raises(hecc.InputError, match=r"the result of 3 rows needs about \d+ kB of memory, and 100 kB are"):
            server.run(made.bytes("encrypted.bin"))
        monkeypatch.undo()


def test_what_holds_keys_is_neither_pickled_nor_copied(plan, made):
    client = hecc.Client(plan, made.folder / "keys")
    ways = {
        "Client": r"hecc\.Client\(plan, keys\)",
        "Server": r"hecc\.Server\(plan, evaluation_keys\)",
        "Engine": r"plan\.dumps\(\)",
    }
    with hecc.Engine(plan) as engine, hecc.Server(engine, made.folder / "keys") as server:
        for held in (client, server, engine):
            for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
                with pytest.raises(
                    TypeError, match=f"^a.? {type(held).__name__} cannot be pickled or copied: .*"
                ) as found:
                    attempt(held)
                name = type(held).__name__
                assert re.search(rf"^an? {name} .*{ways[name]}", str(found.value))
    with pytest.raises(TypeError, match="cannot be pickled or copied: it holds keys"):
        pickle.dumps(client._holder)


def test_what_holds_none_is_pickled_as_its_checked_bytes(plan, made):
    again = pickle.loads(pickle.dumps(plan))
    assert (again.fingerprint, again.dumps()) == (plan.fingerprint, plan.dumps())
    rows = plan.scheme.request(made.folder / "encrypted.bin")
    assert copy.deepcopy(rows).dumps() == pickle.loads(pickle.dumps(rows)).dumps() == rows.dumps()
    pickled = pickle.dumps(plan)
    middle = len(pickled) // 2
    with pytest.raises(hecc.FileFormatError, match="was altered"):
        pickle.loads(pickled[:middle] + bytes([pickled[middle] ^ 1]) + pickled[middle + 1 :])

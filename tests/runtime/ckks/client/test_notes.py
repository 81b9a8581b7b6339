"""Which request a result answers: the last one, or the one that is named, and every row in its own place."""

import msgspec
import numpy as np
import pytest

from hecc.runtime.ckks.ciphertexts import CiphertextFile, ResultFile, ResultHeader
from hecc.runtime.ckks.circuit.security import InsecureLevel
from hecc.runtime.ckks.client.client import Client
from hecc.runtime.ckks.client.notes import REQUESTS
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, SecretKeyFile
from hecc.runtime.ckks.server import Server
from hecc.runtime.errors import FileFormatError, InputError, KeyMismatchError
from hecc.runtime.files.container import Container, ContainerWriter, Kind
from hecc.runtime.plan.plan import Plan

INSECURE = InsecureLevel.INSECURE_FOR_TESTS_ONLY
OTHER = "answers request [0-9a-f]{16}, but the last one that was encrypted with these keys is [0-9a-f]{16}, 1 rows at"


class World:
    """A client's folder with keys, and a server."""

    def __init__(self, plan: Plan, folder) -> None:
        self.plan, self.folder = plan, folder
        plan.save(folder / "plan.bin")
        self.keys = Client.keygen(plan, folder / "keys", min_security=INSECURE)

    def client(self) -> Client:
        """The client in another process, so to say."""
        return Client.open(self.folder / "plan.bin", self.folder / "keys", min_security=INSECURE)

    def run(self, request: CiphertextFile) -> ResultFile:
        with Server(self.plan, EvaluationKeyFile(self.keys.evaluation)) as server:
            return server.run(request)


@pytest.fixture
def world(insecure_plan, tmp_path):
    return World(insecure_plan, tmp_path)


def rows(*numbers: float) -> np.ndarray:
    return np.stack([np.full((4, 16), number) for number in numbers])


def test_the_result_of_the_last_request_is_taken_in_any_process(world, plans):
    client = world.client()
    request = client.encrypt(rows(0.5, -0.25))
    request.save(world.folder / "encrypted.bin")
    with Server(world.plan, EvaluationKeyFile(world.keys.evaluation)) as server:
        server.run_to(world.folder / "result.bin", CiphertextFile.load(world.folder / "encrypted.bin"))
    for asked in (client, world.client(), world.client()):
        found = asked.decrypt(ResultFile.load(world.folder / "result.bin"))["y"]
        np.testing.assert_allclose(found, plans.expected(rows(0.5, -0.25)), atol=1e-3)
    assert (world.folder / "keys" / REQUESTS).stat().st_mode & 0o777 == 0o700


def test_the_result_of_another_request_is_refused_until_it_is_named(world, plans):
    client = world.client()
    first, second = client.encrypt(rows(0.5)), client.encrypt(rows(0.25))
    result = world.run(first)
    for asked in (client, world.client()):
        with pytest.raises(KeyMismatchError, match=OTHER):
            asked.decrypt(result)
        with pytest.raises(KeyMismatchError, match=r"this answers request \w{16}, not \w{16}; ask the server"):
            asked.decrypt(result, request=second.fingerprint)
        found = asked.decrypt(result, request=first.fingerprint[:16])["y"]
        np.testing.assert_allclose(found, plans.expected(rows(0.5)), atol=1e-3)
        asked.decrypt(world.run(second))


def test_two_clients_with_one_folder_mean_their_own_requests(world):
    one, two = world.client(), world.client()
    first, second = one.encrypt(rows(0.5)), two.encrypt(rows(0.25))
    one.decrypt(world.run(first))
    two.decrypt(world.run(second))
    with pytest.raises(KeyMismatchError, match=OTHER):
        one.decrypt(world.run(second))
    # Whoever encrypted nothing means the last.
    world.client().decrypt(world.run(second))


def test_a_request_that_was_encrypted_elsewhere_has_to_be_named(world, tmp_path):
    public = tmp_path / "department"
    public.mkdir()
    (public / "public.bin").write_bytes(world.keys.public.read_bytes())
    department = Client.open(world.folder / "plan.bin", public, min_security=INSECURE)
    request = department.encrypt(rows(0.5))
    result = world.run(request)
    with pytest.raises(KeyMismatchError, match=r"there is no note that one was encrypted here .*--request"):
        world.client().decrypt(result)
    world.client().decrypt(result, request=request.fingerprint)
    for wrong in ("", "0" * 15, "not hexadecimal at all"):
        with pytest.raises(InputError, match="neither a file of encrypted rows nor their fingerprint"):
            world.client().decrypt(result, request=wrong)


def test_a_note_of_other_keys_is_none_and_a_damaged_one_is_named(world):
    world.client().encrypt(rows(0.5))
    (note,) = (world.folder / "keys" / REQUESTS).iterdir()
    result = world.run(world.client().encrypt(rows(0.5)))
    saved = note.read_bytes()
    note.write_bytes(saved.replace(world.keys.key_id.encode(), b"0" * 64))
    with pytest.raises(KeyMismatchError, match="there is no note"):
        world.client().decrypt(result)
    note.write_bytes(saved[:-5])
    with pytest.raises(FileFormatError, match="malformed field"):
        world.client().decrypt(result)


def test_a_note_that_cannot_be_left_is_said(world, caplog):
    (world.folder / "keys" / REQUESTS).write_bytes(b"a file")
    client = world.client()
    result = world.run(client.encrypt(rows(0.5)))
    assert "cannot be written" in caplog.text
    assert "--request" in caplog.text
    client.decrypt(result)


def test_a_request_without_a_note_is_not_the_last(world):
    client = world.client()
    first, second = client.encrypt(rows(0.5)), client.encrypt(rows(0.25), note=False)
    for asked in (client, world.client()):
        asked.decrypt(world.run(first))
        asked.decrypt(world.run(second), request=second.fingerprint)
        with pytest.raises(KeyMismatchError, match=OTHER):
            asked.decrypt(world.run(second))


def test_the_fingerprint_of_a_request_is_that_of_its_file(world):
    request = world.client().encrypt(rows(0.5, 0.25))
    request.save(world.folder / "encrypted.bin")
    streamed = world.client().encrypt_to(world.folder / "streamed.bin", rows(0.5, 0.25))
    assert CiphertextFile.load(world.folder / "encrypted.bin").fingerprint == request.fingerprint
    assert streamed.fingerprint == CiphertextFile.load(world.folder / "streamed.bin").fingerprint
    assert streamed.fingerprint != request.fingerprint


# Rows in other places ------------------------------------------------------------------------------------------------


def rearranged(path, places):
    """A result whose rows are taken from other places, by whoever puts files together with right checksums."""
    container = Container(path, Kind.RESULT)
    target = path.with_name("rearranged.bin")
    with ContainerWriter(target, Kind.RESULT, container.header(ResultHeader)) as writer:
        for number, place in enumerate(places):
            writer.add(f"0/{number}/0", bytes(container.bytes(f"0/{place}/0")))
    return ResultFile.load(target)


@pytest.mark.parametrize("places", [(1, 0, 2), (0, 0, 2), (2, 1, 0), (1, 1, 1)])
def test_swapped_and_repeated_rows_are_refused(world, places):
    client = world.client()
    request = client.encrypt(rows(0.5, 0.25, 0.125))
    result = world.run(request)
    result.save(world.folder / "result.bin")
    moved = next(number for number, place in enumerate(places) if number != place)
    problem = f"in the place of output 'y', row {moved}, is the result of row {places[moved]}: rows were swapped"
    with pytest.raises(KeyMismatchError, match=problem):
        client.decrypt(rearranged(world.folder / "result.bin", places))
    # So are those that are put together in memory.
    streams = [list(result.row("y", number)) for number in range(3)]
    with pytest.raises(KeyMismatchError, match=problem):
        ResultFile.build(world.plan, request, {"y": [streams[place] for place in places]})
    assert client.decrypt(rearranged(world.folder / "result.bin", (0, 1, 2)))["y"].shape == (3, 4, 16)


def test_rows_of_another_request_are_refused(world):
    client = world.client()
    first, second = client.encrypt(rows(0.5, 0.25)), client.encrypt(rows(0.5, 0.25))
    one, two = world.run(first), world.run(second)
    with pytest.raises(KeyMismatchError, match="row 1, is the result of another request or plan"):
        ResultFile.build(world.plan, second, {"y": [list(two.row("y", 0)), list(one.row("y", 1))]})


def test_missing_rows_and_those_of_another_plan_are_refused(world, plans):
    client = world.client()
    request = client.encrypt(rows(0.5, 0.25))
    result = world.run(request)
    result.save(world.folder / "result.bin")
    container = Container(world.folder / "result.bin", Kind.RESULT)
    retrained = plans.square(world.plan.header.keys, model="1" * 64)
    for changes in ({"rows": 1}, {"plan": retrained.fingerprint}):
        header = msgspec.structs.replace(container.header(ResultHeader), **changes)
        with ContainerWriter(world.folder / "forged.bin", Kind.RESULT, header) as writer:
            for number in range(header.rows):
                writer.add(f"0/{number}/0", bytes(container.bytes(f"0/{number}/0")))
        other = Client(
            retrained if "plan" in changes else world.plan,
            secret=SecretKeyFile.load(world.keys.secret),
            folder=world.folder / "keys",
            min_security=INSECURE,
        )
        with pytest.raises(KeyMismatchError, match="row 0, is the result of another request or plan"):
            other.decrypt(ResultFile.load(world.folder / "forged.bin"))


def test_a_request_whose_rows_are_rearranged_is_another_one(world):
    client = world.client()
    request = client.encrypt(rows(0.5, 0.25))
    swapped = CiphertextFile.build(
        world.plan,
        keys=request.header.keys,
        key_id=request.header.key_id,
        streams={"x": [list(request.row("x", 1)), list(request.row("x", 0))]},
    )
    with pytest.raises(KeyMismatchError, match="but the last one"):
        client.decrypt(world.run(swapped))

"""Material in files: inferences with what two files hold, each of which says nothing of the other's, and all once."""

import threading
from dataclasses import dataclass

import numpy as np
import pytest

from hecc.runtime.errors import FileFormatError, KeyMismatchError
from hecc.runtime.sharing.arithmetic.rings import signed
from hecc.runtime.sharing.material.files import PAGE, ClientMaterial, ServerMaterial
from hecc.runtime.sharing.material.tapes import BlockTape
from hecc.runtime.sharing.parties.dealing import MASKS, SHARES, block_tape, deal, weight_tape
from hecc.runtime.sharing.parties.memory import memory_channels
from hecc.runtime.sharing.parties.rounds import (
    as_elements,
    client_results,
    differences,
    serve,
    uploads,
    weight_masks,
)
from hecc.runtime.sharing.parties.walk import Checked, weight_shapes
from hecc.runtime.sharing.program.instructions import Affine, Input, Knot, Output, Private, Release, Shift
from hecc.runtime.sharing.program.maps import Dense
from hecc.runtime.sharing.program.program import Program

PROGRAM = Program(
    (
        Input(name="x", size=5, ring=30),
        Affine(private=(Private(x=0, map=Dense(inner=5, outer=6), weight="v"),), bias="a", size=6, ring=30),
        Shift(x=1, bits=8, ring=16),
        Knot(x=2, digits=((3, 4), (4, 4)), ring=24),
        Affine(private=(Private(x=3, map=Dense(inner=6, outer=3), weight="w"),), bias="b", size=3, ring=24),
        Release(x=4, ring=24),
        Output(name="y", x=5),
    ),
    {},
)
RNG = np.random.default_rng(0)
WEIGHTS = {"v": RNG.integers(-100, 100, (1, 5, 6)), "w": RNG.integers(-100, 100, (1, 6, 3))}
BIASES = {"a": RNG.integers(-1000, 1000, 6), "b": RNG.integers(-1000, 1000, 3)}


@dataclass
class PublicPlan:
    """As much of a plan as a dealer looks at."""

    checked: Checked
    fingerprint: str = "5" * 64


PLAN = PublicPlan(Checked.of(PROGRAM))
COUNT = 12


@pytest.fixture
def files(tmp_path):
    server, client = tmp_path / "server.material", tmp_path / "client.material"
    deal(PLAN, COUNT, server, client)
    return server, client


def infer(files, first, x):
    """Both parties, with what is in the files."""
    rows, shapes = len(x), weight_shapes(PROGRAM)
    ours, theirs = memory_channels()
    with ServerMaterial(files[0], PLAN.fingerprint) as server, ClientMaterial(files[1], PLAN.fingerprint) as client:
        assert server.batch.batch == client.batch.batch
        masks = weight_masks(shapes, weight_tape(server.weight_seed, server.batch))
        difference = differences(shapes, as_elements(WEIGHTS), masks)
        seeds = client.peek(first, rows)
        upload = uploads(PLAN.checked, rows, masks=block_tape(seeds, MASKS, client.batch, first), weights=difference)
        assert client.take(first, rows) == seeds
        kwargs = {
            "shares": BlockTape(server.read(first, rows)),
            "upload": BlockTape(upload),
            "channel": theirs,
            "weights": WEIGHTS,
            "biases": BIASES,
        }
        thread = threading.Thread(target=serve, args=(PLAN.checked, rows), kwargs=kwargs)
        thread.start()
        results = client_results(
            PLAN.checked,
            {"x": x},
            masks=block_tape(seeds, MASKS, client.batch, first),
            shares=block_tape(seeds, SHARES, client.batch, first),
            channel=ours,
        )
        thread.join()
        server.discard(first, rows)
    return signed(results["y"], 24)


def test_files_hold_what_an_inference_needs(files, monkeypatch):
    x = RNG.integers(-200, 200, (4, 5))
    hidden = np.maximum(x @ WEIGHTS["v"][0] + BIASES["a"], 0) / 256
    for first in (0, 4, 8):
        found = infer(files, first, x)
        assert np.abs(found - (hidden @ WEIGHTS["w"][0] + BIASES["b"])).max() <= np.abs(WEIGHTS["w"]).sum(axis=1).max()


def test_blocks_are_dealt_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("hecc.runtime.sharing.parties.dealing.AT_ONCE", 300)
    seen = []
    files = tmp_path / "s", tmp_path / "c"
    deal(PLAN, 7, *files, progress=lambda done, of: seen.append((done, of)))
    assert seen[-1] == (7, 7)
    assert len(seen) > 1
    infer(files, 2, RNG.integers(-200, 200, (5, 5)))


def test_what_was_used_is_gone(files):
    x = RNG.integers(-200, 200, (3, 5))
    before = files[0].read_bytes(), files[1].read_bytes()
    infer(files, 2, x)
    with ServerMaterial(files[0], PLAN.fingerprint) as server, pytest.raises(FileFormatError, match="block 3 is gone"):
        server.read(3, 1)
    with ClientMaterial(files[1], PLAN.fingerprint) as client:
        for gone in (0, 2, 4):
            with pytest.raises(FileFormatError, match="the seeds of blocks before 5 are gone"):
                client.peek(gone, 1)
    place = ServerMaterial(files[0], PLAN.fingerprint).batch.place
    after = files[0].read_bytes()
    assert after[PAGE + 2 * place : PAGE + 5 * place] == bytes(3 * place)
    assert after[: PAGE + 2 * place] == before[0][: PAGE + 2 * place]
    # The seed that the file began with is nowhere in it.
    old = before[1][PAGE + 8 : PAGE + 40]
    assert any(old)
    assert old not in files[1].read_bytes()


def test_neither_file_has_anything_of_the_others(files):
    """No seed, no key and no share: every 16 bytes of one that are random are nowhere in the other."""
    server, client = (file.read_bytes() for file in files)
    seed = client[PAGE + 8 : PAGE + 40]
    assert seed not in server
    assert seed[:16] not in server
    with ServerMaterial(files[0], PLAN.fingerprint) as material:
        assert material.weight_seed not in client
        for row in material.read(0, COUNT):
            content = row.tobytes()
            for start in range(0, len(content) - 16, 16):
                assert content[start : start + 16] not in client
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)


def test_batches_of_one_plan_have_nothing_in_common(tmp_path):
    files = [(tmp_path / f"s{i}", tmp_path / f"c{i}") for i in range(2)]
    for each in files:
        deal(PLAN, 2, *each)
    with ServerMaterial(files[0][0], PLAN.fingerprint) as one, ServerMaterial(files[1][0], PLAN.fingerprint) as two:
        assert one.batch.batch != two.batch.batch
        assert one.weight_seed != two.weight_seed
        assert not np.array_equal(one.read(0, 1), two.read(0, 1))


@pytest.mark.parametrize("role", [0, 1])
def test_files_that_are_not_what_they_should_be_are_refused(files, role, tmp_path):
    kinds = (ServerMaterial, ClientMaterial)
    path, content = files[role], files[role].read_bytes()
    with pytest.raises(KeyMismatchError, match="for another plan"):
        kinds[role](path, "6" * 64)
    with pytest.raises(FileFormatError, match=r"give the (server|client)'s"):
        kinds[role](files[1 - role], PLAN.fingerprint)
    for change, match in (
        (content[:100], "no material"),
        (b"\0" + content[1:], "no material, or damaged"),
        (content[:60] + bytes([content[60] ^ 1]) + content[61:], "no material, or damaged"),
    ):
        path.write_bytes(change)
        with pytest.raises(FileFormatError, match=match):
            kinds[role](path, PLAN.fingerprint)


def test_damaged_blocks_are_refused(files):
    content = bytearray(files[0].read_bytes())
    content[PAGE + 20] ^= 1
    files[0].write_bytes(content)
    with (
        ServerMaterial(files[0], PLAN.fingerprint) as server,
        pytest.raises(FileFormatError, match="block 0 is gone, or"),
    ):
        server.read(0, 1)
    files[0].write_bytes(content[:-PAGE])
    with pytest.raises(FileFormatError, match="cut off"):
        ServerMaterial(files[0], PLAN.fingerprint)


def test_a_seed_that_was_cut_off_while_it_was_written_leaves_the_older(files):
    content = bytearray(files[1].read_bytes())
    with ClientMaterial(files[1], PLAN.fingerprint) as client:
        client.take(0, 3)
    newer = files[1].read_bytes()
    # As if the system had stopped in the middle of the newer slot.
    content[2 * PAGE : 2 * PAGE + 30] = newer[2 * PAGE : 2 * PAGE + 30]
    files[1].write_bytes(content)
    with ClientMaterial(files[1], PLAN.fingerprint) as client:
        assert len(client.peek(3, 2)) == 2

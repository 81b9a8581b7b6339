"""Sessions as the verbs have them: rows of any number, material that is there already, and what is left."""

import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from hecc.runtime.errors import InputError, PeerError
from hecc.runtime.plan.sessions import Address
from hecc.runtime.sharing.sessions import asking, interactive
from hecc.runtime.sharing.sessions.interactive import INTERACTIVE
from hecc.runtime.sharing.sessions.slices import AHEAD_AT_ONCE, ONLINE_AT_ONCE, blocks_at_once, rows_at_once

sys.path.insert(0, str(Path(__file__).parent))
from small_plan import PLAN, drawn, in_clear

COUNT = 30
ANYWHERE = Address("127.0.0.1", 0)
SLACK = np.abs(PLAN.secrets.weights["w"]).sum(axis=1).max()


@pytest.fixture
def material(tmp_path):
    INTERACTIVE.deal(PLAN, COUNT, tmp_path / "s", tmp_path / "c", progress=None)
    return tmp_path


@pytest.fixture
def service(material):
    ends = []
    with INTERACTIVE.serve(PLAN, ANYWHERE, material=material / "s", trust=None, told=ends.append) as made:
        made.ends = ends
        yield made


def prepare(service, material, **changed):
    given = {"trust": None, "count": None, "again": False, "progress": None} | changed
    return INTERACTIVE.prepare(PLAN.client(), service.address, material=material / "c", **given)


def query(service, material, rows, **changed):
    x = drawn(rows)
    given = {"trust": None, "progress": None} | changed
    answer = INTERACTIVE.query(PLAN.client(), service.address, {"x": x.astype(float)}, material=material / "c", **given)
    assert np.abs(answer.outputs["y"] - in_clear(x)).max() <= SLACK
    return answer


def test_preparations_go_on_where_the_last_one_ended(service, material):
    steps = []
    first = prepare(service, material, count=4, progress=lambda done, total: steps.append((done, total)))
    assert (first.first, first.count, first.left) == (0, 4, 4)
    assert steps == [(0, 4), (4, 4)]
    assert (first.traffic.sent, first.traffic.received) > (0, 0)
    second = prepare(service, material)
    assert (second.first, second.count, second.left) == (4, COUNT - 4, COUNT)
    again = prepare(service, material, count=6, again=True)
    assert (again.first, again.count, again.left) == (0, 6, COUNT)


@pytest.mark.parametrize("count", [0, COUNT + 1])
def test_no_more_is_prepared_than_there_is(service, material, count):
    with pytest.raises(InputError, match=f"and {COUNT} of the batch are not prepared"):
        prepare(service, material, count=count)


def test_many_rows_are_several_parts_over_one_connection(service, material, monkeypatch):
    for module, name in ((asking, "rows_at_once"), (interactive, "blocks_at_once")):
        monkeypatch.setattr(module, name, lambda cost: 7)
    steps = []
    prepare(service, material)
    answer = query(service, material, 20, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(0, 20), (7, 20), (14, 20), (20, 20)]
    assert answer.left == COUNT - 20
    service.close()
    assert [(end.prepared, end.evaluated) for end in service.ends] == [(COUNT, 0), (0, 20)]


def test_rows_that_have_no_blocks_are_not_begun(service, material):
    prepare(service, material)
    with pytest.raises(InputError, match=f"{COUNT + 1} rows need a block of material each, and {COUNT} are left"):
        query(service, material, COUNT + 1)
    query(service, material, COUNT)


def test_rows_whose_blocks_are_not_prepared_are_refused_by_the_server(service, material):
    prepare(service, material, count=2)
    with pytest.raises(PeerError, match="none that are prepared"):
        query(service, material, 3)


@pytest.mark.parametrize("there", ["s", "c", "s.ledger", "c.ledger"])
def test_material_that_is_there_is_not_replaced(tmp_path, there):
    (tmp_path / there).write_bytes(b"")
    with pytest.raises(InputError, match="perhaps in use"):
        INTERACTIVE.deal(PLAN, 1, tmp_path / "s", tmp_path / "c", progress=None)
    assert (tmp_path / there).read_bytes() == b""


def test_nothing_is_dealt_without_blocks(tmp_path):
    with pytest.raises(InputError, match="deal at least one"):
        INTERACTIVE.deal(PLAN, 0, tmp_path / "s", tmp_path / "c", progress=None)


def test_a_service_that_cannot_listen_closes_its_material(service, material, monkeypatch):
    closed = []
    monkeypatch.setattr(interactive.SharingServer, "close", lambda self: closed.append(self))
    with pytest.raises(InputError, match="nobody can listen there"):
        INTERACTIVE.serve(PLAN, service.address, material=material / "s", trust=None, told=print)
    assert len(closed) == 1


def test_a_service_that_is_closed_listens_no_more(service, material):
    service.close()
    service.close()
    service.wait()
    with pytest.raises(PeerError, match="no server there"):
        prepare(service, material)


def test_so_much_goes_into_a_session_as_fits_into_memory_and_one_row_at_least():
    cost = PLAN.header.cost
    assert rows_at_once(cost) == min(1 << 16, ONLINE_AT_ONCE // cost.online)
    assert blocks_at_once(cost) == min(1 << 16, AHEAD_AT_ONCE // cost.prepared_bytes)
    huge = msgspec.structs.replace(cost, client_bytes=1 << 40, prepared_bytes=0)
    assert rows_at_once(huge) == 1
    assert blocks_at_once(huge) == 1 << 16

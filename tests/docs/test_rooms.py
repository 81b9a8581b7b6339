"""The tree of rooms in the documentation is that of the code, with a sentence for each."""

import importlib.util
from pathlib import Path

SPEC = importlib.util.spec_from_file_location("rooms", Path(__file__).with_name("rooms.py"))
rooms = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(rooms)


def test_the_tree_of_rooms_is_current():
    (found,) = rooms.BLOCK.findall(rooms.PAGE.read_text(encoding="utf-8"))
    assert found == rooms.tree(), "run `python tests/docs/rooms.py`"


def test_every_room_says_what_it_is_for_in_one_sentence():
    for floor in rooms.FLOORS:
        for path, sentence in rooms.rooms(floor):
            assert sentence.endswith("."), path
            assert 10 < len(sentence) <= 117, path

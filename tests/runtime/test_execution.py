"""The loop that runs programs: on a program of words, so that nothing but the loop is at work."""

import gc
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from hecc.runtime.execution import execute
from hecc.runtime.reading import Reading


@dataclass(frozen=True)
class Given:
    name: str
    operands: tuple[int, ...] = ()


@dataclass(frozen=True)
class Joined:
    operands: tuple[int, ...]


@dataclass(frozen=True)
class Returned:
    name: str
    operands: tuple[int, ...]


class Word:
    """Text that can be watched as it goes."""

    def __init__(self, text: str) -> None:
        self.text = text


@dataclass
class Words:
    instructions: Sequence[Any]

    def inputs(self) -> Iterator[tuple[int, Any]]:
        return ((i, ins) for i, ins in enumerate(self.instructions) if isinstance(ins, Given))

    def outputs(self) -> Iterator[tuple[int, Any]]:
        return ((i, ins) for i, ins in enumerate(self.instructions) if isinstance(ins, Returned))

    def last_uses(self) -> dict[int, int]:
        return {v: i for i, ins in enumerate(self.instructions) for v in ins.operands}


def joined(context: str, index: int, instruction: Joined, *words: Word) -> Word:
    return Word(context.join(word.text for word in words))


READING = Reading(
    "text",
    (Given, Joined, Returned),
    {
        Given: lambda context, index, instruction, text: Word(text),
        Joined: joined,
        Returned: lambda context, index, instruction, word: word.text,
    },
)

PROGRAM = Words(
    (Given("a"), Given("b"), Joined((0, 1)), Joined((2, 2)), Returned("twice", (3,)), Returned("first", (0,)))
)


def test_a_program_runs_by_its_reading() -> None:
    assert execute(PROGRAM, READING, "-", given={"a": "x", "b": "y"}) == {"twice": "x-y-x-y", "first": "x"}


def test_values_that_were_made_elsewhere_are_not_made_again() -> None:
    made = {0: Word("z"), 2: Word("made")}
    assert execute(PROGRAM, READING, "+", given={}, made=made) == {"twice": "made+made", "first": "z"}
    assert not made, "what was used is let go of"


def test_progress_comes_after_every_instruction() -> None:
    seen: list[tuple[int, int, str]] = []

    def progress(number: int, total: int, instruction: Any) -> None:
        seen.append((number, total, type(instruction).__name__))

    execute(PROGRAM, READING, "-", given={"a": "x", "b": "y"}, progress=progress)
    names = ["Given", "Given", "Joined", "Joined", "Returned", "Returned"]
    assert seen == [(i + 1, 6, name) for i, name in enumerate(names)]


def test_what_is_kept_is_what_the_hook_returns() -> None:
    def after(index: int, instruction: Any, value: Any, operands: Sequence[Any]) -> Any:
        assert len(operands) == max(1, len(instruction.operands))
        return Word(value.text.upper()) if index == 2 else value

    assert execute(PROGRAM, READING, "-", given={"a": "x", "b": "y"}, after=after)["twice"] == "X-Y-X-Y"


def test_values_are_freed_at_their_last_use() -> None:
    """Nothing holds a value while a later instruction runs, neither the loop nor the frame of its rule."""
    alive: dict[int, weakref.ref[Word]] = {}
    found: dict[int, set[int]] = {}

    def after(index: int, instruction: Any, value: Any, operands: Sequence[Any]) -> Any:
        if isinstance(value, Word):
            alive[index] = weakref.ref(value)
        return value

    def progress(number: int, total: int, instruction: Any) -> None:
        gc.collect()
        found[number - 1] = {i for i, word in alive.items() if word() is not None}

    execute(PROGRAM, READING, "-", given={"a": "x", "b": "y"}, after=after, progress=progress)
    assert found == {0: {0}, 1: {0, 1}, 2: {0, 2}, 3: {0, 3}, 4: {0}, 5: set()}


def test_a_kind_without_a_rule_stops_the_program() -> None:
    reading = Reading("half a text", (Given, Joined), {Given: READING[Given]}, {Joined: "nothing is joined here"})
    with pytest.raises(TypeError, match="half a text: no rule for Joined, because nothing is joined here"):
        execute(PROGRAM, reading, "-", given={"a": "x", "b": "y"})

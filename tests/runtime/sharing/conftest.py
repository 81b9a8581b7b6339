"""Inferences of small programs: all three parties in one process, with everything that each of them sees."""

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from hecc.runtime.sharing.arithmetic.packing import Field, unpack
from hecc.runtime.sharing.arithmetic.rings import signed
from hecc.runtime.sharing.gates.parties import Role
from hecc.runtime.sharing.material.tapes import BlockTape
from hecc.runtime.sharing.parties.memory import memory_channels
from hecc.runtime.sharing.parties.rounds import (
    as_elements,
    clear_results,
    client_results,
    dealt_blocks,
    differences,
    serve,
    uploads,
    weight_masks,
)
from hecc.runtime.sharing.parties.walk import Checked, program_cost, weight_shapes


class RandomTape:
    """Fields of a generator, kept as they are drawn."""

    def __init__(self, seed, rows):
        self._rng, self._rows, self.fields = np.random.default_rng(seed), rows, []

    def take(self, count, width):
        words = self._rng.integers(0, (1 << 64) - 1, (self._rows, count), dtype=np.uint64, endpoint=True)
        self.fields.append((words >> np.uint64(64 - width), width))
        return self.fields[-1][0]


class ListedTape:
    """Fields that somebody made."""

    def __init__(self, fields):
        self._fields = iter(fields)

    def take(self, count, width):
        values, given = next(self._fields)
        assert (values.shape[1], given) == (count, width)
        return values


@dataclass
class Inference:
    """A run, and what it was made of.

    Attributes
    ----------
    masks, shares, secrets
        The client's randomness, and the dealer's own.
    block, upload
        What the server got ahead of the input.
    messages
        Sender and bytes, in order.
    results
        What the client got, as signed integers.
    """

    checked: Checked
    inputs: dict[str, Any]
    weights: dict[str, Any]
    biases: dict[str, Any]
    masks: Any
    shares: Any
    secrets: Any
    weight_masks: dict[str, Any]
    block: Any = None
    upload: Any = None
    messages: list[tuple[Role, bytes]] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self):
        return len(next(iter(self.inputs.values())))

    @property
    def differences(self):
        return differences(weight_shapes(self.checked.program), as_elements(self.weights), self.weight_masks)

    def sent(self, role):
        return [data for sender, data in self.messages if sender is role]

    def fields(self, message):
        """The fields of a message by its number, as elements of shape (rows, count)."""
        sender, data = self.messages[message]
        declared = program_cost(self.checked).messages[message]
        assert declared.sender is sender
        found, at, raw = [], 0, np.frombuffer(data, dtype=np.uint8)
        for size, width in declared.fields:
            whole = Field(self.rows * size, width)
            found.append(unpack(raw[at : at + whole.bytes], whole.size, width).reshape(self.rows, size))
            at += whole.bytes
        assert at == len(data)
        return found

    def first_message(self, instruction):
        """The number of the first message of an instruction."""
        costs = program_cost(self.checked).instructions
        return sum(len(cost.messages) for cost in costs[:instruction])

    def run(self):
        self.block = dealt_blocks(
            self.checked,
            self.rows,
            masks=self.masks(),
            shares=self.shares(),
            secrets=self.secrets(),
            weights=self.weight_masks,
        )
        self.upload = uploads(self.checked, self.rows, masks=self.masks(), weights=self.differences)
        ours, theirs = memory_channels()
        for channel, role in ((ours, Role.CLIENT), (theirs, Role.SERVER)):
            channel.send = self._kept(channel.send, role)
        fault = []
        thread = threading.Thread(target=self._serve, args=(theirs, fault))
        thread.start()
        try:
            results = client_results(self.checked, self.inputs, masks=self.masks(), shares=self.shares(), channel=ours)
        except Exception:
            ours.send(b"not what is due, so that the server ends")
            raise
        finally:
            thread.join()
            assert not fault, fault
        rings = {ins.name: self.checked.types[index].result.ring for index, ins in self.checked.program.outputs()}
        self.results = {name: signed(x, rings[name]) for name, x in results.items()}
        return self

    def _serve(self, channel, fault):
        try:
            shares, upload = BlockTape(self.block), BlockTape(self.upload)
            serve(
                self.checked,
                self.rows,
                shares=shares,
                upload=upload,
                channel=channel,
                weights=self.weights,
                biases=self.biases,
            )
            shares.check_end()
            upload.check_end()
        except Exception as error:
            fault.append(error)
            channel.send(b"")

    def _kept(self, send, role):
        def kept(data):
            self.messages.append((role, data))
            send(data)

        return kept

    def clear(self, coins):
        found = clear_results(self.checked, self.inputs, coins=coins, weights=self.weights, biases=self.biases)
        rings = {ins.name: self.checked.types[index].result.ring for index, ins in self.checked.program.outputs()}
        return {name: signed(x, rings[name]) for name, x in found.items()}


@pytest.fixture
def infer():
    """Run a program on integers; the three tapes and the masks of weights are random unless they are given."""

    def inferred(program, inputs, weights=None, biases=None, *, seed=0, checked=None, **tapes):
        checked = checked or Checked.of(program)
        rows = len(next(iter(inputs.values())))
        made = {
            name: (lambda number=number: RandomTape((seed, number), rows))
            for number, name in enumerate(("masks", "shares", "secrets"))
        }
        masks = tapes.pop("weight_masks", None) or weight_masks(weight_shapes(program), RandomTape((seed, 9), 1))
        listed = {name: (lambda fields=fields: ListedTape(fields)) for name, fields in tapes.items()}
        return Inference(checked, inputs, weights or {}, biases or {}, **{**made, **listed}, weight_masks=masks).run()

    return inferred

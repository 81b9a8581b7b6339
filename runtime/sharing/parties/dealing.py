"""Dealing: a batch of material for one plan, by a dealer who keeps nothing.

The dealer knows the public plan, draws everything, gives the server its half and the client its own, and forgets. It
gets no message of any inference, and neither weights nor inputs. With the server's help it could read every input, and
with the client's every weight; so it runs on neither's machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from hecc.runtime.sharing.material.files import Batch, Bytes, write_client, write_server
from hecc.runtime.sharing.material.ledger import ledger_of
from hecc.runtime.sharing.material.streams import SEED_BYTES, Stream, next_seed, stream
from hecc.runtime.sharing.material.tapes import StreamTape
from hecc.runtime.sharing.parties.rounds import dealt_blocks, weight_masks
from hecc.runtime.sharing.parties.walk import program_cost, weight_shapes
from hecc.runtime.sharing.plan.plan import SharingPlan

__all__ = ["MASKS", "SHARES", "Draw", "block_tape", "deal", "together", "weight_tape"]

MASKS, SHARES, SECRETS, WEIGHTS = "masks", "shares", "secrets", "weights"
"""What streams are for."""

AT_ONCE = 1 << 24
"""Bytes of blocks that are dealt at a time, as far as one is not more."""


def block_tape(seeds: Sequence[bytes], purpose: str, batch: Batch, first: int) -> StreamTape:
    """The streams of blocks, given the seed of each."""
    streams: list[Stream] = [
        stream(seed, purpose, batch.bound + (first + row).to_bytes(8, "little")) for row, seed in enumerate(seeds)
    ]
    return StreamTape(streams)


def weight_tape(seed: bytes, batch: Batch) -> StreamTape:
    """The stream of the masks of the weights."""
    return StreamTape([stream(seed, WEIGHTS, batch.bound)])


class Draw:
    """What a dealer draws for one batch, and forgets when both halves are dealt.

    Parameters
    ----------
    plan
        Either file of it; the weights are not looked at.
    count
        Blocks: one for each example that is going to be evaluated.
    """

    def __init__(self, plan: SharingPlan, count: int) -> None:
        self._checked = plan.checked
        self.batch = Batch(
            batch=os.urandom(16).hex(),
            plan=plan.fingerprint,
            role="server",
            count=count,
            block_bytes=program_cost(plan.checked).block_bytes,
        )
        self.weight_seed, self.seed, self._secret = (os.urandom(SEED_BYTES) for _ in range(3))

    @property
    def client_batch(self) -> Batch:
        """The batch as the client's file says it."""
        return msgspec.structs.replace(self.batch, role="client")

    def blocks(self) -> Iterator[Bytes]:
        """The server's part in order, some blocks at a time: each of shape (rows, bytes)."""
        masks = weight_masks(weight_shapes(self._checked.program), weight_tape(self.weight_seed, self.batch))
        own, secrets, first = self.seed, self._secret, 0
        for some in together(self.batch):
            seeds, hidden = [], []
            for _ in range(some):
                seeds.append(own)
                hidden.append(secrets)
                own, secrets = next_seed(own), next_seed(secrets)
            yield dealt_blocks(
                self._checked,
                some,
                masks=block_tape(seeds, MASKS, self.batch, first),
                shares=block_tape(seeds, SHARES, self.batch, first),
                secrets=block_tape(hidden, SECRETS, self.batch, first),
                weights=masks,
            )
            first += some


def together(batch: Batch) -> Iterator[int]:
    """How many blocks are dealt at a time, until all are."""
    rows = max(1, AT_ONCE // max(batch.block_bytes, 1))
    for first in range(0, batch.count, rows):
        yield min(rows, batch.count - first)


def deal(
    plan: SharingPlan, count: int, server: Path, client: Path, *, progress: Callable[[int, int], None] | None = None
) -> None:
    """Deal a batch into files.

    Parameters
    ----------
    plan, count
        As of :class:`Draw`.
    server, client
        The files to write.
    progress
        Called with the number of blocks that are dealt, and of all.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    draw, tell = Draw(plan, count), progress or (lambda done, total: None)

    def blocks() -> Iterator[Bytes]:
        done = 0
        for rows in draw.blocks():
            yield rows
            done += len(rows)
            tell(done, count)

    write_server(server, draw.batch, draw.weight_seed, blocks())
    write_client(client, draw.client_batch, draw.seed)
    for path in (server, client):
        ledger_of(path, draw.batch).create()

"""Dealing into files: a batch of material for one plan, by a dealer who keeps nothing.

The dealer knows the public plan, draws everything, writes the server's file and the client's, and forgets. It gets no
message of any inference, and neither weights nor inputs. With the server's help it could read every input, and with the
client's every weight; so it runs on neither's machine.
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

__all__ = ["MASKS", "SHARES", "block_tape", "deal", "weight_tape"]

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


def deal(
    plan: SharingPlan, count: int, server: Path, client: Path, *, progress: Callable[[int, int], None] | None = None
) -> None:
    """Deal a batch.

    Parameters
    ----------
    plan
        Either file of it; the weights are not looked at.
    count
        Blocks: one for each example that is going to be evaluated.
    server, client
        The files to write.
    progress
        Called with the number of blocks that are dealt, and of all.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    checked = plan.checked
    batch = Batch(
        batch=os.urandom(16).hex(),
        plan=plan.fingerprint,
        role="server",
        count=count,
        block_bytes=program_cost(checked).block_bytes,
    )
    weight_seed, seed, secret = (os.urandom(SEED_BYTES) for _ in range(3))
    masks = weight_masks(weight_shapes(checked.program), weight_tape(weight_seed, batch))
    rows = max(1, AT_ONCE // max(batch.block_bytes, 1))

    def blocks() -> Iterator[Bytes]:
        own, secrets = seed, secret
        for first in range(0, count, rows):
            some = min(rows, count - first)
            seeds, hidden = [], []
            for _ in range(some):
                seeds.append(own)
                hidden.append(secrets)
                own, secrets = next_seed(own), next_seed(secrets)
            yield dealt_blocks(
                checked,
                some,
                masks=block_tape(seeds, MASKS, batch, first),
                shares=block_tape(seeds, SHARES, batch, first),
                secrets=block_tape(hidden, SECRETS, batch, first),
                weights=masks,
            )
            if progress is not None:
                progress(first + some, count)

    write_server(server, batch, weight_seed, blocks())
    write_client(client, msgspec.structs.replace(batch, role="client"), seed)
    for path in (server, client):
        ledger_of(path, batch).create()

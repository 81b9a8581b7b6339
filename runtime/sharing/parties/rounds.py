"""What each party does with a whole program, given its material."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.execution import execute
from hecc.runtime.reading import Reading
from hecc.runtime.sharing.arithmetic.rings import Elements, reduced
from hecc.runtime.sharing.gates.parties import Channel, Clear, Client, Dealer, Preparing, Run, Server, Weights
from hecc.runtime.sharing.gates.tables import CLEAR, CLIENT, DEAL, MASK, SERVER
from hecc.runtime.sharing.material.tapes import BlockWriter, Tape
from hecc.runtime.sharing.parties.walk import Checked, WeightShape

__all__ = [
    "as_elements",
    "clear_results",
    "client_results",
    "dealt_blocks",
    "differences",
    "serve",
    "uploads",
    "weight_masks",
]


def weight_masks(shapes: Mapping[str, WeightShape], tape: Tape) -> dict[str, Elements]:
    """Masks of the weights, drawn in order from a tape of one row: the same for all blocks of a batch."""
    return {name: tape.take(int(np.prod(shape)), ring).reshape(shape) for name, (shape, ring) in shapes.items()}


def differences(shapes: Mapping[str, WeightShape], weights: Weights, masks: Weights) -> dict[str, Elements]:
    """Weights less their masks: what clients get, for whom it is uniform."""
    return {name: reduced(weights[name] - masks[name], ring) for name, (_, ring) in shapes.items()}


def dealt_blocks(
    checked: Checked, rows: int, *, masks: Tape, shares: Tape, secrets: Tape, weights: Weights
) -> NDArray[np.uint8]:
    """The server's material for some examples, shape (rows, bytes).

    Parameters
    ----------
    masks, shares
        What the client derives.
    secrets
        Known to nobody else, and to be forgotten.
    weights
        Their masks.
    """
    dealer = Dealer(rows, masks, shares, secrets, BlockWriter(), weights, checked.program.constants)
    _walk(checked, DEAL, dealer, {})
    return dealer.block.blocks(rows)


def uploads(checked: Checked, rows: int, *, masks: Tape, weights: Weights) -> NDArray[np.uint8]:
    """What the client sends to the server ahead of its inputs, shape (rows, bytes).

    Parameters
    ----------
    weights
        What :func:`differences` made.
    """
    client = Preparing(rows, masks, BlockWriter(), weights, checked.program.constants)
    _walk(checked, MASK, client, {})
    return client.upload.blocks(rows)


def client_results(
    checked: Checked, inputs: Mapping[str, NDArray[np.int64]], *, masks: Tape, shares: Tape, channel: Channel
) -> dict[str, Elements]:
    """The results of examples, by the outputs' names; inputs are of shape (rows, size)."""
    rows = len(next(iter(inputs.values())))
    client = Client(rows, masks, shares, channel, checked.program.constants)
    return _walk(checked, CLIENT, client, {name: x.view(np.uint64) for name, x in inputs.items()})


def serve(
    checked: Checked,
    rows: int,
    *,
    shares: Tape,
    upload: Tape,
    channel: Channel,
    weights: Mapping[str, NDArray[np.int64]],
    biases: Mapping[str, NDArray[np.int64]],
) -> None:
    """Evaluate examples with the client at the other end."""
    server = Server(rows, shares, upload, channel, as_elements(weights), as_elements(biases), checked.program.constants)
    _walk(checked, SERVER, server, {})


def clear_results(
    checked: Checked,
    inputs: Mapping[str, NDArray[np.int64]],
    *,
    coins: Tape,
    weights: Mapping[str, NDArray[np.int64]],
    biases: Mapping[str, NDArray[np.int64]],
) -> dict[str, Elements]:
    """The same results in clear; the coins decide how numbers are rounded."""
    rows = len(next(iter(inputs.values())))
    clear = Clear(rows, coins, as_elements(weights), as_elements(biases), checked.program.constants)
    return _walk(checked, CLEAR, clear, {name: x.view(np.uint64) for name, x in inputs.items()})


def as_elements(arrays: Mapping[str, NDArray[np.int64]]) -> dict[str, Elements]:
    """Integers as elements of the largest ring."""
    return {name: np.ascontiguousarray(array).view(np.uint64) for name, array in arrays.items()}


def _walk(
    checked: Checked, reading: Reading[Callable[..., Any]], party: Any, given: Mapping[str, Elements]
) -> dict[str, Any]:
    inputs = {ins.name: given.get(ins.name) for _, ins in checked.program.inputs()}
    return execute(checked.program, reading, Run(party, checked.types), given=inputs)

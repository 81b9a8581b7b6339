"""What a plan makes of inputs in clear, integer by integer as the two parties do, with random rounding or without."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.sharing.arithmetic.rings import Elements, signed
from hecc.runtime.sharing.material.tapes import Tape
from hecc.runtime.sharing.parties.rounds import clear_results
from hecc.runtime.sharing.parties.walk import Checked
from hecc.runtime.sharing.plan.header import SharingHeader
from hecc.runtime.sharing.plan.plan import SharingPlan

__all__ = ["Nearest", "SeededCoins", "in_clear", "integers_of", "values_of"]


class SeededCoins:
    """Coins that a seed decides: numbers are rounded up or down as in an inference."""

    def __init__(self, rows: int, seed: int) -> None:
        self._rows, self._generator = rows, np.random.default_rng(seed)

    def take(self, count: int, width: int) -> Elements:
        """Uniform elements of so many bits, shape (rows, count)."""
        words = self._generator.integers(0, (1 << 64) - 1, (self._rows, count), dtype=np.uint64, endpoint=True)
        return words >> np.uint64(64 - width)


class Nearest:
    """Coins with which every number is rounded to the nearest."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def take(self, count: int, width: int) -> Elements:
        """Half of the range, shape (rows, count)."""
        return np.full((self._rows, count), 1 << (width - 1), dtype=np.uint64)


def integers_of(header: SharingHeader, rows: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.int64]]:
    """What the client shares of rows of the network's inputs, each of shape (rows, size)."""
    return {source.name: source.integers(rows[source.name]) for source in header.inputs}


def values_of(header: SharingHeader, checked: Checked, found: Mapping[str, Elements]) -> dict[str, NDArray[np.float64]]:
    """The real numbers that a program's results stand for, by output, each of shape (rows, ...)."""
    rings = {ins.name: checked.types[index].result.ring for index, ins in checked.program.outputs()}
    return {
        each.name: (signed(found[each.name], rings[each.name]).astype(np.float64) * each.unit).reshape(-1, *each.shape)
        for each in header.sent
    }


def in_clear(plan: SharingPlan, rows: Mapping[str, NDArray[np.float64]], coins: Tape) -> dict[str, NDArray[np.float64]]:
    """What a server's plan makes of rows, before the client does what the network ends in."""
    plan.require_program()
    assert plan.secrets is not None, "the plan is the server's"
    found = clear_results(
        plan.checked,
        integers_of(plan.header, rows),
        coins=coins,
        weights=plan.secrets.weights,
        biases=plan.secrets.biases,
    )
    return values_of(plan.header, plan.checked, found)

"""What shows that the evaluation of a row overflowed, to the client that decrypts and to the simulator alike.

An overflow wraps coefficients of a ciphertext around its modulus, and a coefficient is in every slot: what other rows
of a batch have in the same ciphertexts is lost with it. A value that is large, but not that large, stays in the slots
of its row. Which of the two it was has to be certain, as the error of a coefficient that wrapped is the modulus times a
cosine: of a hundred slots some look as if nothing had happened. So the others are delivered only where few rows of a
batch are lost, and where no coefficient is near the modulus, next to which those that wrapped are.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.plan.header import CkksOutput

__all__ = ["ALARM", "NEAR", "NO_FAULT", "faults", "largest_coefficient", "with_their_batches"]

ALARM = 32
"""How many predicted standard deviations a slot that must be zero may show. Noise of 32768 slots reaches about five;
the rest allows for an imprecise prediction. An overflow is off by the modulus over the scale, thousands of times
as much."""

NO_FAULT = ""

MANY = 4
"""If one row in so many of a batch is lost, the others may be, too. Of the slots of a ciphertext that wrapped around
nine in ten show it, whatever is in them."""

NEAR = 2
"""From such a part of the bound on, an eighth of the modulus, a coefficient may be one that wrapped around."""

IMAGINARY = "imaginary parts are larger than the predicted error"
NOT_ZERO = "slots that must be zero are not"
COPIES_DIFFER = "copies of one value differ"


def faults(signature: CkksOutput, copies: NDArray[np.complex128], values: NDArray[np.float64]) -> list[str]:
    """The free alarms of a decryption, one for each example; they hold no decrypted value, which a report would leak.

    Parameters
    ----------
    copies
        The slots, shape (examples, count, copies in the ring, slots of the layout). The predicted error is that of
        the copies' mean; a single one may be as far off as makes the mean err by that much.
    values
        The examples that they hold, shape (examples, *shape of the layout).

    Returns
    -------
    list
        The first alarm of each example, or :data:`NO_FAULT`.
    """
    layout, tolerance = signature.layout, ALARM * signature.error
    with np.errstate(over="ignore", invalid="ignore"):
        slots = copies.mean(axis=2)
        spread = np.abs(copies.real - slots.real[:, :, np.newaxis]).max(axis=2) / copies.shape[2]
        occupied = layout.occupied
        deviation = np.abs(slots.real - layout.pack(values))
        # Every comparison is false of NaN, which is an alarm, too.
        passes = (
            (np.abs(slots.imag) <= tolerance, IMAGINARY),
            (occupied | (deviation <= tolerance), NOT_ZERO),
            # Both the copy and the mean err.
            (~occupied | (np.maximum(deviation, spread) <= 2 * tolerance), COPIES_DIFFER),
            (
                ~occupied | (np.abs(slots.real) <= signature.bound),
                f"values are beyond the bound of {signature.bound:.6g}",
            ),
        )
    found = [NO_FAULT] * len(copies)
    for mask, fault in passes:
        for example in np.flatnonzero(~mask.all(axis=(1, 2))):
            found[example] = found[example] or fault
    return found


def largest_coefficient(slots: NDArray[np.complex128]) -> float:
    """The largest magnitude of a coefficient of the polynomial that slots are the values of, shape (N / 2,).

    Slot s is the value at ``exp(i pi 3^s / N)``, and the conjugates are the values at the conjugate points.
    """
    degree = 2 * len(slots)
    powers = np.ones(len(slots), dtype=np.int64)
    for known in 2 ** np.arange(len(slots).bit_length() - 1):
        powers[known : 2 * known] = powers[:known] * pow(3, int(known), 2 * degree) % (2 * degree)
    values = np.empty(degree, dtype=np.complex128)
    values[(powers - 1) // 2] = slots
    values[(2 * degree - powers - 1) // 2] = slots.conj()
    # A power of exp(i pi / N) turns the odd powers of the transform into all powers; its magnitude is one.
    return float(np.abs(np.fft.fft(values)).max()) / degree


def with_their_batches(lost: Mapping[int, str], wrapped: Set[int], batch: int, rows: int) -> dict[int, str]:
    """The rows that are lost, and those in the same ciphertexts that may be lost with them.

    Parameters
    ----------
    lost
        By number: why.
    wrapped
        The batches whose ciphertexts wrapped around, or may have.
    batch, rows
        How many rows a batch has, and how many there are at all.
    """
    found = dict(lost)
    for number in sorted({row // batch for row in lost}):
        members = range(number * batch, min((number + 1) * batch, rows))
        own = [row for row in members if row in lost]
        if number in wrapped or MANY * len(own) >= len(members):
            for row in members:
                found.setdefault(row, f"{lost[own[0]]}, in row {own[0]}, and this row is in the same ciphertexts")
    return found

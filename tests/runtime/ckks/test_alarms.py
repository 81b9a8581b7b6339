"""Rows judged one by one: which are lost, and with which others."""

import msgspec
import numpy as np
import pytest

from hecc.runtime.ckks.alarms import ALARM, NO_FAULT, faults, largest_coefficient, with_their_batches
from hecc.runtime.ckks.circuit.layout import vector_layout


@pytest.fixture
def header(insecure_plan):
    """A header with one output of three scores, of which rows can be given any values."""
    signature = msgspec.structs.replace(
        insecure_plan.header.outputs[0], name="y", shape=(3,), layout=vector_layout((3,), 8), bound=4.0, error=1e-6
    )
    return msgspec.structs.replace(insecure_plan.header, outputs=(signature,))


def slots_of(signature, rows):
    """What a clean decryption shows: shape (examples, count, copies, slots)."""
    packed = signature.layout.pack(np.asarray(rows, dtype=np.float64))
    return np.repeat(packed[:, :, np.newaxis], 2, axis=2).astype(np.complex128)


def judged(signature, copies):
    return faults(signature, copies, signature.layout.average(copies.real.mean(axis=2)))


def test_every_row_has_its_own_alarm(header):
    (signature,) = header.outputs
    rows = np.random.default_rng(0).uniform(-1, 1, (7, 3))
    rows[1, 2] = 4.1
    rows[2, 0] = np.nan
    rows[3, 1] = np.inf
    copies = slots_of(signature, rows)
    copies[4] += 1j * 2 * ALARM * signature.error
    copies[5, 0, :, 3] = 2 * ALARM * signature.error  # of three scores the fourth slot is empty
    copies[6, 0, 0, 1] += 9 * ALARM * signature.error
    found = judged(signature, copies)
    assert found[0] == NO_FAULT
    assert "beyond the bound of 4" in found[1]
    assert NO_FAULT not in (found[2], found[3])
    assert "imaginary" in found[4]
    assert "must be zero" in found[5]
    assert "copies" in found[6]
    assert judged(signature, slots_of(signature, rows[:1])) == [NO_FAULT]


@pytest.mark.parametrize("degree", [4, 64, 1024])
def test_the_largest_coefficient_is_that_of_the_polynomial(degree):
    coefficients = np.random.default_rng(degree).normal(size=degree)
    powers = [pow(3, s, 2 * degree) for s in range(degree // 2)]
    slots = np.polynomial.polynomial.polyval(np.exp(1j * np.pi * np.array(powers) / degree), coefficients)
    assert largest_coefficient(slots) == pytest.approx(np.abs(coefficients).max())


def test_others_of_a_batch_are_lost_with_many_or_when_ciphertexts_wrapped():
    assert with_their_batches({11: "why"}, set(), 10, 25) == {11: "why"}
    assert with_their_batches({3: "why"}, {0}, 1, 25) == {3: "why"}
    wrapped = with_their_batches({11: "why"}, {1}, 10, 25)
    assert sorted(wrapped) == list(range(10, 20))
    assert wrapped[12] == "why, in row 11, and this row is in the same ciphertexts"
    assert sorted(with_their_batches({10: "", 11: "", 12: ""}, set(), 10, 25)) == list(range(10, 20))
    # Of the five rows of the last batch two are more than a quarter.
    assert sorted(with_their_batches({21: "", 22: ""}, set(), 10, 25)) == list(range(20, 25))
    # A batch that wrapped, as far as one knows, but in which no row is lost, is whole.
    assert with_their_batches({}, {0}, 10, 25) == {}

"""Every message is uniform, whatever the input is: fixed inputs, many runs, chi-squared tests of bytes and of pairs."""

import numpy as np
import pytest
import scipy.stats

from hecc.runtime.sharing.program.instructions import Affine, Input, Knot, Output, Private, Release, Shift
from hecc.runtime.sharing.program.maps import Dense
from hecc.runtime.sharing.program.program import Program

RUNS = 1 << 14
LEVEL = 1e-6
"""Chance that a test fails of a right protocol; seeds are fixed, so it did not."""


def program():
    return Program(
        (
            Input(name="x", size=2, ring=24),
            Affine(private=(Private(x=0, map=Dense(inner=2, outer=2), weight="w"),), bias="b", size=2, ring=24),
            Shift(x=1, bits=8, ring=16),
            Knot(x=2, digits=((3, 3, 3), (3, 3)), ring=24),
            Affine(private=(Private(x=3, map=Dense(inner=2, outer=2), weight="w"),), bias="b", size=2, ring=24),
            Shift(x=4, bits=8, ring=16),
            Release(x=5, ring=16),
            Output(name="y", x=6),
        ),
        {},
    )


@pytest.mark.parametrize("x", [[0, 0], [300, -20]])
def test_what_each_party_is_sent_is_uniform(infer, x):
    weights, biases = {"w": np.array([[[100, -7], [3, 50]]])}, {"b": np.array([12, -500])}
    run = infer(program(), {"x": np.tile(x, (RUNS, 1))}, weights, biases, seed=11)
    # The last message shows the result to the client; its part of it is uniform as well.
    for number in range(len(run.messages)):
        for field in run.fields(number):
            _check(field)
    for data in (run.block, run.upload):
        for column in range(data.shape[1]):
            _check_bits(data[:, column : column + 1].astype(np.uint64))


def _check(field):
    """Single bits, and all pairs of the bits of neighbours, of shape (runs, count)."""
    width = int(field.max()).bit_length()
    bits = np.stack([(field >> np.uint64(i)) & np.uint64(1) for i in range(width)], axis=2).reshape(RUNS, -1)
    _check_balance(bits)
    for distance in (1, 2, width):
        if distance < bits.shape[1]:
            _check_balance(bits[:, distance:] ^ bits[:, :-distance])
    if width >= 8:
        _check_bits(field & np.uint64(255))
        _check_bits(field >> np.uint64(width - 8))


def _check_balance(bits):
    # Bits beyond a field's end are zero by the format.
    ones = bits.sum(axis=0).astype(float)
    z = (ones - RUNS / 2) / np.sqrt(RUNS / 4)
    assert (np.abs(z) < scipy.stats.norm.isf(LEVEL / 2 / len(z))).all()


def _check_bits(values):
    for column in values.T:
        counts = np.bincount(column.astype(np.int64), minlength=256)
        # The last byte of a field has fewer bits.
        used = 1 << int(column.max()).bit_length()
        assert scipy.stats.chisquare(counts[:used]).pvalue > LEVEL

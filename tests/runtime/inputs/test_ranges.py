"""Ranges of elements: what a file may say of them, and what the client makes of values."""

from fractions import Fraction

import msgspec
import numpy as np
import pytest

from hecc.runtime.ckks.circuit.layout import vector_layout
from hecc.runtime.ckks.plan.header import CkksInput
from hecc.runtime.errors import InputError
from hecc.runtime.files import codec
from hecc.runtime.inputs.ranges import MAX_ELEMENTS, ElementRanges
from hecc.runtime.inputs.tensors import input_rows

LOWS, HIGHS = (0.0, -5.0, 1e6), (1e-3, 5.0, 3e6)


def signature(**fields):
    layout = vector_layout((3,), 4)
    own = {"low": -5.0, "high": 3e6, "ranges": ElementRanges.of(LOWS, HIGHS)}
    return CkksInput(name="x", shape=(3,), layout=layout, limbs=1, scale=Fraction(1), **own | fields)


def test_each_element_is_brought_to_one_size():
    rows = np.array([LOWS, HIGHS, [0.0005, 0.0, 2e6]])
    np.testing.assert_allclose(signature().normalised(rows), [[-1] * 3, [1] * 3, [0] * 3], atol=1e-12)
    assert signature().encrypted_range == (-1.0, 1.0)
    plain = signature(ranges=None)
    assert plain.normalised(rows) is rows
    assert plain.encrypted_range == (-5.0, 3e6)


def test_ends_never_leave_the_range_by_rounding():
    generator = np.random.default_rng(0)
    lows = generator.normal(0, 1, 1000) * 10.0 ** generator.integers(-20, 20, 1000)
    highs = lows + np.abs(generator.normal(0, 1, 1000)) * 10.0 ** generator.integers(-3, 20, 1000) + np.abs(lows) * 1e-9
    ranges = ElementRanges.of(lows, highs)
    assert np.abs(ranges.normalised(np.stack([lows, highs]))).max() == 1.0


@pytest.mark.parametrize(
    ("row", "column", "value", "words"),
    [
        (1, 0, 0.5, r"row 1, column 0 \('age'\): 0.5 is outside 0 to 0.001; preprocess"),
        (0, 2, 0.0, r"row 0, column 2 \('ratio'\): 0 is outside 1e\+06 to 3e\+06; preprocess"),
    ],
)
def test_a_value_outside_is_named_by_row_and_column(row, column, value, words):
    rows = np.tile([0.0005, 0.0, 2e6], (3, 1))
    rows[row, column] = value
    with pytest.raises(InputError, match=f"^input 'x', {words}"):
        input_rows(rows, [signature(columns=("age", "dose", "ratio"))])
    rows[2, 0] = -1
    with pytest.raises(InputError, match="and there are such values in 2 of 3 rows"):
        input_rows(rows, [signature()])


def test_values_rounded_to_single_precision_are_inside():
    high = float(np.float32(1e-3))
    assert high > 1e-3
    assert input_rows(np.array([[high, 0, 2e6]]), [signature()])["x"][0, 0] == 1e-3


@pytest.mark.parametrize(
    ("lows", "highs", "fault"),
    [
        (LOWS[:2], HIGHS, "2 lowest and 3 highest values for 3 elements"),
        (LOWS, (1e-3, -5.0, 3e6), "the range of column 1, -5 to -5, is empty or has no end"),
        (LOWS, (1e-3, float("nan"), 3e6), "column 1, -5 to nan, is empty"),
        (LOWS, (1e-3, float("inf"), 3e6), "column 1, -5 to inf, is empty or has no end"),
        ((-1e308, -5.0, 1e6), (1.7e308, 5.0, 3e6), "column 0, -1e.308 to 1.7e.308, is empty or has no end"),
    ],
)
def test_ranges_that_are_none_are_refused(lows, highs, fault):
    with pytest.raises(InputError, match=fault):
        ElementRanges.of(lows, highs).check(3)


def test_an_image_has_no_range_for_each_pixel():
    size = MAX_ELEMENTS + 1
    with pytest.raises(InputError, match="more than 65536 have one range in common"):
        ElementRanges.of([0.0] * size, [1.0] * size).check(size)


def test_what_says_nothing_of_columns_has_the_bytes_that_it_had():
    """So that plans of images stay as they were, and older ones can be read."""
    plain = signature(ranges=None)
    assert b"ranges" not in codec.encode(plain)
    assert b"columns" not in codec.encode(plain)
    assert codec.decode(codec.encode(signature()), CkksInput, where="x") == signature()
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"lows": [0], "highs": [1], "more": 1}', type=ElementRanges)

"""Numbers and matrices of numbers as the extension takes them: what memory safety rests on is checked there again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hecc.runtime.native import _evaluator

Clients = Callable[[int, int], Any]


def context_of(client: Any) -> _evaluator.Context:
    return _evaluator.Context(2048, client.data_primes, client.special, 2, 1, "")


def matrix(**changes: Any) -> _evaluator.ScalarMatrix:
    """Two rows of three columns."""
    fields: dict[str, Any] = {
        "columns": 3,
        "scale": 2.0**20,
        "offsets": np.array([0, 2, 3], np.int64),
        "column": np.array([0, 2, 1], np.int32),
        "values": np.array([1, 2, 3], np.float32),
        "bias": np.zeros(0),
        "bias_scale": 2.0**40,
        **changes,
    }
    return _evaluator.ScalarMatrix(**fields)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"offsets": np.array([0], np.int64)}, "a matrix without rows"),
        ({"offsets": np.array([], np.int64)}, "a matrix without rows"),
        ({"columns": 0}, "a matrix without rows or columns"),
        ({"offsets": np.array([1, 2, 3], np.int64)}, "the offsets do not partition the entries"),
        ({"offsets": np.array([0, 2, 4], np.int64)}, "the offsets do not partition the entries"),
        ({"offsets": np.array([0, 2, 2], np.int64)}, "the offsets do not partition the entries"),
        ({"offsets": np.array([0, 2**62, 3], np.int64)}, "the offsets do not partition the entries"),
        ({"offsets": np.array([0, -5, 3], np.int64)}, "the offsets do not partition the entries"),
        ({"column": np.array([0, 3, 1], np.int32)}, "column 3 of row 0 is out of order or outside 0..2"),
        ({"column": np.array([0, 2, -1], np.int32)}, "column -1 of row 1 is out of order or outside 0..2"),
        ({"column": np.array([2, 0, 1], np.int32)}, "column 0 of row 0 is out of order"),
        ({"column": np.array([2, 2, 1], np.int32)}, "column 2 of row 0 is out of order"),
        ({"column": np.array([0, 2], np.int32)}, "an array has the shape 2 instead of 3"),
        ({"values": np.array([1, math.nan, 3], np.float32)}, "not finite"),
        ({"values": np.array([1, math.inf, 3], np.float32)}, "not finite"),
        ({"bias": np.zeros(1)}, "a bias of 1 numbers for 2 rows"),
        ({"bias": np.array([0, math.nan])}, "not finite"),
        ({"bias": np.zeros(2), "bias_scale": 0.0}, "the scale is not positive and finite"),
        ({"scale": 0.0}, "the scale is not positive and finite"),
        ({"scale": math.nan}, "the scale is not positive and finite"),
        ({"scale": math.inf}, "the scale is not positive and finite"),
        ({"scale": 1e308, "values": np.array([1, 1e38, 3], np.float32)}, "a value at its scale is not finite"),
    ],
)
def test_a_hostile_matrix_is_refused(changes: dict[str, Any], says: str) -> None:
    matrix()
    with pytest.raises(ValueError, match=says):
        matrix(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"offsets": np.array([0, 2, 3], np.int32)},
        {"column": np.array([0, 2, 1], np.int64)},
        {"values": np.array([1, 2, 3], np.float64)},
        {"values": np.array([[1, 2, 3]], np.float32)},
        {"values": np.arange(6, dtype=np.float32)[::2]},
        {"values": None},
    ],
    ids=["offsets", "column", "values", "rank", "stride", "none"],
)
def test_arrays_of_another_type_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        matrix(**changes)


def test_a_matrix_refuses_ciphertexts_that_it_does_not_fit(hybrid_client: Clients) -> None:
    context, other = context_of(hybrid_client(2, 2)), context_of(hybrid_client(2, 2))
    three = context.ciphertexts(np.ones((3, 2, 5, 2048), np.uint64))
    assert context.matrix_product(three, matrix()).count == 2
    with pytest.raises(ValueError, match="a matrix of 3 columns times 2 ciphertexts"):
        context.matrix_product(context.ciphertexts(np.ones((2, 2, 5, 2048), np.uint64)), matrix())
    with pytest.raises(ValueError, match="another context"):
        other.matrix_product(three, matrix())


@pytest.mark.parametrize("operation", ["add_scalar", "multiply_scalar"])
def test_a_number_that_is_not_finite_is_refused(hybrid_client: Clients, operation: str) -> None:
    context, other = context_of(hybrid_client(2, 2)), context_of(hybrid_client(2, 2))
    x = context.ciphertexts(np.ones((1, 3, 2, 2048), np.uint64))
    assert getattr(context, operation)(x, -1.5, 8.0).polynomials == 3
    for value, scale in ((math.nan, 1.0), (math.inf, 1.0), (1e300, 1e300), (1.0, 0.0), (1.0, -1.0), (1.0, math.inf)):
        with pytest.raises(ValueError, match="finite"):
            getattr(context, operation)(x, value, scale)
    with pytest.raises(ValueError, match="another context"):
        getattr(other, operation)(x, 1.0, 1.0)


def test_a_row_without_entries_is_zero_and_groups_are_rows_with_the_same_columns(hybrid_client: Clients) -> None:
    context = context_of(hybrid_client(2, 2))
    x = context.ciphertexts(np.ones((3, 2, 5, 2048), np.uint64))
    found = matrix(
        scale=1.0,
        offsets=np.array([0, 2, 2, 4, 4, 5], np.int64),
        column=np.array([0, 2, 0, 2, 0], np.int32),
        values=np.array([1, 2, 3, 4, 5], np.float32),
    )
    assert found.groups == 3
    result = context.matrix_product(x, found).array()
    assert [int(row.max()) for row in result] == [int(row.min()) for row in result] == [3, 0, 7, 0, 5]

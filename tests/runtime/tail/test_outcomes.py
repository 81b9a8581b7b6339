"""Rows that are lost: what stands for their results, and how they are told of."""

import logging

import msgspec
import numpy as np
import pytest

from hecc.runtime.ckks.circuit.layout import vector_layout
from hecc.runtime.errors import OutputError
from hecc.runtime.tail.epilogue import ArgMax, Labels, Softmax
from hecc.runtime.tail.outcomes import Outputs, finished, report, row_words
from hecc.runtime.tail.predictions import NO_CLASS, classes, predictions


@pytest.fixture
def header(insecure_plan):
    """A header with one output of three scores, of which rows can be given any values."""
    signature = msgspec.structs.replace(
        insecure_plan.header.outputs[0], name="y", shape=(3,), layout=vector_layout((3,), 8), bound=4.0, error=1e-6
    )
    return msgspec.structs.replace(insecure_plan.header, outputs=(signature,))


@pytest.mark.parametrize(
    ("steps", "kind", "empty"),
    [
        ((), "f", np.isnan),
        ((Softmax(axes=(0,)),), "f", np.isnan),
        ((ArgMax(axis=0),), "f", np.isnan),
        ((ArgMax(axis=0), Labels(labels=("a", "b", "c"))), "U", lambda x: x == ""),
        ((ArgMax(axis=0), Labels(labels=(7, 8, 9))), "f", np.isnan),
    ],
)
def test_a_lost_row_has_no_class_and_the_others_keep_theirs(header, steps, kind, empty):
    (signature,) = header.outputs
    signature = msgspec.structs.replace(signature, epilogue=steps)
    header = msgspec.structs.replace(header, outputs=(signature,))
    scores = np.eye(3)[[2, 0, 1]] + [[0.0], [1e300], [0.0]]
    whole, found = finished(header, {"y": scores}), finished(header, {"y": scores}, {1: "why"})
    assert not whole.lost
    assert found.lost == {1: "why"}
    assert found["y"].dtype.kind == kind
    assert np.all(empty(found["y"][1]))
    np.testing.assert_array_equal(found["y"][[0, 2]], whole["y"][[0, 2]])
    assert classes(signature, found["y"]).tolist() == [2, NO_CLASS, 1]
    assert [row[0].number if row else None for row in predictions(signature, found["y"])] == [2, None, 1]
    nothing = finished(header, {"y": scores}, dict.fromkeys(range(3), "why"))
    assert nothing["y"].dtype.kind == kind
    assert nothing["y"].shape == whole["y"].shape
    assert classes(signature, nothing["y"]).tolist() == [NO_CLASS] * 3


def test_a_score_that_is_not_a_number_is_no_class(header):
    # Whatever made it so: the logarithm of a negative number on the client, say.
    (signature,) = header.outputs
    scores = np.array([[0.0, np.nan, 9.0], [0.0, 1.0, 0.5]])
    assert classes(signature, scores).tolist() == [NO_CLASS, 1]
    assert [len(row) for row in predictions(signature, scores)] == [0, 3]


def test_rows_in_words():
    assert row_words([3]) == "row 3"
    assert row_words([3, 17, 29]) == "rows 3, 17 and 29"
    assert row_words(range(1000)).endswith("18, 19 and 980 more")


def test_a_report_names_the_lost_rows_and_refuses_when_none_is_left(caplog):
    caplog.set_level(logging.WARNING)
    report(Outputs({"y": np.zeros((4, 1))}), "advice")
    assert not caplog.records
    report(Outputs({"y": np.zeros((9, 1))}, {7: "one", 3: "one", 5: "other"}), "advice")
    first, second = (record.getMessage() for record in caplog.records)
    assert first == "rows 3 and 7 of 9 lost: one; advice"
    assert second == "row 5 of 9 lost: other; advice"
    caplog.clear()
    report(Outputs({"y": np.zeros((99, 1))}, {row: f"reason {row}" for row in range(50)}), "advice")
    assert len(caplog.records) == 5
    assert "46 reasons like these" in caplog.records[-1].getMessage()
    with pytest.raises(OutputError, match=r"^why, in all of 2 rows; advice$"):
        report(Outputs({"y": np.zeros((2, 1))}, {0: "why", 1: "why"}), "advice")

"""The steps after decryption: what they compute, and that a plan cannot ask for others."""

import json

import msgspec
import numpy as np
import pytest
import scipy.special

from hecc.runtime.ckks.plan.checks import check_header
from hecc.runtime.ckks.plan.header import CkksOutput
from hecc.runtime.errors import FileFormatError, ParameterError
from hecc.runtime.files import codec
from hecc.runtime.tail.epilogue import (
    ArgMax,
    Columns,
    Hardmax,
    Labels,
    LogSoftmax,
    Normalize,
    Reshape,
    Sigmoid,
    Softmax,
    Step,
    Truncate,
    apply_steps,
    describe,
    result_shape,
)

X = np.random.default_rng(0).normal(scale=3, size=(5, 2, 3))


def norms(order):
    return np.linalg.norm(X, order, axis=2, keepdims=True)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Softmax(axes=(1,)), scipy.special.softmax(X, 2)),
        (Softmax(axes=(0, 1)), scipy.special.softmax(X, (1, 2))),
        (LogSoftmax(axes=(0,)), scipy.special.log_softmax(X, 1)),
        (Sigmoid(), scipy.special.expit(X)),
        (Hardmax(axes=(1,)), np.eye(3)[X.argmax(2)]),
        (Hardmax(axes=(0, 1)), np.eye(6)[X.reshape(5, 6).argmax(1)].reshape(5, 2, 3)),
        (Hardmax(axes=(0,)), np.moveaxis(np.eye(2)[X.argmax(1)], 2, 1)),
        (Normalize(norm="l1", axis=1), X / norms(1)),
        (Normalize(norm="l2", axis=1), X / norms(2)),
        (Normalize(norm="max", axis=1), X / X.max(2, keepdims=True)),
        (ArgMax(axis=0), X.argmax(1)),
        (ArgMax(axis=1, largest=False), X.argmin(2)),
        (Truncate(), np.trunc(X)),
        (Reshape(shape=(3, 2)), X.reshape(5, 3, 2)),
        (Columns(labels=("a", "b", "c")), X),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, np.ndarray) else "",
)
def test_a_step_computes_what_its_name_says(step, expected):
    found = apply_steps(X, [step])
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert found.shape == (5, *result_shape((2, 3), [step]))


def test_values_of_any_size_neither_overflow_nor_warn():
    far = np.array([[-1e4, 0.0, 1e4]])
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_array_equal(apply_steps(far, [Softmax(axes=(0,))]), [[0, 0, 1]])
        np.testing.assert_array_equal(apply_steps(far, [LogSoftmax(axes=(0,))]), [[-2e4, -1e4, 0]])
        np.testing.assert_array_equal(apply_steps(far, [Sigmoid()]), [[0, 0.5, 1]])
        zeros = np.zeros((1, 3))
        for norm in ("l1", "l2", "max"):
            np.testing.assert_array_equal(apply_steps(zeros, [Normalize(norm=norm, axis=0)]), zeros)


def test_of_equal_values_the_first_or_the_last_is_chosen():
    values = np.array([[1.0, 3.0, 3.0, 0.0]])
    assert apply_steps(values, [ArgMax(axis=0)]) == [1]
    assert apply_steps(values, [ArgMax(axis=0, last=True)]) == [2]


def test_classes_have_names_and_types():
    chosen = X.reshape(5, 6).argmax(1)
    numbers = apply_steps(X.reshape(5, 6), [ArgMax(axis=0), Labels(labels=(10, 11, 12, 13, 14, 15))])
    words = apply_steps(X.reshape(5, 6), [ArgMax(axis=0), Labels(labels=tuple("abcdef"))])
    assert numbers.dtype == np.int64
    assert words.dtype.kind == "U"
    np.testing.assert_array_equal(numbers, chosen + 10)
    assert "".join(words) == "".join("abcdef"[k] for k in chosen)


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([Softmax(axes=())], r"'softmax' after decryption has axes \[\] of shape \(2, 3\)"),
        ([Softmax(axes=(2,))], r"axes \[2\]"),
        ([Softmax(axes=(-1,))], r"axes \[-1\]"),
        ([LogSoftmax(axes=(0, 0))], r"axes \[0, 0\]"),
        ([ArgMax(axis=5)], r"'argmax' after decryption has axes \[5\]"),
        ([ArgMax(axis=1), ArgMax(axis=1)], r"axes \[1\] of shape \(2,\)"),
        ([Normalize(norm="l2", axis=3)], r"axes \[3\]"),
        ([Reshape(shape=(7,))], "does not fit shape"),
        ([Reshape(shape=(-2, -3))], "does not fit shape"),
        ([Labels(labels=("a", "b"))], "2 names for 0 classes"),
        ([ArgMax(axis=1), Labels(labels=("a", "b"))], "2 names for 3 classes"),
        ([Truncate(), Labels(labels=("a", "b", "c"))], "3 names for 0 classes"),
        ([ArgMax(axis=1), Labels(labels=("a", 1, 2))], "names of two types"),
        ([ArgMax(axis=1), Labels(labels=("a", "b\x1b[2J", "c"))], "not printable"),
        ([ArgMax(axis=1), Labels(labels=("a", "b" * 300, "c"))], "over 256 characters"),
        ([ArgMax(axis=1), Labels(labels=(1, 2, 1 << 63))], "more than 64 bits"),
        ([ArgMax(axis=1), Labels(labels=("a", "b", "c")), Sigmoid()], "'sigmoid' after decryption follows names"),
        ([Columns(labels=("a", "b"))], "2 names for shape"),
        ([Sigmoid()] * 513, "513 steps after decryption, more than 512"),
    ],
)
def test_steps_that_do_not_fit_are_refused(steps, says):
    with pytest.raises(ParameterError, match=says):
        result_shape((2, 3), steps)


def test_steps_survive_a_file_and_no_others_do():
    steps: tuple[Step, ...] = (Sigmoid(), ArgMax(axis=0), Labels(labels=("no", "yes")))
    data = codec.encode(steps)
    assert codec.decode(data, tuple[Step, ...], where="a test") == steps
    for forged in (
        b'[{"step":"exec"}]',
        data.replace(b'"axis":0', b'"axis":0.5'),
        data.replace(b'"largest":true,', b""),
        data.replace(b'"no"', b"null"),
    ):
        with pytest.raises(FileFormatError):
            codec.decode(forged, tuple[Step, ...], where="a test")


def test_a_header_is_checked_with_its_steps(insecure_plan):
    header = insecure_plan.header
    assert "epilogue" not in json.loads(codec.encode(header))["outputs"][0]

    def with_steps(*steps):
        output = msgspec.structs.replace(header.outputs[0], epilogue=steps)
        assert isinstance(output, CkksOutput)
        return msgspec.structs.replace(header, outputs=(output, *header.outputs[1:]))

    check_header(with_steps(Softmax(axes=(0,))))
    with pytest.raises(ParameterError, match="axes"):
        check_header(with_steps(Softmax(axes=(9,))))


def test_steps_in_words():
    assert describe([ArgMax(axis=0, largest=False), Labels(labels=(1,))]) == "argmin, names of classes"

"""Labels as what a training takes: classes by number or name, and numbers."""

import dataclasses

import numpy as np
import pytest

from hecc.inputs.targets import load_targets
from hecc.runtime.errors import HeccError, InputError
from hecc.runtime.plan.header import TargetSignature


@dataclasses.dataclass
class Header:
    """As much of a header as is asked for."""

    targets: TargetSignature | None


CLASSES = Header(TargetSignature("y", (3,), True, ("cat", "dog", "owl")))
NUMBERS = Header(TargetSignature("y", (2,), False, ()))
ONES = np.eye(3)[[2, 0, 1]]


@pytest.mark.parametrize("labels", [[2, 0, 1], np.array([[2], [0], [1]]), ["owl", "cat", "dog"], ONES])
def test_classes_become_ones_among_zeros(labels):
    np.testing.assert_array_equal(load_targets(labels, CLASSES), ONES)


def test_probabilities_of_classes_stay(tmp_path):
    shares = np.full((4, 3), 1 / 3)
    np.save(tmp_path / "shares.npy", shares)
    np.testing.assert_array_equal(load_targets(tmp_path / "shares.npy", CLASSES), shares)


def test_numbers_have_the_shape_of_the_output():
    np.testing.assert_array_equal(load_targets([[1, 2], [3, 4]], NUMBERS), [[1.0, 2.0], [3.0, 4.0]])


@pytest.mark.parametrize(("labels", "header"), [([3, 0], CLASSES), (["fox"], CLASSES), ([1, 2, 3], NUMBERS)])
def test_labels_that_do_not_fit_are_refused(labels, header):
    with pytest.raises(HeccError):
        load_targets(labels, header)


def test_a_plan_that_does_not_train_takes_none():
    with pytest.raises(InputError, match="this plan does not train"):
        load_targets([1], Header(None))

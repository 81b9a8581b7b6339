"""PyTorch's tensors are arrays, too, where they can be."""

from typing import Any

import numpy as np
import pytest

from hecc.inputs.labels import class_numbers, load_truth
from hecc.inputs.sources import Form, load_inputs
from hecc.measure.scoring import scoring
from hecc.runtime.ckks.circuit.layout import vector_layout
from hecc.runtime.ckks.plan.header import CkksInput
from hecc.runtime.errors import InputError
from hecc.runtime.inputs.preprocessing import Preprocessing
from hecc.runtime.inputs.tensors import input_rows

torch: Any = pytest.importorskip("torch", reason="needs PyTorch")

ROWS = np.array([[0.1, -0.1, 0.03], [0.02, 0.07, -0.05]])


def rows(given, low=-0.1, high=0.1):
    """What a plan with one input of three values takes, by the face's way to it."""
    signature = CkksInput(name="x", shape=(3,), layout=vector_layout((3,), 4), limbs=1, scale=1, low=low, high=high)
    return input_rows(load_inputs(given, [Form("x", (3,), None, (low, high))]).tensors, [signature])["x"]


def test_single_precision_stays_single():
    single = ROWS.astype(np.float32)
    assert float(single.max()) > 0.1
    assert rows(torch.tensor(single)).max() == 0.1


def test_images_normalised_in_single_precision_fit_the_range_of_all_images():
    """As torchvision's ToTensor and Normalize do it."""
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    low, high = Preprocessing(scale=1 / 255, mean=mean, std=std).image_range((3, 2, 2))
    for pixel in (0, 255):
        image = torch.full((3, 2, 2), pixel, dtype=torch.uint8).float() / 255
        given = ((image - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]).reshape(-1, 3)
        assert low <= rows(given, low, high).min()
        assert rows(given, low, high).max() <= high


def test_tensors_and_lists_of_them_are_rows():
    for given in (torch.tensor(ROWS), list(torch.tensor(ROWS))):
        np.testing.assert_array_equal(rows(given), ROWS)


@pytest.mark.parametrize(
    ("options", "fault"),
    [({"requires_grad": True}, r"\(.*detach.*\)"), ({"dtype": torch.bfloat16}, "Tensor that is no array of numbers")],
)
def test_a_tensor_that_is_no_array_is_refused_in_a_sentence(options, fault):
    with pytest.raises(InputError, match=fault):
        rows(torch.zeros(1, 3, **options))


def test_labels_may_be_a_tensor(plan):
    assert class_numbers(load_truth(torch.tensor([2, 0, 1])), (), 3).tolist() == [2, 0, 1]
    with pytest.raises(InputError, match="labels: Tensor that is no array"):
        scoring(plan.header.outputs, torch.zeros(3, requires_grad=True), (), 3)

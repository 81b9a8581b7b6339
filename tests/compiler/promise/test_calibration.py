"""Made-up calibration inputs."""

from __future__ import annotations

import numpy as np
import pytest

from hecc.compiler.promise.calibration import synthetic_inputs


@pytest.mark.parametrize("shape", [(12,), (1, 8, 8), (3, 5, 7), (2, 9), (1,), (), (2, 3, 4, 5)])
def test_they_are_the_same_in_every_run_and_fill_the_range(shape: tuple[int, ...]) -> None:
    inputs = synthetic_inputs(shape, -2.0, 6.0)
    assert inputs.shape[1:] == shape
    np.testing.assert_array_equal(inputs, synthetic_inputs(shape, -2.0, 6.0))
    assert (inputs.min(), inputs.max()) == (-2.0, 6.0)


def test_there_are_smooth_images_among_them() -> None:
    """Neighbouring pixels of a third of the images at least are alike, as in no noise."""
    images = synthetic_inputs((1, 16, 16), 0.0, 1.0)
    steps = np.abs(np.diff(images, axis=-1)).mean(axis=(1, 2, 3))
    assert (steps < 0.15).mean() > 1 / 3
    assert (steps > 0.25).sum() >= 8


def test_global_randomness_is_left_alone() -> None:
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    synthetic_inputs((4,), 0.0, 1.0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002

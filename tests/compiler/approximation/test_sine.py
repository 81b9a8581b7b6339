"""The sine of a bootstrap, and the way back."""

import numpy as np
import pytest

from hecc.compiler.approximation.sine import argument, reach, sine


@pytest.mark.parametrize("phase", [0.02, 0.2, 0.225, 0.25])
def test_the_argument_of_a_sine_is_what_it_was_as_far_as_it_reaches(phase):
    x = np.linspace(-reach(phase), reach(phase), 1001)
    np.testing.assert_allclose(argument(phase, sine(phase, x)), x, atol=1e-7 / phase)
    assert reach(phase) >= 1


def test_beyond_its_reach_a_sine_turns_back_and_stays_bounded():
    x = np.linspace(-50, 50, 10_001)
    assert np.abs(sine(0.225, x)).max() <= 1
    assert sine(0.225, np.array(reach(0.225) + 0.1)) == pytest.approx(sine(0.225, np.array(reach(0.225) - 0.1)))


def test_what_is_not_finite_has_no_sine():
    assert np.isnan(sine(0.2, np.array([np.inf, np.nan]))).all()

"""The attack: from a file alone the data comes out, which is why nothing says that it is safe."""

import numpy as np
import pytest

from hecc.runtime.errors import InputError
from hecc.runtime.more.arithmetic import identity
from hecc.runtime.more.attack import Known, recover
from hecc.runtime.more.keys import generate

RNG = np.random.default_rng(2)


def pictures(rows=6):
    """Smooth images: waves of random directions."""
    y, x = np.mgrid[0:16, 0:16] / 16
    return np.stack([np.sin(4 * (a * x + b * y)) for a, b in RNG.normal(size=(rows, 2))])[:, np.newaxis]


@pytest.mark.parametrize("size", [2, 3])
def test_smooth_data_is_recovered_without_a_key(size):
    data = pictures()
    decoys = [data[::-1] + 0.05 * RNG.normal(size=data.shape) for _ in range(size - 1)]
    found = recover({"x": generate(size).encode([data, *decoys])})
    np.testing.assert_allclose(found.candidates["x"][0], data, atol=1e-9)
    assert found.told_by == "smoothness"
    assert found.certain > 1.05


def test_one_known_value_opens_everything():
    data, labels = RNG.normal(size=(5, 3)), np.eye(2)[[0, 1, 1, 0, 1]]
    key = generate(2)
    tensors = {"x": key.encode([data, data[::-1]]), "target": key.encode([labels, labels[::-1]])}
    found = recover(tensors, Known(1, 2, float(data[1, 2])))
    np.testing.assert_allclose(found.candidates["x"][0], data, atol=1e-10)
    np.testing.assert_allclose(found.candidates["target"][0], labels, atol=1e-10)


def test_a_value_that_is_nowhere_is_a_sentence():
    with pytest.raises(InputError, match="there are 5 rows of 3 elements"):
        recover({"x": generate(2).encode([np.ones((5, 3)), np.zeros((5, 3))])}, Known(5, 0, 1.0))


def test_where_nothing_is_hidden_there_is_nothing_to_recover():
    with pytest.raises(InputError, match="multiples of the identity"):
        recover({"x": identity(np.ones((2, 2)), 2)})

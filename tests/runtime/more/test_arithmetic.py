"""Matrices in place of numbers: sums, products and functions act on what is encoded."""

import numpy as np
import pytest

from hecc.runtime.more.arithmetic import Encoded, EncodedArithmetic, channels, commuting_basis, identity
from hecc.runtime.more.keys import generate
from hecc.runtime.network.functions import PRIMITIVES, FunctionStep

RNG = np.random.default_rng(11)
ARITHMETIC = EncodedArithmetic()


def numbers(*shape):
    return RNG.normal(size=shape)


@pytest.fixture(params=[2, 3], scope="module")
def key(request):
    return generate(request.param)


def encode(key, values):
    return key.encode([values, *(RNG.normal(size=values.shape) for _ in range(key.size - 1))])


def test_decoding_gives_the_numbers_back(key):
    m = numbers(5, 4)
    np.testing.assert_allclose(key.decode(encode(key, m)), m, rtol=0, atol=1e-13)


def test_products_of_encoded_and_plain_tensors(key):
    a, b, w = numbers(6, 3, 4), numbers(4, 5), numbers(4, 5)
    x, y = encode(key, a), encode(key, b)
    np.testing.assert_allclose(key.decode(ARITHMETIC.matmul(x, y)), a @ b, atol=1e-12)
    np.testing.assert_allclose(key.decode(ARITHMETIC.matmul(x, w)), a @ w, atol=1e-12)
    np.testing.assert_allclose(key.decode(ARITHMETIC.matmul(w.T, encode(key, a[0].T))), w.T @ a[0].T, atol=1e-12)
    np.testing.assert_allclose(key.decode(ARITHMETIC.multiply(y, y)), b * b, atol=1e-12)
    np.testing.assert_allclose(key.decode(ARITHMETIC.multiply(y, w[0])), b * w[0], atol=1e-12)
    np.testing.assert_allclose(ARITHMETIC.matmul(a, w), a @ w)


def test_sums_broadcast_and_constants_are_multiples_of_the_identity(key):
    a, bias, plain = numbers(6, 4), numbers(4), numbers(4)
    found = ARITHMETIC.add([encode(key, a), encode(key, bias), plain], (2.0, 1.0, -1.0), 0.5)
    np.testing.assert_allclose(key.decode(found), 2 * a + bias - plain + 0.5, atol=1e-12)
    np.testing.assert_allclose(ARITHMETIC.add([plain], (2.0,), 1.0), 2 * plain + 1)


@pytest.mark.parametrize("name", sorted(set(PRIMITIVES) - {"acosh", "acos", "asin", "atanh", "power"}))
def test_a_function_is_of_what_is_encoded(key, name):
    attributes = {"celu": (0.7,), "elu": (0.7,), "leakyrelu": (0.1,), "swish": (1.2,), "thresholdedrelu": (0.3,)}
    attributes |= {"clip": (-0.5, 0.5), "hardsigmoid": (0.2, 0.5), "selu": (1.6, 1.05), "shrink": (0.3, 0.1)}
    step = FunctionStep(name, (0,), attributes.get(name, ()))
    low = 0.5 if name in ("log", "sqrt", "reciprocal") else -1.2
    m, others = RNG.uniform(low, 1.2, (50,)), [RNG.uniform(low, 1.2, (50,)) for _ in range(key.size - 1)]
    expected = PRIMITIVES[name](m, *step.numbers).astype(float)
    found = key.decode(ARITHMETIC.function((step,), key.encode([m, *others])))
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_a_function_where_channels_meet():
    key = generate(2)
    m = np.array([0.0, 0.3, 0.3, -2.0, 1e-9])
    for gap in (0.0, 1e-14, 1e-9, 1e-5):
        found = key.decode(ARITHMETIC.function((FunctionStep("tanh", (0,)),), key.encode([m, m * (1 + gap)])))
        np.testing.assert_allclose(found, np.tanh(m), atol=1e-12)
    everybodys = identity(m, 2)
    np.testing.assert_allclose(
        ARITHMETIC.function((FunctionStep("exp", (0,)),), everybodys).planes, identity(np.exp(m), 2).planes, atol=1e-15
    )


def test_eigenvalues_are_the_channels(key):
    m, r = numbers(7), [numbers(7) for _ in range(key.size - 1)]
    found = np.sort(channels(key.encode([m, *r])), axis=0)
    np.testing.assert_allclose(found, np.sort(np.stack([m, *r]), axis=0), atol=1e-10)


def test_what_leaves_its_range_is_said():
    x = Encoded(np.full((2, 2, 3), np.inf))
    assert not ARITHMETIC.extent(x) < 1e300
    assert ARITHMETIC.extent_words(x) == "a channel (its numbers are not finite any more)"
    key = generate(2)
    words = ARITHMETIC.extent_words(key.encode([np.array([2.0]), np.array([-5e10])]))
    assert words.startswith("a channel (")
    assert "5e+10" in words


def test_what_rounding_added_is_taken_away(key):
    m = numbers(50)
    x = encode(key, m)
    basis = commuting_basis([encode(key, numbers(40)), x])
    assert basis.shape == (key.size, key.size**2)
    noisy = Encoded(x.planes + 1e-3 * RNG.normal(size=x.planes.shape))
    inverse = np.linalg.inv(key.matrix)

    def mixed(value):
        """What is not on the diagonals, where the key's matrices have nothing."""
        turned = np.einsum("ij,jk...,kl->il...", inverse, value.planes, key.matrix)
        return np.abs(turned[~np.eye(key.size, dtype=bool)]).max()

    settled = EncodedArithmetic(basis).settled(noisy)
    assert mixed(noisy) > 1e-4
    assert mixed(settled) < 1e-12
    np.testing.assert_allclose(EncodedArithmetic(basis).settled(x).planes, x.planes, atol=1e-13)
    np.testing.assert_allclose(key.decode(settled), m, atol=0.05)


def test_numbers_that_everybody_knows_span_too_little():
    assert commuting_basis([identity(numbers(5), 2)]) is None

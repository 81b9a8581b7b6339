"""The noise of results that are shown: its distribution to the last bit, and that its time tells nothing."""

import math
import secrets
import sys
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from hecc.runtime.ckks.client import gaussian, seal_bridge
from hecc.runtime.ckks.client.gaussian import NARROW, discrete_gaussian


def integers(deviation, number):
    """Samples as Python's integers."""
    limbs = discrete_gaussian(deviation, number)
    assert ((limbs[:-1] >= 0) & (limbs[:-1] < 1 << 32)).all()
    assert (np.abs(limbs[-1]) < 1 << 31).all()
    return [sum(int(limb) << 32 * i for i, limb in enumerate(sample)) for sample in limbs.T]


@pytest.mark.parametrize("deviation", [1, 3])
def test_samples_are_of_the_discrete_gaussian_distribution(deviation):
    # A chi-squared statistic of 10 degrees of freedom is above 40 once in 60,000 times.
    number = 20_000
    found = Counter(integers(deviation, number))
    weights = {y: math.exp(-(y**2) / (2 * deviation**2)) for y in range(-60, 61)}
    total = sum(weights.values())
    middle = range(-5, 6)
    statistic = 0.0
    for y in middle:
        expected = number * weights[y] / total
        statistic += (found[y] - expected) ** 2 / max(expected, 1e-9) if expected > 5 else 0.0
    assert statistic < 40
    assert abs(np.array(list(found.elements())).mean()) < 5 * deviation / math.sqrt(number)


def test_wide_samples_are_gaussian_down_to_the_last_bit():
    deviation, number = 1 << 90, 4000
    samples = integers(deviation, number)
    scaled = np.array([sample / deviation for sample in samples])
    assert scaled.std() == pytest.approx(1, abs=0.06)
    assert abs(scaled.mean()) < 0.08
    # Six standard deviations of that mean, which has a long tail.
    assert (scaled**4).mean() == pytest.approx(3, abs=1.0)
    # Doubles of this size are multiples of 2^38.
    for bit in range(0, 40, 5):
        assert abs(sum(sample >> bit & 1 for sample in samples) - number / 2) < 5 * math.sqrt(number) / 2
    assert len(set(samples)) == number


@pytest.mark.parametrize("deviation", [51, 52, 60, 210, 5000])
def test_sums_of_narrow_samples_have_the_distribution_of_one_wide_sample(deviation):
    number, cells = 40_000, 24
    edges = np.linspace(-3 * deviation, 3 * deviation, cells + 1).round() + 0.5
    span = np.arange(-8 * deviation, 8 * deviation + 1)
    weights = np.exp(-(span**2) / (2 * deviation**2))
    expected = np.histogram(span, edges, weights=weights)[0] / weights.sum() * number
    found = np.histogram(np.array(integers(deviation, number)), edges)[0]
    # A chi-squared statistic of 24 degrees of freedom is above 75 once in a million times.
    assert ((found - expected) ** 2 / expected).sum() < 75


@pytest.mark.parametrize("deviation", [1, 51, 52, 10**6, 1 << 90, 3**200])
def test_the_variances_add_up_exactly_and_the_convolution_theorem_holds(deviation):
    levels, last = gaussian._levels(deviation)
    narrow = Fraction(NARROW) ** 2
    assert sum((16**level * narrow for level in range(levels)), 16**levels * last) == deviation**2
    epsilon = 2.0**-128
    smoothing = math.sqrt(math.log(2 + 2 / epsilon) / math.pi)
    assert math.sqrt(2) * 4 * smoothing / math.sqrt(2 * math.pi) < NARROW
    assert last >= narrow or levels == 0
    assert last < 17 * narrow


def test_tables_are_the_probabilities_to_the_last_bit():
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workprec(300):
        weight = [mpmath.exp(-mpmath.mpf(x * x) / 18) for x in range(80)]
        total = weight[0] + 2 * sum(weight[1:])
        reached = weight[0]
        for x, (high, low) in enumerate(gaussian._table(Fraction(9)).tolist(), 1):
            assert abs((high << 64 | low) - reached / total * 2**128) <= 1
            reached += 2 * weight[x]


RANDOMNESS = {
    "zeros": lambda size: bytes(size),
    "ones": lambda size: b"\xff" * size,
    "alternating": lambda size: b"\x00\xff" * (size // 2) + b"\x00" * (size % 2),
    "random": secrets.token_bytes,
}


def test_what_is_executed_does_not_depend_on_the_samples(monkeypatch):
    """Every line, every shape of an array and every random byte is the same, whatever the samples become."""
    traces, samples = {}, {}
    discrete_gaussian(1 << 70, 1)
    for name, source in RANDOMNESS.items():
        events = []

        def draw(size, source=source, events=events):
            events.append(size)
            return source(size)

        def trace(frame, event, argument, events=events):
            if frame.f_code.co_filename not in (gaussian.__file__, seal_bridge.__file__):
                return None
            shapes = [getattr(value, "shape", ()) for value in frame.f_locals.values()]
            events.append((frame.f_code.co_name, frame.f_lineno, event, shapes))
            return trace

        monkeypatch.setattr(gaussian.secrets, "token_bytes", draw)
        sys.settrace(trace)
        try:
            limbs = discrete_gaussian(1 << 70, 600)
            seal_bridge._noise_residues(limbs, (1 << 50) - 27)
        finally:
            sys.settrace(None)
        monkeypatch.undo()
        traces[name], samples[name] = events, limbs
    assert len({str(events) for events in traces.values()}) == 1
    assert len(traces["random"]) > 300
    assert (samples["zeros"] == 0).all()
    assert np.abs(samples["ones"][-1]).min() > 0


@pytest.mark.parametrize("prime", [40961, (1 << 30) - 35, (1 << 50) - 27, (1 << 50) - 1])
def test_noise_is_reduced_exactly(prime):
    generator = np.random.default_rng(5)
    for count in (1, 2, 5):
        limbs = generator.integers(0, 1 << 32, (count, 300))
        limbs[-1] -= 1 << 31
        limbs[:, 0], limbs[:, 1] = 0, (1 << 32) - 1
        limbs[-1, 1], limbs[-1, 2] = (1 << 31) - 1, -(1 << 31)
        values = [sum(int(limb) << 32 * i for i, limb in enumerate(sample)) for sample in limbs.T]
        assert seal_bridge._noise_residues(limbs, prime).tolist() == [value % prime for value in values]

"""Functions of two lines: exact on every number of small rings, and at the ends of large ones."""

import numpy as np
import pytest

from hecc.runtime.sharing.parties.walk import Checked, program_cost
from hecc.runtime.sharing.program.instructions import Affine, Input, Knot, Line, Output, Public, Release
from hecc.runtime.sharing.program.program import Program

DIGITS = {
    5: ((2, 2),),
    8: ((3, 4),),
    15: ((5, 5, 4),),
    20: ((3, 3, 3), (3, 3, 4)),
    24: ((4, 4), (3, 3, 3), (3, 3)),
    32: ((6, 6, 6), (5, 4, 4)),
    40: ((3, 3, 3, 4), (3, 3, 3, 4), (3, 3, 3, 4)),
    64: ((6, 6, 6), (5, 5, 5), (5, 5, 5), (5, 5, 5)),
}
FUNCTIONS = {
    "relu": (Line(), Line(slope=1), lambda x: np.maximum(x, 0)),
    "abs": (Line(slope=-1), Line(slope=1), np.abs),
    "leaky": (Line(slope=3), Line(slope=32), lambda x: np.where(x >= 0, 32 * x, 3 * x)),
    "sign": (Line(constant=-7), Line(constant=9), lambda x: np.where(x >= 0, 9, -7)),
    "minimum": (Line(slope=1), Line(), lambda x: np.minimum(x, 0)),
    "jump": (Line(slope=2, constant=5), Line(slope=-1, constant=4), lambda x: np.where(x >= 0, 4 - x, 2 * x + 5)),
}


def one_knot(size, k, **fields):
    """A knot on the input, which is remasked first as the client knows its mask."""
    knot = Knot(**{"x": 1, "digits": DIGITS[k], **fields})
    released = (Release(x=2, ring=knot.ring),) if knot.hidden else ()
    return Program(
        (
            Input(name="x", size=size, ring=k),
            Affine(public=(Public(x=0),), size=size, ring=k),
            knot,
            *released,
            Output(name="y", x=3 if knot.hidden else 2),
        ),
        {},
    )


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("ring", [4, 8, 13])
def test_relu_is_exact_on_all_of_a_ring(infer, ring, hidden):
    """Also for numbers at the ends, as only what is positive has to be extended."""
    x = np.tile(np.arange(-128, 128), (2, 1))
    done = infer(one_knot(256, 8, ring=ring, hidden=hidden), {"x": x})
    expected = np.maximum(x, 0)
    wrapped = (expected + (1 << (ring - 1))) % (1 << ring) - (1 << (ring - 1))
    np.testing.assert_array_equal(done.results["y"], wrapped)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("k", "ring"), [(5, 20), (8, 8), (15, 24), (20, 32), (24, 20), (32, 64), (40, 64), (64, 64)])
def test_lines_are_exact_within_the_slack(infer, name, k, ring):
    left, right, function = FUNCTIONS[name]
    limit = min(1 << (k - 2), 1 << (ring - 7))
    rng = np.random.default_rng(k)
    x = np.concatenate([rng.integers(-limit, limit, (2, 40)), np.tile([-limit, limit - 1, 0, -1, 1], (2, 1))], axis=1)
    done = infer(one_knot(45, k, left=left, right=right, ring=ring), {"x": x})
    np.testing.assert_array_equal(done.results["y"], function(x))


@pytest.mark.parametrize("threshold", [-9, 0, 5])
def test_the_knot_may_lie_elsewhere(infer, threshold):
    x = np.tile(np.arange(-50, 50), (2, 1))
    program = one_knot(
        100, 8, threshold=threshold, left=Line(slope=2, constant=3), right=Line(slope=-5, constant=1), ring=16
    )
    done = infer(program, {"x": x})
    np.testing.assert_array_equal(done.results["y"], np.where(x >= threshold, 1 - 5 * x, 3 + 2 * x))


@pytest.mark.parametrize("k", DIGITS)
def test_clear_is_what_the_parties_compute(infer, k):
    x = np.random.default_rng(k).integers(-(1 << (k - 2)), 1 << (k - 2), (3, 50))
    done = infer(one_knot(50, k, ring=min(k + 4, 64)), {"x": x})
    np.testing.assert_array_equal(done.results["y"], done.clear(None)["y"])


@pytest.mark.parametrize(
    ("k", "ring", "digits", "online", "dealt"),
    [
        (20, 32, ((3, 3, 3), (3, 3, 4)), 76, 197),
        (20, 32, ((5, 5, 5, 4),), 66, 251),
        (15, 24, ((3, 3, 3), (3, 2)), 59, 142),
        (40, 64, ((5, 5, 5), (4, 4, 4), (4, 4, 4)), 142, 469),
    ],
)
def test_bits_of_a_relu(k, ring, digits, online, dealt):
    """As the design of the scheme counts them, by hand."""
    cost = program_cost(Checked.of(one_knot(800, k, ring=ring, digits=digits))).instructions[2]
    bits = sum(field.bits for message in cost.messages for field in message.fields)
    assert len(cost.messages) == 4
    assert (bits / 800, sum(field.bits for field in cost.dealt) / 800) == (online, dealt)


def test_bytes_that_pass_are_those_of_the_cost(infer):
    program = one_knot(45, 20, ring=32)
    x = np.random.default_rng(0).integers(-1000, 1000, (3, 45))
    done = infer(program, {"x": x})
    cost = program_cost(done.checked)
    assert [(sender, len(data)) for sender, data in done.messages] == [
        (message.sender, message.bytes(3)) for message in cost.messages
    ]
    assert done.block.shape == (3, cost.block_bytes)
    assert done.upload.shape == (3, cost.upload_bytes)


@pytest.mark.parametrize("name", ["relu", "abs"])
def test_high_bits_that_say_nothing_are_not_compared(infer, name):
    left, right, function = FUNCTIONS[name]
    program = one_knot(60, 40, left=left, right=right, digits=DIGITS[8], ring=24)
    x = np.tile(np.arange(-30, 30), (2, 1))
    np.testing.assert_array_equal(infer(program, {"x": x}).results["y"], function(x))

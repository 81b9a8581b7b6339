"""Polynomials between knots: exact at every number, for any number of knots and every degree, in four messages."""

import numpy as np
import pytest

from hecc.runtime.sharing.parties.walk import program_cost
from hecc.runtime.sharing.program.instructions import Affine, Input, Output, Public, Release, Spline
from hecc.runtime.sharing.program.program import Program

DIGITS = {8: ((3,), (4,)), 12: ((3, 4), (4,)), 16: ((3, 3), (3, 3, 3))}


def spline(size, bits, ring, knots, pieces, hidden):
    made = Spline(x=1, knots=knots, pieces=pieces, digits=DIGITS[bits], ring=ring, hidden=hidden)
    released = (Release(x=2, ring=ring),) if hidden else ()
    return Program(
        (
            Input(name="x", size=size, ring=bits + 2),
            Affine(public=(Public(x=0),), size=size, ring=bits + 2),
            made,
            *released,
            Output(name="y", x=3 if hidden else 2),
        ),
        {},
    )


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("degree", [0, 1, 2, 3, 4])
@pytest.mark.parametrize(("bits", "ring"), [(8, 40), (8, 6), (12, 64), (16, 54)])
def test_every_number_of_the_slack_gets_its_polynomial(infer, bits, ring, degree, hidden):
    rng = np.random.default_rng((bits, degree))
    knots = tuple(sorted({-(1 << (bits - 3)), -3, 0, 1, 7}))
    pieces = tuple(tuple(map(int, rng.integers(-40, 40, degree + 1))) for _ in range(len(knots) + 1))
    half = 1 << (bits - 2)
    x = np.stack([np.concatenate([np.arange(-60, 60), [-half, half - 1, *knots]])] * 2)
    done = infer(spline(x.shape[1], bits, ring, knots, pieces, hidden), {"x": x})
    piece = np.searchsorted(knots, x, side="right")
    exact = sum(np.array(pieces, dtype=object)[piece, j] * x.astype(object) ** j for j in range(degree + 1))
    top = 1 << (ring - 1)
    np.testing.assert_array_equal(done.results["y"], ((exact + top) % (2 * top) - top).astype(np.int64))
    np.testing.assert_array_equal(done.clear(None)["y"], done.results["y"])
    cost = program_cost(done.checked)
    assert len(cost.instructions[2].messages) == 4
    assert done.block.shape[1] == cost.block_bytes
    assert [len(data) for _, data in done.messages] == [message.bytes(2) for message in cost.messages]

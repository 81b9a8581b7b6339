"""Programs that would show something, or that contradict themselves, are refused, with the instruction at fault."""

import numpy as np
import pytest

from hecc.runtime.errors import CircuitError
from hecc.runtime.sharing.parties.walk import Checked
from hecc.runtime.sharing.program.instructions import (
    Affine,
    Combine,
    Extend,
    Holder,
    Input,
    Knot,
    Output,
    Private,
    Product,
    Public,
    Release,
    Shift,
    Spline,
    Value,
)
from hecc.runtime.sharing.program.maps import Convolution, Dense, Gather, Scattered
from hecc.runtime.sharing.program.program import Program
from hecc.runtime.sharing.program.types import verify

X = Input(name="x", size=4, ring=20)
DENSE = Dense(inner=4, outer=4)
LAYER = Affine(private=(Private(x=0, map=DENSE, weight="w"),), size=4, ring=20)
KNOT = Knot(x=1, digits=((4, 5), (5, 5)), ring=24)
END = Output(name="y", x=3)
CONSTANTS = {
    "some": np.array([0, 3, 3, 1]),
    "far": np.array([0, 4, 1, 1]),
    "starts": np.array([0, 2]),
    "back": np.array([2, 1]),
    "late": np.array([1, 2]),
    "floats": np.zeros(4),
}


def test_what_values_are():
    program = Program(
        (X, LAYER, Shift(x=1, bits=5, ring=15), Release(x=2, ring=14), Output(name="y", x=3)),
        {},
    )
    client, dealer = Holder.CLIENT, Holder.DEALER
    assert verify(program) == (
        Value(4, 20, client),
        Value(4, 20, dealer),
        Value(4, 15, dealer),
        Value(4, 14, client),
        Value(4, 14, client),
    )


SHOWN = {
    "the input is opened": (X, Knot(x=0, digits=KNOT.digits, ring=24), Output(name="y", x=1)),
    "a gate's result is opened": (
        X,
        LAYER,
        KNOT,
        Knot(x=2, digits=((4, 5, 5), (5, 4)), ring=24),
        Output(name="y", x=3),
    ),
    "a gate's result is cut": (
        X,
        LAYER,
        KNOT,
        Shift(x=2, bits=4, ring=20),
        Release(x=3, ring=20),
        Output(name="y", x=4),
    ),
    "masks of both are added": (X, LAYER, Combine(terms=(Public(x=0), Public(x=1)), ring=20), Output(name="y", x=2)),
    "weights on a hidden value": (
        X,
        LAYER,
        Affine(private=(Private(x=1, map=DENSE, weight="w"),), size=4, ring=20),
        Release(x=2, ring=20),
        Output(name="y", x=3),
    ),
    "an output that nobody can read": (X, LAYER, Output(name="y", x=1)),
}


@pytest.mark.parametrize("name", SHOWN)
def test_what_must_not_be_shown_is_refused(name):
    with pytest.raises(CircuitError, match=r"dealer's|several holders|does not know"):
        verify(Program(SHOWN[name], {}))


WRONG = {
    "a later value": ((X, Output(name="y", x=1)), "not an earlier one"),
    "an output": ((X, Output(name="y", x=0), Output(name="z", x=1)), "is an output"),
    "no output": ((X,), "without outputs"),
    "two of a name": ((X, X, Output(name="y", x=0)), "two of one name"),
    "unread": ((X, LAYER, Output(name="y", x=0)), "nothing reads it"),
    "digits": ((X, LAYER, Knot(x=1, digits=((5, 5), (5, 5)), ring=24), Output(name="y", x=2)), "21 bits are asked for"),
    "bits that are not there": (
        (X, LAYER, Shift(x=1, bits=5, ring=16), Release(x=2, ring=16), Output(name="y", x=3)),
        "16 bits are left of 20",
    ),
    "a larger ring": ((X, LAYER, Release(x=1, ring=21), Output(name="y", x=2)), "21 bits are asked for"),
    "nothing": ((X, Affine(size=4, ring=20), Release(x=1, ring=20), Output(name="y", x=2)), "a sum of nothing"),
    "size": (
        (X, Affine(private=(Private(x=0, map=Dense(inner=3, outer=4), weight="w"),), size=4, ring=20)),
        "a map of 3 elements",
    ),
    "sizes": ((X, Affine(public=(Public(x=0),), size=5, ring=20)), "adds another number of elements"),
    "result": (
        (X, Affine(private=(Private(x=0, map=Dense(inner=4, outer=3), weight="w"),), size=4, ring=20)),
        "a summand of 3",
    ),
    "far": (
        (X, Combine(terms=(Public(x=0, map=Gather(columns="far", out_size=4)),), ring=20)),
        "the argument does not have",
    ),
    "missing": (
        (X, Combine(terms=(Public(x=0, map=Gather(columns="none", out_size=4)),), ring=20)),
        "'none' is missing",
    ),
    "floats": (
        (X, Combine(terms=(Public(x=0, map=Gather(columns="floats", out_size=4)),), ring=20)),
        "not a list of integers",
    ),
    "short": ((X, Combine(terms=(Public(x=0, map=Gather(columns="some", out_size=5)),), ring=20)), "4 elements for 5"),
    "back": (
        (X, Combine(terms=(Public(x=0, map=Gather(columns="some", starts="back", out_size=2)),), ring=20)),
        "does not cut 4",
    ),
    "late": (
        (X, Combine(terms=(Public(x=0, map=Gather(columns="some", starts="late", out_size=2)),), ring=20)),
        "does not cut 4",
    ),
    "weights": (
        (
            X,
            Affine(
                private=(
                    Private(
                        x=0,
                        map=Scattered(in_size=4, out_size=2, columns="some", starts="starts", weights=5),
                        weight="w",
                    ),
                ),
                size=2,
                ring=20,
            ),
        ),
        "one element for each of 5",
    ),
    "groups": (
        (
            X,
            Affine(
                private=(
                    Private(
                        x=0,
                        map=Convolution(
                            channels=2,
                            size=(2,),
                            maps=2,
                            out=(2,),
                            kernel=(1,),
                            strides=(1,),
                            dilations=(1,),
                            before=(0,),
                            groups=3,
                        ),
                        weight="w",
                    ),
                ),
                size=4,
                ring=20,
            ),
        ),
        "3 groups do not divide",
    ),
    "knots": (
        (X, LAYER, Spline(x=1, knots=(3, 3), pieces=((0,),) * 3, digits=((4, 4),), ring=20), Output(name="y", x=2)),
        "not in order",
    ),
    "pieces": (
        (X, LAYER, Spline(x=1, knots=(1, 3), pieces=((0,),) * 2, digits=((4, 4),), ring=20), Output(name="y", x=2)),
        "one polynomial for each piece",
    ),
    "square": (
        (X, LAYER, Product(x=1, y=1, x_bits=9, y_bits=8, ring=20), Release(x=2, ring=20), Output(name="y", x=3)),
        "different bits",
    ),
    "extension": ((X, LAYER, Extend(x=1, bits=20, ring=20), Output(name="y", x=2)), "20 bits are extended to 20"),
    "two shapes": (
        (
            X,
            LAYER,
            Affine(private=(Private(x=0, map=Dense(inner=4, outer=3), weight="w"),), size=3, ring=20),
            Release(x=1, ring=20),
            Release(x=2, ring=20),
            Output(name="y", x=3),
            Output(name="z", x=4),
        ),
        "weight 'w' has shape",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_program_that_contradicts_itself_is_refused(name):
    instructions, message = WRONG[name]
    with pytest.raises(CircuitError, match=message):
        Checked.of(Program(instructions, CONSTANTS))

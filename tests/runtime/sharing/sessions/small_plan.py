"""A small network, compiled by hand, for sessions of several tests and processes."""

import numpy as np

from hecc.runtime.sharing.parties.walk import Checked
from hecc.runtime.sharing.plan.header import SharingHeader, SharingInput, SharingOutput
from hecc.runtime.sharing.plan.plan import Secrets, SharingPlan, program_digest, run_cost, weights_digest
from hecc.runtime.sharing.program.instructions import Affine, Input, Knot, Output, Private, Release, Shift
from hecc.runtime.sharing.program.maps import Dense
from hecc.runtime.sharing.program.program import Program

PROGRAM = Program(
    (
        Input(name="x", size=5, ring=30),
        Affine(private=(Private(x=0, map=Dense(inner=5, outer=6), weight="v"),), bias="a", size=6, ring=30),
        Shift(x=1, bits=8, ring=16),
        Knot(x=2, digits=((3, 4), (4, 4)), ring=24),
        Affine(private=(Private(x=3, map=Dense(inner=6, outer=3), weight="w"),), bias="b", size=3, ring=24),
        Release(x=4, ring=24),
        Output(name="y", x=5),
    ),
    {},
)


def plan_of(seed):
    rng = np.random.default_rng(seed)
    weights = {"v": rng.integers(-100, 100, (1, 5, 6)), "w": rng.integers(-100, 100, (1, 6, 3))}
    biases = {"a": rng.integers(-1000, 1000, 6), "b": rng.integers(-1000, 1000, 3)}
    secrets = Secrets(weights, biases, bytes([seed]) * 32, PROGRAM)
    header = SharingHeader(
        producer="test",
        model="0" * 64,
        inputs=(SharingInput(name="x", shape=(5,), unit=1.0, low=-200.0, high=200.0),),
        outputs=(SharingOutput(name="y", shape=(3,), unit=1.0),),
        program=program_digest(PROGRAM),
        weights=weights_digest(secrets),
        precision=8.0,
        proved=True,
        cost=run_cost(Checked.of(PROGRAM)),
    )
    return SharingPlan(header, PROGRAM, secrets)


PLAN = plan_of(0)


def in_clear(x, plan=PLAN):
    weights, biases = plan.secrets.weights, plan.secrets.biases
    return np.maximum(x @ weights["v"][0] + biases["a"], 0) / 256 @ weights["w"][0] + biases["b"]


def drawn(rows, seed=0):
    return np.random.default_rng(seed).integers(-200, 200, (rows, 5))

"""Attacks on broken variants of the protocol: each succeeds there, and fails on the protocol as it is.

A variant is made by giving parties other randomness than they should have, or by running a program that the verifier
refuses; no code of the protocol is replaced.
"""

import numpy as np
import pytest

from hecc.runtime.errors import CircuitError
from hecc.runtime.sharing.arithmetic.packing import unpack
from hecc.runtime.sharing.arithmetic.rings import reduced, signed
from hecc.runtime.sharing.gates.comparison import comparison
from hecc.runtime.sharing.gates.parties import Role, Types
from hecc.runtime.sharing.parties.rounds import as_elements, differences, uploads, weight_masks
from hecc.runtime.sharing.parties.walk import Checked, program_cost, weight_shapes
from hecc.runtime.sharing.program.instructions import (
    Affine,
    Holder,
    Input,
    Knot,
    Output,
    Private,
    Public,
    Release,
    Shift,
    Value,
)
from hecc.runtime.sharing.program.maps import Dense
from hecc.runtime.sharing.program.program import Program

RING = 24
DIGITS = ((4, 4, 4), (4, 4, 3))


def dense(x=0, inner=5, outer=4, weight="w"):
    return Private(x=x, map=Dense(inner=inner, outer=outer), weight=weight)


LAYER = Program(
    (
        Input(name="x", size=5, ring=RING),
        Affine(private=(dense(),), bias="b", size=4, ring=RING),
        Knot(x=1, digits=DIGITS, ring=RING),
        Output(name="y", x=2),
    ),
    {},
)
"""A layer whose result is opened to the client in full."""

SCORES = Program(
    (
        Input(name="x", size=5, ring=RING),
        Affine(private=(dense(),), bias="b", size=4, ring=RING),
        Shift(x=1, bits=8, ring=16),
        Release(x=2, ring=16),
        Output(name="y", x=3),
    ),
    {},
)


def numbers(seed=0):
    rng = np.random.default_rng(seed)
    return {"w": rng.integers(-100, 100, (1, 5, 4))}, {"b": rng.integers(-1000, 1000, 4)}


# The server reads the results of the last layer ----------------------------------------------------------------------


def scores_of_server(run):
    """What the server has of the last layer before it sends anything: its own and all that it was sent."""
    (m,) = run.fields(0)
    w = reduced(as_elements(run.weights)["w"], RING)
    block, upload = (np.ascontiguousarray(data[:, :12]) for data in (run.block, run.upload))
    e, d = unpack(block, 4, RING), unpack(upload, 4, RING)
    made = dense().map.apply(m, w, {}, RING) + d + e + run.biases["b"].view(np.uint64)
    return signed(reduced(made, RING), RING)


@pytest.mark.parametrize("masked", [True, False])
def test_scores_without_a_mask_are_read_by_the_server(infer, masked):
    weights, biases = numbers()
    x = {"x": np.random.default_rng(1).integers(0, 500, (50, 5))}
    secrets = {} if masked else {"secrets": [(np.zeros((50, 4), dtype=np.uint64), RING)]}
    run = infer(SCORES, x, weights, biases, **secrets)
    scores = x["x"] @ weights["w"][0] + biases["b"]
    assert np.abs(run.results["y"] - scores / 256).max() < 1
    read = (scores_of_server(run) == scores).mean()
    assert read < 0.05 if masked else read == 1


# The client solves for the weights -----------------------------------------------------------------------------------


def queried(infer, known_mask):
    """Queries of a client that chooses what the server holds; the mask is the dealer's, or the client's."""
    weights, biases = numbers()
    probe = infer(LAYER, {"x": np.zeros((6, 5), dtype=np.int64)}, weights, biases)
    r = probe.masks().take(5, RING)
    chosen = np.concatenate([np.zeros((1, 5)), np.eye(5)]).astype(np.uint64)
    x = {"x": signed(reduced(chosen + r, RING), RING)}
    secrets = {}
    if known_mask:
        # t = A r - kappa: then the dealer has nothing to send, which is why one would want it.
        masks = probe.masks()
        r, kappa = masks.take(5, RING), masks.take(4, RING)
        t = reduced(dense().map.apply(r, probe.weight_masks["w"], {}, RING) - kappa, RING)
        tape = probe.secrets()
        tape.take(4, RING)
        compare = program_cost(probe.checked).instructions[2]
        bits = [field.size for message in compare.messages[1:2] for field in message.fields]
        secrets["secrets"] = [(t, RING), *[(tape.take(size, 1), 1) for size in (*bits, 4)]]
    run = infer(LAYER, x, weights, biases, **secrets)
    u = run.fields(run.first_message(2))[0]
    d = unpack(run.upload, 4, RING)
    made = reduced(u - d, RING)
    return signed(reduced(made[1:] - made[0], RING), RING), weights["w"][0]


@pytest.mark.parametrize("known_mask", [False, True])
def test_a_mask_that_the_client_can_compute_gives_it_the_weights(infer, known_mask):
    found, weights = queried(infer, known_mask)
    assert np.array_equal(found, weights) == known_mask
    assert (found == weights).mean() == 1 if known_mask else (found == weights).mean() < 0.2


# A gate on what a gate has made ---------------------------------------------------------------------------------------


def twice(remasked):
    second = 3 if remasked else 2
    return Program(
        (
            Input(name="x", size=5, ring=RING),
            Affine(private=(dense(),), bias="b", size=4, ring=RING),
            Knot(x=1, digits=DIGITS, ring=RING),
            *((Affine(public=(Public(x=2),), size=4, ring=RING),) if remasked else ()),
            Knot(x=second, digits=DIGITS, threshold=50, ring=RING),
            Output(name="y", x=second + 1),
        ),
        {},
    )


@pytest.mark.parametrize("remasked", [True, False])
def test_a_value_under_the_clients_mask_is_read_by_the_client_where_it_is_opened(infer, remasked):
    weights, biases = numbers()
    x = {"x": np.random.default_rng(1).integers(0, 500, (50, 5))}
    program = twice(remasked)
    checked = None
    if not remasked:
        with pytest.raises(CircuitError, match=r"value 3, knot .*: value 2 is used as if it were under a mask of the"):
            Checked.of(program)
        values = [Value(5, RING, Holder.CLIENT), *[Value(4, RING, Holder.CLIENT)] * 4]
        types = [Types(tuple(values[i] for i in ins.operands), values[n]) for n, ins in enumerate(program.instructions)]
        checked = Checked(program, tuple(types))
    run = infer(program, x, weights, biases, checked=checked)
    hidden = np.maximum(x["x"] @ weights["w"][0] + biases["b"], 0)
    opened = run.fields(run.first_message(4 if remasked else 3))[0]
    masks = run.masks()
    for size in (5, 4):
        masks.take(size, RING)
    read = signed(reduced(opened + np.uint64(50) + masks.take(4, RING), RING), RING)
    assert (read == hidden).mean() < 0.05 if remasked else (read == hidden).all()


# Two uploads for one block, and one mask for two models ---------------------------------------------------------------


def test_a_block_that_is_prepared_for_two_models_shows_the_input(infer):
    """Why a block is bound to one difference E for ever: d' - d = (E' - E) r, and the server knows the rest."""
    x = {"x": np.random.default_rng(1).integers(0, 500, (3, 5))}
    square = Program(
        (
            Input(name="x", size=5, ring=RING),
            Affine(private=(dense(outer=5),), size=5, ring=RING),
            Release(x=1, ring=RING),
            Output(name="y", x=2),
        ),
        {},
    )
    weights = {"w": np.random.default_rng(2).integers(-100, 100, (1, 5, 5))}
    run = infer(square, x, weights)
    retrained = weights["w"] + np.eye(5, dtype=np.int64)
    changed = {"w": reduced(retrained.view(np.uint64) - run.weight_masks["w"], RING)}
    again = uploads(run.checked, 3, masks=run.masks(), weights=changed)
    r = reduced(unpack(again, 5, RING) - unpack(run.upload, 5, RING), RING)
    (m,) = run.fields(0)
    np.testing.assert_array_equal(signed(reduced(m + r, RING), RING), x["x"])
    # With the masks of another block the difference says nothing.
    other = infer(square, x, {"w": retrained}, seed=1)
    r = reduced(unpack(other.upload, 5, RING) - unpack(run.upload, 5, RING), RING)
    assert (signed(reduced(m + r, RING), RING) == x["x"]).mean() < 0.2


@pytest.mark.parametrize("fresh", [True, False])
def test_one_mask_of_the_weights_for_two_models_shows_their_difference(fresh):
    shapes = weight_shapes(LAYER)
    rng = np.random.default_rng(3)

    class Random:
        def take(self, count, width):
            return rng.integers(0, 1 << width, (1, count), dtype=np.uint64)

    one, two = numbers(0)[0], numbers(1)[0]
    masks = weight_masks(shapes, Random())
    others = weight_masks(shapes, Random()) if fresh else masks
    made = [differences(shapes, as_elements(w), a)["w"] for w, a in ((one, masks), (two, others))]
    read = signed(reduced(made[1] - made[0], RING), RING)
    assert np.array_equal(read, two["w"] - one["w"]) != fresh


# Used twice -----------------------------------------------------------------------------------------------------------


def test_a_block_that_is_used_twice_shows_differences_of_inputs_and_weights(infer):
    """Why blocks are burnt whatever happens: the server learns x1 - x2, and the client who chooses them the weights."""
    weights, biases = numbers()
    first = {"x": np.random.default_rng(1).integers(0, 500, (1, 5))}
    columns = []
    for column in range(5):
        second = {"x": first["x"] + np.eye(5, dtype=np.int64)[column]}
        one, two = infer(LAYER, first, weights, biases), infer(LAYER, second, weights, biases)
        (m1,), (m2,) = one.fields(0), two.fields(0)
        np.testing.assert_array_equal(signed(reduced(m2 - m1, RING), RING), second["x"] - first["x"])
        u1, u2 = (run.fields(run.first_message(2))[0] for run in (one, two))
        columns.append(signed(reduced(u2 - u1, RING), RING)[0])
    np.testing.assert_array_equal(np.array(columns), weights["w"][0])


@pytest.mark.parametrize("seed", [1, 2])
def test_another_block_shows_neither(infer, seed):
    weights, biases = numbers()
    first = {"x": np.random.default_rng(1).integers(0, 500, (20, 5))}
    one = infer(LAYER, first, weights, biases, seed=0)
    two = infer(LAYER, {"x": first["x"] + 1}, weights, biases, seed=seed)
    assert (signed(reduced(two.fields(0)[0] - one.fields(0)[0], RING), RING) == 1).mean() < 0.05


# The rounding's coin --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known_coin", [False, True])
def test_a_coin_that_the_client_knows_pins_the_score_down(infer, known_coin):
    """Of each answer the client concludes an interval for the low bits; with coins it knows these meet in a point."""
    weights, biases = numbers()
    rows = 3000
    x = {"x": np.tile([[10, 20, 30, 40, 50]], (rows, 1))}
    secrets = {}
    if known_coin:
        secrets["secrets"] = [(np.random.default_rng(4).integers(0, 1 << RING, (rows, 4), dtype=np.uint64), RING)]
    run = infer(SCORES, x, weights, biases, **secrets)
    score = (x["x"][:1] @ weights["w"][0] + biases["b"])[0]
    # What the client takes the coin for: the true one, or what it can think of.
    coin = np.random.default_rng(4).integers(0, 1 << RING, (rows, 4)) % 256
    up = run.results["y"] - (score >> 8)
    assert set(np.unique(up)) <= {0, 1}
    least = np.where(up == 1, coin + 1, 0).max(axis=0)
    most = np.where(up == 0, coin, 255).min(axis=0)
    if known_coin:
        np.testing.assert_array_equal(least, score % 256)
        np.testing.assert_array_equal(most, score % 256)
    else:
        assert (least > most).all()


# Mask bits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reused", [False, True])
def test_two_bits_under_one_mask_bit_show_their_sum(infer, reused):
    """With a mask bit for two digits' [t = v], both parties see whether one digit alone is equal."""
    weights, biases = numbers()
    x = {"x": np.random.default_rng(1).integers(0, 500, (400, 5))}
    plain = infer(LAYER, x, weights, biases)
    compare = program_cost(plain.checked).instructions[2]
    inner, outer = (field.size for field in compare.messages[1].fields)
    tape = plain.secrets()
    fields = [(tape.take(4, RING), RING), (tape.take(inner, 1), 1), (tape.take(outer, 1), 1), (tape.take(4, 1), 1)]
    opened = comparison(DIGITS).inner.opened
    planes = fields[1][0].reshape(400, len(opened), 4)
    first, second = opened.index(1), opened.index(3)  # [t = v] of the first two digits
    if reused:
        planes[:, second] = planes[:, first]
    run = infer(LAYER, x, weights, biases, secrets=fields)
    begin = run.first_message(2)
    seen = (run.fields(begin)[1] ^ run.fields(begin + 1)[0]).reshape(400, len(opened), 4)
    t, v = fields[0][0], ~run.fields(begin)[0]
    truth = [((t >> np.uint64(s)) & np.uint64(15)) == ((v >> np.uint64(s)) & np.uint64(15)) for s in (19, 15)]
    right = ((seen[:, first] ^ seen[:, second]) == (truth[0] ^ truth[1])).mean()
    assert right == 1 if reused else 0.4 < right < 0.6


def test_the_server_learns_nothing_of_an_answer(infer):
    """It sends the last message and gets none."""
    run = infer(SCORES, {"x": np.zeros((1, 5), dtype=np.int64)}, *numbers())
    assert run.messages[-1][0] is Role.SERVER

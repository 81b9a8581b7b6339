"""What a party sees says nothing: for any other secret of the other's there is randomness that shows it the same bits.

This is a simulation as a program. A run is recorded; for another input (or other weights) the masks are solved for that
explain what the server (or the client) saw, and the whole protocol runs again with them, through the same code. What
the party gets has to be equal bit for bit. There is one solution for each secret, and masks are uniform: so views are
distributed alike, together with the results, and with the coins of the rounding, which are in the dealer's masks.
"""

from dataclasses import replace

import numpy as np
import pytest

from hecc.runtime.execution import execute
from hecc.runtime.reading import Reading
from hecc.runtime.sharing.arithmetic.rings import element, low, reduced
from hecc.runtime.sharing.arithmetic.words import digits_of
from hecc.runtime.sharing.gates.comparison import comparison
from hecc.runtime.sharing.gates.parties import Clear, Dealer, Role, Run, Server
from hecc.runtime.sharing.gates.tables import GATES, SERVER
from hecc.runtime.sharing.material.tapes import BlockTape
from hecc.runtime.sharing.parties.rounds import as_elements
from hecc.runtime.sharing.parties.walk import weight_shapes
from hecc.runtime.sharing.program.instructions import (
    INSTRUCTIONS,
    Affine,
    Combine,
    Extend,
    Holder,
    Input,
    Knot,
    Line,
    Output,
    Private,
    Product,
    Public,
    Release,
    Shift,
    Spline,
)
from hecc.runtime.sharing.program.maps import Dense, Gather
from hecc.runtime.sharing.program.program import Program

CUT = 9
LAST = 15
"""Its last layer."""


def network():
    """All kinds of gates: layers, residuals, maxima, lines with slopes, a product, rings that grow and shrink."""
    dense = [Private(x=x, map=Dense(inner=6, outer=6), weight=f"w{i}") for i, x in enumerate((0, 3, 10))]
    constants = {"evens": np.arange(0, 6, 2), "odds": np.arange(1, 6, 2), "twice": np.array([0, 0, 1, 1, 2, 2])}
    even, odd, twice = (Gather(columns=name, out_size=6 if name == "twice" else 3) for name in constants)
    digits = ((3, 3, 3), (3, 3))
    return Program(
        (
            Input(name="x", size=6, ring=26),
            Affine(private=(dense[0],), bias="b0", size=6, ring=26),
            Shift(x=1, bits=CUT, ring=16),
            Knot(x=2, digits=digits, ring=26),
            Affine(private=(dense[1],), public=(Public(x=0, factor=64),), bias="b1", size=6, ring=26),
            Shift(x=4, bits=CUT, ring=16),
            Combine(terms=(Public(x=5, map=even), Public(x=5, map=odd, factor=-1)), ring=16),
            Knot(x=6, digits=digits, ring=16, hidden=True),
            Combine(terms=(Public(x=7), Public(x=5, map=odd)), constant=3, ring=16),
            Combine(terms=(Public(x=8, map=twice),), ring=16),
            Knot(x=9, digits=digits, left=Line(slope=3), right=Line(slope=8, constant=1), threshold=5, ring=26),
            Product(x=2, y=5, x_bits=16, y_bits=15, ring=26),
            Shift(x=11, bits=CUT, ring=16),
            Extend(x=12, bits=16, ring=26),
            Spline(x=5, knots=(-40, 7), pieces=((1, 2, 3), (4, -5, 6), (0, 1, -1)), digits=digits, ring=26),
            Affine(private=(dense[2],), public=(Public(x=13, factor=5), Public(x=14)), bias="b2", size=6, ring=26),
            Shift(x=LAST, bits=CUT, ring=17),
            Release(x=16, ring=17),
            Output(name="y", x=17),
        ),
        constants,
    )


def drawn(seed, bits, *shape):
    return np.random.default_rng(seed).integers(-(1 << bits), 1 << bits, shape)


def numbers(seed):
    weights = {f"w{i}": drawn((seed, i), 8, 1, 6, 6) for i in range(3)}
    return weights, {f"b{i}": drawn((seed, 3, i), 12, 6) for i in range(3)}


@pytest.fixture
def recorded(infer):
    def run(rows, seed):
        return infer(network(), {"x": drawn(5, 9, rows, 6)}, *numbers(0), seed=seed)

    return run


class Fields:
    """A tape of fields that are added while it is read."""

    def __init__(self, *fields):
        self.fields, self._at = list(fields), 0

    def take(self, count, width):
        values, given = self.fields[self._at]
        assert (values.shape[1], width) == (count, given)
        self._at += 1
        return values


class Explaining(Dealer):
    """A dealer who finds the client's shares by what the server got."""

    def share(self, values, width):
        self.shares.fields.append((reduced(values - self.block.take(values.shape[1], width), width), width))

    def share_words(self, words, width):
        self.shares.fields.append((words ^ self.block.take(words.shape[1], width), width))


class Again:
    """Gives a party what the other sent, and sees that it sends what it sent."""

    def __init__(self, messages, role):
        self._messages, self._role = iter(messages), role

    def send(self, data):
        assert next(self._messages) == (self._role, data)

    def receive(self, size):
        sender, data = next(self._messages)
        assert sender is not self._role
        assert len(data) == size
        return data


def held_by_server(run):
    """What the server holds of every value, which its view determines."""
    held = []

    def kept(context, index, ins, *operands):
        held.append(SERVER.of(ins)(context, index, ins, *operands))
        return held[-1]

    server = Server(
        run.rows,
        BlockTape(run.block),
        BlockTape(run.upload),
        Again(run.messages, Role.SERVER),
        as_elements(run.weights),
        as_elements(run.biases),
        run.checked.program.constants,
    )
    reading = Reading("kept", INSTRUCTIONS, dict.fromkeys(INSTRUCTIONS, kept))
    execute(run.checked.program, reading, Run(server, run.checked.types), given={"x": None})
    return held


def in_clear(run, index, operands):
    ins = run.checked.program.instructions[index]
    if isinstance(ins, Input):
        return reduced(run.inputs[ins.name].view(np.uint64), ins.ring)
    clear = Clear(run.rows, None, as_elements(run.weights), as_elements(run.biases), run.checked.program.constants)
    return GATES.of(ins).clear(clear, ins, run.checked.types[index], *operands)


def truth(bits, conjunction):
    """The results of a conjunction in clear."""
    return np.stack(
        [
            np.bitwise_xor.reduce([np.bitwise_and.reduce([bits[:, b] for b in term]) for term in terms])
            for terms in conjunction.outputs
        ],
        axis=1,
    )


def secrets_of_knots(run, index, value, mask):
    """The mask bits of a comparison that explain what both parties saw opened, in the order in which they are drawn."""
    ins = run.checked.program.instructions[index]
    k, knots = ins.bits, ins.knots if isinstance(ins, Spline) else (ins.threshold,)
    first = run.first_message(index)
    (u, inner), (inner_too, outer), (outer_too, beta), (beta_too, _) = (run.fields(first + i) for i in range(4))
    opened = [np.split(both, len(knots), axis=1) for both in (inner ^ inner_too, outer ^ outer_too, beta ^ beta_too)]
    compare, secrets, flips = comparison(ins.digits), [], []
    for knot, opened_inner, opened_outer, opened_beta in zip(knots, *opened, strict=True):
        argument = reduced(value - element(knot, k), k)
        # A spline opens its argument as it is, a function of two lines less the threshold.
        seen = reduced(u - element(knot, k), k) if isinstance(ins, Spline) else u
        assert (argument == reduced(seen + mask, k)).all()
        bits = []
        for secret, public in zip(*(digits_of(x & low(k - 1), compare.widths) for x in (mask, ~seen)), strict=True):
            bits += [secret > public, secret == public]
        bits = np.stack(bits, axis=1).astype(np.uint64)
        groups = truth(bits, compare.inner)
        secrets.append((bits[:, list(compare.inner.opened)].reshape(run.rows, -1) ^ opened_inner, 1))
        secrets.append((groups[:, list(compare.outer.opened)].reshape(run.rows, -1) ^ opened_outer, 1))
        flips.append((np.uint64(1) - (argument >> np.uint64(k - 1))) ^ opened_beta)
    return [*secrets, (np.concatenate(flips, axis=1), 1)]


def explain_to_server(run, other):
    """The masks, shares and secrets with which another input shows the server of a run the same."""
    program, types, held = run.checked.program, run.checked.types, held_by_server(run)
    block, upload, shares = BlockTape(run.block), BlockTape(run.upload), Fields()
    masks, secrets, known, values = [], [], [], []
    for index, ins in enumerate(program.instructions):
        size, ring, _ = types[index].result
        operands = [known[x] for x in ins.operands]
        if isinstance(ins, Shift | Combine | Output):
            known.append(GATES.of(ins).deal(Dealer(*[None] * 6, program.constants), ins, types[index], *operands))
            values.append(reduced(held[index] + known[-1], ring))
            continue
        values.append(in_clear(other, index, [values[x] for x in ins.operands]))
        mask = (reduced(values[-1] - held[index], ring), ring)
        known.append(mask[0])
        if isinstance(ins, Affine):
            secrets.append(mask)
            block.take(size, ring)
            if ins.private:
                made = [
                    term.map.apply(reduced(known[term.x], ring), run.differences[term.weight], program.constants, ring)
                    for term in ins.private
                ]
                masks.append((reduced(upload.take(size, ring) - sum(made), ring), ring))
            continue
        hidden = types[index].result.holder is Holder.DEALER
        (secrets if hidden else masks).append(mask)
        if isinstance(ins, Release):
            block.take(size, ring)
        if isinstance(ins, Knot | Spline | Product | Extend):
            bits = secrets_of_knots(run, index, values[ins.x], operands[0]) if isinstance(ins, Knot | Spline) else []
            secrets += bits
            own = Fields(mask, *bits) if hidden else Fields(*bits)
            dealer = Explaining(run.rows, Fields(mask), shares, own, block, {}, program.constants)
            GATES.of(ins).deal(dealer, ins, types[index], *operands)
    return {"masks": masks, "shares": shares.fields, "secrets": secrets}


@pytest.mark.parametrize("seed", range(4))
def test_the_server_sees_the_same_of_any_other_input(infer, recorded, seed):
    run = recorded(3, seed)
    other = replace(run, inputs={"x": drawn((6, seed), 9, 3, 6)})
    explained = explain_to_server(run, other)
    again = infer(network(), other.inputs, run.weights, run.biases, weight_masks=run.weight_masks, **explained)
    np.testing.assert_array_equal(again.block, run.block)
    np.testing.assert_array_equal(again.upload, run.upload)
    assert again.messages == run.messages
    assert not np.array_equal(again.results["y"], run.results["y"])


def explain_to_client(run, weights, biases, seed):
    """The dealer's part with which other weights show the client of a run the same, and the last bias for one result.

    For the client there are its tapes, the differences of the weights, and what was opened. All low parts of the masks,
    which nobody opens, are drawn.
    """
    program, types, held = run.checked.program, run.checked.types, held_by_server(run)
    other = replace(run, weights=weights, biases={**biases, "b2": np.zeros(6, dtype=np.int64)})
    shapes = weight_shapes(program)
    elements = as_elements(weights)
    masked = {name: reduced(elements[name] - run.differences[name], ring) for name, (_, ring) in shapes.items()}
    tape, rng, shape = run.masks(), np.random.default_rng(seed), (run.rows, 6)
    secrets, known, values = [], [], []
    for index, ins in enumerate(program.instructions):
        size, ring, _ = types[index].result
        operands = [known[x] for x in ins.operands]
        if isinstance(ins, Shift):
            known.append(reduced(operands[0] >> np.uint64(CUT), ring))
            part = reduced(values[ins.x] - operands[0] + low(CUT), types[ins.x].result.ring) >> np.uint64(CUT)
            values.append(reduced(part + known[-1], ring))
            continue
        values.append(in_clear(other, index, [values[x] for x in ins.operands]))
        if isinstance(ins, Combine | Output):
            known.append(GATES.of(ins).deal(Dealer(*[None] * 6, program.constants), ins, types[index], *operands))
        elif isinstance(ins, Affine | Product):
            if isinstance(ins, Affine):
                tape.take(size, ring)
            rest = rng.integers(0, 1 << CUT, shape, dtype=np.uint64)
            if index == LAST:
                wanted = reduced(run.results["y"].view(np.uint64), ring - CUT)
                bias = reduced((wanted << np.uint64(CUT)) - low(CUT) + rest - values[-1], ring)
                other.biases["b2"] = bias[0].view(np.int64)
                values[-1] = in_clear(other, index, [values[x] for x in ins.operands])
            rounded = reduced(values[-1] + low(CUT) - rest, ring) >> np.uint64(CUT)
            free = rng.integers(0, 1 << 17, shape, dtype=np.uint64)
            # What is opened is the part of the rounded number that the server holds, modulo 2^16.
            top = reduced(rounded - held[index + 1], 16) | (free & np.uint64(1 << 16))
            known.append((top << np.uint64(CUT)) | rest)
            secrets.append((known[-1], ring))
        elif isinstance(ins, Knot) and ins.hidden:
            known.append(reduced(values[-1] - held[index], ring))
            secrets.append((known[-1], ring))
        else:
            known.append(tape.take(size, ring))
        if isinstance(ins, Knot | Spline):
            secrets += secrets_of_knots(run, index, values[ins.x], operands[0])
    return masked, secrets, other.biases


@pytest.mark.parametrize("seed", range(4))
def test_the_client_sees_the_same_of_any_other_weights(infer, recorded, seed):
    run = recorded(1, seed)
    weights, biases = numbers((1, seed))
    masked, secrets, biases = explain_to_client(run, weights, biases, seed)
    again = infer(network(), run.inputs, weights, biases, seed=seed, secrets=secrets, weight_masks=masked)
    for name, difference in run.differences.items():
        np.testing.assert_array_equal(again.differences[name], difference)
    assert again.messages == run.messages
    np.testing.assert_array_equal(again.results["y"], run.results["y"])
    assert not np.array_equal(again.block, run.block)
    assert not np.array_equal(again.weights["w0"], run.weights["w0"])


def test_the_network_has_all_kinds_of_gates():
    assert {type(ins) for ins in network().instructions} == set(INSTRUCTIONS)


def test_a_run_that_is_not_explained_is_noticed(infer, recorded):
    """The comparison can fail: with randomness that is not solved for, another input shows."""
    run = recorded(1, 0)
    again = infer(network(), {"x": run.inputs["x"] + 1}, run.weights, run.biases, weight_masks=run.weight_masks)
    assert again.messages != run.messages

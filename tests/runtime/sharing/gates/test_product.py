"""Products are exact in every ring, also of values that fill it; a square is opened once."""

import numpy as np
import pytest

from hecc.runtime.sharing.parties.walk import program_cost
from hecc.runtime.sharing.program.instructions import Affine, Input, Output, Product, Public, Release
from hecc.runtime.sharing.program.program import Program


def product(bits, ring, square):
    """Of values in a ring of four bits more than are read."""
    size, held = 50, min(max(bits) + 4, 64)
    return Program(
        (
            Input(name="x", size=size, ring=held),
            Input(name="y", size=size, ring=held),
            Affine(public=(Public(x=0),), size=size, ring=held),
            *(() if square else (Affine(public=(Public(x=1),), size=size, ring=held),)),
            Product(x=2, y=2 if square else 3, x_bits=bits[0], y_bits=bits[1], ring=ring),
            Release(x=3 if square else 4, ring=ring),
            Output(name="y", x=4 if square else 5),
        ),
        {},
    )


BITS = [((8, 8), 8), ((8, 8), 15), ((8, 8), 30), ((20, 20), 44), ((6, 20), 30), ((33, 9), 20), ((64, 64), 64)]


@pytest.mark.parametrize("square", [False, True])
@pytest.mark.parametrize(("bits", "ring"), BITS)
def test_products_are_exact(infer, bits, ring, square):
    bits = (bits[0], bits[0]) if square else bits
    rng = np.random.default_rng(ring)
    # Where the ring grows a bit is to spare; elsewhere numbers may have them all.
    tops = [b - 2 if ring > b else b - 1 for b in bits]
    x, y = (rng.integers(-(1 << top), 1 << top, (3, 50)) for top in tops)
    for values, top in ((x, tops[0]), (y, tops[1])):
        values[:, :3] = [-(1 << top), (1 << top) - 1, 0]
    done = infer(product(bits, ring, square), {"x": x, "y": y})
    exact = x.astype(object) * (x if square else y).astype(object)
    half = 1 << (ring - 1)
    np.testing.assert_array_equal(done.results["y"], ((exact + half) % (2 * half) - half).astype(np.int64))
    np.testing.assert_array_equal(done.clear(None)["y"], done.results["y"])
    cost = program_cost(done.checked)
    assert done.block.shape[1] == cost.block_bytes
    assert [len(data) for _, data in done.messages] == [message.bytes(3) for message in cost.messages]
    messages = cost.instructions[3 if square else 4].messages
    assert len(messages) == 2
    online = sum(field.bits for message in messages for field in message.fields)
    assert online == 50 * (sum(bits[:1] if square else bits) + ring)

"""Values in larger rings: exact for all that leave a bit to spare, for one bit from the server."""

import numpy as np
import pytest

from hecc.runtime.sharing.gates.parties import Role
from hecc.runtime.sharing.parties.walk import program_cost
from hecc.runtime.sharing.program.instructions import Affine, Extend, Input, Output, Public
from hecc.runtime.sharing.program.program import Program


@pytest.mark.parametrize(("held", "bits", "ring"), [(8, 8, 20), (12, 8, 9), (20, 20, 64)])
def test_values_are_extended_exactly(infer, held, bits, ring):
    half = 1 << (bits - 2)
    x = np.stack([np.concatenate([np.arange(-60, 60), [-half, half - 1]])] * 2)
    program = Program(
        (
            Input(name="x", size=122, ring=held),
            Affine(public=(Public(x=0),), size=122, ring=held),
            Extend(x=1, bits=bits, ring=ring),
            Output(name="y", x=2),
        ),
        {},
    )
    done = infer(program, {"x": x})
    np.testing.assert_array_equal(done.results["y"], x)
    np.testing.assert_array_equal(done.clear(None)["y"], x)
    cost = program_cost(done.checked)
    assert done.block.shape[1] == cost.block_bytes
    assert [len(data) for _, data in done.messages] == [message.bytes(2) for message in cost.messages]
    (bit, _) = cost.instructions[2].messages
    assert (bit.sender, bit.fields[0].bits) == (Role.SERVER, 122)

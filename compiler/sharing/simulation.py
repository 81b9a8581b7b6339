"""What a program makes of inputs, in clear: integers in, rounding by coins, real numbers out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.sharing.lowering import Lowered
from hecc.runtime.sharing.arithmetic.rings import signed
from hecc.runtime.sharing.parties.clear import SeededCoins
from hecc.runtime.sharing.parties.rounds import clear_results
from hecc.runtime.sharing.parties.walk import Checked

__all__ = ["simulated"]


def simulated(
    lowered: Lowered, checked: Checked, inputs: Mapping[str, NDArray[np.float64]], seed: int
) -> dict[str, NDArray[np.float64]]:
    """The outputs by name, shape (rows, size), of inputs of shape (rows, ...); the seed decides about the coins."""
    rows = len(next(iter(inputs.values())))
    integers = {
        name: np.rint(values.reshape(rows, -1) / lowered.inputs[name]).astype(np.int64)
        for name, values in inputs.items()
    }
    built = lowered.built
    found = clear_results(checked, integers, coins=SeededCoins(rows, seed), weights=built.weights, biases=built.biases)
    rings = {ins.name: checked.types[index].result.ring for index, ins in checked.program.outputs()}
    return {name: signed(x, rings[name]).astype(np.float64) * lowered.outputs[name] for name, x in found.items()}

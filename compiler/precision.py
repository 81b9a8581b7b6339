"""The precision of a circuit on real inputs, measured with simulated noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.circuit import Circuit
from hecc.runtime.layout import Layout
from hecc.runtime.noise import GaussianNoise
from hecc.runtime.parameters import KeySpecification
from hecc.runtime.simulator import Simulator
from hecc.runtime.verify import ArrayType

__all__ = ["simulated_precision"]

ROWS = 64
MAX_ROWS = 1 << 12


def simulated_precision(
    circuit: Circuit,
    types: Sequence[ArrayType],
    keys: KeySpecification,
    layouts: Mapping[str, Layout],
    calibration: Mapping[str, NDArray[np.float64]],
    observed: Mapping[str, float],
    reference: Mapping[str, NDArray[np.float64]],
) -> float:
    """Bits of precision of the worst output over the calibration inputs, with noise drawn from the model.

    Everything that errs is in it: polynomials in place of functions, weights that are rounded to float32, and noise.

    In a batch there are as many errors as rows, the largest of which is larger: the calibration inputs are repeated to
    fill one.

    Where errors grow beyond all numbers it is minus infinity.

    Parameters
    ----------
    observed
        The magnitude of each output, to which its error is put in relation.
    reference
        What the outputs should be on the calibration inputs, shape (rows, ...).
    """
    simulator = Simulator(circuit)
    batch = next(iter(layouts.values())).batch
    inputs = {}
    number = len(next(iter(calibration.values())))
    used = np.arange(min(ROWS, number) if batch == 1 else min(max(ROWS, batch), MAX_ROWS)) % number
    for name, rows in calibration.items():
        inputs[name] = layouts[name].pack(rows[used].reshape(-1, *layouts[name].shape))
    model = GaussianNoise(circuit, types, keys, np.random.default_rng(1))
    bits = []
    # Where errors grow from layer to layer, they may overflow.
    with np.errstate(over="ignore", invalid="ignore"):
        for name, result in simulator.run(inputs, model).items():
            layout = layouts[name]
            expected = reference[name][used].reshape(-1, *layout.shape)
            error = float(np.abs(layout.average(np.asarray(result, dtype=np.float64)) - expected).max())
            bits.append(-math.log2(max(error, 1e-300) / observed[name]) if math.isfinite(error) else -math.inf)
    return min(bits)

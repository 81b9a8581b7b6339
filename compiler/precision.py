"""The precision of a circuit on real inputs, measured with simulated noise."""

from __future__ import annotations

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
) -> float:
    """Bits of precision of the worst output over the calibration inputs, with noise drawn from the model.

    ``observed`` is the magnitude of each output, to which its error is put in relation. In a batch there are as many
    errors as rows, the largest of which is larger: the calibration inputs are repeated to fill one.
    """
    simulator = Simulator(circuit)
    batch = next(iter(layouts.values())).batch
    inputs = {}
    for name, rows in calibration.items():
        used = rows[:ROWS] if batch == 1 else rows[np.arange(min(max(ROWS, batch), MAX_ROWS)) % len(rows)]
        inputs[name] = layouts[name].pack(used.reshape(-1, *layouts[name].shape))
    exact = simulator.run(inputs)
    model = GaussianNoise(circuit, types, keys, np.random.default_rng(1))
    noisy = simulator.run(inputs, model)
    bits = []
    for name, clean in exact.items():
        layout = layouts[name]
        reference = layout.average(np.asarray(clean, dtype=np.float64))
        error = np.abs(layout.average(np.asarray(noisy[name], dtype=np.float64)) - reference).max()
        bits.append(-np.log2(max(float(error), 1e-300) / observed[name]))
    return float(min(bits))

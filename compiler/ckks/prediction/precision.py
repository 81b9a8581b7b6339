"""The precision of a circuit on real inputs, measured with simulated noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.promise.promise import Measured, Promise
from hecc.runtime.ckks.circuit.instructions import Circuit
from hecc.runtime.ckks.circuit.layout import Layout
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.readings.clear import Simulator
from hecc.runtime.ckks.readings.noise_drawn import GaussianNoise
from hecc.runtime.ckks.readings.types import ArrayType

__all__ = ["simulated_precision"]

ROWS = 32
"""Calibration inputs, and as many far from them."""

OFTEN = 3
"""How many times those rows are evaluated beside these on which the client's steps make most of an error."""

TIMES = 2
"""That each is evaluated, at the least: what differs is random."""

MAX_ROWS = 1 << 12


def simulated_precision(
    circuit: Circuit,
    types: Sequence[ArrayType],
    keys: KeySpecification,
    layouts: Mapping[str, Layout],
    promise: Promise,
    drawing: int = 0,
) -> Measured:
    """How precise a circuit is on the inputs of a promise, with noise drawn from the model.

    Everything that errs is in it: polynomials in place of functions, weights that are rounded to float32, and noise.

    In a batch there are as many errors as rows, the largest of which is larger: the inputs are repeated to fill one.
    Another ``drawing`` of the noise finds other errors.
    """
    simulator = Simulator(circuit)
    batch = next(iter(layouts.values())).batch
    number = len(next(iter(promise.inputs.values())))
    delicate = np.tile(promise.delicate_rows, OFTEN)
    evenly = _some(0, promise.near, ROWS if batch == 1 else MAX_ROWS // TIMES - ROWS - len(delicate))
    chosen = np.concatenate([evenly, delicate, _some(promise.near, number, ROWS)])
    used = np.resize(chosen, max(TIMES * len(chosen), min(batch, MAX_ROWS)))
    packed = {
        name: layouts[name].pack(rows[used].reshape(-1, *layouts[name].shape)) for name, rows in promise.inputs.items()
    }
    model = GaussianNoise(circuit, types, keys, np.random.default_rng(1 + drawing))
    # Where errors grow from layer to layer, they may overflow.
    with np.errstate(over="ignore", invalid="ignore"):
        results = {
            name: layouts[name].average(np.asarray(result, dtype=np.float64)).reshape(len(used), -1)
            for name, result in simulator.run(packed, model).items()
        }
    return promise.measure(results, used)


def _some(start: int, stop: int, number: int) -> NDArray[np.int64]:
    """At most so many rows of a range, evenly spaced."""
    return np.arange(start, stop, max(1, -(-(stop - start) // number)))

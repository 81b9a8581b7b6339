"""The cost model's rates that explain measured times best.

The cost model is linear in its rates, so what it says of an instruction when one rate is 1 and all others are 0 is the
coefficient of that rate. Non-negative least squares (Lawson and Hanson, *Solving Least Squares Problems*, 1974, chapter
23) find the rates that come closest to the times measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.plan.rates import Rates
from hecc.runtime.extras import require

__all__ = ["RATES", "Fit", "fit"]

SMALL = 0.02
"""Parts that take less of their circuit's time count for less: what they take is hard to measure."""

RATES = tuple(Rates.__struct_fields__)


@dataclass(frozen=True)
class Fit:
    """Rates, and how well they explain what was measured.

    Attributes
    ----------
    rates
        By least squares.
    measured, predicted
        Seconds of every circuit.
    """

    rates: Rates
    measured: tuple[float, ...]
    predicted: tuple[float, ...]

    @property
    def error(self) -> float:
        """Root mean square of predicted over measured time, less one."""
        ratios = np.asarray(self.predicted) / np.asarray(self.measured)
        return float(np.sqrt(np.mean((ratios - 1) ** 2)))


def fit(coefficients: Sequence[NDArray[np.float64]], seconds: Sequence[NDArray[np.float64]]) -> Fit:
    """The rates that explain best what the parts of some circuits take.

    Parameters
    ----------
    coefficients
        Per circuit of shape (parts, rates): the cost model's seconds with one rate 1 and all others 0. A part is an
        instruction, or several that are measured together.
    seconds
        Per circuit of shape (parts,): what was measured.
    """
    require("scipy")
    from scipy.optimize import nnls

    # Relative errors count, of instructions that are too short to matter less so.
    weights = [1 / np.maximum(times, SMALL * times.sum()) for times in seconds]
    matrix = np.concatenate([rows * weight[:, np.newaxis] for rows, weight in zip(coefficients, weights, strict=True)])
    wanted = np.concatenate([times * weight for times, weight in zip(seconds, weights, strict=True)])
    # Columns of one size: rates differ by orders of magnitude.
    sizes = np.linalg.norm(matrix, axis=0)
    sizes[sizes == 0] = 1.0
    found = nnls(matrix / sizes, wanted)[0] / sizes
    return Fit(
        rates=Rates(**dict(zip(RATES, found.tolist(), strict=True))),
        measured=tuple(float(times.sum()) for times in seconds),
        predicted=tuple(float((rows @ found).sum()) for rows in coefficients),
    )

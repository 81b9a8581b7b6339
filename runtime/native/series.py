"""Chebyshev series at many points: the compiler sums them on all calibration inputs, polynomial by polynomial."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.native._native import Kernels
from hecc.runtime.native.chosen import chosen_kernels

__all__ = ["chebyshev_series"]


def chebyshev_series(
    x: NDArray[np.float64], coefficients: NDArray[np.float64], kernels: Kernels | None = None
) -> NDArray[np.float64]:
    """The sum of a Chebyshev series at x, of the same shape: to the bit what numpy makes of it, many times faster.

    Parameters
    ----------
    x
        Of any shape.
    coefficients
        One at least, shape (terms,).
    kernels
        By default those that are chosen for this process.
    """
    values = np.ascontiguousarray(x, dtype=np.float64)
    found = np.empty_like(values)
    (kernels or chosen_kernels()).chebyshev_series(values, np.ascontiguousarray(coefficients, dtype=np.float64), found)
    return found.reshape(np.shape(x))

"""Matrix products of ring elements, exact, on the processor's floating-point units.

NumPy multiplies matrices of integers without BLAS, fifty times slower than those of float64. So elements are cut into
limbs of so few bits that sums of products of two limbs stay below 2^53, where float64 is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.sharing.arithmetic.rings import Elements, low, reduced

__all__ = ["matrix_product"]

EXACT = 53
"""Bits of integers that float64 holds."""


def matrix_product(x: Elements, w: Elements, bits: int) -> Elements:
    """``x @ w`` modulo 2^bits, of shapes (..., m, k) and (..., k, n), elements of that ring."""
    inner = max(x.shape[-1], 1)
    width = min(-(-bits // 2), (EXACT - (inner - 1).bit_length()) // 2)
    lefts, rights = _limbs(x, bits, width), _limbs(w, bits, width)
    total: Elements | None = None
    for i, left in enumerate(lefts):
        for j, right in enumerate(rights):
            shift = (i + j) * width
            if shift >= bits:
                continue
            part = (left @ right).astype(np.uint64) << np.uint64(shift)
            total = part if total is None else total + part
    assert total is not None, "a ring has at least one bit"
    return reduced(total, bits)


def _limbs(x: Elements, bits: int, width: int) -> list[NDArray[np.float64]]:
    return [
        ((x >> np.uint64(shift)) & low(min(width, bits - shift))).astype(np.float64) for shift in range(0, bits, width)
    ]

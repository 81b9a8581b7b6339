"""Matrix products of ring elements, and convolutions: products with matrices that lie in an image."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.native.chosen import chosen_kernels
from hecc.runtime.sharing.arithmetic.rings import Elements

__all__ = ["Places", "matrix_product", "products_of"]


class Places(NamedTuple):
    """Where the elements of a matrix lie: the one in row t and column j at ``down[t] + across[j]``."""

    down: NDArray[np.uint64]
    across: NDArray[np.uint64]


def products_of(weights: Elements, images: Elements, places: Places, bits: int) -> Elements:
    """``weights[g] @ matrix(images[e, g])`` modulo 2^bits, of shape (examples, groups, rows, columns).

    Parameters
    ----------
    weights
        Shape (groups, rows, terms).
    images
        Shape (examples, groups, size).
    places
        Where the matrices of an image have their elements.
    """
    out = np.empty((len(images), *weights.shape[:2], places.across.size), dtype=np.uint64)
    left, right = np.ascontiguousarray(weights), np.ascontiguousarray(images)
    chosen_kernels().ring_product(left, right, places.down, places.across, out, bits)
    return out


def matrix_product(x: Elements, w: Elements, bits: int) -> Elements:
    """``x @ w`` modulo 2^bits, of shapes (..., m, k) and (..., k, n), elements of that ring."""
    (rows, inner), columns = x.shape[-2:], w.shape[-1]
    rest = np.broadcast_shapes(x.shape[:-2], w.shape[:-2])
    lefts = np.broadcast_to(x, (*rest, rows, inner)).reshape(-1, rows, inner)
    rights = np.broadcast_to(w, (*rest, inner, columns)).reshape(1, -1, inner * columns)
    return products_of(lefts, rights, _matrix_places(inner, columns), bits).reshape(*rest, rows, columns)


@lru_cache(maxsize=64)
def _matrix_places(inner: int, columns: int) -> Places:
    return Places(np.arange(inner, dtype=np.uint64) * np.uint64(columns), np.arange(columns, dtype=np.uint64))

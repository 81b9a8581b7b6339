"""Pairwise coupling: the probabilities of classes, from those of every two of them.

T.-F. Wu, C.-J. Lin and R. C. Weng, "Probability estimates for multi-class classification by pairwise coupling", JMLR 5
(2004), section 4.2, algorithm 2, with the bounds that libsvm has; scikit-learn and onnxruntime compute it in this way.
The result minimises the sum of ``(r_ji p_i - r_ij p_j)^2`` over all pairs, to 0.005 over the number of classes.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["coupled"]

Array: TypeAlias = NDArray[Any]

ROUNDS = 100
"""Largest number of rounds, or that of classes if they are more."""

CLOSE = 0.005
"""How far a result may be from the minimum, as a part of the classes."""

ROOM = 1 << 22
"""Numbers that are computed with at once, a square of classes for each row."""


def coupled(pairs: Array) -> Array:
    """The probabilities of classes.

    Parameters
    ----------
    pairs
        Shape (..., classes * (classes - 1) / 2): that the first of two classes is right, given that one of them is; in
        the order (0, 1), (0, 2), …, (1, 2), ….

    Returns
    -------
    NDArray
        Shape (..., classes); they sum to one.
    """
    classes = (1 + math.isqrt(1 + 8 * pairs.shape[-1])) // 2
    given = pairs.reshape(-1, pairs.shape[-1]).astype(np.float64)
    found = np.empty((len(given), classes))
    together = max(1, ROOM // classes**2)
    for start in range(0, len(given), together):
        found[start : start + together] = _coupled(given[start : start + together], classes)
    return found.reshape(*pairs.shape[:-1], classes)


def _coupled(given: Array, classes: int) -> Array:
    first, second = np.triu_indices(classes, 1)
    against = np.zeros((len(given), classes, classes))
    against[:, first, second], against[:, second, first] = given, 1.0 - given
    q = -against.transpose(0, 2, 1) * against
    q[:, range(classes), range(classes)] = np.square(against).sum(axis=1)
    found = np.full((len(given), classes), 1.0 / classes)
    moving = np.arange(len(given))
    for _ in range(max(ROUNDS, classes)):
        gradient = np.einsum("nij,nj->ni", q[moving], found[moving])
        energy = (found[moving] * gradient).sum(axis=1)
        far = np.abs(gradient - energy[:, np.newaxis]).max(axis=1) >= CLOSE / classes
        moving = moving[far]
        if not len(moving):
            break
        found[moving] = _round(q[moving], found[moving], gradient[far], energy[far])
    return found


def _round(q: Array, p: Array, gradient: Array, energy: Array) -> Array:
    """Each probability moved once, the others held in proportion."""
    for one in range(p.shape[1]):
        own = q[:, one, one]
        step = (energy - gradient[:, one]) / own
        p[:, one] += step
        energy = (energy + step * (step * own + 2 * gradient[:, one])) / (1 + step) ** 2
        p = p / (1 + step)[:, np.newaxis]
        gradient = (gradient + step[:, np.newaxis] * q[:, one]) / (1 + step)[:, np.newaxis]
    return p

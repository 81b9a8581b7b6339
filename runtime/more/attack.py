"""The attack: what is in encoded files comes out of them, without a key.

All matrices of one key have the same eigenvectors. Those of any single element, taken of the file, diagonalise every
other: what is left on the diagonals are the numbers and those of the other channels. Which channel holds the numbers is
one choice for all elements: one known value makes it, or else smoothness, as the other channels have noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import InputError
from hecc.runtime.more.arithmetic import Encoded

__all__ = ["Known", "Recovered", "recover"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """One value that the attacker knows.

    Attributes
    ----------
    row, element
        Where it is: a row, and a place in the flat tensor of one row.
    """

    row: int
    element: int
    value: float


@dataclass(frozen=True)
class Recovered:
    """What a file holds.

    Attributes
    ----------
    candidates
        By name of a tensor the numbers of each channel, shape (n, rows, ...); that of the data first.
    told_by
        How the data's channel was told from the others.
    certain
        How much better it fits than the next, where smoothness told: a ratio above one.
    """

    candidates: Mapping[str, Array]
    told_by: str
    certain: float


def recover(tensors: Mapping[str, Encoded], known: Known | None = None) -> Recovered:
    """The numbers in encoded tensors, from these alone.

    Parameters
    ----------
    known
        A value of the first tensor; without one smoothness tells.

    Raises
    ------
    InputError
        The known value is nowhere, or there is nothing to tell channels by.
    """
    vectors = _eigenvectors(tensors)
    inverse = np.linalg.inv(vectors)
    found = {
        name: np.stack([np.einsum("i,ij...,j->...", inverse[k], x.planes, vectors[:, k]) for k in range(x.size)])
        for name, x in tensors.items()
    }
    first = next(iter(found.values()))
    if known is not None:
        flat = first.reshape(*first.shape[:2], -1)
        if not (0 <= known.row < flat.shape[1] and 0 <= known.element < flat.shape[2]):
            raise InputError(
                f"the known value is said to be element {known.element} of row {known.row}, and there are "
                f"{flat.shape[1]} rows of {flat.shape[2]} elements"
            )
        distances = np.abs(flat[:, known.row, known.element] - known.value)
        told, certain = "one known value", 1.0
    else:
        distances = np.array([roughness(channel) for channel in first])
        told = "smoothness"
        ordered = np.sort(distances)
        certain = float(ordered[1] / max(ordered[0], np.finfo(float).tiny))
    order = np.argsort(distances, kind="stable")
    return Recovered({name: channels[order] for name, channels in found.items()}, told, certain)


def roughness(values: Array) -> float:
    """How far numbers are from those beside them and from round ones: noise is far from both.

    Parameters
    ----------
    values
        Shape (rows, ...); images have their pixels in the last two axes.
    """
    flat = values.reshape(len(values), -1)
    # Most data repeats itself: the background of images, whole numbers, flags. Noise never does.
    distinct = len(np.unique(np.round(flat.reshape(-1)[:100_000], 9))) / min(flat.size, 100_000)
    steps = [np.abs(np.diff(values, 2, axis=axis)).mean() for axis in range(1, values.ndim) if values.shape[axis] > 2]
    spread = float(values.std()) or 1.0
    return float((min(steps) if steps else spread) / spread + distinct)


def _eigenvectors(tensors: Mapping[str, Encoded]) -> Array:
    """Those of the element whose eigenvalues are farthest apart."""
    best: tuple[float, Array] | None = None
    for x in tensors.values():
        matrices = np.moveaxis(x.planes, (0, 1), (-2, -1)).reshape(-1, x.size, x.size)[:4096]
        values = np.sort(np.linalg.eigvals(matrices).real, axis=-1)
        gaps = np.abs(np.diff(values, axis=-1)).min(axis=-1)
        place = int(np.argmax(gaps))
        if gaps[place] > 0 and (best is None or gaps[place] > best[0]):
            best = float(gaps[place]), np.linalg.eig(matrices[place])[1].real
    if best is None:
        raise InputError("all matrices are multiples of the identity: what they hold is on their diagonals")
    return best[1]

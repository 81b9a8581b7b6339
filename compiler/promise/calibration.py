"""Stand-ins for real data where the user gives none: inputs that exercise a network over its declared range."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.inputs.tensors import Ends

__all__ = ["synthetic_corners", "synthetic_inputs"]

ROWS_PER_KIND = 8

CORNERS = 15
"""Of each kind."""

SEED = 20240463


def synthetic_inputs(shape: tuple[int, ...], low: Ends, high: Ends) -> NDArray[np.float64]:
    """Deterministic examples within ``[low, high]``: noise, smooth images, bright and dark spots, constants.

    Real images are smooth and sparse, and drive a network's activations further than noise of the same range does, so
    noise alone would underestimate the ranges.

    Parameters
    ----------
    shape
        Of one example; the last two axes count as an image.
    low, high
        Numbers, or one for each element.

    Returns
    -------
    ndarray
        Shape (rows, *shape).
    """
    generator = np.random.default_rng(SEED)
    size = (ROWS_PER_KIND, *shape)
    noise = generator.random(size)
    smooth = _smooth(generator, size)
    spots = smooth * (generator.random(size) < 0.25)
    constants = np.ones((3, *shape)) * np.array([0.0, 0.5, 1.0]).reshape(3, *(1 for _ in shape))
    unit = np.concatenate([noise, smooth, (smooth > 0.5).astype(np.float64), spots, 1.0 - spots, constants])
    return np.asarray(low + (high - low) * unit)


def synthetic_corners(shape: tuple[int, ...], low: float, high: float) -> NDArray[np.float64]:
    """Deterministic examples whose elements are ``low`` or ``high``: at random, in blots, all alike.

    Returns
    -------
    ndarray
        Shape (rows, *shape).
    """
    generator = np.random.default_rng(SEED)
    size = (CORNERS, *shape)
    noise, blots = generator.random(size) < 0.5, _smooth(generator, size) > 0.5
    alike = np.broadcast_to(np.array([False, True]).reshape(2, *(1 for _ in shape)), (2, *shape))
    return np.where(np.concatenate([noise, blots, alike]), high, low)


def _smooth(generator: np.random.Generator, size: tuple[int, ...]) -> NDArray[np.float64]:
    """Random images of few low frequencies, each stretched to fill [0, 1]."""
    # The examples of a vector make one image, and those of a single number its one column.
    height, width = size[-2:] if len(size) > 1 else (*size, 1)
    rows, columns = np.linspace(0, math.pi, height), np.linspace(0, math.pi, width)
    image = np.zeros((math.prod(size) // (height * width), height, width))
    for vertical in range(4):
        for horizontal in range(4):
            weights = generator.normal(size=(len(image), 1, 1)) / (1 + vertical + horizontal)
            wave = np.cos(vertical * rows)[:, np.newaxis] * np.cos(horizontal * columns)
            image += weights * wave
    image -= image.min(axis=(1, 2), keepdims=True)
    spread = image.max(axis=(1, 2), keepdims=True)
    return np.asarray(image / np.where(spread > 0, spread, 1.0)).reshape(size)

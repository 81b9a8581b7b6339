"""The search for the degrees of all polynomials of a network: the least depth whose error is allowed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.approximation.layers import CLASSES, SINGLE, Fit, FittedLayer
from hecc.compiler.approximation.trials import TrialNetwork

__all__ = ["closest_fits", "least_depth_fits"]

Array = NDArray[np.float64]


def closest_fits(network: TrialNetwork, layers: Sequence[FittedLayer]) -> dict[str, Fit] | None:
    """Of polynomials of one class and by one method those of the least error, where there are any that are admitted."""
    names = [layer.node.output.name for layer in layers]
    best: dict[str, Fit] | None = None
    least = math.inf
    for degrees in CLASSES:
        for method in FittedLayer.METHODS:
            fits = {name: layer.fit(degrees, method) for name, layer in zip(names, layers, strict=True)}
            if not all(layer.admits(fits[name]) for name, layer in zip(names, layers, strict=True)):
                continue
            error = network.trial_error(network.trial(fits, {}, names))
            if error < least:
                best, least = fits, error
    return best


def least_depth_fits(network: TrialNetwork, layers: Sequence[FittedLayer], allowed: float) -> dict[str, Fit] | None:
    """Polynomials of the least depth whose error is allowed, unless there are none."""
    names = [layer.node.output.name for layer in layers]

    def alike(level: int) -> tuple[float, dict[str, Fit], dict[str, Array]]:
        """All layers of one class, by the first method that is enough or the better one: error, fits and values."""
        offers = []
        for method in FittedLayer.METHODS:
            fits = {name: layer.fit(CLASSES[level], method) for name, layer in zip(names, layers, strict=True)}
            found = network.trial(fits, {}, names)
            admitted = all(layer.admits(fits[name]) for name, layer in zip(names, layers, strict=True))
            offers.append((network.trial_error(found) if admitted else math.inf, fits, found))
            if offers[-1][0] <= allowed:
                break
        return min(offers, key=lambda offer: offer[0])

    # The largest class of one polynomial tells whether to look below it or above.
    best, choice, values = alike(SINGLE)
    level = SINGLE
    for candidate in range(SINGLE) if best <= allowed else range(SINGLE + 1, len(CLASSES)):
        error, fits, found = alike(candidate)
        best = min(best, error)
        if error <= allowed:
            level, choice, values = candidate, fits, found
            break
    if best > allowed:
        return None
    levels = dict.fromkeys(names, level)

    def attempt(layer: FittedLayer, degrees: tuple[int, ...]) -> bool:
        """Other degrees for one layer, if its error is allowed, by the better method."""
        nonlocal values
        name = layer.node.output.name
        offers = []
        for method in FittedLayer.METHODS:
            fit = layer.fit(degrees, method)
            if layer.admits(fit):
                tried = network.trial({**choice, name: fit}, values, [name])
                offers.append((network.trial_error(tried), fit, tried))
        if not offers:
            return False
        error, fit, tried = min(offers, key=lambda offer: offer[0])
        if error > allowed:
            return False
        choice[name], values = fit, tried
        return True

    waiting = [layer for layer in reversed(layers) if levels[layer.node.output.name]]
    while waiting:
        lowered = []
        for layer in waiting:
            name = layer.node.output.name
            if attempt(layer, CLASSES[levels[name] - 1]):
                levels[name] -= 1
                lowered += [layer] if levels[name] else []
        waiting = lowered
    for layer, name in zip(layers, names, strict=True):
        if len(choice[name].stages) > 1:
            continue
        # Degrees within the class, by bisection: fewer products, and no level more.
        too_low = CLASSES[levels[name] - 1][0] if levels[name] else 0
        (enough,) = choice[name].degrees
        while enough - too_low > 1:
            middle = (too_low + enough) // 2
            if attempt(layer, (middle,)):
                enough = min(middle, *choice[name].degrees)
            else:
                too_low = middle
    return choice

"""The search for the degrees of all polynomials of a network: the least depth whose error is allowed."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.approximation.layers import CLASSES, SINGLE, Fit, FittedLayer
from hecc.compiler.approximation.trials import Trial, TrialNetwork

__all__ = ["INTERRUPTED", "DegreeSearch"]

log = logging.getLogger(__name__)

Array = NDArray[np.float64]

NOT_ENOUGH = "the polynomials of the plan to search from are not enough here; the search starts anew"
"""What is said where a search cannot go on from where another one was."""

INTERRUPTED = (
    "interrupted: the plan is made of the best polynomials so far; the search for cheaper ones ended early, and goes "
    "on from that plan with --search-from (search_from in Python)"
)
"""What is said where a search that has found something is interrupted."""


class DegreeSearch:
    """Polynomials for the functions of a network; what was fitted and tried for one error serves for others.

    Parameters
    ----------
    network
        What the polynomials are tried in.
    layers
        Its functions.
    methods
        How polynomials are fitted, the first one first.
    """

    def __init__(
        self, network: TrialNetwork, layers: Sequence[FittedLayer], methods: Sequence[str] = FittedLayer.METHODS
    ) -> None:
        self._methods = methods
        self._network, self._layers = network, layers
        self._names = [layer.node.output.name for layer in layers]
        self._least: dict[tuple[Fit, ...], float] = {}  # what the errors are at the least

    def closest(self, classes: Iterable[int] = range(len(CLASSES))) -> tuple[dict[str, Fit], float] | None:
        """Of polynomials of one class and by one method those of the least error, and that; where any are admitted."""
        offers: dict[tuple[Fit, ...], dict[str, Fit]] = {}
        for degrees in (CLASSES[level] for level in classes):
            for method in self._methods:
                fits = self._alike(degrees, method)
                if fits is not None:
                    offers.setdefault(tuple(fits.values()), fits)
        for key, fits in offers.items():
            if key not in self._least:
                self._least[key] = self._network.trial(fits, {}, self._names, allowed=0.0).error
        # Those that promise most first: no other is tried on all rows once they are known to be better.
        best: dict[str, Fit] | None = None
        least = math.inf
        for key in sorted(offers, key=self._least.__getitem__):
            if self._least[key] > least:
                break
            error = self._network.trial(offers[key], {}, self._names).error
            if error < least:
                best, least = offers[key], error
        return None if best is None else (best, least)

    def least_depth(self, allowed: float) -> dict[str, Fit] | None:
        """Polynomials of the least depth whose error is allowed, unless there are none."""
        # The largest class of one polynomial tells whether to look below it or above.
        level, found = SINGLE, self._tried(CLASSES[SINGLE], allowed)
        for candidate in range(SINGLE) if found is not None else range(SINGLE + 1, len(CLASSES)):
            lower = self._tried(CLASSES[candidate], allowed)
            if lower is not None:
                level, found = candidate, lower
                break
        if found is None:
            return None
        choice, tried = found
        self._lower(dict.fromkeys(self._names, level), choice, tried, allowed)
        return choice

    def shallowest(
        self, allowed: float, classes: Iterable[int], begun: Mapping[str, tuple[int, ...]] | None = None
    ) -> dict[str, Fit] | None:
        """The same, looking for it among some classes from the first on; for errors that any class may have.

        From the first that is enough on an interruption ends the search, and what was found by then is what it finds.
        Where another search found polynomials of such degrees, ``begun``, and they are enough, it goes on from them.
        """
        alike = (
            (dict.fromkeys(self._names, level), fits, tried) for level, fits, tried in self._enough(allowed, classes)
        )
        for levels, fits, tried in itertools.chain(self._again(allowed, begun), alike):
            choice = dict(fits)
            try:
                self._lower(levels, choice, tried, allowed)
            except KeyboardInterrupt:
                log.warning(INTERRUPTED)
            return choice
        return None

    def uniform(self, allowed: float, classes: Iterable[int]) -> Iterator[dict[str, Fit]]:
        """Polynomials of one class for all layers, for each class whose error is allowed."""
        return (fits for _, fits, _ in self._enough(allowed, classes))

    def _enough(self, allowed: float, classes: Iterable[int]) -> Iterator[tuple[int, dict[str, Fit], Trial]]:
        """Of each class whose error is allowed all layers, and what became of the network."""
        for level in classes:
            found = self._tried(CLASSES[level], allowed)
            if found is not None:
                yield level, *found

    def _again(
        self, allowed: float, begun: Mapping[str, tuple[int, ...]] | None
    ) -> Iterator[tuple[dict[str, int], dict[str, Fit], Trial]]:
        """The classes of polynomials that another search found, these, and what became of the network; if enough."""
        if begun is None:
            return
        if begun.keys() == set(self._names):
            fits = {
                name: layer.fit(begun[name], self._methods[0])
                for name, layer in zip(self._names, self._layers, strict=True)
            }
            if all(layer.admits(fits[name]) for name, layer in zip(self._names, self._layers, strict=True)):
                tried = self._network.trial(fits, {}, self._names, allowed)
                if tried.values is not None and tried.error <= allowed:
                    yield {name: _class_of(fit.degrees) for name, fit in fits.items()}, fits, tried
                    return
        log.info(NOT_ENOUGH)

    def _lower(self, levels: dict[str, int], choice: dict[str, Fit], tried: Trial, allowed: float) -> None:
        """Choose polynomials of a lower class, layer by layer, and of lower degrees within it, as far as is allowed.

        What is chosen is enough at any time, and so is what an interruption leaves.
        """
        assert tried.values is not None, "the error is allowed"
        values = tried.values

        def attempt(layer: FittedLayer, degrees: tuple[int, ...]) -> bool:
            """Other degrees for one layer, if its error is allowed, by the better method."""
            nonlocal values
            name = layer.node.output.name
            offers = []
            for method in self._methods:
                fit = layer.fit(degrees, method)
                if layer.admits(fit):
                    other = self._network.trial({**choice, name: fit}, values, [name], allowed)
                    if other.values is not None:
                        offers.append((other.error, fit, other.values))
            if not offers:
                return False
            error, fit, found = min(offers, key=lambda offer: offer[0])
            if error > allowed:
                return False
            choice[name], values = fit, found
            return True

        waiting = [layer for layer in reversed(self._layers) if levels[layer.node.output.name]]
        while waiting:
            lowered = []
            for layer in waiting:
                name = layer.node.output.name
                if attempt(layer, CLASSES[levels[name] - 1]):
                    levels[name] -= 1
                    lowered += [layer] if levels[name] else []
            waiting = lowered
        for layer, name in zip(self._layers, self._names, strict=True):
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

    def alike(self, levels: int) -> dict[str, Fit] | None:
        """All layers of the largest degrees of so many levels, if they are admitted."""
        return next((fits for method in self._methods if (fits := self._alike(CLASSES[levels], method))), None)

    def _alike(self, degrees: tuple[int, ...], method: str) -> dict[str, Fit] | None:
        """All layers of one class by a method, if they are admitted."""
        fits = {name: layer.fit(degrees, method) for name, layer in zip(self._names, self._layers, strict=True)}
        admitted = all(layer.admits(fits[name]) for name, layer in zip(self._names, self._layers, strict=True))
        return fits if admitted else None

    def _tried(self, degrees: tuple[int, ...], allowed: float) -> tuple[dict[str, Fit], Trial] | None:
        """All layers of one class by the first method whose error is allowed, and what became of the network."""
        for method in self._methods:
            fits = self._alike(degrees, method)
            key = tuple(fits.values()) if fits is not None else ()
            if fits is None or self._least.get(key, 0.0) > allowed:
                continue
            tried = self._network.trial(fits, {}, self._names, allowed)
            if tried.values is not None and tried.error <= allowed:
                return fits, tried
            self._least[key] = max(tried.error, self._least.get(key, 0.0))
        return None


def _class_of(degrees: tuple[int, ...]) -> int:
    """The first class with polynomials of such degrees, or of larger ones."""
    return next(
        number
        for number, largest in enumerate(CLASSES)
        if len(largest) == len(degrees) and all(map(int.__le__, degrees, largest))
    )

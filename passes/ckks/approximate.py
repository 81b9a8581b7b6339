"""Approximation: every function becomes a polynomial, at the least depth that keeps the network as precise as asked.

*Interval.* The argument of every function is measured on the calibration inputs. Its interval is what the values of all
but a few inputs span, with a margin; it reaches farther where those few lie beyond, and as far as the tail of the rows'
extremes (:mod:`hecc.compiler.promise.tails`) makes it take to lose no more than some in a thousand; and never beyond
what interval arithmetic proves. Outside its interval a polynomial of high degree grows beyond all bounds, and the
server cannot see it happen: one that stays within B on [-1, 1] may be ``B cosh(n acosh(u))`` at u. So there is a fringe
around all that is expected. It belongs to the interval that the polynomial is fitted on; what is fitted must not err
there by more than the function spans, however few values weigh in; and only beyond the fringe does a polynomial
explode. How many rows in a thousand go there is estimated, layer by layer, and told. A layer with values near an end
that is not proved is named in a warning. Where that widens the interval little, it is made symmetric about zero, so
that odd and even functions have odd and even polynomials.

*Degree.* Levels are what polynomials cost, so degrees come in classes, the largest of each number of levels. What
counts is the error of the network's outputs against the network with the true functions, on the inputs of the promise,
which may take half of the precision asked for; the other half is left to noise. The search takes the first class that
is enough in all layers, lowers it layer by layer from the last one on as long as it stays enough, and then each degree
within its class. Each fit is tried by two methods, the least mean square error over the values that occur and the least
largest error over the interval (:mod:`hecc.compiler.approximation.fits`): which of them does less harm depends on the
layers behind.

Where one polynomial cannot do, because a steep function has a wide interval, two in a row are tried, each of which may
be of a moderate degree.

*Proofs.* For results to be disclosed no input may leave an interval. Then an interval is all that is proved
(:mod:`hecc.compiler.graph.proofs`), whatever was observed, and a polynomial has to stay close to its function on all of
it. The histogram still says where it should be closest.

*Form.* ``u = (x - centre) / radius`` is an affine map, which fusion folds into the layer before, and the polynomial is
a Chebyshev series in u. One of degree two is a monic square with an affine map behind it, which takes a level less, and
one of degree one is affine.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from hecc.compiler.approximation.fits import (
    Structure,
    composition,
    histogram,
    least_squares,
    minimax,
    structure_of,
    trimmed,
)
from hecc.compiler.graph.affine import Reshape, Scale, compose
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.intervals import POINTS, value_intervals
from hecc.compiler.graph.nodes import (
    AffineNode,
    ChebyshevNode,
    FunctionNode,
    InputNode,
    Node,
    QuadraticNode,
    Source,
    Term,
    Value,
)
from hecc.compiler.graph.proofs import Demanded, demanded, narrower_range, proved_intervals
from hecc.compiler.promise.promise import Promise
from hecc.compiler.promise.tails import Tail
from hecc.runtime.errors import CompileError

__all__ = ["Approximated", "approximate_functions"]

log = logging.getLogger(__name__)

Array = NDArray[np.float64]

CLASSES = ((1,), (2,), (3,), (7,), (15,), (31,), (63,), (127,), (255,), (31, 15), (31, 31), (63, 31), (63, 63))
"""The largest degree of each number of levels, from none on; beyond the largest of all, of two polynomials in a row."""

SINGLE = 8
"""The last class of one polynomial."""

SHARE = 0.5
"""Of the error allowed, what approximation may take."""

TAIL = 0.01
"""Part of the calibration inputs, those with the most extreme values, that the margin is not measured from."""

BEYOND = 4e-3
"""Part of the rows that may leave the interval without its fringe in any of the layers; a fifth of those leave the
fringe."""

FRINGE = 0.1
"""Part of its radius by which an interval is wider than what is expected."""

EXCESS = 1.0
"""By how many times what the function spans a polynomial may miss it where no value was seen."""

SLACK = 0.05
"""Part of its radius by which an interval reaches beyond all that was seen, at the least."""

SYMMETRIC = 1.25
"""An interval may be so many times as wide for the sake of symmetry: half of the products are saved, and no level."""

SAMPLES = 1 << 24
"""Values that the search computes at a time, at the most, and with them the rows that it looks at."""

KINKED = frozenset({"abs", "clip", "hardsigmoid", "leakyrelu", "relu"})
"""Functions that no polynomial follows closely on any interval around their kinks."""

SINGULAR = frozenset({"log", "power", "reciprocal", "sqrt"})
"""Functions that are steep where they end, at zero."""

MAX_ROWS = 128
CHECKS = 4
"""Searches with a tighter bound, should the rows that the search looked at not have been the worst."""


@dataclass(frozen=True)
class Approximated:
    """A graph whose functions are polynomials.

    Attributes
    ----------
    graph
        With the normalisation of their arguments not yet fused.
    error
        The largest error of an element of an output over its unit, on the inputs of the promise.
    outside
        Part of the rows expected to leave an interval in any layer, at the most; ``None`` where the calibration inputs
        are too few to say.
    remark
        Where intervals are proved, what to know should the polynomials turn out too deep: which is the deepest, why,
        and what can be done.
    """

    graph: Graph
    error: float
    outside: float | None = 0.0
    remark: str = ""


@dataclass(frozen=True, eq=False)
class _Fit:
    """A polynomial in ``u = (x - centre) / radius``, or several, each of the one before."""

    centre: float
    radius: float
    stages: tuple[Array, ...]

    def __call__(self, x: Array) -> Array:
        value = (x - self.centre) / self.radius
        with np.errstate(over="ignore", invalid="ignore"):
            for coefficients in self.stages:
                value = np.asarray(chebyshev.chebval(value, coefficients))
        return value

    @property
    def degrees(self) -> tuple[int, ...]:
        """Of each polynomial."""
        return tuple(len(coefficients) - 1 for coefficients in self.stages)


class _Layer:
    """A function with its interval and the polynomials that were fitted so far."""

    METHODS = ("least squares", "minimax")

    def __init__(
        self,
        node: FunctionNode,
        values: Array,
        proved: tuple[float, float],
        margin: float,
        demand: Demanded | None = None,
        *,
        beyond: float = BEYOND,
        quiet: bool = False,
    ) -> None:
        self.node, self.demand = node, demand
        self.seen = float(values.min()), float(values.max())
        ratios = bool(node.function.primitives() & SINGULAR) and self.seen[0] > 0
        found = (_ratios if ratios else _interval)(values, proved, margin, beyond)
        low, high = (demand.low, demand.high) if demand else (found.low, found.high)
        if found.near and not demand and not quiet:
            log.warning(
                "%s: on the calibration inputs the x of %s is from %.4g to %.4g, close to the ends of its interval, "
                "%.4g to %.4g, and far beyond most; a value outside makes the results meaningless: calibrate with more "
                "inputs",
                node.source,
                node.function,
                float(values.min()),
                float(values.max()),
                low,
                high,
            )
        if not node.function.is_defined(low, high):
            raise CompileError(
                f"{node.source} (opset {node.source.opset}) is not finite everywhere between {low:.4g} and {high:.4g}, "
                "where the values of its argument lie with their margin; scale them down, or add a constant that keeps "
                "them away from zero, and train again"
            )
        self.centre, self.radius = (low + high) / 2, (high - low) / 2
        self.structure = Structure()
        reach = max(abs(low), abs(high))
        if reach <= SYMMETRIC * self.radius:
            # Beyond what was looked at it may overflow, and has no symmetry then.
            with np.errstate(invalid="ignore"):
                structure = structure_of(lambda u: node.function(reach * u))
            if structure.parity is not None:
                self.centre, self.radius, self.structure = 0.0, reach, structure
        # What is proved nothing leaves.
        self.outside = 0.0 if demand else found.outside(self.centre - self.radius, self.centre + self.radius)
        self._weights = histogram((values - self.centre) / self.radius)
        self._fits: dict[tuple[tuple[int, ...], str], _Fit] = {}
        self._admitted: dict[_Fit, bool] = {}

    def admits(self, fit: _Fit) -> bool:
        """Whether a polynomial does what the proof demands, or stays bounded where no value was seen."""
        if fit not in self._admitted:
            self._admitted[fit] = self.demand.met(fit, self.node.function) if self.demand else self._bounded(fit)
        return self._admitted[fit]

    def _bounded(self, fit: _Fit) -> bool:
        points = self.centre + self.radius * np.cos(np.linspace(0, np.pi, POINTS))
        values = self.node.function(points)
        unseen = (points < self.seen[0]) | (points > self.seen[1])
        error = np.abs(fit(points[unseen]) - values[unseen])
        return bool((error <= EXCESS * float(values.max() - values.min())).all())

    def _function(self, u: Array) -> Array:
        return self.node.function(self.centre + self.radius * u)

    @cached_property
    def _steep(self) -> bool:
        """Whether a composition can do more than one polynomial: of an even function, or an exact fit, it cannot."""
        single = CLASSES[SINGLE][0]
        return self.structure.parity != 0 and self.fit((single,), "minimax").degrees[0] >= single - 1

    def fit(self, degrees: tuple[int, ...], method: str) -> _Fit:
        """The polynomial, or the composition, of at most these degrees by a method."""
        if len(degrees) == 2 and not self._steep:
            degrees = CLASSES[SINGLE]
        key = degrees, method
        if key not in self._fits:
            stages: tuple[Array, ...]
            if len(degrees) == 2:
                even = np.ones_like(self._weights)
                weights = even if method == "minimax" else self._weights
                stages = composition(self._function, (degrees[0], degrees[1]), weights, self.structure)
            elif method == "minimax":
                stages = (minimax(self._function, degrees[0], self.structure),)
            else:
                stages = (least_squares(self._function, degrees[0], self._weights, self.structure),)
            self._fits[key] = _Fit(self.centre, self.radius, tuple(map(trimmed, stages)))
        return self._fits[key]


@dataclass(frozen=True)
class _Interval:
    """What a layer's argument is expected to be.

    Attributes
    ----------
    low, high
        Its ends, with the fringe.
    near
        Whether values are near one that is not proved.
    tails
        Of the rows' least and largest values, each with its end, where that is not proved; ``None`` of too few rows.
    logarithmic
        Whether the tails are those of logarithms.
    """

    low: float
    high: float
    near: bool
    tails: tuple[Tail | None, Tail | None] | None
    logarithmic: bool = False

    def outside(self, low: float, high: float) -> float | None:
        """Part of the rows that is expected outside such an interval, which holds this one."""
        if self.tails is None:
            return None
        if self.logarithmic:
            low, high = (math.log(end) if end > 0 else -math.inf for end in (low, high))
        return sum(tail.beyond(end) for tail, end in zip(self.tails, (-low, high), strict=True) if tail is not None)


def _interval(values: Array, proved: tuple[float, float], margin: float, beyond: float) -> _Interval:
    """The interval of a layer; so many of the rows may be beyond it without its fringe, half of them at each end."""
    low, high = float(values.min()), float(values.max())
    # Rows are what is drawn independently; of each its own extremes.
    least, largest = values.min(axis=1), values.max(axis=1)
    tail_low, tail_high = float(np.quantile(least, TAIL)), float(np.quantile(largest, 1 - TAIL))
    reserve = margin * (tail_high - tail_low) / 2
    slack = SLACK * (high - low) / 2
    left, right = tail_low - reserve, tail_high + reserve
    tails = Tail.of(-least), Tail.of(largest)
    if tails[0] is not None and tails[1] is not None:
        left, right = min(left, -tails[0].end(beyond / 2)), max(right, tails[1].end(beyond / 2))
    # Values that are farther out than that: another row may be farther still.
    near = low - slack < left and proved[0] < left, high + slack > right and proved[1] > right
    left, right = min(left, low - slack), max(right, high + slack)
    fringe = FRINGE * (right - left) / 2
    left, right = left - fringe, right + fringe
    closed = left <= proved[0], right >= proved[1]
    left, right = max(left, min(proved[0], low)), min(right, max(proved[1], high))
    if not left < right:
        left, right = left - 1.0, right + 1.0
    few = tails[0] is None and not all(closed)
    ends = tuple(None if end else tail for tail, end in zip(tails, closed, strict=True))
    return _Interval(left, right, any(near), None if few else (ends[0], ends[1]))


def _ratios(values: Array, proved: tuple[float, float], margin: float, beyond: float) -> _Interval:
    """The same for positive values whose ratios count: what has a pole at zero changes as much from 0.1 to 0.2."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = (float(np.log(max(proved[0], 0.0))), float(np.log(max(proved[1], 0.0))))
    found = _interval(np.log(values), ends, margin, beyond)
    return replace(found, low=math.exp(found.low), high=math.exp(found.high), logarithmic=True)


def approximate_functions(
    graph: Graph,
    calibration: Mapping[str, Array],
    declared: Mapping[str, tuple[float, float]],
    precision_bits: float,
    margin: float,
    *,
    promise: Promise | None = None,
    proved: bool = False,
    reserve_bits: float = 0.0,
    quiet: bool = False,
) -> Approximated:
    """Replace the functions of a graph by polynomials.

    Parameters
    ----------
    graph
        Canonical but for its functions.
    calibration
        Inputs by name, shape (rows, ...).
    declared
        Smallest and largest value of each input's elements.
    precision_bits
        Of the outputs, of which approximation takes half the error at the most.
    margin
        By how much an interval is wider than what was seen, as a part of it.
    promise
        What the outputs should be, on the calibration inputs and perhaps on others, and how errors count; by default as
        on the calibration inputs.
    proved
        Intervals are all that any input in the declared range can cause, and no margin is needed.
    reserve_bits
        By how much more precise the outputs have to be than was asked for, which refusals do not speak of.
    quiet
        Do not warn of values that are close to the ends of intervals.

    Raises
    ------
    CompileError
        No degree gives the precision; the message says which can be had.
    """
    functions = [node for node in graph.nodes if isinstance(node, FunctionNode)]
    if not functions:
        return Approximated(graph, 0.0)
    network = _Network(graph, promise or Promise.of(graph, calibration))
    near = len(next(iter(calibration.values())))
    intervals = proved_intervals(graph, declared) if proved else value_intervals(graph, declared)
    layers = []
    for node in functions:
        centre, radius = intervals[node.value]
        with np.errstate(invalid="ignore"):
            ends = float((centre - radius).min()), float((centre + radius).max())
        demand = demanded(node, intervals[node.value]) if proved else None
        beyond = BEYOND / len(functions)
        seen = network.exact[node.value][:near]
        layers.append(_Layer(node, seen, ends, margin, demand, beyond=beyond, quiet=quiet))
    allowed = SHARE * 2.0 ** -(precision_bits + reserve_bits)
    narrower = narrower_range(declared, calibration)
    tightened = allowed
    for _ in range(CHECKS):
        choice = _search(network, layers, tightened)
        if choice is None:
            break
        error = network.error(choice)
        if error <= allowed:
            break
        tightened *= 0.5 * allowed / error
    if choice is None or error > allowed:
        # What a refusal says can be had is had when it is asked for, though the search may not have come upon it.
        choice = _closest(network, layers)
        error = network.error(choice) if choice else math.inf
        if choice is None or error > allowed:
            bits = -math.log2(error / SHARE) - reserve_bits if 0 < error < math.inf else 0.0
            raise CompileError(_impossible(network, layers, bits, precision_bits, narrower))
    for layer in layers:
        fit = choice[layer.node.output.name]
        log.debug(
            "%s: degree %s on %.4g to %.4g",
            layer.node.source,
            " of ".join(map(str, reversed(fit.degrees))),
            fit.centre - fit.radius,
            fit.centre + fit.radius,
        )
    return Approximated(
        _replaced(graph, choice, squares=not proved),
        error,
        _outside(layers, choice),
        _remark(layers, choice, narrower),
    )


def _outside(layers: Sequence[_Layer], choice: Mapping[str, _Fit]) -> float | None:
    """Part of the rows that leave an interval in any layer, at the most."""
    # What is affine or a square has no interval in the circuit.
    parts = [layer.outside for layer in layers if max(choice[layer.node.output.name].degrees) > 2]
    known = [part for part in parts if part is not None]
    return min(1.0, sum(known)) if len(known) == len(parts) else None


class _Network:
    """The network in clear, with the true functions or with polynomials."""

    def __init__(self, graph: Graph, promise: Promise) -> None:
        self.graph, self._promise = graph, promise
        self.exact = graph.evaluate(promise.inputs)
        rows = len(next(iter(self.exact.values())))
        size = sum(math.prod(node.output.shape) for node in graph.nodes)
        few = max(1, min(rows, MAX_ROWS, SAMPLES // size))
        self._rows = np.arange(0, rows, -(-rows // few))
        self._few = {name: values[self._rows] for name, values in self.exact.items()}
        self._position = {node.output.name: i for i, node in enumerate(graph.nodes)}

    def error(self, choice: Mapping[str, _Fit]) -> float:
        """The largest error of an element of an output over its unit, on all rows."""
        values = self._run(choice, self.exact, dict.fromkeys(choice))
        return self._promise.error(values, np.arange(len(values[self.graph.outputs[0]])))

    def trial(self, choice: Mapping[str, _Fit], known: Mapping[str, Array], changed: Sequence[str]) -> dict[str, Array]:
        """Values on some rows, where all but what follows the changed functions is known."""
        return self._run(choice, {**self._few, **known}, dict.fromkeys(changed))

    def trial_error(self, values: Mapping[str, Array]) -> float:
        """The same as :meth:`error`, of the values of a trial."""
        return self._promise.error(values, self._rows)

    def _run(
        self, choice: Mapping[str, _Fit], known: Mapping[str, Array], changed: Mapping[str, None]
    ) -> dict[str, Array]:
        values = dict(known)
        stale: set[str] = set()
        for node in self.graph.nodes:
            name = node.output.name
            if isinstance(node, InputNode) or not (name in changed or stale.intersection(node.inputs)):
                continue
            stale.add(name)
            if isinstance(node, FunctionNode) and name in choice:
                values[name] = choice[name](values[node.value])
            else:
                values[name] = self.graph.evaluate_node(node, values)
        return values


def _closest(network: _Network, layers: Sequence[_Layer]) -> dict[str, _Fit] | None:
    """Of polynomials of one class and by one method those of the least error, where there are any that are admitted."""
    names = [layer.node.output.name for layer in layers]
    best: dict[str, _Fit] | None = None
    least = math.inf
    for degrees in CLASSES:
        for method in _Layer.METHODS:
            fits = {name: layer.fit(degrees, method) for name, layer in zip(names, layers, strict=True)}
            if not all(layer.admits(fits[name]) for name, layer in zip(names, layers, strict=True)):
                continue
            error = network.trial_error(network.trial(fits, {}, names))
            if error < least:
                best, least = fits, error
    return best


def _search(network: _Network, layers: Sequence[_Layer], allowed: float) -> dict[str, _Fit] | None:
    """Polynomials of the least depth whose error is allowed, unless there are none."""
    names = [layer.node.output.name for layer in layers]

    def alike(level: int) -> tuple[float, dict[str, _Fit], dict[str, Array]]:
        """All layers of one class, by the first method that is enough or the better one: error, fits and values."""
        offers = []
        for method in _Layer.METHODS:
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

    def attempt(layer: _Layer, degrees: tuple[int, ...]) -> bool:
        """Other degrees for one layer, if its error is allowed, by the better method."""
        nonlocal values
        name = layer.node.output.name
        offers = []
        for method in _Layer.METHODS:
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


def _impossible(network: _Network, layers: Sequence[_Layer], bits: float, precision_bits: float, narrower: str) -> str:
    """The sentence that refuses a precision, with that which can be had and the layer that is most to blame."""

    def alone(layer: _Layer) -> float:
        name, fit = layer.node.output.name, layer.fit(CLASSES[SINGLE], "minimax")
        return network.trial_error(network.trial({name: fit}, {}, [name])) if layer.admits(fit) else math.inf

    worst = max(layers, key=alone)
    source = worst.node.source
    # Rounded down, so that it can be asked for.
    had = f"{math.floor(10 * bits) / 10:.1f} bits of precision" if bits >= 1 else "next to no precision"
    low, high = worst.centre - worst.radius, worst.centre + worst.radius
    closer = f"keep its values closer together than {low:.4g} to {high:.4g}"
    remedy = f"{closer}, with a BatchNormalization before it or more weight decay,"
    alike = ""
    if _kinked(worst):
        others = sum(map(_kinked, layers)) - 1
        alike = f", like {others} other{'s' if others > 1 else ''}," if others else ""
        remedy = f"replace {'them' if others else 'it'} by a square or a smooth activation such as SiLU"
    elif worst.demand is not None:
        remedy = _remedy(narrower)
    because = f", {worst.demand.against(worst.seen)}," if worst.demand else ","
    less = " or compile without --disclose" if worst.demand else ""
    return (
        f"{source} (opset {source.opset}){alike} is not a polynomial{because} and polynomials of up to "
        f"{len(CLASSES) - 1} levels leave the network {had}, not {precision_bits:g}; {remedy} and train again, or ask "
        f"for less with --precision{less}"
    )


def _kinked(layer: _Layer) -> bool:
    return bool(layer.node.function.primitives() & KINKED)


def _remark(layers: Sequence[_Layer], choice: Mapping[str, _Fit], narrower: str) -> str:
    """What to know of the deepest polynomial that was fitted on an interval that is proved."""

    def levels(layer: _Layer) -> tuple[int, float]:
        degrees = choice[layer.node.output.name].degrees
        return sum(degree.bit_length() for degree in degrees), layer.radius / (layer.seen[1] - layer.seen[0] or 1.0)

    deepest = max(layers, key=levels)
    if deepest.demand is None:
        return ""
    taken, _ = levels(deepest)
    return (
        f"; the polynomial for {deepest.node.source} takes {taken} of it: {deepest.demand.against(deepest.seen)}; "
        f"{_remedy(narrower)} and train again, or compile without --disclose"
    )


def _remedy(narrower: str) -> str:
    """What makes a proved interval narrower."""
    return f"{narrower}make the weights ahead of it smaller, by weight decay or a BatchNormalization before it,"


def _replaced(graph: Graph, choice: Mapping[str, _Fit], *, squares: bool) -> Graph:
    """The graph with polynomials for functions.

    ``squares`` says whether those of degree two may be monic squares. A proof takes the two terms of ``x^2 + b x`` for
    independent, and those of a series not.
    """
    nodes: list[Node] = []
    parameters: dict[str, Array] = {}
    for node in graph.nodes:
        if isinstance(node, FunctionNode):
            nodes += _polynomial(node, choice[node.output.name], graph.node(node.value), parameters, squares=squares)
        else:
            nodes.append(node)
    return graph.with_nodes(nodes, parameters)


def _polynomial(
    node: FunctionNode, fit: _Fit, before: Node, parameters: dict[str, Array], *, squares: bool
) -> list[Node]:
    """Nodes for one function; what will be fused with the affine map before bears its name."""
    source = before.source if isinstance(before, AffineNode) else node.source
    name, shape = node.output.name, node.output.shape

    def parameter(what: str, value: float | Array) -> str:
        parameters[f"{name}:{what}"] = np.asarray(value, dtype=np.float64)
        return f"{name}:{what}"

    def affine(output: Value, source: Source, value: Value, what: str, factor: float, constant: float) -> Node:
        scaled = compose(Scale.of(shape, parameter(f"{what}factor", factor)), Reshape(value.shape, shape))
        bias = parameter(f"{what}constant", constant) if constant else None
        return AffineNode(output, source, (Term(value.name, scaled),), bias)

    coefficients = fit.stages[0]
    shift = -fit.centre / fit.radius
    if len(fit.stages) == 1 and len(coefficients) <= 2:
        constant, slope = (float(c) for c in np.append(coefficients, 0.0)[:2])
        return [affine(node.output, source, before.output, "", slope / fit.radius, constant + slope * shift)]
    u = Value(f"{name}:normalised", shape)
    normalised = affine(u, source, before.output, "normalising ", 1 / fit.radius, shift)
    if squares and len(fit.stages) == 1 and len(coefficients) == 3:
        constant, slope, leading = (float(c) for c in chebyshev.cheb2poly(coefficients))
        monic = Value(f"{name}:monic", shape)
        powers = (parameter("zero", 0.0), parameter("linear", slope / leading), parameter("one", 1.0))
        square = QuadraticNode(monic, node.source, u.name, powers)
        return [normalised, square, affine(node.output, node.source, monic, "leading ", leading, constant)]
    interval = (fit.centre - fit.radius, fit.centre + fit.radius)
    nodes, argument = [normalised], u
    for k, stage in enumerate(fit.stages):
        last = k == len(fit.stages) - 1
        value = node.output if last else Value(f"{name}:inner", shape)
        part = parameter("coefficients" if last else "inner coefficients", stage)
        nodes.append(ChebyshevNode(value, node.source, argument.name, part, interval if k == 0 else (-1.0, 1.0)))
        argument = value
    return nodes

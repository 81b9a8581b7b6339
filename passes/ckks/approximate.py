"""Approximation: every function becomes a polynomial, at the least depth that keeps the network as precise as asked.

*Interval.* The argument of every function is measured on the calibration inputs. Its interval is what the values of all
but a few inputs span, with a margin; it reaches farther where those few lie beyond, and as far as the tail of the rows'
extremes (:mod:`hecc.compiler.promise.tails`) makes it take to lose no more than some in a thousand; and never beyond
what interval arithmetic proves. Outside its interval a polynomial of high degree grows beyond all bounds, and the
server cannot see it happen: one that stays within B on [-1, 1] may be ``B cosh(n acosh(u))`` at u. So there is a fringe
around all that is expected. It belongs to the interval that the polynomial is fitted on; what is fitted must not err
there by more than the function spans, however few values weigh in; and only beyond the fringe does a polynomial
explode. How many rows in a thousand go there is estimated, layer by layer, and told. A layer with rows that the others
would not have let expect is named in a warning, with how many they are. Where that widens the interval little, it is
made symmetric about zero, so that odd and even functions have odd and even polynomials.

*Degree.* Levels are what polynomials cost, so degrees come in classes, the largest of each number of levels. What
counts is the error of the network's outputs against the network with the true functions, on the inputs of the promise,
which may take half of the precision asked for; the other half is left to noise. The search takes the first class that
is enough in all layers, lowers it layer by layer from the last one on as long as it stays enough, and then each degree
within its class. Each fit is tried by two methods, the least mean square error over the values that occur and the least
largest error over the interval (:mod:`hecc.compiler.approximation.fits`): which of them does less harm depends on the
layers behind.

Where one polynomial cannot do, because a steep function has a wide interval, two in a row are tried, each of which may
be of a moderate degree.

*Decisions.* A function with a kink is followed closely by no polynomial, and need not be: what a user reads off the
network is a class, and it takes much to change that. Then the error is the part of decisions that are lost
(:class:`hecc.compiler.promise.decisions.Decisions`), classes are tried from the lowest one on, and everything else is
the same.

*Proofs.* For results to be disclosed no input may leave an interval. Then an interval is all that is proved
(:mod:`hecc.compiler.graph.proofs`), whatever was observed, and a polynomial has to stay close to its function on all of
it. The histogram still says where it should be closest.

*Form.* ``u = (x - centre) / radius`` is an affine map, which fusion folds into the layer before, and the polynomial is
a Chebyshev series in u. One of degree two is a monic square with an affine map behind it, which takes a level less, and
one of degree one is affine.

The mathematics is the compiler's: intervals, layers, trials and the search in :mod:`hecc.compiler.approximation`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from hecc.compiler.approximation.layers import BEYOND, CLASSES, SINGLE, Fit, FittedLayer
from hecc.compiler.approximation.search import DegreeSearch
from hecc.compiler.approximation.trials import Judge, TrialNetwork
from hecc.compiler.ckks.imprecise import ImpreciseError, UndecidedError, by_sharing
from hecc.compiler.graph.affine import Reshape, Scale, compose
from hecc.compiler.graph.function import is_kinked
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.intervals import value_intervals
from hecc.compiler.graph.nodes import (
    AffineNode,
    BootstrapNode,
    ChebyshevNode,
    FunctionNode,
    Node,
    QuadraticNode,
    Source,
    Term,
    Value,
)
from hecc.compiler.graph.proofs import demanded, narrower_range, proved_intervals
from hecc.compiler.promise.promise import Promise

__all__ = ["Approximated", "Approximation"]

log = logging.getLogger(__name__)

Array = NDArray[np.float64]

SHARE = 0.5
"""Of the error allowed, what approximation may take."""

MAXIMA = frozenset({"GlobalMaxPool", "MaxPool", "ReduceMax", "ReduceMin"})
"""Operators that an average can stand for, when a network is trained again."""

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
    levels
        Of all polynomials together.
    remark
        Where intervals are proved, what to know should the polynomials turn out too deep: which is the deepest, why,
        and what can be done.
    degrees
        Of the polynomials in place of each function, by its result.
    """

    graph: Graph
    error: float
    outside: float | None = 0.0
    levels: int = 0
    remark: str = ""
    degrees: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


class Approximation:
    """The functions of a graph with their intervals, and the polynomials that were tried: for one precision or several.

    Parameters
    ----------
    graph
        Canonical but for its functions.
    calibration
        Inputs by name, shape (rows, ...).
    declared
        Smallest and largest value of each input's elements.
    margin
        By how much an interval is wider than what was seen, as a part of it.
    judge
        What the outputs should be, on the calibration inputs and perhaps on others behind them, and how errors count;
        by default as the promise on the calibration inputs.
    proved
        Intervals are all that any input in the declared range can cause, and no margin is needed.
    edges
        More inputs whose values must be in the intervals, where the functions are finite there.
    quiet
        Do not warn of rows that go much farther than the others.
    methods
        How polynomials are fitted.
    phase
        Of a bootstrap ahead of every function, in whose sine the polynomials are fitted; by default there is none.

    Raises
    ------
    CompileError
        A function is not finite on all of its interval.
    """

    def __init__(
        self,
        graph: Graph,
        calibration: Mapping[str, Array],
        declared: Mapping[str, tuple[float, float]],
        margin: float,
        *,
        judge: Judge | None = None,
        proved: bool = False,
        edges: Mapping[str, Array] | None = None,
        quiet: bool = False,
        methods: Sequence[str] = FittedLayer.METHODS,
        phase: float | None = None,
    ) -> None:
        self._graph, self._proved = graph, proved
        functions = [node for node in graph.nodes if isinstance(node, FunctionNode)]
        self._layers: list[FittedLayer] = []
        if not functions:
            return
        self._network = TrialNetwork(graph, judge or Promise.of(graph, calibration))
        near = len(next(iter(calibration.values())))
        intervals = proved_intervals(graph, declared) if proved else value_intervals(graph, declared)
        at_edges = {} if edges is None else graph.evaluate(edges)
        for node in functions:
            centre, radius = intervals[node.value]
            with np.errstate(invalid="ignore"):
                ends = float((centre - radius).min()), float((centre + radius).max())
            demand = demanded(node, intervals[node.value]) if proved else None
            beyond = BEYOND / len(functions)
            seen = self._network.exact[node.value][:near]
            also = at_edges.get(node.value)
            self._layers.append(
                FittedLayer(node, seen, ends, margin, demand, also=also, beyond=beyond, quiet=quiet, phase=phase)
            )
        self._narrower = narrower_range(declared, calibration)
        self._search = DegreeSearch(self._network, self._layers, methods)

    def at(self, precision_bits: float, reserve_bits: float = 0.0) -> Approximated:
        """The graph with polynomials in place of functions.

        Parameters
        ----------
        precision_bits
            Of the outputs, of which approximation takes half the error at the most.
        reserve_bits
            By how much more precise the outputs have to be than was asked for, which refusals do not speak of.

        Raises
        ------
        ImpreciseError
            No degree gives the precision; the message says how much no degree exceeds.
        """
        if not self._layers:
            return Approximated(self._graph, 0.0)
        allowed = SHARE * 2.0 ** -(precision_bits + reserve_bits)
        choice, error = self._closest_to_enough(allowed)
        if choice is None or error > allowed:
            bits = -math.log2(error / SHARE) - reserve_bits if 0 < error < math.inf else 0.0
            raise _impossible(self._network, self._layers, bits, precision_bits, self._narrower)
        return self._with(choice, error)

    def deciding(self, lost: float, levels: int, begun: Mapping[str, tuple[int, ...]] | None = None) -> Approximated:
        """The same by decisions; the judge has to be one of decisions.

        Parameters
        ----------
        lost
            Part of the decisions that the polynomials may change.
        levels
            That each polynomial may take, at the most.
        begun
            Degrees that another search found for each function, by its result, to go on from.

        Raises
        ------
        UndecidedError
            No polynomials of so many levels do; it says how near they come.
        """
        if not self._layers:
            return Approximated(self._graph, 0.0)
        classes = range(1, min(levels, len(CLASSES) - 1) + 1)
        choice = self._search.shallowest(lost, classes, begun)
        if choice is None:
            closest = self._search.closest(classes)
            raise UndecidedError(1.0 if closest is None else closest[1], len(classes))
        return self._with(choice, self._network.error(choice))

    def uniform(self, lost: float, levels: int) -> Iterator[Approximated]:
        """The same with polynomials of as many levels each, the fewest first; as many as there are."""
        if not self._layers:
            return
        for choice in self._search.uniform(lost, range(1, min(levels, len(CLASSES) - 1) + 1)):
            yield self._with(choice, self._network.error(choice))

    def alike(self, levels: int) -> Approximated | None:
        """Polynomials of so many levels in place of all functions; ``None`` where one would not stay bounded."""
        choice = self._search.alike(levels)
        return None if choice is None else self._with(choice, math.inf)

    def _with(self, choice: Mapping[str, Fit], error: float) -> Approximated:
        for layer in self._layers:
            fit = choice[layer.node.output.name]
            log.debug(
                "%s: degree %s on %.4g to %.4g",
                layer.node.source,
                " of ".join(map(str, reversed(fit.degrees))),
                fit.centre - fit.radius,
                fit.centre + fit.radius,
            )
        return Approximated(
            _replaced(self._graph, choice, squares=not self._proved),
            error,
            _outside(self._layers, choice),
            sum(degree.bit_length() for fit in choice.values() for degree in fit.degrees),
            _remark(self._layers, choice, self._narrower),
            {name: fit.degrees for name, fit in choice.items()},
        )

    def _closest_to_enough(self, allowed: float) -> tuple[Mapping[str, Fit] | None, float]:
        """Polynomials with the error of the outputs; where it is more than allowed, it is that at the least."""
        tightened = allowed
        for _ in range(CHECKS):
            choice = self._search.least_depth(tightened)
            if choice is None:
                break
            error = self._network.error(choice)
            if error <= allowed:
                return choice, error
            tightened *= 0.5 * allowed / error
        closest = self._search.closest()
        if closest is None:
            return None, math.inf
        choice, error = closest
        return choice, error if error > allowed else self._network.error(choice)


def _outside(layers: Sequence[FittedLayer], choice: Mapping[str, Fit]) -> float | None:
    """Part of the rows that leave an interval in any layer, at the most."""
    # What is affine or a square has no interval in the circuit.
    parts = [layer.outside for layer in layers if max(choice[layer.node.output.name].degrees) > 2]
    known = [part for part in parts if part is not None]
    return min(1.0, sum(known)) if len(known) == len(parts) else None


def _impossible(
    network: TrialNetwork, layers: Sequence[FittedLayer], bits: float, precision_bits: float, narrower: str
) -> ImpreciseError:
    """The refusal of a precision, with that which no polynomials exceed and the layer that is most to blame."""

    def alone(layer: FittedLayer) -> float:
        name, fit = layer.node.output.name, layer.fit(CLASSES[SINGLE], "minimax")
        return network.trial({name: fit}, {}, [name], allowed=0.0).error if layer.admits(fit) else math.inf

    worst = max(layers, key=alone)
    source = worst.node.source
    had = f"{math.floor(10 * bits) / 10:.1f} bits of precision at the most" if bits >= 1 else "next to no precision"
    low, high = worst.centre - worst.radius, worst.centre + worst.radius
    closer = f"keep its values closer together than {low:.4g} to {high:.4g}"
    remedy = f"{closer}, with a BatchNormalization before it or more weight decay,"
    alike = elsewhere = ""
    if _kinked(worst):
        elsewhere = f", or {by_sharing(network.graph)}"
        others = sum(map(_kinked, layers)) - 1
        alike = f", like {others} other{'s' if others > 1 else ''}," if others else ""
        remedy = f"replace {'them' if others else 'it'} by a square or a smooth activation such as SiLU"
        if source.operator in MAXIMA:
            remedy = "use average pooling instead"
    elif worst.demand is not None:
        remedy = _remedy(narrower)
    because = f", {worst.demand.against(worst.seen)}," if worst.demand else ","
    return ImpreciseError(
        f"{source} (opset {source.opset}){alike} is not a polynomial{because} and polynomials of up to "
        f"{len(CLASSES) - 1} levels leave the network {had}, not {precision_bits:g}",
        f"{remedy} and train again",
        " or compile without --disclose" if worst.demand else elsewhere,
    )


def _kinked(layer: FittedLayer) -> bool:
    return is_kinked(layer.node.function)


def _remark(layers: Sequence[FittedLayer], choice: Mapping[str, Fit], narrower: str) -> str:
    """What to know of the deepest polynomial that was fitted on an interval that is proved."""

    def levels(layer: FittedLayer) -> tuple[int, float]:
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


def _replaced(graph: Graph, choice: Mapping[str, Fit], *, squares: bool) -> Graph:
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
    node: FunctionNode, fit: Fit, before: Node, parameters: dict[str, Array], *, squares: bool
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
    if len(fit.stages) == 1 and len(coefficients) <= 2 and fit.phase is None:
        constant, slope = (float(c) for c in np.append(coefficients, 0.0)[:2])
        return [affine(node.output, source, before.output, "", slope / fit.radius, constant + slope * shift)]
    u = Value(f"{name}:normalised", shape)
    normalised = affine(u, source, before.output, "normalising ", 1 / fit.radius, shift)
    if squares and len(fit.stages) == 1 and len(coefficients) == 3 and fit.phase is None:
        constant, slope, leading = (float(c) for c in chebyshev.cheb2poly(coefficients))
        monic = Value(f"{name}:monic", shape)
        powers = (parameter("zero", 0.0), parameter("linear", slope / leading), parameter("one", 1.0))
        square = QuadraticNode(monic, node.source, u.name, powers)
        return [normalised, square, affine(node.output, node.source, monic, "leading ", leading, constant)]
    interval = (fit.centre - fit.radius, fit.centre + fit.radius)
    nodes, argument = [normalised], u
    if fit.phase is not None:
        argument = Value(f"{name}:sine", shape)
        nodes.append(BootstrapNode(argument, node.source, u.name, fit.phase, interval))
    for k, stage in enumerate(fit.stages):
        last = k == len(fit.stages) - 1
        value = node.output if last else Value(f"{name}:inner", shape)
        part = parameter("coefficients" if last else "inner coefficients", stage)
        nodes.append(ChebyshevNode(value, node.source, argument.name, part, interval if k == 0 else (-1.0, 1.0)))
        argument = value
    return nodes

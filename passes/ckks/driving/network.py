"""A network that is compiled: for what was asked for, or to find out what can be had instead."""

from __future__ import annotations

import bisect
import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from msgspec.structs import replace as replaced
from numpy.typing import NDArray

from hecc.compiler.approximation.layers import CLASSES, FittedLayer
from hecc.compiler.ckks.capacity import most_levels
from hecc.compiler.ckks.chain.bootstrapping import BOOTSTRAPPING
from hecc.compiler.ckks.imprecise import ImpreciseError, UndecidedError
from hecc.compiler.ckks.options import ACCURACY_LOSS, NOISE_PRECISION, Options
from hecc.compiler.graph.function import is_kinked
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import FunctionNode, Node, ProductNode
from hecc.compiler.graph.passes import run_passes
from hecc.compiler.promise.corners import corner_inputs
from hecc.compiler.promise.promise import Promise
from hecc.passes.ckks.agreement import METHODS, Agreement
from hecc.passes.ckks.align import align_factors
from hecc.passes.ckks.approximate import Approximated, Approximation
from hecc.passes.ckks.driving.drafts import Task, finished, first_draft, priced
from hecc.passes.ckks.driving.sketch import sketched
from hecc.passes.ckks.kinks.equalise import equalise
from hecc.passes.ckks.kinks.unreached import CHEAPEST, check_depth, too_many_keys, unreached
from hecc.passes.ckks.kinks.unrefreshed import check_bootstraps, unrefreshed
from hecc.passes.ckks.layouts import MisalignedError
from hecc.passes.ckks.pipeline import FITTING, Fitting, canonicalise
from hecc.passes.ckks.search import Lowerings, smallest_keys
from hecc.passes.graph.depth import levels_between, multiplicative_depth
from hecc.passes.graph.variants import smaller_arguments, standardised, steep
from hecc.runtime.ckks.plan.choices import FunctionChoice, PolynomialTrial
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.errors import CompileError, InputError
from hecc.runtime.tail.units import FEW_ROWS

__all__ = ["build_plan"]

Made = TypeVar("Made")

LEAST_PRECISION = 4
"""Bits of the least precision that a refusal names: an error of a sixteenth of an element's range."""

SINGLE_PRECISION = 20
"""Bits of precision that weights in float32 leave; not many more can be had, whatever the parameters."""

TAIL_BITS = 0.5
"""By how much the largest error of a batch of thousands differs from one key to another: a slot in which the secret
happens to be large has large errors in all ciphertexts."""

UNEVEN_BITS = 0.25
"""By how much the largest error differs from one drawing of the noise to another where values are multiplied with one
another: errors are as uneven as the values, and a few of them decide."""

WIDE = 4.0
"""Arguments of activations that come so far may be why a network is too deep: a polynomial for less has few levels."""

DEVIATIONS = (1.0, 0.25)
"""Of smaller arguments: as a batch normalization makes them, and where activations hardly bend."""

MOST_EDGES = 256
"""Inputs at the ends of their ranges that errors are measured on, at the most."""

PRICED_ROWS = 256
"""Calibration inputs on which polynomials are priced that no plan is made of."""

SINGLE_LEVELS = 8
"""Of one polynomial of the largest degree."""


def build_plan(
    imported: Graph,
    model: bytes,
    calibration: Mapping[str, NDArray[np.float64]],
    declared: Mapping[str, tuple[float, float]],
    options: Options,
    progress: Callable[[str], None] = lambda _: None,
) -> CkksPlan:
    """Compile an imported graph.

    Parameters
    ----------
    model
        The ONNX file's bytes, for the fingerprint.
    calibration
        Inputs by name, shape (rows, *shape of one example).
    declared
        Range of each input's elements.
    progress
        Called with the name of each stage as it starts.

    Raises
    ------
    UnsupportedError
        The network cannot be evaluated on encrypted data.
    CompileError
        No parameters satisfy the options.
    """
    progress("fuse and simplify")
    fingerprint = hashlib.sha256(model).hexdigest()
    if options.begun is not None and options.begun.model != fingerprint:
        raise InputError("search_from: the other plan is of another network; give one of this file, or leave it out")
    network = _Network(
        canonicalise(imported, declared, calibration),
        fingerprint,
        calibration,
        declared,
        options,
        progress,
    )
    try:
        return network.plan()
    except ImpreciseError as refused:
        if not options.offers_less:
            raise
        smaller = network.smaller_arguments() if refused.deep else None
        refused = refused if smaller is None else refused.remedied(smaller)
        raise refused.offering(network.possible_precision()) from None


class _Network:
    """A canonical graph that is compiled for one precision, and for others should that be refused."""

    def __init__(
        self,
        graph: Graph,
        model: str,
        calibration: Mapping[str, NDArray[np.float64]],
        declared: Mapping[str, tuple[float, float]],
        options: Options,
        progress: Callable[[str], None],
    ) -> None:
        self._graph, self._model, self._calibration, self._declared = graph, model, calibration, declared
        self._progress = progress
        self._fitted = _has(graph, FunctionNode)
        if options.decides and options.accuracy_loss is None and _kinked(graph):
            options = replace(options, accuracy_loss=ACCURACY_LOSS, precision=NOISE_PRECISION)
        decided = options.accuracy_loss is not None and self._fitted
        if options.begun is not None and not decided:
            raise InputError(
                "search_from: no polynomials of this network are chosen by decisions; ask for an accuracy loss, or "
                "leave it out"
            )
        if options.bootstrap:
            options = replace(options, bootstrapping=BOOTSTRAPPING)
            check_bootstraps(graph, options, BOOTSTRAPPING, decided=decided)
        bootstrapping = options.bootstrapping
        if decided:
            _check_real(graph, options)
        if decided and bootstrapping is None:
            check_depth(graph, options)
            _check_keys(graph, options, progress)
        if self._fitted:
            progress("fit polynomials")
        # A few inputs say too little of what the arguments of functions become, to look for others far from them.
        few = len(next(iter(calibration.values()))) < FEW_ROWS
        unseen = decided or (few and self._fitted)
        far = None if unseen else corner_inputs(graph, calibration, declared, options.margin)
        if options.edges is not None:
            # Where functions are not finite nothing can be promised.
            values = graph.evaluate(options.edges)
            finite = np.all([np.isfinite(value).all(axis=1) for value in values.values()], axis=0)
            inside = {name: rows[finite] for name, rows in options.edges.items()}
            options = replace(options, edges=inside if finite.any() else None)
            telling = _telling(graph, {name: value[finite] for name, value in values.items()})
            edges = {name: rows[telling] for name, rows in inside.items()}
            far = edges if far is None else {name: np.concatenate([rows, edges[name]]) for name, rows in far.items()}
        self._agreement: Agreement | None = None
        if decided and options.accuracy_loss is not None:
            begun = None if options.begun is None else options.begun.degrees
            self._agreement = Agreement(graph, calibration, options.accuracy_loss / 100, options.truth, begun)
            graph = self._graph = equalise(graph, graph.evaluate(self._agreement.chosen.inputs))
            far = None
        self._options = options
        self._promise = Promise.of(graph, calibration, far) if self._agreement is None else None
        self._approximation = Approximation(
            graph,
            calibration if self._agreement is None else self._agreement.chosen.inputs,
            declared,
            options.interval_margin,
            judge=self._promise if self._agreement is None else self._agreement.chosen,
            # Results may be disclosed only if no input at all can overflow: then intervals are all that is proved, and
            # the modulus has room for it.
            proved=options.disclose is not None,
            edges=options.edges,
            quiet=options.quiet,
            methods=FittedLayer.METHODS if self._agreement is None else METHODS,
            phase=None if bootstrapping is None else float(bootstrapping.phase),
        )
        # Without functions the arithmetic graph is the same for any precision, and with it what it is lowered to.
        self._lowerings = Lowerings()

    @property
    def _levels(self) -> int:
        """That each polynomial may take, at the most, in the largest ring, or between two bootstraps."""
        if self._options.bootstrapping is not None:
            return self._options.bootstrapping.levels - levels_between(self._graph)
        affine = max(multiplicative_depth(self._graph).values())
        functions = max(multiplicative_depth(self._graph, functions=1).values()) - affine
        return min(len(CLASSES) - 1, max(1, (most_levels(self._options) - affine) // max(1, functions)))

    def plan(self) -> CkksPlan:
        """The plan for the precision that was asked for.

        Raises
        ------
        CompileError
            There is none; an :class:`ImpreciseError` where there may be one for less precision.
        """
        if self._agreement is None:
            return self._compiled(self._options, finished)
        taken: Approximated | None = None
        agreement = self._agreement

        def chosen() -> Approximated:
            nonlocal taken
            single = self._options.bootstrapping is None
            taken = agreement.polynomials(self._approximation, self._levels, each=single)
            return taken

        try:
            plan = self._compiled(self._options, finished, chosen)
        except (UndecidedError, ImpreciseError) as refused:
            if self._options.bootstrapping is not None:
                raise unrefreshed(self._graph, self._levels, refused) from None
            self._progress("try fewer decisions")
            best = self._deepest()
            taken = alike = None if best is None or best.levels is None else self._approximation.alike(best.levels)
            if alike is None or not agreement.accepts(alike):
                raise unreached(self._graph, self._options, best, refused) from None
            # On the inputs that polynomials are chosen on they changed a few decisions more, and nothing deeper fits.
            try:
                plan = self._compiled(self._options, finished, lambda: alike)
            except ImpreciseError as again:
                raise unreached(self._graph, self._options, best, again) from None
        assert taken is not None, "the plan is made of them"
        return self._decided(plan, taken)

    def _decided(self, plan: CkksPlan, taken: Approximated) -> CkksPlan:
        """A plan with what its polynomials, which were taken, keep of the decisions, and what others would."""
        assert self._agreement is not None, "it was compiled by decisions"
        assert plan.choices is not None, "the search tells what it compared"
        header, facts = plan.header, self._agreement.facts
        own = PolynomialTrial(
            levels=None, depth=header.estimate.depth, kept=facts.kept, seconds=header.estimate.seconds / header.batch
        )
        # With bootstraps between them all polynomials have the same levels.
        about = self._about(header.estimate.depth) if self._options.bootstrapping is None else ()
        others = [self._tried(levels) for levels in about]
        functions = tuple(FunctionChoice(value=name, degrees=degrees) for name, degrees in taken.degrees.items())
        trials = sorted([own, *(trial for trial in others if trial is not None)], key=lambda trial: trial.depth)
        return replace(
            plan,
            header=replaced(header, estimate=replaced(header.estimate, agreement=facts)),
            choices=replaced(plan.choices, polynomials=tuple(trials), functions=functions),
        )

    def _about(self, depth: int) -> Iterator[int]:
        """Levels of polynomials that make the network about as deep."""
        near = {abs(self._depth(levels) - depth): levels for levels in range(self._levels, 0, -1)}
        nearest = near[min(near)]
        return (levels for levels in range(nearest - 1, nearest + 2) if 1 <= levels <= self._levels)

    def _depth(self, levels: int) -> int:
        """Of the network with polynomials of so many levels each."""
        return max(multiplicative_depth(self._graph, functions=levels).values())

    def _tried(self, levels: int) -> PolynomialTrial | None:
        """What polynomials of so many levels keep and cost, as far as predictions tell."""
        assert self._agreement is not None, "it is compiled by decisions"
        approximated = self._approximation.alike(levels)
        if approximated is None:
            return None
        kept = self._agreement.kept(approximated).kept
        try:
            quiet = replace(self._options, quiet=True)
            depth, seconds = self._compiled(quiet, priced, lambda: approximated, rows=PRICED_ROWS)
        except CompileError:
            return PolynomialTrial(levels=levels, depth=self._depth(levels), kept=kept, seconds=None)
        return PolynomialTrial(levels=levels, depth=depth, kept=kept, seconds=seconds)

    def _deepest(self) -> PolynomialTrial | None:
        """Polynomials of the most levels each that there are parameters for, as far as predictions tell."""
        best: PolynomialTrial | None = None
        low, high = 1, min(self._levels, SINGLE_LEVELS)
        while low <= high:
            levels = (low + high) // 2
            trial = self._tried(levels)
            if trial is None or trial.seconds is None:
                high = levels - 1
            else:
                best, low = trial, levels + 1
        return best

    def possible_precision(self) -> int | None:
        """The most whole bits, of fewer than were asked for, that there is a plan for; ``None`` if there is none.

        Predictions say where to look, and what they find is compiled: they are not always kept.
        """
        options = replace(self._options, quiet=True)
        candidates = range(LEAST_PRECISION, min(math.ceil(options.precision), SINGLE_PRECISION + 1))

        def fails(bits: int, step: Callable[[Graph, Task, Lowerings], Any]) -> bool:
            self._progress(f"try {bits} bits of precision")
            try:
                self._compiled(replace(options, precision=float(bits)), step)
            except CompileError:
                return True
            return False

        predicted = bisect.bisect_left(candidates, True, key=lambda bits: fails(bits, first_draft))
        return next((bits for bits in reversed(candidates[:predicted]) if not fails(bits, finished)), None)

    def smaller_arguments(self) -> str | None:
        """What to do where a network is too deep because arguments of functions are large, and polynomials deep.

        Compiled with smaller ones it has as many layers; ``None`` if there is no plan for that either.
        """
        wide = steep(self._graph, self._calibration, WIDE)
        for deviation in DEVIATIONS if wide else ():
            self._progress("try smaller arguments of activations")
            network = _Network(
                standardised(self._graph, wide, self._calibration, deviation),
                self._model,
                self._calibration,
                self._declared,
                replace(self._options, quiet=True),
                self._progress,
            )
            try:
                network.plan()
            except CompileError:
                continue
            return f"{smaller_arguments(self._graph, wide, deviation)}, and train again"
        return None

    def _compiled(
        self,
        options: Options,
        step: Callable[[Graph, Task, Lowerings], Made],
        polynomials: Callable[[], Approximated] | None = None,
        rows: int | None = None,
    ) -> Made:
        """What a step makes of the arithmetic graph; polynomials are by default those of the precision asked for.

        With ``rows`` no more calibration inputs are looked at than that.
        """
        required = options.precision + (TAIL_BITS if options.many else 0.0)
        if _has(self._graph, ProductNode):
            required += UNEVEN_BITS
        if polynomials is None:
            polynomials = functools.partial(self._approximation.at, options.precision, required - options.precision)
        calibration = self._calibration if rows is None else _some(self._calibration, rows)
        fitting = Fitting(polynomials, None if self._agreement is None else calibration, self._promise)
        graph = run_passes(FITTING, self._graph, fitting)
        assert fitting.approximated is not None, "approximation is one of the passes"
        assert fitting.promise is not None, "it makes a promise where there is none"
        task = Task(
            self._model,
            calibration if fitting.calibration is None else fitting.calibration,
            self._declared,
            options,
            required,
            fitting.approximated,
            fitting.promise,
            self._progress,
        )
        lowerings = Lowerings() if self._fitted else self._lowerings
        while True:
            try:
                return step(graph, task, lowerings)
            except MisalignedError as fault:
                graph = align_factors(graph, fault.product, multiplicative_depth(graph))
                lowerings = Lowerings()


def _some(calibration: Mapping[str, NDArray[np.float64]], rows: int) -> dict[str, NDArray[np.float64]]:
    """So many inputs at the most, from all over: neighbours may be alike."""
    number = len(next(iter(calibration.values())))
    return {name: values[:: -(-number // rows)] for name, values in calibration.items()}


def _check_real(graph: Graph, options: Options) -> None:
    """Refuse to choose by decisions on inputs that were made up."""
    if options.real:
        return
    first = next(iter(_kinked(graph) or (node for node in graph.nodes if isinstance(node, FunctionNode))))
    raise CompileError(
        f"{first.source} (opset {first.source.opset}) takes polynomials that keep the network's decisions on inputs "
        "like the real ones, and none were given; give some hundred as calibration, or ask for a precision"
    )


def _check_keys(graph: Graph, options: Options, progress: Callable[[str], None]) -> None:
    """Refuse a network whose keys are over the budget with the cheapest polynomials, before any is fitted.

    Raises
    ------
    UnreachedError
        It says how large they are.
    """
    if options.key_budget is None:
        return
    progress("count keys")
    try:
        smallest = smallest_keys(sketched(graph, options, CHEAPEST))
    except MisalignedError:
        # What aligns factors is known when polynomials are.
        return
    if options.key_budget < smallest < math.inf:
        raise too_many_keys(graph, options, int(smallest))


def _telling(graph: Graph, values: Mapping[str, NDArray[np.float64]]) -> NDArray[np.int64]:
    """Some of the rows on which a graph has such values: those on which arguments of functions and outputs go farthest.

    Errors on all of them would take too long to measure.
    """
    number = len(next(iter(values.values())))
    names = [node.value for node in graph.nodes if isinstance(node, FunctionNode)] or list(graph.outputs)
    if number <= MOST_EDGES:
        return np.arange(number)
    farthest = [found for name in names for found in (values[name].argmin(axis=0), values[name].argmax(axis=0))]
    rows = np.unique(np.concatenate(farthest))
    return rows[:: -(-len(rows) // MOST_EDGES)]


def _kinked(graph: Graph) -> list[FunctionNode]:
    """Functions that no polynomial follows closely."""
    return [node for node in graph.nodes if isinstance(node, FunctionNode) and is_kinked(node.function)]


def _has(graph: Graph, kind: type[Node]) -> bool:
    return any(type(node) is kind for node in graph.nodes)

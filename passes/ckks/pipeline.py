"""The pipeline: from an imported graph to a plan, in the order in which the passes have to run.

:data:`PASSES` is that order as data, with the reason for each place. The passes from Graph to Graph run one after the
other, and what each makes is checked against its stage (:mod:`hecc.compiler.graph.stages`). The steps behind them run
for each ring degree that could do and each way to pack a batch into its slots (:mod:`hecc.passes.ckks.search`), and
again with a little more precision where what was predicted is not kept. The verifier runs after each step that makes a
circuit.

Run ``python -m hecc.passes.ckks.pipeline docs/explanation/passes.md`` after a change to the list.
"""

from __future__ import annotations

import bisect
import functools
import hashlib
import logging
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from msgspec.structs import replace as replaced
from numpy.typing import NDArray

from hecc.compiler.approximation.layers import CLASSES, FittedLayer
from hecc.compiler.ckks.capacity import most_levels
from hecc.compiler.ckks.chain.scaling import Magnitude
from hecc.compiler.ckks.imprecise import ImpreciseError, UndecidedError
from hecc.compiler.ckks.lowering import assembly
from hecc.compiler.ckks.lowering.lowering import lower
from hecc.compiler.ckks.options import ACCURACY_LOSS, NOISE_PRECISION, Options
from hecc.compiler.ckks.prediction.precision import simulated_precision
from hecc.compiler.graph.function import is_kinked
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import ChebyshevNode, FunctionNode, Node, ProductNode
from hecc.compiler.graph.passes import Pass, Step, passes_table, run_passes, write_between
from hecc.compiler.graph.stages import ARITHMETIC, CANONICAL, IMPORTED
from hecc.compiler.promise.corners import corner_inputs
from hecc.compiler.promise.decisions import score_outputs
from hecc.compiler.promise.promise import Measured, Promise
from hecc.passes.ckks.agreement import METHODS, Agreement, rows_outside
from hecc.passes.ckks.align import align_factors
from hecc.passes.ckks.approximate import Approximated, Approximation
from hecc.passes.ckks.cleanup import clean_up
from hecc.passes.ckks.kinks.equalise import equalise
from hecc.passes.ckks.kinks.order import order_maxima
from hecc.passes.ckks.kinks.proved import ANY, drop_proved_kinks
from hecc.passes.ckks.kinks.unreached import check_depth, unreached
from hecc.passes.ckks.layouts import LayoutChoice, MisalignedError, select_layouts
from hecc.passes.ckks.operators import take_operators_apart
from hecc.passes.ckks.parameters import WORST_DEVIATION, Candidate, Demand, choose_chain
from hecc.passes.ckks.scales import apply_scales
from hecc.passes.ckks.search import Lowerings, refusal, search
from hecc.passes.ckks.shared_rotations import share_rotations
from hecc.passes.graph.activations import substitute_activations
from hecc.passes.graph.depth import multiplicative_depth
from hecc.passes.graph.functions import compose_functions
from hecc.passes.graph.fuse_affine import fuse_affine
from hecc.passes.graph.normalise_outputs import normalise_outputs
from hecc.passes.graph.outputs import merge_outputs
from hecc.passes.graph.products import merge_products
from hecc.passes.graph.ranges import value_ranges
from hecc.passes.graph.selections import move_selections
from hecc.passes.graph.variants import smaller_arguments, standardised, steep
from hecc.passes.graph.window_sums import sum_windows
from hecc.runtime.ckks.circuit.instructions import Circuit, Polynomial
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.disclosure import deviations, flooding_factor, value_deviation
from hecc.runtime.ckks.plan.choices import Choices, LayerChoice, LayoutOffer, PolynomialTrial, RingTrial
from hecc.runtime.ckks.plan.header import CkksHeader, CkksOutput, Disclosure, Estimate
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.ckks.readings.noise_bound import UnboundedError, worst_errors
from hecc.runtime.ckks.readings.types import ArrayType, verify, verify_expanded
from hecc.runtime.errors import CircuitError, CompileError
from hecc.runtime.figures import size_words
from hecc.runtime.tail.units import FEW_ROWS

__all__ = ["CANONICALISING", "FITTING", "PASSES", "build_plan", "canonicalise"]

log = logging.getLogger(__name__)

Made = TypeVar("Made")

LEAST_PRECISION = 4
"""Bits of the least precision that a refusal names: an error of a sixteenth of an element's range."""

SINGLE_PRECISION = 20
"""Bits of precision that weights in float32 leave; not many more can be had, whatever the parameters."""

RETRIES = 6

FIRST, FURTHER = 0.8, 0.05
"""Predictions are not exact: of the bits that are missing a part is asked for first, which may be enough; later more
than those, by so many bits and twice as many with every trial."""

TAIL_BITS = 0.5
"""By how much the largest error of a batch of thousands differs from one key to another: a slot in which the secret
happens to be large has large errors in all ciphertexts."""

UNEVEN_BITS = 0.25
"""By how much the largest error differs from one drawing of the noise to another where values are multiplied with one
another: errors are as uneven as the values, and a few of them decide."""

DISCLOSED_RETRIES, DISCLOSED_STEP = 32, 32
"""For results to be disclosed the scale grows until the precision is there, by the bits that are missing: errors
are half as large with a bit more. By so many at most, as errors as large as the values are larger than that."""

BOUNDLESS_STEP = 4
"""By how many bits it grows, or the scale of weights, where those are so small that errors have no bound."""

UNLIKE_BITS = 4
"""By how much an element may be less precise than most others before that is worth a warning."""

WIDE = 4.0
"""Arguments of activations that come so far may be why a network is too deep: a polynomial for less has few levels."""

DEVIATIONS = (1.0, 0.25)
"""Of smaller arguments: as a batch normalization makes them, and where activations hardly bend."""

MOST_EDGES = 256
"""Inputs at the ends of their ranges that errors are measured on, at the most."""

LARGE_KEYS = 2 * 10**9
"""Bytes of evaluation keys that are worth a warning; `keygen` asks before it makes as many."""

LEAST_ERROR = 16
"""Bits of the largest error of any circuit, less than that of a single rescale."""

SINGLE_LEVELS = 8
"""Of one polynomial of the largest degree."""

SERIES_WEIGHT_BITS = 12
"""By which the weights ahead of polynomials are more precise to begin with, as their rounding moves the argument."""


@dataclass
class _Fitting:
    """What the passes that make a graph arithmetic know beside it, and what they find out.

    Attributes
    ----------
    polynomials
        What makes polynomials of the functions.
    calibration
        Inputs by name, where polynomials are chosen by decisions: then outputs are promised as polynomials make them.
    promise
        Of the outputs as they are at the time.
    approximated
        What became of the functions.
    changed
        Whether there were any.
    """

    polynomials: Callable[[], Approximated]
    calibration: Mapping[str, NDArray[np.float64]] | None
    promise: Promise | None
    approximated: Approximated | None = None
    changed: bool = False

    def approximate(self, graph: Graph) -> Graph:
        found = self.polynomials()
        self.changed = found.graph is not graph
        if self.calibration is not None:
            # Rows that leave an interval are lost, however large they become.
            inside = ~rows_outside(found.graph, found.graph.evaluate(self.calibration))
            self.calibration = {name: rows[inside] for name, rows in self.calibration.items()}
            # The class is what counts of scores, and not how near to zero or one the client's softmax brings them.
            scores = {output.name for output in score_outputs(found.graph)}
            steps = {name: each for name, each in found.graph.epilogues.items() if name not in scores}
            self.promise = Promise.of(replace(found.graph, epilogues=steps), self.calibration)
            found = replace(found, error=0.0)
        self.approximated = found
        return found.graph

    def normalise(self, graph: Graph) -> Graph:
        assert self.promise is not None, "polynomials are chosen before"
        normalised = normalise_outputs(graph, self.promise.encrypted, self.promise.near)
        self.promise = self.promise.behind(normalised.restored, normalised.values)
        return normalised.graph


@dataclass(frozen=True)
class _Given:
    """What the passes that make a graph canonical know beside it.

    Attributes
    ----------
    declared
        Smallest and largest value of each input's elements; of inputs that it lacks nothing is known.
    calibration
        Inputs by name, shape (rows, ...), if there are any.
    """

    declared: Mapping[str, tuple[float, float]]
    calibration: Mapping[str, NDArray[np.float64]] | None


CANONICALISING: tuple[Pass[_Given], ...] = (
    Pass(
        "order of maxima",
        order_maxima,
        lambda graph, _: order_maxima(graph),
        IMPORTED,
        IMPORTED,
        "functions go behind maxima while these are operators",
    ),
    Pass(
        "operators",
        take_operators_apart,
        lambda graph, given: take_operators_apart(graph, given.calibration),
        IMPORTED,
        IMPORTED,
        "what CKKS cannot evaluate is taken apart or refused, before anything looks at it",
    ),
    Pass(
        "outputs",
        merge_outputs,
        lambda graph, _: merge_outputs(graph),
        IMPORTED,
        IMPORTED,
        "those that are one value are merged while they can be told by their names",
    ),
    Pass(
        "functions",
        compose_functions,
        lambda graph, _: compose_functions(graph),
        IMPORTED,
        IMPORTED,
        "a chain of elementwise operators becomes one function, before anything takes it apart",
    ),
    Pass(
        "proved kinks",
        drop_proved_kinks,
        lambda graph, given: drop_proved_kinks(graph, given.declared),
        IMPORTED,
        IMPORTED,
        "behind operators and functions, whose rectifiers it looks at; before activations, which take its squares",
    ),
    Pass(
        "activations",
        substitute_activations,
        lambda graph, _: substitute_activations(graph),
        IMPORTED,
        CANONICAL,
        "before fusion, which would hide the elementwise structure that it looks for",
    ),
    Pass(
        "selections",
        move_selections,
        lambda graph, _: move_selections(graph),
        CANONICAL,
        CANONICAL,
        "ahead of activations, before fusion, which takes them into the layers there",
    ),
    Pass(
        "sibling products",
        merge_products,
        lambda graph, _: merge_products(graph),
        CANONICAL,
        CANONICAL,
        "after selections, which show what products read; before fusion, which takes what gathers their factors away",
    ),
    Pass(
        "affine fusion",
        fuse_affine,
        lambda graph, _: fuse_affine(graph),
        CANONICAL,
        CANONICAL,
        "after activations, whose leading coefficients and constants it absorbs",
    ),
    Pass(
        "window sums",
        sum_windows,
        lambda graph, _: sum_windows(graph),
        CANONICAL,
        CANONICAL,
        "for the poolings that fusion left alone",
    ),
    Pass(
        "affine fusion",
        fuse_affine,
        lambda graph, _: fuse_affine(graph),
        CANONICAL,
        CANONICAL,
        "once more, for the factors that window sums leave",
    ),
)
"""From an imported graph to a canonical one."""

FITTING: tuple[Pass[_Fitting], ...] = (
    Pass(
        "approximation",
        Approximation.at,
        lambda graph, fitting: fitting.approximate(graph),
        CANONICAL,
        ARITHMETIC,
        "functions become polynomials, on the canonical graph: it asks for the fewest levels that are precise enough",
    ),
    Pass(
        "affine fusion",
        fuse_affine,
        lambda graph, fitting: fuse_affine(graph) if fitting.changed else graph,
        ARITHMETIC,
        ARITHMETIC,
        "once more, for the normalisation of the arguments of polynomials, where there are any",
    ),
    Pass(
        "sizes of outputs",
        normalise_outputs,
        lambda graph, fitting: fitting.normalise(graph),
        ARITHMETIC,
        ARITHMETIC,
        "after fusion, which shows what is the last affine map",
    ),
)
"""From a canonical graph to an arithmetic one."""

PASSES: tuple[Pass[Any] | Step, ...] = (
    *CANONICALISING,
    Step(
        "promise",
        Promise.of,
        "canonical",
        "canonical",
        "what outputs are on the calibration inputs and far from them, while functions are the true ones",
    ),
    *FITTING,
    Step(
        "depth",
        multiplicative_depth,
        "arithmetic",
        "depths",
        "what fusion left is what the modulus chain pays for",
    ),
    Step(
        "ranges",
        value_ranges,
        "arithmetic",
        "ranges",
        "on the arithmetic graph: these are the values that ciphertexts will hold",
    ),
    Step(
        "layouts",
        select_layouts,
        "arithmetic",
        "layouts",
        "depend on how many slots an example has; with one for each there is nothing to choose",
    ),
    Step(
        "rotations",
        share_rotations,
        "layouts",
        "layouts",
        "shared by the linear transforms of these layouts, if there is a budget for keys",
    ),
    Step(
        "lowering",
        lower,
        "arithmetic",
        "circuit",
        "turns maps and layouts into diagonals, or into sparse matrices",
    ),
    Step(
        "parameters",
        choose_chain,
        "circuit",
        "modulus chain",
        "the cheapest at the security and precision asked for",
    ),
    Step(
        "alignment",
        align_factors,
        "arithmetic",
        "arithmetic",
        "of a product's factors, should no layouts of the layers before do it; then the same again",
    ),
    Step("scales", apply_scales, "circuit", "circuit", "once, for the best of all circuits"),
    Step("clean-up", clean_up, "circuit", "circuit", "after scale planning, which makes rescales that can be shared"),
    Step(
        "simulation",
        simulated_precision,
        "circuit",
        "precision",
        "the precision promised, checked with simulated noise on the calibration inputs",
    ),
    Step(
        "flooding",
        worst_errors,
        "circuit",
        "noise",
        "for results to be disclosed: the noise that hides the largest error of any input",
    ),
)
"""All of it, in the order in which each first runs."""


def canonicalise(
    graph: Graph,
    declared: Mapping[str, tuple[float, float]] = ANY,
    calibration: Mapping[str, NDArray[np.float64]] | None = None,
) -> Graph:
    """The canonical graph of an imported one: affine maps, monic squares, products, window sums and functions only.

    Parameters
    ----------
    declared
        Smallest and largest value of each input's elements; of inputs that it lacks nothing is known.
    calibration
        Inputs by name, shape (rows, ...), which tell how far apart the numbers of a softmax lie.
    """
    return run_passes(CANONICALISING, graph, _Given(declared, calibration))


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
    network = _Network(
        canonicalise(imported, declared, calibration),
        hashlib.sha256(model).hexdigest(),
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
        if decided:
            _check_real(graph, options)
            check_depth(graph, options)
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
            self._agreement = Agreement(graph, calibration, options.accuracy_loss / 100, options.truth)
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
        )
        # Without functions the arithmetic graph is the same for any precision, and with it what it is lowered to.
        self._lowerings = Lowerings()

    @property
    def _levels(self) -> int:
        """That each polynomial may take, at the most, in the largest ring."""
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
            return self._compiled(self._options, _plan)
        chosen = functools.partial(self._agreement.polynomials, self._approximation, self._levels)
        try:
            plan = self._compiled(self._options, _plan, chosen)
        except (UndecidedError, ImpreciseError) as refused:
            self._progress("try fewer decisions")
            best = self._deepest()
            alike = None if best is None or best.levels is None else self._approximation.alike(best.levels)
            why = str(refused) if isinstance(refused, ImpreciseError) and not refused.deep else ""
            if alike is None or not self._agreement.accepts(alike):
                raise unreached(self._graph, self._options, best, why) from None
            # On the inputs that polynomials are chosen on they changed a few decisions more, and nothing deeper fits.
            try:
                plan = self._compiled(self._options, _plan, lambda: alike)
            except ImpreciseError as again:
                raise unreached(self._graph, self._options, best, str(again)) from None
        return self._decided(plan)

    def _decided(self, plan: CkksPlan) -> CkksPlan:
        """A plan with what its polynomials keep of the decisions, and what others would."""
        assert self._agreement is not None, "it was compiled by decisions"
        assert plan.choices is not None, "the search tells what it compared"
        header, facts = plan.header, self._agreement.facts
        own = PolynomialTrial(
            levels=None, depth=header.estimate.depth, kept=facts.kept, seconds=header.estimate.seconds / header.batch
        )
        others = [self._tried(levels) for levels in self._about(header.estimate.depth)]
        trials = sorted([own, *(trial for trial in others if trial is not None)], key=lambda trial: trial.depth)
        return replace(
            plan,
            header=replaced(header, estimate=replaced(header.estimate, agreement=facts)),
            choices=replaced(plan.choices, polynomials=tuple(trials)),
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
            depth, seconds = self._compiled(replace(self._options, quiet=True), _priced, lambda: approximated)
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

        def fails(bits: int, step: Callable[[Graph, _Task, Lowerings], Any]) -> bool:
            self._progress(f"try {bits} bits of precision")
            try:
                self._compiled(replace(options, precision=float(bits)), step)
            except CompileError:
                return True
            return False

        predicted = bisect.bisect_left(candidates, True, key=lambda bits: fails(bits, _first_draft))
        return next((bits for bits in reversed(candidates[:predicted]) if not fails(bits, _plan)), None)

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
        step: Callable[[Graph, _Task, Lowerings], Made],
        polynomials: Callable[[], Approximated] | None = None,
    ) -> Made:
        """What a step makes of the arithmetic graph; polynomials are by default those of the precision asked for."""
        required = options.precision + (TAIL_BITS if options.many else 0.0)
        if _has(self._graph, ProductNode):
            required += UNEVEN_BITS
        if polynomials is None:
            polynomials = functools.partial(self._approximation.at, options.precision, required - options.precision)
        fitting = _Fitting(polynomials, None if self._agreement is None else self._calibration, self._promise)
        graph = run_passes(FITTING, self._graph, fitting)
        assert fitting.approximated is not None, "approximation is one of the passes"
        assert fitting.promise is not None, "it makes a promise where there is none"
        task = _Task(
            self._model,
            self._calibration if fitting.calibration is None else fitting.calibration,
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


def _check_real(graph: Graph, options: Options) -> None:
    """Refuse to choose by decisions on inputs that were made up."""
    if options.real:
        return
    first = next(iter(_kinked(graph) or (node for node in graph.nodes if isinstance(node, FunctionNode))))
    raise CompileError(
        f"{first.source} (opset {first.source.opset}) takes polynomials that keep the network's decisions on inputs "
        "like the real ones, and none were given; give some hundred as calibration, or ask for a precision"
    )


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


@dataclass(frozen=True)
class _Task:
    """What a plan is made for, beside the arithmetic graph."""

    model: str
    calibration: Mapping[str, NDArray[np.float64]]
    declared: Mapping[str, tuple[float, float]]
    options: Options
    required_bits: float
    approximated: Approximated
    promise: Promise
    progress: Callable[[str], None]


@dataclass(frozen=True)
class _Draft:
    """A circuit with its keys, before its precision is known for certain."""

    circuit: Circuit
    keys: KeySpecification
    types: Sequence[ArrayType]
    outputs: tuple[CkksOutput, ...]
    choice: LayoutChoice
    candidate: Candidate
    rings: tuple[RingTrial, ...]


def _demand(graph: Graph, task: _Task) -> Demand:
    """What a chain for an arithmetic graph has to do."""
    options = task.options
    depth = multiplicative_depth(graph)
    log.debug("canonical graph, depth %d:\n%s", max(depth.values()), graph)
    task.progress("measure ranges")
    ranges = value_ranges(
        graph,
        task.calibration,
        task.declared,
        options.margin,
        edges=options.edges,
        proved=options.disclose is not None,
    )
    added = {node.output.name: _added(graph, node) for node in graph.nodes}
    return Demand(
        graph,
        depth,
        {value: Magnitude(r.observed, r.rms, r.bound, r.quantiles, added[value]) for value, r in ranges.items()},
        options,
        # Noise has what approximation leaves of the error.
        precision_bits=_with(-task.approximated.error, task.required_bits),
        scale_bits_from=_first_scale_bits(options),
        weight_bits=SERIES_WEIGHT_BITS if _has(graph, ChebyshevNode) else 0,
        sensitivity=task.promise.sensitivity,
    )


def _first_draft(graph: Graph, task: _Task, lowerings: Lowerings) -> None:
    """Find out whether there are parameters at all, as far as predictions tell."""
    task.progress("select layouts and parameters")
    search(_demand(graph, task), lowerings)


def _priced(graph: Graph, task: _Task, lowerings: Lowerings) -> tuple[int, float]:
    """The depth, and the seconds per row, as far as predictions tell."""
    demand = _demand(graph, task)
    lowering, candidate, _ = search(demand, lowerings)
    return _depth(graph, demand.depth), candidate.seconds / lowering.lowered.circuit.lanes


def _plan(graph: Graph, task: _Task, lowerings: Lowerings) -> CkksPlan:
    """The plan of a graph, once its functions are polynomials.

    Predictions are not exact: what turns out too imprecise is asked for again, with a little more.
    """
    options, progress = task.options, task.progress
    demand = _demand(graph, task)
    depth = demand.depth
    measured: Measured | None = None
    for trial in range(DISCLOSED_RETRIES if options.disclose else RETRIES):
        progress("select layouts and parameters")
        draft = _draft(demand, lowerings, task)
        disclosure: Disclosure | msgspec.UnsetType = msgspec.UNSET
        flooded = math.inf
        if options.disclose:
            progress("bound the largest error")
            found = _disclosure(draft, demand, task, options.disclose)
            if isinstance(found, Demand):
                demand = found
                continue
            disclosure, flooded = found
        progress("check precision")
        measured = _simulated(draft, task)
        if measured.bits >= task.required_bits:
            promised = _promised(measured, task.required_bits - options.precision, flooded)
            estimate = assembly.estimate(
                draft.circuit, draft.types, draft.keys, options, _depth(graph, depth), promised
            )
            if measured.spread_bits > UNLIKE_BITS and not options.quiet:
                log.warning(
                    "elements of an output differ much: %s is %.0f bits less precise than most of them, so it decides "
                    "what the plan costs; scale them alike in training, or make it an output of its own",
                    measured.worst,
                    measured.spread_bits,
                )
            if estimate.evaluation_key_bytes > LARGE_KEYS and options.key_budget is None and not options.quiet:
                log.warning(
                    "the evaluation keys take %s, which every client makes and sends; --key-budget %dMB (key_budget in "
                    "Python) or another size gives the fastest plan whose keys are not larger",
                    size_words(estimate.evaluation_key_bytes),
                    estimate.evaluation_key_bytes // (2 * 10**6),
                )
            header = CkksHeader(
                producer=options.producer,
                model=task.model,
                inputs=assembly.input_signatures(
                    graph, draft.circuit, draft.types, draft.choice.layouts, task.declared
                ),
                outputs=assembly.with_aliases(graph, draft.outputs),
                keys=draft.keys,
                estimate=_with_outside(estimate, task.approximated.outside),
                disclosure=disclosure,
            )
            choices = Choices(rings=draft.rings, layers=_layer_choices(graph, draft.choice))
            return CkksPlan(header, draft.circuit, choices=choices)
        # Of errors as large as the values it is not known how much too large they are.
        missing = task.required_bits - measured.bits
        further = missing * FIRST if trial == 0 else missing + FURTHER * 2**trial
        demand = replace(
            demand, precision_bits=demand.precision_bits + (further if measured.bits > 0 else BOUNDLESS_STEP)
        )
    if measured is None:
        # The errors of results to be disclosed were never small enough to look any further.
        raise refusal(demand, lowerings, math.inf, task.approximated.remark)
    raise ImpreciseError(
        f"simulated noise leaves {measured.worst} {max(measured.bits, 0.0):.1f} bits of precision, not "
        f"{options.precision:g}",
        "calibrate with inputs like the real ones",
    )


def _with_outside(estimate: Estimate, outside: float | None) -> Estimate:
    """The estimate with the rows that are expected to leave an interval, where any can."""
    if outside == 0.0:
        return estimate
    return replaced(estimate, outside_per_thousand=None if outside is None else 1000 * outside)


def _draft(demand: Demand, lowerings: Lowerings, task: _Task) -> _Draft:
    """The best layouts and parameters, with scales written into the circuit."""
    graph, options = demand.graph, demand.options
    lowering, candidate, rings = search(demand, lowerings, task.approximated.remark)
    task.progress("plan scales")
    lowered = lowering.lowered
    scaled, moved = apply_scales(lowered, candidate.scales)
    circuit, kept = clean_up(scaled)
    keys = assembly.key_specification(circuit, candidate.chain, options)
    bounds = {kept[moved[i]]: demand.magnitudes[value].bound for value, i in lowered.results.items()}
    types = verify(circuit, keys, bounds=bounds)
    outputs = assembly.output_signatures(
        graph, circuit, types, keys, lowering.choice.layouts, candidate.deviations, demand.observed
    )
    return _Draft(circuit, keys, types, outputs, lowering.choice, candidate, rings)


def _simulated(draft: _Draft, task: _Task) -> Measured:
    """How precise the results are on the inputs of the promise, with noise drawn at random."""
    circuit, types = draft.circuit, draft.types
    if any(circuit.every(Polynomial)):
        circuit, types = verify_expanded(circuit, draft.keys)
    measured = simulated_precision(circuit, types, draft.keys, draft.choice.layouts, task.promise)
    log.debug("predicted %.1f bits, simulated %.1f\n%s", draft.candidate.precision_bits, measured.bits, draft.circuit)
    return measured


def _promised(measured: Measured, reserve: float, flooded: float) -> Measured:
    """What can be promised of what was measured, in tenths of bits: less a reserve, and what flooding leaves of it."""
    bits, far = (math.floor(10 * min(x - reserve, flooded)) / 10 for x in (measured.bits, measured.far_bits))
    return replace(measured, bits=bits, far_bits=far)


def _with(error: float, bits: float) -> float:
    """The bits of precision with another error beside that of so many bits."""
    return -math.log2(2.0**-bits + error) if error else bits


def _first_scale_bits(options: Options) -> int:
    """Bits of scale to begin with: what no circuit can do without."""
    if not options.disclose:
        return 0
    flooding = math.log2(WORST_DEVIATION * flooding_factor(options.disclose, 1))
    return math.ceil(options.precision + flooding + LEAST_ERROR)


def _disclosure(draft: _Draft, demand: Demand, task: _Task, results: int) -> tuple[Disclosure, float] | Demand:
    """The noise that hides the largest error of each output, and the bits of precision that it leaves.

    Where it leaves too few, or errors have no bound, what to ask for instead.
    """
    options, scale_bits = demand.options, draft.candidate.chain.scale_bits
    try:
        errors = worst_errors(draft.circuit, draft.types, draft.keys, task.declared)
    except UnboundedError as unbounded:
        step = unbounded.bits or BOUNDLESS_STEP
        if unbounded.encoding:
            return replace(demand, weight_bits=demand.weight_bits + step)
        return replace(demand, scale_bits_from=scale_bits + step)
    except CircuitError as error:
        raise CompileError(f"results cannot be disclosed: {error}") from None
    hidden = deviations(results, draft.outputs, [errors[s.name] for s in draft.outputs])
    disclosure = Disclosure(results=results, deviations=hidden)
    flooded = _flooded_precision(disclosure, draft.outputs, demand.errors)
    missing = _with(-task.approximated.error, options.precision) - flooded
    if missing > 0:
        return replace(demand, scale_bits_from=scale_bits + min(math.ceil(missing), DISCLOSED_STEP))
    return disclosure, _with(task.approximated.error, flooded)


def _flooded_precision(disclosure: Disclosure, outputs: tuple[CkksOutput, ...], errors: Mapping[str, float]) -> float:
    """Bits of precision of the worst element after flooding."""
    worst = max(
        math.hypot(value_deviation(s, deviation), s.error) * errors[s.name]
        for s, deviation in zip(outputs, disclosure.deviations, strict=True)
    )
    return -math.log2(worst)


def _layer_choices(graph: Graph, choice: LayoutChoice) -> tuple[LayerChoice, ...]:
    """What layouts were compared, for the plan's record; one example's, whatever the batch."""
    taken = {value: replaced(layout, batch=1) for value, layout in choice.layouts.items()}
    return tuple(
        LayerChoice(
            source=str(graph.node(name).source),
            chosen=next(i for i, offer in enumerate(offers) if offer.target == taken[name]),
            offers=tuple(
                LayoutOffer(
                    layout=offer.target, diagonals=offer.diagonals, rotations=offer.rotations, seconds=offer.cost
                )
                for offer in offers
            ),
        )
        for name, offers in choice.offers.items()
    )


def _depth(graph: Graph, depth: Mapping[str, int]) -> int:
    """The network's depth: that of its deepest output."""
    return max(depth[name] for name in graph.outputs)


def _added(graph: Graph, node: Node) -> float:
    """The largest constant that is added to make a node's value."""
    constant = None if node.constant is None else graph.parameters[node.constant]
    return 0.0 if constant is None else float(np.abs(np.asarray(constant, dtype=np.float64)).max())


def _kinked(graph: Graph) -> list[FunctionNode]:
    """Functions that no polynomial follows closely."""
    return [node for node in graph.nodes if isinstance(node, FunctionNode) and is_kinked(node.function)]


def _has(graph: Graph, kind: type[Node]) -> bool:
    return any(type(node) is kind for node in graph.nodes)


if __name__ == "__main__":
    write_between(Path(sys.argv[1]), "passes", passes_table(PASSES))

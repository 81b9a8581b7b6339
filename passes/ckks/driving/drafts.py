"""Drafts: from an arithmetic graph to a plan, for one precision.

The search (:mod:`hecc.passes.ckks.search`) finds layouts and parameters by predictions, and what it finds is a draft.
What the simulation of its noise shows to be too imprecise is asked for again, with a little more.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from msgspec.structs import replace as replaced
from numpy.typing import NDArray

from hecc.compiler.ckks.chain.scaling import Magnitude
from hecc.compiler.ckks.imprecise import ImpreciseError
from hecc.compiler.ckks.lowering import assembly
from hecc.compiler.ckks.options import Options
from hecc.compiler.ckks.prediction.precision import simulated_precision
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import ChebyshevNode, Node
from hecc.compiler.promise.promise import Measured, Promise
from hecc.passes.ckks.approximate import Approximated
from hecc.passes.ckks.cleanup import clean_up
from hecc.passes.ckks.layouts import LayoutChoice
from hecc.passes.ckks.parameters import WORST_DEVIATION, Candidate, Demand
from hecc.passes.ckks.scales import apply_scales
from hecc.passes.ckks.search import Lowerings, refusal, search
from hecc.passes.graph.depth import bootstrapped_depth, multiplicative_depth
from hecc.passes.graph.ranges import value_ranges
from hecc.runtime.ckks.circuit.instructions import Circuit
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.disclosure import deviations, flooding_factor, value_deviation
from hecc.runtime.ckks.plan.choices import Choices, LayerChoice, LayoutOffer, RingTrial
from hecc.runtime.ckks.plan.header import CkksHeader, CkksOutput, Disclosure, Estimate
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.ckks.readings.noise_bound import UnboundedError, worst_errors
from hecc.runtime.ckks.readings.types import ArrayType, verify, verify_simulated
from hecc.runtime.errors import CircuitError, CompileError
from hecc.runtime.figures import size_words

__all__ = ["Task", "finished", "first_draft", "priced"]

log = logging.getLogger(__name__)

RETRIES = 9

FIRST, FURTHER = 0.8, 0.05
"""Predictions are not exact: of the bits that are missing a part is asked for first, which may be enough; later more
than those, by so many bits and twice as many with every trial."""

CLOSE_BITS, FURTHER_DRAWINGS = 0.5, 4
"""Precision that is enough by less may be so by chance, as the largest errors differ from one drawing of the noise to
another: then the worst of some counts."""

DISCLOSED_RETRIES, DISCLOSED_STEP = 32, 32
"""For results to be disclosed the scale grows until the precision is there, by the bits that are missing: errors
are half as large with a bit more. By so many at most, as errors as large as the values are larger than that."""

BOUNDLESS_STEP = 4
"""By how many bits it grows, or the scale of weights, where those are so small that errors have no bound."""

UNLIKE_BITS = 4
"""By how much an element may be less precise than most others before that is worth a warning."""

LARGE_KEYS = 2 * 10**9
"""Bytes of evaluation keys that are worth a warning; `keygen` asks before it makes as many."""

LEAST_ERROR = 16
"""Bits of the largest error of any circuit, less than that of a single rescale."""

SERIES_WEIGHT_BITS = 12
"""By which the weights ahead of polynomials are more precise to begin with, as their rounding moves the argument."""


@dataclass(frozen=True)
class Task:
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


def first_draft(graph: Graph, task: Task, lowerings: Lowerings) -> None:
    """Find out whether there are parameters at all, as far as predictions tell."""
    task.progress("select layouts and parameters")
    search(_demand(graph, task), lowerings)


def priced(graph: Graph, task: Task, lowerings: Lowerings) -> tuple[int, float]:
    """The depth, and the seconds per row, as far as predictions tell."""
    demand = _demand(graph, task)
    lowering, candidate, _ = search(demand, lowerings)
    return _depth(graph, demand.depth), candidate.seconds / lowering.lowered.circuit.lanes


def finished(graph: Graph, task: Task, lowerings: Lowerings) -> CkksPlan:
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
                outputs=assembly.with_aliases(graph, _erring(draft.outputs, demand, measured)),
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


def _demand(graph: Graph, task: Task) -> Demand:
    """What a chain for an arithmetic graph has to do."""
    options = task.options
    depth = value_depths(graph, options)
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


def value_depths(graph: Graph, options: Options) -> dict[str, int]:
    """Depth of every value, where it is bootstrapped from where a bootstrap starts."""
    if options.bootstrapping is None:
        return multiplicative_depth(graph)
    return bootstrapped_depth(graph, options.bootstrapping.behind)


def _with_outside(estimate: Estimate, outside: float | None) -> Estimate:
    """The estimate with the rows that are expected to leave an interval, where any can."""
    if outside == 0.0:
        return estimate
    return replaced(estimate, outside_per_thousand=None if outside is None else 1000 * outside)


def _draft(demand: Demand, lowerings: Lowerings, task: Task) -> _Draft:
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


def _simulated(draft: _Draft, task: Task) -> Measured:
    """How precise the results are on the inputs of the promise, with noise drawn at random."""
    expanded, types = verify_simulated(draft.circuit, draft.keys)
    circuit = expanded.circuit
    measured = simulated_precision(circuit, types, draft.keys, draft.choice.layouts, task.promise)
    if 0 <= measured.bits - task.required_bits < CLOSE_BITS:
        drawings = range(1, 1 + FURTHER_DRAWINGS)
        others = [
            simulated_precision(circuit, types, draft.keys, draft.choice.layouts, task.promise, k) for k in drawings
        ]
        worst = min([measured, *others], key=lambda each: each.bits)
        measured = replace(worst, far_bits=min(each.far_bits for each in [measured, *others]))
    log.debug("predicted %.1f bits, simulated %.1f\n%s", draft.candidate.precision_bits, measured.bits, draft.circuit)
    return measured


def _promised(measured: Measured, reserve: float, flooded: float) -> Measured:
    """What can be promised of what was measured, in tenths of bits: less a reserve, and what flooding leaves of it."""
    bits, far = (math.floor(10 * min(x - reserve, flooded)) / 10 for x in (measured.bits, measured.far_bits))
    return replace(measured, bits=bits, far_bits=far)


def _erring(outputs: tuple[CkksOutput, ...], demand: Demand, measured: Measured) -> tuple[CkksOutput, ...]:
    """The outputs with an error of which the largest that was simulated may be one.

    What is predicted is the mean over the slots, and near the ends of its interval a polynomial of a high degree is far
    steeper than in the mean: what shows that an evaluation overflowed would show it there of results that are right.
    """
    seen = {name: 2.0**-measured.bits / error for name, error in demand.errors.items()}
    return tuple(replaced(signature, error=max(signature.error, seen[signature.name])) for signature in outputs)


def _with(error: float, bits: float) -> float:
    """The bits of precision with another error beside that of so many bits."""
    return -math.log2(2.0**-bits + error) if error else bits


def _first_scale_bits(options: Options) -> int:
    """Bits of scale to begin with: what no circuit can do without."""
    if not options.disclose:
        return 0
    flooding = math.log2(WORST_DEVIATION * flooding_factor(options.disclose, 1))
    return math.ceil(options.precision + flooding + LEAST_ERROR)


def _disclosure(draft: _Draft, demand: Demand, task: Task, results: int) -> tuple[Disclosure, float] | Demand:
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


def _has(graph: Graph, kind: type[Node]) -> bool:
    return any(type(node) is kind for node in graph.nodes)

"""The pipeline: from an ONNX file to a plan, in the order in which the passes have to run.

    import        one node per ONNX operator, parameters named
    functions     a chain of elementwise operators becomes one function, before anything takes it apart
    activations   before fusion, which would hide the elementwise structure it looks for
    affine fusion after activations, whose leading coefficients and constants it absorbs
    window sums   for the poolings that fusion left alone; fusion runs once more, for the factors they leave
    approximation functions become polynomials, on the canonical graph: it asks for the fewest levels that are precise
                  enough; fusion once more, for the normalisation of their arguments
    depth         what fusion left is what the modulus chain pays for
    ranges        on the canonical graph: these are the values that ciphertexts will hold
    for each ring degree that could do, and each way to pack a batch into its slots:
        layouts     depend on how many slots an example has; with one for each there is nothing to choose
        rotations   shared by the linear transforms of these layouts, if there is a budget for keys
        lowering    turns maps and layouts into diagonals, or into sparse matrices
        parameters  the cheapest modulus chain at the security and precision asked for
    scales        once, for the best of them
    clean-up      after scale planning, which makes rescales that can be shared
    simulation    the precision promised, checked with simulated noise on the calibration inputs
    flooding      for results to be shown to others: the noise that hides the largest error of any input

The verifier runs after each step that makes a circuit.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
from msgspec.structs import replace as replaced
from numpy.typing import NDArray

from hecc.compiler import assembly, cost
from hecc.compiler.batch_lowering import RelinearizationPrice, batch_layouts, lower_batch
from hecc.compiler.ir.graph import FunctionNode, Graph, SeriesNode
from hecc.compiler.lowering import Lowered, lower
from hecc.compiler.options import Options
from hecc.compiler.packing import Packing
from hecc.compiler.precision import simulated_precision
from hecc.passes.activations import substitute_activations
from hecc.passes.approximate import approximate_functions
from hecc.passes.cleanup import clean_up
from hecc.passes.depth import multiplicative_depth
from hecc.passes.functions import compose_functions
from hecc.passes.fuse_affine import fuse_affine
from hecc.passes.layouts import LayoutChoice, Price, select_layouts
from hecc.passes.parameters import WORST_DEVIATION, Candidate, Demand, Magnitude, choose_chain, could_fit
from hecc.passes.ranges import value_ranges
from hecc.passes.scales import apply_scales
from hecc.passes.shared_rotations import share_rotations
from hecc.passes.window_sums import largest_window, sum_windows
from hecc.runtime.choices import Choices, LayerChoice, LayoutOffer, RingTrial
from hecc.runtime.circuit import Circuit, Fold, Polynomial, Rotate
from hecc.runtime.errors import CircuitError, CompileError
from hecc.runtime.flooding import deviations, flooding_factor, value_deviation
from hecc.runtime.header import OutputSignature, PlanHeader, Sharing
from hecc.runtime.layout import MAX_COUNT
from hecc.runtime.parameters import KeySpecification
from hecc.runtime.plan import Plan
from hecc.runtime.verify import ArrayType, verify, verify_expanded
from hecc.runtime.worst_case import UnboundedError, worst_errors

__all__ = ["RING_DEGREES", "build_plan", "canonicalise"]

log = logging.getLogger(__name__)

RING_DEGREES = tuple(1 << k for k in range(11, 17))
"""That a plan may have."""

WORTH_TWICE = 0.9
"""A ring twice as large takes twice the memory for a batch twice as large: so much less time per row is worth it."""

RETRIES = 3

TAIL_BITS = 0.5
"""By how much the largest error of a batch of thousands differs from one key to another: a slot in which the secret
happens to be large has large errors in all ciphertexts."""

SHARED_RETRIES, SHARED_STEP = 32, 32
"""For results to be shown to others the scale grows until the precision is there, by the bits that are missing: errors
are half as large with a bit more. By so many at most, as errors as large as the values are larger than that."""

BOUNDLESS_STEP = 4
"""By how many bits it grows, or the scale of weights, where those are so small that errors have no bound."""

LEAST_ERROR = 16
"""Bits of the largest error of any circuit, less than that of a single rescale."""

SERIES_WEIGHT_BITS = 12
"""By which the weights ahead of polynomials are more precise to begin with, as their rounding moves the argument."""

SMALL_RING = 1 << 13
"""Up to this degree the security table leaves no room for more than one special prime."""

MOST_CIPHERTEXTS = 64
"""Of the largest tensor, where examples lie side by side: with more, one ciphertext for each element is faster."""


KEY_PRICES = (0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
"""Of a key, in giant rotations, while the keys are over the budget."""


@dataclass(frozen=True)
class _Lowering:
    choice: LayoutChoice
    lowered: Lowered
    price: Price | None = None


@dataclass
class _Known:
    """Lowerings of one example that serve for several rings.

    Attributes
    ----------
    diagonals
        By the number of logical slots.
    matrices
        With a ciphertext for each element.
    """

    diagonals: dict[int, _Lowering] = field(default_factory=dict)
    matrices: list[_Lowering] = field(default_factory=list)


def canonicalise(graph: Graph) -> Graph:
    """The canonical graph of an imported one: affine maps, monic squares, window sums and functions only."""
    return fuse_affine(sum_windows(fuse_affine(substitute_activations(compose_functions(graph)))))


def build_plan(
    imported: Graph,
    model: bytes,
    calibration: Mapping[str, NDArray[np.float64]],
    declared: Mapping[str, tuple[float, float]],
    options: Options,
    progress: Callable[[str], None] = lambda _: None,
) -> Plan:
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
    graph = canonicalise(imported)
    if any(isinstance(node, FunctionNode) for node in graph.nodes):
        progress("fit polynomials")
    required = options.precision_bits + (TAIL_BITS if options.many else 0.0)
    # Results may be shown only if no input at all can overflow: then intervals are all that is proved, and the modulus
    # has room for it.
    proved = options.share > 0
    approximated = approximate_functions(graph, calibration, declared, required, options.interval_margin, proved=proved)
    graph = fuse_affine(approximated.graph) if approximated.graph is not graph else graph
    depth = multiplicative_depth(graph)
    log.debug("canonical graph, depth %d:\n%s", max(depth.values()), graph)
    progress("measure ranges")
    ranges = value_ranges(graph, calibration, declared, options.margin, proved=proved)
    observed = {name: ranges[name].observed for name in graph.outputs}
    magnitudes = {value: Magnitude(r.observed, r.rms, r.bound, r.quantiles) for value, r in ranges.items()}

    # Noise has what approximation leaves of the error, that of flooding too.
    wanted, under_noise = (_with(-approximated.error, bits) for bits in (required, options.precision_bits))
    scale_bits_from = _first_scale_bits(options)
    weight_bits = SERIES_WEIGHT_BITS if any(isinstance(node, SeriesNode) for node in graph.nodes) else 0
    precision = math.inf
    lowerings = _Known()
    for _ in range(SHARED_RETRIES if options.share else RETRIES):
        progress("select layouts and parameters")
        demand = Demand(graph, depth, magnitudes, options, wanted, scale_bits_from, weight_bits)
        lowering, candidate, rings = _search(demand, lowerings, approximated.remark)
        progress("plan scales")
        scaled, moved = apply_scales(lowering.lowered, candidate.scales)
        circuit, kept = clean_up(scaled)
        keys = assembly.key_specification(circuit, candidate.chain, options)
        values = {value: kept[moved[i]] for value, i in lowering.lowered.results.items()}
        types = verify(circuit, keys, bounds={i: ranges[value].bound for value, i in values.items()})
        layouts = lowering.choice.layouts
        outputs = assembly.output_signatures(graph, circuit, types, keys, layouts, candidate.deviations, observed)
        share: Sharing | msgspec.UnsetType = msgspec.UNSET
        flooded = math.inf
        if options.share:
            progress("bound the largest error")
            try:
                share, flooded = _sharing(circuit, types, keys, declared, outputs, observed, options.share)
            except UnboundedError as unbounded:
                step = unbounded.bits or BOUNDLESS_STEP
                if unbounded.encoding:
                    weight_bits += step
                else:
                    scale_bits_from = candidate.chain.scale_bits + step
                continue
            if flooded < under_noise:
                missing = math.ceil(under_noise - flooded)
                scale_bits_from = candidate.chain.scale_bits + min(missing, SHARED_STEP)
                continue
            flooded = _with(approximated.error, flooded)
        progress("check precision")
        polynomials = any(isinstance(ins, Polynomial) for ins in circuit.instructions)
        expanded, kinds = verify_expanded(circuit, keys) if polynomials else (circuit, types)
        reference = approximated.reference if approximated.error else None
        precision = simulated_precision(expanded, kinds, keys, layouts, calibration, observed, reference)
        log.debug("predicted %.1f bits, simulated %.1f\n%s", candidate.precision_bits, precision, circuit)
        precision = min(precision, flooded)
        if precision >= required:
            header = PlanHeader(
                producer=options.producer,
                model=hashlib.sha256(model).hexdigest(),
                inputs=assembly.input_signatures(graph, circuit, types, layouts, declared),
                outputs=outputs,
                keys=keys,
                estimate=assembly.estimate(circuit, types, keys, options, _depth(graph, depth), precision),
                share=share,
            )
            return Plan(header, circuit, choices=Choices(rings=rings, layers=_layer_choices(graph, lowering.choice)))
        wanted += required - precision + 0.5
    if math.isinf(precision):
        # The errors of results to be shown were never small enough to look any further.
        raise CompileError(_refusal(demand, math.inf, approximated.remark))
    raise CompileError(
        f"simulated noise leaves {precision:.1f} bits of precision on the calibration inputs, "
        f"not {options.precision_bits:g}; ask for less with --precision, or calibrate with inputs like the real ones"
    )


def _search(demand: Demand, lowerings: _Known, remark: str = "") -> tuple[_Lowering, Candidate, tuple[RingTrial, ...]]:
    """The best ring degree: the smallest that works, or a larger one for as long as that is faster per example."""
    options = demand.options
    best: tuple[_Lowering, Candidate] | None = None
    trials: list[RingTrial] = []
    least = smallest = math.inf
    for ring_degree in RING_DEGREES:
        found: list[tuple[float, _Lowering, Candidate]] = []
        for packing in _packings(demand.graph, ring_degree, options):
            if not could_fit(demand, ring_degree, packing):
                continue
            for lowering in _offered(demand.graph, demand.depth, ring_degree, packing, options, lowerings):
                chosen = _choose(demand, lowering, ring_degree, packing, least * packing.batch)
                if chosen is None:
                    continue
                smallest = min(smallest, chosen[1].key_bytes)
                if not chosen[1].excess(options):
                    found.append((chosen[1].seconds / packing.batch, *chosen))
        trials.append(RingTrial(ring_degree=ring_degree, seconds=min((one[2].seconds for one in found), default=None)))
        if not found:
            continue
        seconds, lowering, candidate = min(found, key=lambda one: one[0])
        if seconds >= least * (WORTH_TWICE if options.optimize == "throughput" else 1.0):
            break
        best, least = (lowering, candidate), seconds
    if best is None:
        raise CompileError(_refusal(demand, smallest, remark))
    return *best, tuple(trials)


def _refusal(demand: Demand, smallest_keys: float, remark: str) -> str:
    """Why there are no parameters, and what to do; ``remark`` is of the polynomials for functions."""
    options, bits, deepest = demand.options, demand.precision_bits, max(demand.depth.values())
    if smallest_keys < math.inf:
        return (
            f"the evaluation keys of this network take {math.ceil(smallest_keys / 1e5) / 10} MB at the least, more "
            "than the budget; allow as much with --key-budget, or ask for less precision"
        )
    if options.chain is not None:
        return (
            f"the primes of the other plan do not give this network {bits:.1f} bits of precision at depth {deepest}; "
            "compile the deeper or more precise network first, and the other one with its chain"
        )
    if options.share:
        return (
            f"no parameters leave {options.precision_bits:g} bits of precision under the noise that {options.share} "
            f"results to be shown to others need, at depth {deepest} and {options.level}-bit security up to N = "
            f"{RING_DEGREES[-1]}; share fewer results, ask for less precision, or use fewer layers{remark}"
        )
    return (
        f"no parameters give {bits:.1f} bits of precision at depth {deepest} and {options.level}-bit security up to "
        f"N = {RING_DEGREES[-1]}; use fewer layers or ask for less precision"
    )


def _choose(
    demand: Demand, lowering: _Lowering, ring_degree: int, packing: Packing, least: float
) -> tuple[_Lowering, Candidate] | None:
    """The cheapest chain for a lowering; with keys over the budget, for the first with few enough rotation steps.

    What takes longer than ``least`` anyway is not made slower by sharing rotations.
    """
    candidate = choose_chain(demand, lowering.lowered, ring_degree, packing)
    if candidate is None:
        return None
    best = lowering, candidate
    # In batch layouts nothing rotates.
    for key in KEY_PRICES if lowering.price is not None else ():
        if not best[1].excess(demand.options) or best[1].seconds > least:
            break
        shared = _shared(lowering, key, demand.graph, demand.options)
        candidate = choose_chain(demand, shared.lowered, ring_degree, packing)
        if candidate is not None and demand.rank(candidate) < demand.rank(best[1]):
            best = shared, candidate
    return best


def _with(error: float, bits: float) -> float:
    """The bits of precision with another error beside that of so many bits."""
    return -math.log2(2.0**-bits + error) if error else bits


def _first_scale_bits(options: Options) -> int:
    """Bits of scale to begin with: what no circuit can do without."""
    if not options.share:
        return 0
    flooding = math.log2(WORST_DEVIATION * flooding_factor(options.share, 1))
    return math.ceil(options.precision_bits + flooding + LEAST_ERROR)


def _sharing(
    circuit: Circuit,
    types: Sequence[ArrayType],
    keys: KeySpecification,
    declared: Mapping[str, tuple[float, float]],
    outputs: tuple[OutputSignature, ...],
    observed: Mapping[str, float],
    results: int,
) -> tuple[Sharing, float]:
    """The noise that hides the largest error of each output, and the bits of precision that it leaves."""
    try:
        errors = worst_errors(circuit, types, keys, declared)
    except UnboundedError:
        raise
    except CircuitError as error:
        raise CompileError(f"results cannot be shared: {error}") from None
    share = Sharing(results=results, deviations=deviations(results, outputs, [errors[s.name] for s in outputs]))
    return share, _flooded_precision(share, outputs, observed)


def _flooded_precision(share: Sharing, outputs: tuple[OutputSignature, ...], observed: Mapping[str, float]) -> float:
    """Bits of precision of the worst output after flooding."""
    worst = max(
        math.hypot(value_deviation(s, deviation), s.error) / observed[s.name]
        for s, deviation in zip(outputs, share.deviations, strict=True)
    )
    return -math.log2(WORST_DEVIATION * worst)


def _shared(lowering: _Lowering, key: float, graph: Graph, options: Options) -> _Lowering:
    """The same layouts with fewer rotation steps; ``key`` is the price of one in giant rotations."""
    assert lowering.price is not None
    circuit, choice = lowering.lowered.circuit, lowering.choice
    always: set[int] = set()
    for ins in circuit.instructions:
        if isinstance(ins, Fold):
            always |= set(ins.steps)
        elif isinstance(ins, Rotate):
            always.add(ins.step)
    embeddings = share_rotations(choice.embeddings, always, key * lowering.price.giant)
    single = {value: replaced(layout, batch=1) for value, layout in choice.layouts.items()}
    lowered = lower(graph, single, embeddings, circuit.slots, pair_inputs=_pairs_inputs(options))
    lowered = replace(lowered, circuit=replace(lowered.circuit, lanes=circuit.lanes))
    verify(lowered.circuit, None)
    return replace(lowering, choice=replace(choice, embeddings=embeddings), lowered=lowered)


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


def _packings(graph: Graph, ring_degree: int, options: Options) -> tuple[Packing, ...]:
    """The packings that could be the best."""
    packings = options.packings(ring_degree)
    if len(packings) < 2:
        return packings
    side_by_side, elementwise = packings
    slots, largest = side_by_side.slots(ring_degree), _largest(graph)
    if slots < max(largest / MOST_CIPHERTEXTS, largest_window(graph)):
        return (elementwise,)
    return packings if largest <= MAX_COUNT else (side_by_side,)


def _largest(graph: Graph) -> int:
    return max(math.prod(node.output.shape) for node in graph.nodes)


def _offered(
    graph: Graph,
    depth: Mapping[str, int],
    ring_degree: int,
    packing: Packing,
    options: Options,
    known: _Known,
) -> list[_Lowering]:
    """Layouts and lowering for a ring and a packing, or several to choose from."""
    if packing.elementwise:
        offered = _matrices(graph, depth, ring_degree, options, known)
    else:
        offered = [_diagonals(graph, depth, ring_degree, packing, options, known)]
    if packing.batch == 1:
        return offered
    # Examples beside the first take lanes of their own, and the very same instructions.
    return [
        replace(
            each,
            choice=replace(
                each.choice, layouts={name: replaced(x, batch=packing.batch) for name, x in each.choice.layouts.items()}
            ),
            lowered=replace(each.lowered, circuit=replace(each.lowered.circuit, lanes=packing.lanes)),
        )
        for each in offered
    ]


def _pairs_inputs(options: Options) -> bool:
    """Whether a ciphertext of an input holds two vectors.

    To separate them takes a key switch. SEAL's takes as long as another encryption or longer; ours a fraction of that,
    and less than it takes to read another ciphertext.
    """
    return options.evaluator == "native"


def _matrices(
    graph: Graph, depth: Mapping[str, int], ring_degree: int, options: Options, known: _Known
) -> list[_Lowering]:
    """For one example, with a ciphertext for each element; the circuit has one logical slot, whatever the ring.

    Squares are relinearised at once, or late where the cost model says so: late is faster, but may need a larger scale,
    as a rescale before it leaves more noise.
    """
    if not known.matrices:
        # The chain is not known yet: half-way along a typical one. The ratio is much the same in all rings.
        limbs = 2 + max(depth.values()) // 2
        model = cost.cost_model(options.evaluator, ring_degree, ring_degree // 2, rates=options.rates)
        entry = model.scalar_product(limbs, polynomials=3) - model.scalar_product(limbs)
        choice = LayoutChoice(batch_layouts(graph), {}, 0.0)
        for price in (RelinearizationPrice(model.key_switch(limbs), entry), None):
            lowered = lower_batch(graph, price, pair_inputs=_pairs_inputs(options))
            if all(lowered.circuit.instructions != each.lowered.circuit.instructions for each in known.matrices):
                verify(lowered.circuit, None)
                known.matrices.append(_Lowering(choice, lowered))
    return known.matrices


def _diagonals(
    graph: Graph,
    depth: Mapping[str, int],
    ring_degree: int,
    packing: Packing,
    options: Options,
    known: _Known,
) -> _Lowering:
    """For one example; with fewer logical slots than there is room for when the network needs no more."""
    # The chain is not known yet: half-way along a typical one, and a digit or two.
    limbs = 2 + max(depth.values()) // 2
    specials = 1 if ring_degree <= SMALL_RING else limbs // 2
    model = cost.cost_model(
        options.evaluator,
        ring_degree,
        ring_degree // 2,
        digit_limbs=specials,
        special_primes=specials,
        rates=options.rates,
    )
    price = Price(
        baby=model.baby(limbs),
        giant=model.giant(limbs),
        rotation=model.key_switch(limbs),
        diagonal=model.diagonal(limbs),
        ciphertext=model.key_switch(limbs) + model.finish(limbs),
    )
    room = packing.slots(ring_degree)
    slots = min(room, 1 << (_largest(graph) - 1).bit_length())
    best: LayoutChoice | None = None
    while True:
        choice = known.diagonals[slots].choice if slots in known.diagonals else select_layouts(graph, slots, price)
        if best is None or choice.cost < best.cost:
            best = choice
        if slots == room or all(layout.count == 1 for layout in choice.layouts.values()):
            break
        slots *= 2
    slots = next(iter(best.layouts.values())).slots
    if slots not in known.diagonals:
        lowered = lower(graph, best.layouts, best.embeddings, slots, pair_inputs=_pairs_inputs(options))
        verify(lowered.circuit, None)
        known.diagonals[slots] = _Lowering(best, lowered, price)
    return known.diagonals[slots]

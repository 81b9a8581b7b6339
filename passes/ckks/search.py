"""The search: ring degree, packing, layouts and modulus chain together, because each depends on the others.

For each ring degree that could do, and each way to pack a batch into its slots, layouts are selected and lowered, and
the cheapest chain is chosen for them. Only the pipeline calls this; it is no pass itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from msgspec.structs import replace as replaced

from hecc.compiler.ckks.imprecise import ImpreciseError
from hecc.compiler.ckks.lowering.assembly import circuit_limbs, key_specification
from hecc.compiler.ckks.lowering.batch_lowering import RelinearizationPrice, batch_layouts, lower_batch
from hecc.compiler.ckks.lowering.embedding import Embedding
from hecc.compiler.ckks.lowering.lowering import Lowered, lower
from hecc.compiler.ckks.lowering.packing import Packing
from hecc.compiler.ckks.options import RING_DEGREES, Options
from hecc.compiler.ckks.prediction.cost import circuit_seconds
from hecc.compiler.ckks.prediction.devices import DEVICE_MODELS
from hecc.compiler.graph.graph import Graph
from hecc.passes.ckks.layouts import LayoutChoice, Price, select_layouts
from hecc.passes.ckks.parameters import Candidate, Demand, choose_chain, could_fit, least_key_bytes
from hecc.passes.ckks.scales import apply_scales
from hecc.passes.ckks.shared_rotations import share_rotations
from hecc.passes.graph.window_sums import largest_window
from hecc.runtime.ckks.circuit.instructions import Fold, Rotate
from hecc.runtime.ckks.circuit.layout import MAX_COUNT, Layout
from hecc.runtime.ckks.plan.choices import RingTrial
from hecc.runtime.ckks.readings.types import verify
from hecc.runtime.errors import CompileError

__all__ = ["Lowering", "Lowerings", "refusal", "search", "smallest_keys"]

WORTH_TWICE = 0.9
"""A ring twice as large takes twice the memory for a batch twice as large: so much less time per row is worth it."""

SMALL_RING = 1 << 13
"""Up to this degree the security table leaves no room for more than one special prime."""

MOST_CIPHERTEXTS = 64
"""Of the largest tensor, where examples lie side by side: with more, one ciphertext for each element is faster."""

KEY_PRICES = (0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
"""Of a key, in giant rotations, while the keys are over the budget."""


@dataclass(frozen=True)
class Lowering:
    """A network's circuit, scales still open, with the layouts that it was lowered under.

    Attributes
    ----------
    price
        That the layouts were chosen by; none where there was nothing to choose.
    """

    choice: LayoutChoice
    lowered: Lowered
    price: Price | None = None


@dataclass
class Lowerings:
    """Lowerings of one example that serve for several rings.

    Attributes
    ----------
    diagonals
        By the number of logical slots.
    matrices
        With a ciphertext for each element.
    """

    diagonals: dict[int, Lowering] = field(default_factory=dict)
    matrices: list[Lowering] = field(default_factory=list)


Found: TypeAlias = tuple[Lowering, Candidate, tuple[RingTrial, ...]]
"""Layouts, the chain for them, and what was found for each ring."""


def search(demand: Demand, lowerings: Lowerings, remark: str = "") -> Found:
    """The best ring degree: the smallest that works, or a larger one for as long as that is faster per example.

    Raises
    ------
    CompileError
        No parameters give what was asked for.
    MisalignedError
        The factors of a product have no layout in common.
    """
    found, smallest = _found(demand, lowerings)
    if found is None:
        raise refusal(demand, lowerings, smallest, remark)
    return found


def smallest_keys(demand: Demand) -> float:
    """Bytes of the smallest evaluation keys that any parameters need, however imprecise; infinity without parameters.

    The first that keep to the budget are small enough.

    Raises
    ------
    MisalignedError
        The factors of a product have no layout in common.
    """
    lowerings, smallest = Lowerings(), math.inf
    for ring_degree in RING_DEGREES:
        for packing in _packings(demand.graph, ring_degree, demand.options):
            if not could_fit(demand, ring_degree, packing):
                continue
            for lowering in _offered(demand.graph, demand.depth, ring_degree, packing, demand.options, lowerings):
                least = least_key_bytes(demand, lowering.lowered, ring_degree, packing)
                if lowering.price is not None:
                    shared = _shared(lowering, KEY_PRICES[-1], demand.graph, demand.options)
                    least = min(least, least_key_bytes(demand, shared.lowered, ring_degree, packing))
                smallest = min(smallest, least)
                if smallest <= (demand.options.key_budget or 0):
                    return smallest
    return smallest


def _found(demand: Demand, lowerings: Lowerings) -> tuple[Found | None, float]:
    """The best, if there is any, and the bytes of the smallest keys."""
    options = demand.options
    best: tuple[Lowering, Candidate] | None = None
    trials: list[RingTrial] = []
    least = smallest = math.inf
    for ring_degree in RING_DEGREES:
        found: list[tuple[float, Lowering, Candidate]] = []
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
        trials.append(RingTrial(ring_degree=ring_degree, seconds=min((one[0] for one in found), default=None)))
        if not found:
            continue
        seconds, lowering, candidate = min(found, key=lambda one: one[0])
        if seconds >= least * (WORTH_TWICE if options.optimize == "throughput" else 1.0):
            break
        best, least = (lowering, candidate), seconds
    return (None if best is None else (*best, tuple(trials))), smallest


def refusal(demand: Demand, lowerings: Lowerings, smallest_keys: float, remark: str) -> CompileError:
    """Why there are no parameters, and what to do; ``remark`` is of the polynomials for functions."""
    options, bits, deepest = demand.options, demand.options.precision, max(demand.depth.values())
    if smallest_keys < math.inf:
        budget = math.ceil(smallest_keys / 1e5) / 10
        return ImpreciseError(
            f"the evaluation keys of this network take {budget} MB at the least, more than the budget",
            f"allow as much with --key-budget {budget}MB",
        )
    if options.chain is not None:
        return CompileError(
            f"the primes of the other plan do not give this network {bits:.1f} bits of precision at depth {deepest}; "
            "compile the deeper or more precise network first, and the other one with its chain"
        )
    if options.disclose:
        return ImpreciseError(
            f"no parameters leave {bits:g} bits of precision under the noise that {options.disclose} "
            f"results to be disclosed need, at depth {deepest} and {options.security}-bit security up to N = "
            f"{RING_DEGREES[-1]}",
            "disclose fewer results, use fewer layers",
            remark,
        )
    return ImpreciseError(
        f"no parameters give {bits:.1f} bits of precision at depth {deepest} and {options.security}-bit security up to "
        f"N = {RING_DEGREES[-1]}",
        "use fewer layers",
        deep=True,
    )


def _choose(
    demand: Demand, lowering: Lowering, ring_degree: int, packing: Packing, least: float
) -> tuple[Lowering, Candidate] | None:
    """The cheapest chain for a lowering; with keys over the budget, for the first with few enough rotation steps.

    What takes longer than ``least`` anyway is not made slower by sharing rotations.
    """
    candidate = _cheapest(demand, lowering.lowered, ring_degree, packing)
    if candidate is None:
        return None
    best = lowering, candidate

    def is_done() -> bool:
        return not best[1].excess(demand.options) or best[1].seconds > least

    # In batch layouts nothing rotates.
    if lowering.price is None or is_done():
        return best
    *prices, dearest = KEY_PRICES
    fewest = _dearer(demand, lowering, dearest, ring_degree, packing)
    # Where the fewest keys are too many, so are those of any other price.
    if fewest is None or fewest[1].excess(demand.options):
        return best if fewest is None else min(best, fewest, key=lambda one: demand.rank(one[1]))
    for key in prices:
        shared = _dearer(demand, lowering, key, ring_degree, packing)
        if shared is not None and demand.rank(shared[1]) < demand.rank(best[1]):
            best = shared
        if is_done():
            return best
    return fewest


def _dearer(
    demand: Demand, lowering: Lowering, key: float, ring_degree: int, packing: Packing
) -> tuple[Lowering, Candidate] | None:
    """The cheapest chain for a lowering with a price on keys."""
    shared = _shared(lowering, key, demand.graph, demand.options)
    candidate = _cheapest(demand, shared.lowered, ring_degree, packing)
    return None if candidate is None else (shared, candidate)


def _cheapest(demand: Demand, lowered: Lowered, ring_degree: int, packing: Packing) -> Candidate | None:
    """The cheapest chain, with what it costs; that of bootstraps and their keys only a circuit with scales tells."""
    candidate, options = choose_chain(demand, lowered, ring_degree, packing), demand.options
    if candidate is None or options.bootstrapping is None:
        return candidate
    circuit, _ = apply_scales(lowered, candidate.scales)
    model, keys = DEVICE_MODELS[options.device], key_specification(circuit, candidate.chain, options)
    costs = model.key_cost_model(keys, circuit.period, options.rates)
    seconds = circuit_seconds(circuit, circuit_limbs(circuit), costs)
    return replace(candidate, seconds=seconds, key_bytes=model.memory.evaluation_keys(keys))


def _shared(lowering: Lowering, key: float, graph: Graph, options: Options) -> Lowering:
    """The same layouts with fewer rotation steps; ``key`` is the price of one in giant rotations."""
    assert lowering.price is not None
    circuit, choice = lowering.lowered.circuit, lowering.choice
    always = {step for _, ins in circuit.every(Fold) for step in ins.steps}
    always |= {ins.step for _, ins in circuit.every(Rotate)}
    embeddings = share_rotations(choice.embeddings, always, key * lowering.price.giant)
    single = {value: replaced(layout, batch=1) for value, layout in choice.layouts.items()}
    lowered = _lowered(graph, single, embeddings, circuit.slots, options)
    lowered = replace(lowered, circuit=replace(lowered.circuit, lanes=circuit.lanes))
    verify(lowered.circuit, None)
    return replace(lowering, choice=replace(choice, embeddings=embeddings), lowered=lowered)


def _lowered(
    graph: Graph,
    layouts: Mapping[str, Layout],
    embeddings: Mapping[str, tuple[Embedding, ...]],
    slots: int,
    options: Options,
) -> Lowered:
    pairs = DEVICE_MODELS[options.device].pairs_inputs
    return lower(graph, layouts, embeddings, slots, pair_inputs=pairs, bootstrapping=options.bootstrapping)


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
    known: Lowerings,
) -> list[Lowering]:
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


def _matrices(
    graph: Graph, depth: Mapping[str, int], ring_degree: int, options: Options, known: Lowerings
) -> list[Lowering]:
    """For one example, with a ciphertext for each element; the circuit has one logical slot, whatever the ring.

    Squares are relinearised at once, or late where the cost model says so: late is faster, but may need a larger scale,
    as a rescale before it leaves more noise.
    """
    if not known.matrices:
        # The chain is not known yet: half-way along a typical one. The ratio is much the same in all rings.
        limbs = 2 + max(depth.values()) // 2
        model = DEVICE_MODELS[options.device].cost_model(ring_degree, ring_degree // 2, rates=options.rates)
        entry = model.scalar_product(limbs, polynomials=3) - model.scalar_product(limbs)
        choice = LayoutChoice(batch_layouts(graph), {}, 0.0)
        for price in (RelinearizationPrice(model.key_switch(limbs), entry), None):
            lowered = lower_batch(graph, price, pair_inputs=DEVICE_MODELS[options.device].pairs_inputs)
            if all(lowered.circuit.instructions != each.lowered.circuit.instructions for each in known.matrices):
                verify(lowered.circuit, None)
                known.matrices.append(Lowering(choice, lowered))
    return known.matrices


def _diagonals(
    graph: Graph,
    depth: Mapping[str, int],
    ring_degree: int,
    packing: Packing,
    options: Options,
    known: Lowerings,
) -> Lowering:
    """For one example; with fewer logical slots than there is room for when the network needs no more."""
    # The chain is not known yet: half-way along a typical one, and a digit or two.
    limbs = 2 + max(depth.values()) // 2
    specials = 1 if ring_degree <= SMALL_RING else limbs // 2
    model = DEVICE_MODELS[options.device].cost_model(
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
        lowered = _lowered(graph, best.layouts, best.embeddings, slots, options)
        verify(lowered.circuit, None)
        known.diagonals[slots] = Lowering(best, lowered, price)
    return known.diagonals[slots]

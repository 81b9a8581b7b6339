"""Parameter selection: the cheapest modulus chain that keeps the precision promised within the security table.

The chain is searched, not computed by a formula: for a ring, every way of spending primes (one per product, or one per
square and the linear layer after it), every scale from small to large and a few sizes of the special prime. A
candidate's log2(QP), special primes counted, must be within the table; its precision, predicted by the noise model,
must be what was asked for; among those the cost model picks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from hecc.compiler.cost import circuit_seconds, cost_model, instruction_costs
from hecc.compiler.ir.graph import Graph
from hecc.compiler.lowering import Lowered
from hecc.compiler.memory import evaluation_key_bytes
from hecc.compiler.noise_prediction import NoisePrediction
from hecc.compiler.options import Options
from hecc.compiler.packing import Packing
from hecc.compiler.scaling import Chain, Magnitude, Scales, assign_scales
from hecc.compiler.series import PolynomialProfile
from hecc.compiler.spending import Spending, data_bits, find_primes, spendings
from hecc.runtime.circuit import AddPlain, Polynomial, Relinearize
from hecc.runtime.errors import CircuitError, SecurityError
from hecc.runtime.flooding import flooding_factor
from hecc.runtime.noise import RingNoise
from hecc.runtime.parameters import GaloisElement, KeySpecification, SecurityEvidence
from hecc.runtime.polynomials import Expansion
from hecc.runtime.security import MAX_PRIME_BITS, limit
from hecc.runtime.verify import HEADROOM
from hecc.runtime.worst_case import least_error

__all__ = ["WORST_DEVIATION", "Candidate", "Demand", "choose_chain", "could_fit"]

SCALE_BITS = range(18, 48)
SHARED_SCALE_BITS = range(40, 121)
"""Of results that are shown to others: noise that hides the largest error there can be needs so many bits more."""

ENCODED_BITS = 147
"""Of a constant at its scale, at most; the native evaluator's encoder ends at 148."""

LARGE_SCALE_BITS = 100
"""Only at such scales are constants looked at, whether they can be encoded."""

SPECIAL_BITS = (MAX_PRIME_BITS, 47, 44, 41, 38, 35, 32, 29, 26)
"""Of the one special prime that digits of one prime each need. A larger one keeps key switching noise down."""

SPECIAL_SLACK = (8, 2)
"""Bits by which the special primes together exceed a digit of several primes."""

INPUT_BITS = (0, 6, 12)
"""An input with a larger scale, and as much larger a prime for its first product: its rotations' noise matters less."""

SPARE_BITS = 3
"""Precision beyond the promise that is taken where it costs no limb."""

MAX_DIGIT = 8
"""Data primes per digit, at most."""

WORST_DEVIATION = 4.5
"""Standard deviations that the largest of some thousand errors stays within."""


@dataclass(frozen=True)
class Candidate:
    """A chain with what it costs and how precise it is.

    Attributes
    ----------
    seconds
        Predicted time of one run.
    precision_bits
        ``-log2`` of the largest predicted error of an output over its observed magnitude.
    deviations
        Predicted standard deviation of the error of each output's elements, by name.
    key_bytes
        Of the evaluation keys in memory.
    """

    chain: Chain
    scales: Scales
    seconds: float
    precision_bits: float
    deviations: Mapping[str, float]
    key_bytes: int

    def excess(self, options: Options) -> int:
        """By how many bytes the keys are over the budget."""
        return _excess(self.key_bytes, options)


@dataclass(frozen=True)
class Demand:
    """What a chain has to do.

    Attributes
    ----------
    graph, depth, magnitudes
        The canonical graph, and of each of its values the multiplicative depth and how large it becomes.
    options
        What the user asked for.
    precision_bits
        What the noise may leave: more than was asked for, where something else errs too.
    scale_bits_from
        The smallest scale to try.
    weight_bits
        For results to be shown to others: by how many bits the weights ahead of a polynomial are more precise, so that
        their rounding does not drive its argument far off.
    """

    graph: Graph
    depth: Mapping[str, int]
    magnitudes: Mapping[str, Magnitude]
    options: Options
    precision_bits: float
    scale_bits_from: int = 0
    weight_bits: int = 0

    @cached_property
    def observed(self) -> dict[str, float]:
        """Largest observed magnitude of each value."""
        return {value: m.observed for value, m in self.magnitudes.items()}

    def rank(self, candidate: Candidate) -> tuple[float, float, float, float]:
        """Smaller is better: keys over the budget, time, precision up to a little more than was asked for, modulus."""
        precision = min(candidate.precision_bits, self.precision_bits + SPARE_BITS)
        return candidate.excess(self.options), candidate.seconds, -precision, candidate.chain.log2_qp


def choose_chain(demand: Demand, lowered: Lowered, ring_degree: int, packing: Packing) -> Candidate | None:
    """The cheapest chain for one ring, or None when the table or the precision rules all of them out.

    Where no chain keeps to the budget for keys, it is that of the smallest keys.
    """
    graph, depth, magnitudes, options = demand.graph, demand.depth, demand.magnitudes, demand.options
    try:
        allowed = limit(ring_degree, options.level, options.adversary)
    except SecurityError:
        return None
    prediction = NoisePrediction(lowered, graph, magnitudes, ring_degree)
    rotations = lowered.circuit.galois_uses(ring_degree)
    ways = spendings(graph, depth, options, ring_degree, packing, demand.weight_bits)
    # The largest error hardly depends on what the others are for: the scale, not the inputs' noise, makes it small.
    inputs = INPUT_BITS[:1] if options.share else INPUT_BITS
    if options.chain is not None:
        scales_from = range(max(demand.scale_bits_from, _scales(options).start), _scales(options).stop)
        trials = itertools.product(ways, scales_from, inputs)
        return _best_of(_prefixes(options.chain, trials, demand), demand, lowered, prediction, rotations)
    best: Candidate | None = None
    smallest = _least_scale_bits(demand, ring_degree, packing)
    switchings = _switchings(options, depth)
    for spending, switching, input_bits in itertools.product(ways, switchings, inputs):
        least: int | None = None
        for scale_bits in range(smallest, _scales(options).stop):
            sizes, dropped = data_bits(spending, scale_bits, input_bits, depth, magnitudes, options)
            special_bits = switching.special_bits(sizes)
            too_large = sum((*sizes, *special_bits)) > allowed or max(sizes) > MAX_PRIME_BITS
            if too_large or switching.digit_limbs > len(sizes):
                break
            primes = find_primes((*sizes, *special_bits), ring_degree)
            if primes is None:
                continue
            chain = Chain(
                ring_degree=ring_degree,
                scale_bits=scale_bits,
                input_bits=scale_bits + input_bits,
                data_primes=primes[: len(sizes)],
                special_primes=primes[len(sizes) :],
                dropped=dropped,
                digit_limbs=switching.digit_limbs,
            )
            if chain.log2_qp > allowed:
                continue
            scales = assign_scales(lowered, graph, depth, demand.observed, chain)
            if not _has_room(lowered, scales, magnitudes):
                continue
            seconds = _seconds(lowered, scales, options, prediction.profiles)
            if best is not None and not best.excess(options) and seconds > best.seconds * (1 + 1e-9):
                break
            key_bytes = _key_bytes(rotations, lowered, scales, options)
            if best is not None and _excess(key_bytes, options) > best.excess(options):
                continue
            candidate = _rated(demand, lowered, scales, prediction, seconds, key_bytes)
            if candidate is None:
                continue
            least = scale_bits if least is None else least
            if best is None or demand.rank(candidate) < demand.rank(best):
                best = candidate
            if scale_bits >= least + SPARE_BITS:
                break
    return best


def _rated(
    demand: Demand, lowered: Lowered, scales: Scales, prediction: NoisePrediction, seconds: float, key_bytes: int
) -> Candidate | None:
    """The candidate of a chain, if its polynomials have room and it is precise enough."""
    expansions = _expansions(lowered, scales, demand.magnitudes, prediction.profiles)
    if expansions is None:
        return None
    deviations = prediction.deviations(scales, expansions)
    largest = {name: demand.magnitudes[name].observed for name in demand.graph.outputs}
    bits = min(-math.log2(WORST_DEVIATION * deviations[name] / size) for name, size in largest.items())
    if bits < demand.precision_bits:
        return None
    return Candidate(scales.chain, scales, seconds, bits, deviations, key_bytes)


def _prefixes(shared: KeySpecification, ways: Iterable[tuple[Spending, int, int]], demand: Demand) -> Iterator[Chain]:
    """Chains of the first of another plan's primes: whoever needs fewer limbs encrypts with fewer.

    For each way to spend primes at a scale of so many bits, the inputs' with so many more.
    """
    for spending, scale_bits, input_bits in ways:
        bases, dropped = (1, 2), tuple(1 if prime else 0 for prime in spending)
        if demand.options.share:
            # Scales that are larger than primes: how many primes each takes depends on its size.
            sizes, dropped = data_bits(
                spending, scale_bits, input_bits, demand.depth, demand.magnitudes, demand.options
            )
            fewest = len(sizes) - sum(dropped)
            bases = (fewest, fewest + 1)
        for limbs in (base + sum(dropped) for base in bases):
            if limbs <= len(shared.data_primes):
                yield Chain(
                    ring_degree=shared.ring_degree,
                    scale_bits=scale_bits,
                    input_bits=scale_bits + input_bits,
                    data_primes=shared.data_primes[:limbs],
                    special_primes=shared.special_primes,
                    dropped=dropped,
                    digit_limbs=shared.digit_limbs,
                )


def _best_of(
    chains: Iterable[Chain],
    demand: Demand,
    lowered: Lowered,
    prediction: NoisePrediction,
    rotations: Mapping[int, list[int]],
) -> Candidate | None:
    """The best of given chains that are precise enough."""
    best: Candidate | None = None
    for chain in chains:
        scales = assign_scales(lowered, demand.graph, demand.depth, demand.observed, chain)
        if not _has_room(lowered, scales, demand.magnitudes):
            continue
        key_bytes = _key_bytes(rotations, lowered, scales, demand.options)
        seconds = _seconds(lowered, scales, demand.options, prediction.profiles)
        candidate = _rated(demand, lowered, scales, prediction, seconds, key_bytes)
        if candidate is not None and (best is None or demand.rank(candidate) < demand.rank(best)):
            best = candidate
    return best


def _has_room(lowered: Lowered, scales: Scales, magnitudes: Mapping[str, Magnitude]) -> bool:
    """Whether every scale, and every value at its scale, is below the modulus; squares of squares stray."""
    results = {i: magnitudes[value].bound for value, i in lowered.results.items()}
    primes = scales.chain.data_primes
    circuit = lowered.circuit
    if any(
        isinstance(ins, AddPlain)
        and scale >= 1 << LARGE_SCALE_BITS
        and scale * Fraction(float(np.abs(circuit.constants[ins.vector]).max())) >= 1 << ENCODED_BITS
        for ins, scale in zip(circuit.instructions, scales.scale, strict=True)
    ):
        return False
    return all(
        scale * Fraction(max(HEADROOM * results.get(i, 0.0), 1.0)) < math.prod(primes[:limbs])
        for i, (scale, limbs) in enumerate(zip(scales.scale, scales.limbs, strict=True))
    )


def _expansions(
    lowered: Lowered, scales: Scales, magnitudes: Mapping[str, Magnitude], profiles: Mapping[int, PolynomialProfile]
) -> dict[int, Expansion] | None:
    """The polynomials under a chain, by instruction; None when one of them has no room."""
    primes = scales.chain.data_primes
    expansions = {}
    for i, profile in profiles.items():
        x = profile.instruction.x
        try:
            expansion = profile.scaled(
                scales.ready_limbs(x), scales.ready_scale(x), scales.dropped(i, x), scales.scale[i], primes
            )
        except CircuitError:
            return None
        for k, scale in enumerate(expansion.scales, start=1):
            room = max(HEADROOM * profile.bounds.get(k, 0.0), 1.0)
            if scale is None or scale * Fraction(room) >= math.prod(primes[: expansion.limbs[k - 1]]):
                return None
        expansions[i] = expansion
    return expansions


def _seconds(lowered: Lowered, scales: Scales, options: Options, profiles: Mapping[int, PolynomialProfile]) -> float:
    chain = scales.chain
    model = cost_model(
        options.evaluator,
        chain.ring_degree,
        lowered.circuit.period,
        digit_limbs=chain.digit_limbs,
        special_primes=len(chain.special_primes),
        primes=(*chain.data_primes, *chain.special_primes),
        rates=options.rates,
    )
    if not profiles:
        return circuit_seconds(lowered.circuit, scales.limbs, model)
    costs = instruction_costs(lowered.circuit, scales.limbs, model)
    for i, profile in profiles.items():
        limbs = [scales.limbs[i] + more for more in profile.limbs]
        costs += instruction_costs(profile.circuit, limbs, model)
    return sum(cost.seconds for cost in costs)


def _excess(key_bytes: int, options: Options) -> int:
    return 0 if options.key_budget is None else max(0, key_bytes - options.key_budget)


def _key_bytes(rotations: Mapping[int, list[int]], lowered: Lowered, scales: Scales, options: Options) -> int:
    """Of the evaluation keys in memory, each at the largest level of its use; rotations are by Galois element."""
    chain, limbs = scales.chain, scales.limbs
    relinearization = [
        scales.ready_limbs(ins.x) if isinstance(ins, Polynomial) else limbs[i]
        for i, ins in enumerate(lowered.circuit.instructions)
        if isinstance(ins, Relinearize | Polynomial)
    ]
    keys = KeySpecification(
        ring_degree=chain.ring_degree,
        data_primes=chain.data_primes,
        special_primes=chain.special_primes,
        digit_limbs=chain.digit_limbs,
        relinearization_limbs=max(relinearization, default=0),
        galois=tuple(GaloisElement(element, max(limbs[i] for i in users)) for element, users in rotations.items()),
        security=SecurityEvidence(options.level, options.adversary, "", 0),
    )
    return evaluation_key_bytes(keys, options.evaluator)


@dataclass(frozen=True)
class _Switching:
    """How key switching decomposes: data primes per digit, and how large the special primes are.

    ``room`` is the size of the one special prime for digits of one prime, and otherwise the bits by which the special
    primes together exceed the largest digit.
    """

    digit_limbs: int
    room: int

    def special_bits(self, data_bits: tuple[int, ...]) -> tuple[int, ...]:
        """Sizes of the special primes for data primes of these sizes."""
        if self.digit_limbs == 1:
            return (max(self.room, data_bits[0]),)
        size = self.digit_limbs
        total = max(sum(data_bits[i : i + size]) for i in range(0, len(data_bits), size)) + self.room
        number = -(-total // MAX_PRIME_BITS)
        return tuple(-(-total // number) for _ in range(number))


def _switchings(options: Options, depth: Mapping[str, int]) -> list[_Switching]:
    """Ways to decompose, those for larger digits first: they are faster where the table has room for them."""
    single = [_Switching(1, bits) for bits in (SPECIAL_BITS[:1] if options.share else SPECIAL_BITS)]
    if options.evaluator == "seal":
        return single
    most = max(depth.values()) + 2
    slacks = SPECIAL_SLACK[:1] if options.share else SPECIAL_SLACK
    return [_Switching(size, slack) for size in range(min(most, MAX_DIGIT), 1, -1) for slack in slacks] + single


def could_fit(demand: Demand, ring_degree: int, packing: Packing) -> bool:
    """Whether the table has room for the smallest chain, before any layout is computed for this ring."""
    depth, magnitudes, options = demand.depth, demand.magnitudes, demand.options
    try:
        allowed = limit(ring_degree, options.level, options.adversary)
    except SecurityError:
        return False
    if options.chain is not None:
        return ring_degree == options.chain.ring_degree
    scale_bits = _least_scale_bits(demand, ring_degree, packing)
    ways = spendings(demand.graph, depth, options, ring_degree, packing, demand.weight_bits)
    smallest = (data_bits(spending, scale_bits, 0, depth, magnitudes, options)[0] for spending in ways)
    return any(sum(bits) + max(min(SPECIAL_BITS), bits[0]) <= allowed for bits in smallest)


def _least_scale_bits(demand: Demand, ring_degree: int, packing: Packing) -> int:
    """No smaller scale can do: the rounding of the last rescale alone would be too much."""
    largest = 1 << (max(math.prod(n.output.shape) for n in demand.graph.nodes) - 1).bit_length()
    slots = min(packing.slots(ring_degree), largest)
    rounding = WORST_DEVIATION * math.sqrt(RingNoise(ring_degree, slots, packing.lanes).rounding)
    least = math.floor(demand.precision_bits + math.log2(rounding))
    if demand.options.share:
        hidden = WORST_DEVIATION * flooding_factor(demand.options.share, 1) * least_error(ring_degree)
        least = max(least, math.floor(demand.options.precision_bits + math.log2(hidden)))
    return max(demand.scale_bits_from, _scales(demand.options).start, least)


def _scales(options: Options) -> range:
    """Bits of the scales to try."""
    return SHARED_SCALE_BITS if options.share else SCALE_BITS

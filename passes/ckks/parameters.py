"""Parameter selection: the cheapest modulus chain that keeps the precision promised within the security table.

The chain is searched, not computed by a formula: for a ring, every way of spending primes (one per product, or one per
square and the linear layer after it), every scale from small to large and a few sizes of the special prime. A
candidate's log2(QP), special primes counted, must be within the table; its precision, predicted by the noise model,
must be what was asked for; among those the cost model picks.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

import numpy as np

from hecc.compiler.ckks.chain.bootstrapping import Bootstrapping
from hecc.compiler.ckks.chain.chain_costs import ChainCosts
from hecc.compiler.ckks.chain.scaling import Chain, Magnitude, Scales, Scaling
from hecc.compiler.ckks.chain.spending import Spending, data_bits, find_primes, headroom, spendings
from hecc.compiler.ckks.lowering.lowering import Lowered
from hecc.compiler.ckks.lowering.packing import Packing
from hecc.compiler.ckks.options import Options
from hecc.compiler.ckks.prediction.devices import DEVICE_MODELS
from hecc.compiler.ckks.prediction.noise import NoisePrediction
from hecc.compiler.graph.graph import Graph
from hecc.runtime.ckks.circuit.instructions import AddPlain
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.circuit.polynomials import Expansion
from hecc.runtime.ckks.circuit.security import MAX_PRIME_BITS, limit
from hecc.runtime.ckks.disclosure import flooding_factor
from hecc.runtime.ckks.readings.noise_bound import least_error
from hecc.runtime.ckks.readings.noise_drawn import RingNoise
from hecc.runtime.ckks.readings.types import HEADROOM
from hecc.runtime.errors import CircuitError, SecurityError

__all__ = ["WORST_DEVIATION", "Candidate", "Demand", "choose_chain", "could_fit", "least_key_bytes"]

SCALE_BITS = range(18, 48)
DISCLOSED_SCALE_BITS = range(40, 121)
"""Of results to be disclosed: noise that hides the largest error there can be needs so many bits more."""

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

SKIP_MARGIN = 1.5
"""A scale larger by a bit makes results more precise by a bit at most, give or take how near primes are to powers of
two: where bits are missing, scales that cannot do are skipped."""

HOPELESS = 0.1
"""Bits that even the largest scale misses, where no other is tried."""

MAX_DIGIT = 8
"""Data primes per digit, at most."""

WORST_DEVIATION = 4.5
"""Standard deviations that the largest of some thousand errors stays within."""

SMALLEST = 2.0**-1000
"""Stands for errors of zero in logarithms."""


@dataclass(frozen=True)
class Candidate:
    """A chain with what it costs and how precise it is.

    Attributes
    ----------
    seconds
        Predicted time of one run.
    precision_bits
        ``-log2`` of the largest predicted error of an element of an output over its unit.
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
        For results to be disclosed: by how many bits the weights ahead of a polynomial are more precise, so that
        their rounding does not drive its argument far off.
    sensitivity
        By output, what a standard deviation of one in it makes of the precision: an error that is so large a part of
        what was asked for (:class:`hecc.compiler.promise.promise.Promise`). By default errors are parts of the largest
        element.
    """

    graph: Graph
    depth: Mapping[str, int]
    magnitudes: Mapping[str, Magnitude]
    options: Options
    precision_bits: float
    scale_bits_from: int = 0
    weight_bits: int = 0
    sensitivity: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def errors(self) -> dict[str, float]:
        """What a standard deviation of one in each output makes of the precision."""
        default = {name: WORST_DEVIATION / self.observed[name] for name in self.graph.outputs}
        return {**default, **self.sensitivity}

    @cached_property
    def fineness(self) -> float:
        """Bits by which the outputs have to be more precise than their largest element does."""
        return math.log2(max(self.errors[name] * self.observed[name] for name in self.graph.outputs) / WORST_DEVIATION)

    @cached_property
    def room(self) -> dict[int, float]:
        """Bits of modulus beyond the scale's that the values of each depth need."""
        return headroom(self.depth, self.magnitudes)

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
    options = demand.options
    try:
        allowed = limit(ring_degree, options.security, options.adversary)
    except SecurityError:
        return None
    trials = _Trials(demand, lowered, ring_degree)
    if options.bootstrapping is not None:
        only = _bootstrapped(demand, options.bootstrapping, allowed)
        if only is not None:
            trials.consider(only)
        return trials.best
    ways = spendings(demand.graph, demand.depth, options, ring_degree, packing, demand.weight_bits)
    # The largest error hardly depends on what the others are for: the scale, not the inputs' noise, makes it small.
    inputs = INPUT_BITS[:1] if options.disclose else INPUT_BITS
    if options.chain is not None:
        scales_from = range(max(demand.scale_bits_from, _scales(options).start), _scales(options).stop)
        for chain in _prefixes(options.chain, itertools.product(ways, scales_from, inputs), demand):
            trials.consider(chain)
        return trials.best
    smallest = _least_scale_bits(demand, ring_degree, packing)
    for spending, switching, input_bits in itertools.product(ways, _switchings(options, demand.depth), inputs):
        _follow(_Way(demand, ring_degree, allowed, spending, switching, input_bits), smallest, trials)
    return trials.best


def least_key_bytes(demand: Demand, lowered: Lowered, ring_degree: int, packing: Packing) -> float:
    """Bytes of the smallest keys of any chain for one ring, whatever its precision; infinity where none fits."""
    options = demand.options
    try:
        allowed = limit(ring_degree, options.security, options.adversary)
    except SecurityError:
        return math.inf
    costs = _Trials(demand, lowered, ring_degree).costs
    smallest = _least_scale_bits(demand, ring_degree, packing)
    ways = spendings(demand.graph, demand.depth, options, ring_degree, packing, demand.weight_bits)
    least = math.inf
    for spending, switching in itertools.product(ways, _switchings(options, demand.depth)):
        way = _Way(demand, ring_degree, allowed, spending, switching, INPUT_BITS[0])
        # There may be too few small primes.
        scales = range(smallest, way.largest(smallest) + 1)
        chain = next((chain for bits in scales if (chain := way.chain(bits)) is not None), None)
        if chain is not None:
            least = min(least, costs.key_bytes(chain))
    return least


def _bootstrapped(demand: Demand, bootstrapping: Bootstrapping, allowed: int) -> Chain | None:
    """The chain for bootstraps, of which there is one for each number of levels between them; if there are so many."""
    levels = max(demand.depth.values()) - bootstrapping.behind
    data = bootstrapping.data_bits(levels)
    primes = find_primes((*data, *[bootstrapping.special_bits] * bootstrapping.special), bootstrapping.ring_degree)
    if levels > bootstrapping.levels or primes is None:
        return None
    chain = Chain(
        ring_degree=bootstrapping.ring_degree,
        scale_bits=bootstrapping.scale_bits,
        input_bits=bootstrapping.scale_bits,
        data_primes=primes[: len(data)],
        special_primes=primes[len(data) :],
        dropped=(0, *[1] * (len(data) - 1)),
        digit_limbs=bootstrapping.digit_limbs,
    )
    return chain if chain.log2_qp <= allowed else None


def _follow(way: _Way, smallest: int, trials: _Trials) -> None:
    """Try the scales of a way, from small to large, until it is precise enough or slower than the best."""
    scale_bits, last = smallest, way.largest(smallest)
    hopeful = False
    while scale_bits <= last:
        step, chain = 1, way.chain(scale_bits)
        if chain is not None:
            if trials.too_slow(chain):
                return
            missing = trials.consider(chain)
            if missing <= 0:
                hopeful, last = True, min(last, scale_bits + SPARE_BITS)
            elif missing < math.inf:
                if not hopeful:
                    # Weights, or keys, may leave errors that no scale makes smaller.
                    largest = next((c for bits in range(last, scale_bits, -1) if (c := way.chain(bits))), None)
                    if largest is None or HOPELESS < trials.missing(largest) < math.inf:
                        return
                    hopeful = True
                step = max(1, math.floor(missing - SKIP_MARGIN))
        scale_bits += step


@dataclass(frozen=True)
class _Way:
    """A way to build a chain, for any scale.

    Attributes
    ----------
    allowed
        log2(QP), at most.
    input_bits
        By how much larger than others the inputs' scale is.
    """

    demand: Demand
    ring_degree: int
    allowed: int
    spending: Spending
    switching: _Switching
    input_bits: int

    def largest(self, smallest: int) -> int:
        """The largest scale, in bits, that the table may have room for; less than the smallest if there is none."""
        scales = range(smallest, _scales(self.demand.options).stop)
        return smallest + bisect.bisect(scales, False, key=lambda bits: self._sizes(bits) is None) - 1

    def chain(self, scale_bits: int) -> Chain | None:
        """The chain at a scale; ``None`` where there are no such primes, or they are just too large."""
        sizes = self._sizes(scale_bits)
        if sizes is None:
            return None
        data, special, dropped = sizes
        primes = find_primes((*data, *special), self.ring_degree)
        if primes is None:
            return None
        chain = Chain(
            ring_degree=self.ring_degree,
            scale_bits=scale_bits,
            input_bits=scale_bits + self.input_bits,
            data_primes=primes[: len(data)],
            special_primes=primes[len(data) :],
            dropped=dropped,
            digit_limbs=self.switching.digit_limbs,
        )
        return chain if chain.log2_qp <= self.allowed else None

    def _sizes(self, scale_bits: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None:
        """Bits of data primes and of special primes, and what is dropped; ``None`` if the table has no room."""
        data, dropped = data_bits(self.spending, scale_bits, self.input_bits, self.demand.room, self.demand.options)
        special = self.switching.special_bits(data)
        fits = sum((*data, *special)) <= self.allowed and max(data) <= MAX_PRIME_BITS
        return (data, special, dropped) if fits and self.switching.digit_limbs <= len(data) else None


class _Trials:
    """Chains tried for a lowered circuit in one ring, and the best of them."""

    def __init__(self, demand: Demand, lowered: Lowered, ring_degree: int) -> None:
        self._demand, self._lowered = demand, lowered
        self._prediction = NoisePrediction(lowered, demand.graph, demand.magnitudes, ring_degree)
        self._scaling = Scaling(lowered, demand.graph, demand.depth, demand.observed)
        self.costs = ChainCosts(lowered, self._scaling, self._prediction.profiles, ring_degree, demand.options)
        bounds = {i: demand.magnitudes[value].bound for value, i in lowered.results.items()}
        circuit = lowered.circuit
        added = {i: circuit.constants[ins.vector] for i, ins in circuit.every(AddPlain)}
        # A plaintext has to be below half of the modulus.
        self._rooms = [
            max(_room(bounds.get(i, 0.0)), Fraction(2 * float(np.abs(added[i]).max())) if i in added else Fraction(0))
            for i in range(len(circuit.instructions))
        ]
        self._rooms_within = {
            i: [_room(profile.bounds.get(k, 0.0)) for k in range(1, len(profile.limbs))]
            for i, profile in self._prediction.profiles.items()
        }
        self.best: Candidate | None = None

    def too_slow(self, chain: Chain) -> bool:
        """Whether a chain takes longer than the best that keeps to the budget; so do those of larger scales."""
        best = self.best
        if best is None or best.excess(self._demand.options):
            return False
        return self.costs.seconds(chain) > best.seconds * (1 + 1e-9)

    def consider(self, chain: Chain) -> float:
        """Take a chain for the best if it is.

        Returns
        -------
        float
            How many bits of precision are missing, none or less for a chain that has them; infinity if it has no room.
        """
        key_bytes = self.costs.key_bytes(chain)
        if self.best is not None and _excess(key_bytes, self._demand.options) > self.best.excess(self._demand.options):
            return math.inf
        predicted = self._predicted(chain)
        if predicted is None:
            return math.inf
        scales, deviations, bits = predicted
        if bits >= self._demand.precision_bits:
            candidate = Candidate(chain, scales, self.costs.seconds(chain), bits, deviations, key_bytes)
            if self.best is None or self._demand.rank(candidate) < self._demand.rank(self.best):
                self.best = candidate
        return self._demand.precision_bits - bits

    def missing(self, chain: Chain) -> float:
        """How many bits of precision a chain misses, as :meth:`consider` returns it."""
        predicted = self._predicted(chain)
        return math.inf if predicted is None else self._demand.precision_bits - predicted[2]

    def _predicted(self, chain: Chain) -> tuple[Scales, dict[str, float], float] | None:
        """Scales, deviations of the outputs' errors, and bits of precision; ``None`` for a chain that has no room.

        Where they are fewer than wanted, even fewer may be left: what polynomials add was not looked at then.
        """
        scales = self._scaling.scales(chain)
        if not self._has_room(scales):
            return None
        deviations, bits = self._noise(scales, {})
        if self._rooms_within and bits >= self._demand.precision_bits:
            # Expanding polynomials takes longer than everything else: only where all other noise leaves enough bits.
            expansions = self._expansions(scales)
            if expansions is None:
                return None
            deviations, bits = self._noise(scales, expansions)
        return scales, deviations, bits

    def _noise(self, scales: Scales, expansions: Mapping[int, Expansion]) -> tuple[dict[str, float], float]:
        """Deviations of the outputs' errors, and bits of precision."""
        deviations = self._prediction.deviations(scales, expansions)
        bits = min(-math.log2(max(deviations[name] * error, SMALLEST)) for name, error in self._demand.errors.items())
        return deviations, bits

    def _has_room(self, scales: Scales) -> bool:
        """Whether every scale, and every value at its scale, is below the modulus; squares of squares stray."""
        circuit = self._lowered.circuit
        for i, ins in circuit.every(AddPlain):
            scale = scales.scale[i]
            if scale >= 1 << LARGE_SCALE_BITS:
                largest = Fraction(float(np.abs(circuit.constants[ins.vector]).max()))
                if scale * largest >= 1 << ENCODED_BITS:
                    return False
        return all(
            scale * room < scales.chain.modulus(limbs)
            for scale, room, limbs in zip(scales.scale, self._rooms, scales.limbs, strict=True)
        )

    def _expansions(self, scales: Scales) -> dict[int, Expansion] | None:
        """The polynomials under a chain, by instruction; None when one of them has no room."""
        chain, expansions = scales.chain, {}
        for i, profile in self._prediction.profiles.items():
            x = profile.instruction.x
            try:
                expansion = profile.scaled(
                    scales.ready_limbs(x),
                    scales.ready_scale(x),
                    scales.dropped(i, x),
                    scales.scale[i],
                    chain.data_primes,
                )
            except CircuitError:
                return None
            values = zip(expansion.scales, self._rooms_within[i], expansion.limbs, strict=True)
            if any(scale is None or scale * room >= chain.modulus(limbs) for scale, room, limbs in values):
                return None
            expansions[i] = expansion
        return expansions


def _prefixes(shared: KeySpecification, ways: Iterable[tuple[Spending, int, int]], demand: Demand) -> Iterator[Chain]:
    """Chains of the first of another plan's primes: whoever needs fewer limbs encrypts with fewer.

    For each way to spend primes at a scale of so many bits, the inputs' with so many more.
    """
    for spending, scale_bits, input_bits in ways:
        bases, dropped = (1, 2), tuple(1 if prime else 0 for prime in spending)
        if demand.options.disclose:
            # Scales that are larger than primes: how many primes each takes depends on its size.
            sizes, dropped = data_bits(spending, scale_bits, input_bits, demand.room, demand.options)
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


def _room(bound: float) -> Fraction:
    """By how much the modulus exceeds a scale, at least: it holds the scale itself, and a value that large at it."""
    return Fraction(max(HEADROOM * bound, 1.0))


def _excess(key_bytes: int, options: Options) -> int:
    return 0 if options.key_budget is None else max(0, key_bytes - options.key_budget)


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
    single = [_Switching(1, bits) for bits in (SPECIAL_BITS[:1] if options.disclose else SPECIAL_BITS)]
    if not DEVICE_MODELS[options.device].hybrid_keys:
        return single
    most = max(depth.values()) + 2
    slacks = SPECIAL_SLACK[:1] if options.disclose else SPECIAL_SLACK
    return [_Switching(size, slack) for size in range(min(most, MAX_DIGIT), 1, -1) for slack in slacks] + single


def could_fit(demand: Demand, ring_degree: int, packing: Packing) -> bool:
    """Whether the table has room for the smallest chain, before any layout is computed for this ring."""
    options = demand.options
    try:
        allowed = limit(ring_degree, options.security, options.adversary)
    except SecurityError:
        return False
    if options.bootstrapping is not None:
        return ring_degree == options.bootstrapping.ring_degree and not packing.elementwise
    if options.chain is not None:
        return ring_degree == options.chain.ring_degree
    scale_bits = _least_scale_bits(demand, ring_degree, packing)
    ways = spendings(demand.graph, demand.depth, options, ring_degree, packing, demand.weight_bits)
    smallest = (data_bits(spending, scale_bits, 0, demand.room, options)[0] for spending in ways)
    return any(sum(bits) + max(min(SPECIAL_BITS), bits[0]) <= allowed for bits in smallest)


def _least_scale_bits(demand: Demand, ring_degree: int, packing: Packing) -> int:
    """No smaller scale can do: the rounding of the last rescale alone would be too much."""
    largest = 1 << (max(math.prod(n.output.shape) for n in demand.graph.nodes) - 1).bit_length()
    slots = min(packing.slots(ring_degree), largest)
    rounding = WORST_DEVIATION * math.sqrt(RingNoise(ring_degree, slots, packing.lanes).rounding)
    least = math.floor(demand.precision_bits + demand.fineness + math.log2(rounding))
    if demand.options.disclose:
        hidden = WORST_DEVIATION * flooding_factor(demand.options.disclose, 1) * least_error(ring_degree)
        least = max(least, math.floor(demand.options.precision + demand.fineness + math.log2(hidden)))
    return max(demand.scale_bits_from, _scales(demand.options).start, least)


def _scales(options: Options) -> range:
    """Bits of the scales to try."""
    return DISCLOSED_SCALE_BITS if options.disclose else SCALE_BITS

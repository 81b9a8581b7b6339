"""Parameter selection: the cheapest modulus chain that keeps the precision promised within the security table.

The chain is searched, not computed by a formula: for a ring, every way of spending primes (one per product, or one per
square and the linear layer after it), every scale from small to large and a few sizes of the special prime. A
candidate's log2(QP), special primes counted, must be within the table; its precision, predicted by the noise model,
must be what was asked for; among those the cost model picks.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.cost import circuit_seconds, cost_model, instruction_costs
from hecc.compiler.ir.graph import AffineNode, Graph, PolynomialNode, ProductNode, SeriesNode
from hecc.compiler.lowering import Lowered
from hecc.compiler.memory import evaluation_key_bytes
from hecc.compiler.options import Options
from hecc.compiler.packing import Packing
from hecc.compiler.scaling import Chain, Scales, assign_scales, is_product
from hecc.compiler.series import PolynomialProfile
from hecc.runtime.circuit import (
    Add,
    AddPlain,
    Circuit,
    Fold,
    Input,
    Instruction,
    LinearTransform,
    MatrixProduct,
    Multiply,
    MultiplyPlain,
    PairedInput,
    Polynomial,
    Relinearize,
    Rotate,
    Square,
    Subtract,
)
from hecc.runtime.errors import CircuitError, ParameterError, SecurityError
from hecc.runtime.flooding import flooding_factor
from hecc.runtime.noise import WEIGHT_ROUNDING, RingNoise, TransformStatistics
from hecc.runtime.parameters import GaloisElement, KeySpecification, SecurityEvidence
from hecc.runtime.polynomials import Expansion
from hecc.runtime.security import MAX_PRIME_BITS, limit, ntt_primes
from hecc.runtime.verify import HEADROOM, verify
from hecc.runtime.worst_case import least_error

__all__ = ["Candidate", "Demand", "Magnitude", "NoisePrediction", "choose_chain", "could_fit"]

SCALE_BITS = range(18, 48)
SHARED_SCALE_BITS = range(40, 121)
"""Of results that are shown to others: noise that hides the largest error there can be needs so many bits more."""

SHARED_WEIGHT_BITS = 16
"""Bits of such a network's weights beyond the precision, as for others: their rounding tells nothing of the key."""

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

WEIGHT_BITS = (10, 13, 16, 20)
"""Of the weights of a matrix product: scalars, whose rounding is as small a part of the result as of the weight. Slot
values need as many bits as the scale has."""

SPARE_BITS = 3
"""Precision beyond the promise that is taken where it costs no limb."""

MAX_DIGIT = 8
"""Data primes per digit, at most."""

WORST_SLOT = 6.0
"""Standard deviations that the errors in all slots of a ring stay within."""

STEADY = 1 / 8
"""Largest error of a polynomial's argument, times its degree.

A slot's error is complex. A Chebyshev polynomial of degree n grows like ``cosh(n e / sqrt(1 - x^2))`` a distance e
beside the real axis: harmless while the exponent is below 1, and beyond all bounds soon after."""

WORST_DEVIATION = 4.5
"""Standard deviations that the largest of some thousand errors stays within."""


@dataclass(frozen=True)
class Magnitude:
    """Of one graph value: largest observed, root mean square, what must not overflow; quantiles of an argument."""

    observed: float
    rms: float
    bound: float
    quantiles: tuple[float, ...] = ()


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
    spendings = _spendings(demand, ring_degree, packing)
    # The largest error hardly depends on what the others are for: the scale, not the inputs' noise, makes it small.
    inputs = INPUT_BITS[:1] if options.share else INPUT_BITS
    if options.chain is not None:
        sizes = range(max(demand.scale_bits_from, _scales(options).start), _scales(options).stop)
        ways = itertools.product(spendings, sizes, inputs)
        return _best_of(_prefixes(options.chain, ways, demand), demand, lowered, prediction, rotations)
    best: Candidate | None = None
    smallest = _least_scale_bits(demand, ring_degree, packing)
    switchings = _switchings(options, depth)
    for spending, switching, input_bits in itertools.product(spendings, switchings, inputs):
        least: int | None = None
        for scale_bits in range(smallest, _scales(options).stop):
            data_bits, dropped = _data_bits(spending, scale_bits, input_bits, depth, magnitudes, options)
            special_bits = switching.special_bits(data_bits)
            too_large = sum((*data_bits, *special_bits)) > allowed or max(data_bits) > MAX_PRIME_BITS
            if too_large or switching.digit_limbs > len(data_bits):
                break
            primes = _primes((*data_bits, *special_bits), ring_degree)
            if primes is None:
                continue
            chain = Chain(
                ring_degree=ring_degree,
                scale_bits=scale_bits,
                input_bits=scale_bits + input_bits,
                data_primes=primes[: len(data_bits)],
                special_primes=primes[len(data_bits) :],
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


def _prefixes(shared: KeySpecification, ways: Iterable[tuple[_Spending, int, int]], demand: Demand) -> Iterator[Chain]:
    """Chains of the first of another plan's primes: whoever needs fewer limbs encrypts with fewer.

    For each way to spend primes at a scale of so many bits, the inputs' with so many more.
    """
    for spending, scale_bits, input_bits in ways:
        bases, dropped = (1, 2), tuple(1 if prime else 0 for prime in spending)
        if demand.options.share:
            # Scales that are larger than primes: how many primes each takes depends on its size.
            sizes, dropped = _data_bits(
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
    spendings = _spendings(demand, ring_degree, packing)
    smallest = (_data_bits(spending, scale_bits, 0, depth, magnitudes, options)[0] for spending in spendings)
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


@dataclass(frozen=True)
class _Prime:
    """A prime as large as the products that share it need: ``scales`` times the scale's size, and so many bits more."""

    scales: int
    more: int = 0

    def bits(self, scale_bits: int) -> int:
        """Size of the prime."""
        return self.scales * scale_bits + self.more


_Spending: TypeAlias = tuple[_Prime | None, ...]
"""For each depth the prime that its products are divided by, or ``None`` where the next depth's prime does it."""


def _spendings(demand: Demand, ring_degree: int, packing: Packing) -> list[_Spending]:
    """Ways to spend primes along the depth of the network."""
    graph, depth, options = demand.graph, demand.depth, demand.options
    ways = _paired(graph, depth), _one_each(depth)
    spendings: list[_Spending]
    if options.share:
        single = _one_each(depth)
        weight_bits = math.ceil(options.precision_bits) + SHARED_WEIGHT_BITS
        spendings = [_weighted(graph, depth, single, weight_bits, ring_degree, demand.weight_bits)]
    elif packing.elementwise:
        spendings = [_weighted(graph, depth, way, bits, ring_degree) for way in ways for bits in WEIGHT_BITS]
    else:
        spendings = [tuple(_Prime(times) if times else None for times in way) for way in ways]
    return list(dict.fromkeys(spendings))


def _weighted(
    graph: Graph, depth: Mapping[str, int], way: tuple[int, ...], weight_bits: int, ring_degree: int, more: int = 0
) -> _Spending:
    """Primes for products with scalars, which need fewer bits than squares do; ``more`` ahead of polynomials."""
    ahead = max((depth[n.value] for n in graph.nodes if isinstance(n, SeriesNode | PolynomialNode)), default=0)
    squares = _depths_of_squares(graph, depth) | _levels_of_series(graph, depth)
    primes: list[_Prime | None] = []
    scales = weights = 0
    for d, times in enumerate(way):
        if d:
            scales, weights = (scales + 1, weights) if d in squares else (scales, weights + 1)
        if times:
            # There is no prime that is 1 modulo 2N below 2N, and there are few just above.
            least = 0 if scales else (2 * ring_degree).bit_length() + 1
            primes.append(_Prime(scales, max(weights * (weight_bits + (more if d <= ahead else 0)), least)))
            scales = weights = 0
        else:
            primes.append(None)
    return tuple(primes)


def _depths_of_squares(graph: Graph, depth: Mapping[str, int]) -> set[int]:
    return {depth[n.output.name] for n in graph.nodes if isinstance(n, PolynomialNode | ProductNode)}


def _levels_of_series(graph: Graph, depth: Mapping[str, int]) -> set[int]:
    """Every depth at which a Chebyshev series has products."""
    series = [node for node in graph.nodes if isinstance(node, SeriesNode)]
    return {d for node in series for d in range(depth[node.value] + 1, depth[node.output.name] + 1)}


def _one_each(depth: Mapping[str, int]) -> tuple[int, ...]:
    """After every product a prime of the scale's size."""
    return (0, *(1 for _ in range(max(depth.values()))))


def _paired(graph: Graph, depth: Mapping[str, int]) -> tuple[int, ...]:
    """A square shares one prime of twice the scale's size with the linear layers after it, where only such follow."""
    deepest = max(depth.values())
    squares, levels = _depths_of_squares(graph, depth), _levels_of_series(graph, depth)
    linear = {depth[n.output.name] for n in graph.nodes if isinstance(n, AffineNode) and not n.reshapes_only}
    ends = {depth[name] for name in graph.outputs}
    factors = {depth[value] for n in graph.nodes if isinstance(n, PolynomialNode | ProductNode) for value in n.inputs}
    spending = [0] * (deepest + 1)
    for d in range(1, deepest + 1):
        shared = d in squares and d not in linear | ends | factors and d + 1 in linear and d + 1 not in squares
        # Every level of a series divides by a prime of the scale's size, which keeps the powers at their scale.
        shared = shared and not levels.intersection((d, d + 1))
        if not shared:
            spending[d] = 2 if d > 1 and spending[d - 1] == 0 else 1
    return tuple(spending)


def _data_bits(
    spending: _Spending,
    scale_bits: int,
    input_bits: int,
    depth: Mapping[str, int],
    magnitudes: Mapping[str, Magnitude],
    options: Options,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Bits of every data prime, and for each depth how many primes its values are divided by.

    The primes are those that nothing is divided by, then the deepest rescale's to the first's. The first are as large
    as the value with the least headroom needs. For results to be shown to others scales are larger than primes can be,
    and a rescale divides by several (Agrawal et al., "High-precision RNS-CKKS on fixed but smaller word-size
    architectures", WAHC 2023).
    """
    primes = [prime.bits(scale_bits) if prime else 0 for prime in spending]
    if len(primes) > 1:
        primes[1] += input_bits
    # Room for the value at its scale, 2^scale_bits / observed; and for the scale itself, should the value be tiny.
    base_bits = max(
        math.ceil(scale_bits + math.log2(max(HEADROOM * m.bound, 2.0) / m.observed) + 0.1)
        + (0 if depth[value] else input_bits)
        - sum(primes[depth[value] + 1 :])
        for value, m in magnitudes.items()
    )
    if options.share:
        groups = [_split(bits) for bits in primes]
        flat = (bits for group in reversed(groups) for bits in group)
        return (*_split(max(base_bits, scale_bits)), *flat), tuple(len(group) for group in groups)
    bases = max(1, -(-base_bits // MAX_PRIME_BITS))
    base = max(-(-base_bits // bases), scale_bits)
    dropped = tuple(1 if bits else 0 for bits in primes)
    return (*(base for _ in range(bases)), *(bits for bits in reversed(primes) if bits)), dropped


def _split(bits: int) -> tuple[int, ...]:
    """The sizes of as few primes as together have so many bits."""
    number = -(-bits // MAX_PRIME_BITS)
    return tuple(-(-bits // number) for _ in range(number))


@lru_cache(maxsize=4096)
def _primes(sizes: tuple[int, ...], ring_degree: int) -> tuple[int, ...] | None:
    """Distinct primes of about the given sizes, or None when there are not enough."""
    primes: list[int] = []
    for bits in sizes:
        found = next((q for q in _near(bits, ring_degree) if q not in primes), None)
        if found is None:
            try:
                (found,) = ntt_primes(bits, ring_degree, 1, primes)
            except ParameterError:
                return None
        primes.append(found)
    return tuple(primes)


@lru_cache(maxsize=1024)
def _near(bits: int, ring_degree: int) -> tuple[int, ...]:
    """A few primes of a size, nearest first: the search asks for the same sizes over and over."""
    for count in (12, 4, 1):
        with contextlib.suppress(ParameterError):
            return ntt_primes(bits, ring_degree, count)
    return ()


class NoisePrediction:
    """The noise model propagated through a lowered circuit, for any chain of one ring.

    A value has one variance, the mean over its slots. What the bias of key switching adds to a result of the network
    counts with the slot that suffers most.
    """

    def __init__(
        self,
        lowered: Lowered,
        graph: Graph,
        magnitudes: Mapping[str, Magnitude],
        ring_degree: int,
    ) -> None:
        self._lowered, self._outputs, self._magnitudes = lowered, graph.outputs, magnitudes
        circuit = lowered.circuit
        self._ring = RingNoise(ring_degree, circuit.slots, circuit.lanes)
        self._types = verify(circuit, None)
        self._statistics = {
            i: TransformStatistics.of(circuit.diagonals(ins), ins.count, self._ring)
            for i, ins in enumerate(circuit.instructions)
            if isinstance(ins, LinearTransform)
        }
        self._matrices = {
            i: self._matrix_gain(i, ins) for i, ins in enumerate(circuit.instructions) if isinstance(ins, MatrixProduct)
        }
        self.profiles = {
            i: PolynomialProfile.of(circuit, ins, magnitudes[lowered.values[ins.x]].quantiles)
            for i, ins in enumerate(circuit.instructions)
            if isinstance(ins, Polynomial)
        }
        self._origins = _origins(circuit)
        self._filled = [int(np.count_nonzero(t.content)) for t in self._types]
        self._biases = {
            i: tuple(self._typical(i, profile) for profile in profiles)
            for i, ins in enumerate(circuit.instructions)
            if (profiles := self._profiles(i, ins))
        }

    def _matrix_gain(self, i: int, ins: MatrixProduct) -> tuple[float, float, float]:
        """Sum of squared weights, squared sum, and number of weights of the typical row; of the largest in a result."""
        matrix = self._lowered.circuit.matrix(ins)
        values = matrix.values.astype(np.float64)
        squares, sums = (np.bincount(matrix.rows, v, len(matrix)) for v in (values**2, values))
        typical = np.max if self._lowered.values[i] in self._outputs else np.mean
        return float(typical(squares)), float(typical(sums**2)), float(typical(np.diff(matrix.offsets)))

    def _profiles(self, i: int, ins: Instruction) -> tuple[NDArray[np.float64], ...]:
        """The bias of an instruction's rotations in each slot."""
        if isinstance(ins, LinearTransform):
            return self._statistics[i].rotated_bias, self._statistics[i].giant_bias
        if isinstance(ins, Fold):
            return (self._ring.fold_bias(ins.steps),)
        return (self._ring.bias,) if isinstance(ins, Relinearize | Rotate | Polynomial | PairedInput) else ()

    def _typical(self, i: int, profile: NDArray[np.float64]) -> float:
        """What stands for a profile over the slots that hold data."""
        data = np.broadcast_to(profile, self._types[i].content.shape)[self._types[i].content != 0]
        if not data.size:
            return 0.0
        return float(data.max() if self._lowered.values[i] in self._outputs else data.mean())

    def deviations(self, scales: Scales, expansions: Mapping[int, Expansion]) -> dict[str, float]:
        """Standard deviation of the error of each output, by name; ``expansions`` are those of the polynomials.

        It is infinite where an error in one slot alone could drive a polynomial out of bounds: an overflow in any slot
        of the ring, copies and gaps included, ruins all of them.
        """
        circuit, chain, ring = self._lowered.circuit, scales.chain, self._ring
        special = float(math.prod(chain.special_primes))
        # Digits of several primes are taken around zero, and have no bias.
        biased = 1.0 if chain.digit_limbs == 1 else 0.0
        variances: list[float] = []
        # What the bias of relinearisation adds is the same in all ciphertexts of an array, and does not average out in
        # a matrix product; of such circuits it is kept apart.
        common: list[float] = []
        # Of the results of polynomials where they are steepest, and in one copy.
        steepest: dict[int, float] = {}
        steady = True

        def ready(value: int) -> float:
            if not scales.pending(value):
                return variances[value]
            rounding = ring.rescaling(self._types[value].polynomials)
            return variances[value] + rounding / float(scales.ready_scale(value)) ** 2

        def switched(limbs: int) -> float:
            return ring.switching(chain.digits(limbs), special)

        for i, ins in enumerate(circuit.instructions):
            shared = common[ins.operands[0]] if ins.operands else 0.0
            unit = 1.0 / float(scales.scale[i]) ** 2
            switching = ring.switching(chain.digits(scales.limbs[i]), special)
            key_switch = ring.rounding + switching
            if isinstance(ins, Input):
                variance = (ring.fresh + ring.encoding) * unit
                if isinstance(ins, PairedInput):
                    variance = 4 * variance + key_switch * unit
                    bias = biased * switching * self._biases[i][0] * unit
                    variance, shared = (variance, bias) if self._matrices else (variance + bias, shared)
            elif isinstance(ins, LinearTransform):
                plain = scales.plain[i]
                assert plain is not None
                statistics = self._statistics[i]
                mean_square = self._mean_square(ins.x) * self._filled[ins.x] / self._types[ins.x].content.size
                before = float(scales.ready_scale(ins.x))
                variance = statistics.gain * ready(ins.x)
                variance += statistics.added(ring, switching, before, float(plain), mean_square)
                rotated, giant = self._biases[i]
                variance += biased * switching / before**2 * (rotated + giant / float(plain) ** 2)
            elif isinstance(ins, MatrixProduct):
                gain, sums, weights = self._matrices[i]
                shared *= sums
                variance = gain * (ready(ins.x) if is_product(ins) else variances[ins.x])
                plain = scales.plain[i]
                # Rounded weights are off by up to half a unit, each by another share of it; integers by nothing.
                rounding = 0.0 if plain is None else weights / (12 * float(plain) ** 2)
                variance += (rounding + gain * WEIGHT_ROUNDING**2) * self._mean_square(ins.x)
            elif isinstance(ins, Fold):
                copies = self._filled[ins.x] * ins.span / max(1, self._filled[i] * ins.period)
                variance = copies * variances[ins.x] + (ins.span // ins.period - 1) * key_switch * unit
                variance += biased * switching * self._biases[i][0] * unit
            elif isinstance(ins, Square):
                variance = 4 * self._mean_square(ins.x) * (ready(ins.x) + shared)
                shared = 0.0
            elif isinstance(ins, Multiply):
                left = self._mean_square(ins.y) * (ready(ins.x) + common[ins.x])
                right = self._mean_square(ins.x) * (ready(ins.y) + common[ins.y])
                # Powers of one value err alike.
                alike = 2 * math.sqrt(left * right) if self._origins[ins.x] & self._origins[ins.y] else 0.0
                variance, shared = left + right + alike, 0.0
            elif isinstance(ins, Polynomial):
                profile = self.profiles[i]
                added, keys = profile.added(expansions[i], ring, switched)
                variance = profile.gain * (ready(ins.x) + shared) + added
                worst = steepest.get(ins.x, ring.copies * (ready(ins.x) + shared))
                steady &= profile.degree * WORST_SLOT * math.sqrt(worst) <= STEADY
                steepest[i] = profile.slope**2 * worst + ring.copies * (added + keys)
                keys *= biased * self._biases[i][0]
                shared, variance = (keys, variance) if self._matrices else (shared, variance + keys)
            elif isinstance(ins, MultiplyPlain):
                vector = circuit.constants[ins.vector]
                encoding = ring.encoding / float(scales.ready_scale(ins.x)) ** 2
                variance = float(np.mean(vector[vector != 0] ** 2)) * ready(ins.x)
                variance += encoding * self._mean_square(ins.x)
            elif isinstance(ins, Relinearize) and self._matrices:
                variance = variances[ins.x] + key_switch * unit
                shared += biased * switching * self._biases[i][0] * unit
            elif isinstance(ins, Relinearize | Rotate):
                variance = variances[ins.x] + (key_switch + biased * switching * self._biases[i][0]) * unit
            elif isinstance(ins, Add | Subtract):
                variance = variances[ins.x] + variances[ins.y]
                shared = (math.sqrt(common[ins.x]) + math.sqrt(common[ins.y])) ** 2
            elif isinstance(ins, AddPlain):
                variance = variances[ins.x] + ring.encoding * unit
            else:
                variance = ready(ins.operands[0])
            variances.append(variance)
            common.append(shared)
        if not steady:
            return dict.fromkeys(self._outputs, math.inf)
        results = {name: self._lowered.results[name] for name in self._outputs}
        return {name: math.sqrt(ready(value) + common[value]) for name, value in results.items()}

    def _mean_square(self, value: int) -> float:
        """Of the data slots of a value."""
        return self._magnitudes[self._lowered.values[value]].rms ** 2


ELEMENTWISE = (Add, AddPlain, Multiply, MultiplyPlain, Polynomial, Relinearize, Square, Subtract)
"""Instructions whose result's error in a slot comes from the operands' errors in that slot."""


def _origins(circuit: Circuit) -> list[frozenset[int]]:
    """For each value the instructions that its errors come from, as far as everything after them is elementwise."""
    origins: list[frozenset[int]] = []
    for i, ins in enumerate(circuit.instructions):
        if isinstance(ins, ELEMENTWISE):
            origins.append(frozenset().union(*(origins[value] for value in ins.operands)))
        else:
            origins.append(frozenset({i}))
    return origins

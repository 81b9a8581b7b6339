"""Spending primes: along the depth of a network, which products share a prime, and how large each prime is.

Every product multiplies scales, and a division by a prime brings them back. A prime may serve one product, or a square
and the linear layer after it; products with scalars need fewer bits than others. From a way of spending follow the
sizes of all data primes of a chain, and from the sizes the primes themselves.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from hecc.compiler.ckks.chain.scaling import Magnitude
from hecc.compiler.ckks.lowering.packing import Packing
from hecc.compiler.ckks.options import Options
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode
from hecc.compiler.graph.traits import PRODUCTS, Products, multiplies_values
from hecc.runtime.ckks.circuit.security import MAX_PRIME_BITS, ntt_primes
from hecc.runtime.ckks.readings.types import HEADROOM
from hecc.runtime.errors import ParameterError

__all__ = ["Prime", "Spending", "data_bits", "find_primes", "headroom", "spendings"]

DISCLOSED_WEIGHT_BITS = 16
"""Bits of such a network's weights beyond the precision, as for others: their rounding tells nothing of the key."""

WEIGHT_BITS = (10, 13, 16, 20)
"""Of the weights of a matrix product: scalars, whose rounding is as small a part of the result as of the weight. Slot
values need as many bits as the scale has."""

NEAR_PRIMES = (4, 12, 48)
"""How many primes of a size are found at once: the search asks for the same sizes over and over."""


@dataclass(frozen=True)
class Prime:
    """A prime as large as the products that share it need: ``scales`` times the scale's size, and so many bits more."""

    scales: int
    more: int = 0

    def bits(self, scale_bits: int) -> int:
        """Size of the prime."""
        return self.scales * scale_bits + self.more


Spending: TypeAlias = tuple[Prime | None, ...]
"""For each depth the prime that its products are divided by, or ``None`` where the next depth's prime does it."""


def spendings(
    graph: Graph, depth: Mapping[str, int], options: Options, ring_degree: int, packing: Packing, more_bits: int = 0
) -> list[Spending]:
    """Ways to spend primes along the depth of a network; ``more_bits`` as for a demand's ``weight_bits``."""
    ways = _paired(graph, depth), _one_each(depth)
    found: list[Spending]
    if options.disclose:
        single = _one_each(depth)
        weight_bits = math.ceil(options.precision) + DISCLOSED_WEIGHT_BITS
        found = [_weighted(graph, depth, single, weight_bits, ring_degree, more_bits)]
    elif packing.elementwise:
        found = [_weighted(graph, depth, way, bits, ring_degree) for way in ways for bits in WEIGHT_BITS]
    else:
        found = [tuple(Prime(times) if times else None for times in way) for way in ways]
    return list(dict.fromkeys(found))


def _weighted(
    graph: Graph, depth: Mapping[str, int], way: tuple[int, ...], weight_bits: int, ring_degree: int, more: int = 0
) -> Spending:
    """Primes for products with scalars, which need fewer bits than squares do; ``more`` ahead of polynomials."""
    nonlinear = filter(multiplies_values, graph.nodes)
    ahead = max((depth[value] for node in nonlinear for value in node.inputs), default=0)
    squares = _depths_of_squares(graph, depth) | _levels_of_series(graph, depth)
    primes: list[Prime | None] = []
    scales = weights = 0
    for d, times in enumerate(way):
        if d:
            scales, weights = (scales + 1, weights) if d in squares else (scales, weights + 1)
        if times:
            # There is no prime that is 1 modulo 2N below 2N, and there are few just above.
            least = 0 if scales else (2 * ring_degree).bit_length() + 1
            primes.append(Prime(scales, max(weights * (weight_bits + (more if d <= ahead else 0)), least)))
            scales = weights = 0
        else:
            primes.append(None)
    return tuple(primes)


def _depths_of_squares(graph: Graph, depth: Mapping[str, int]) -> set[int]:
    return {depth[n.output.name] for n in graph.nodes if PRODUCTS.of(n) is Products.OF_VALUES}


def _levels_of_series(graph: Graph, depth: Mapping[str, int]) -> set[int]:
    """Every depth at which a Chebyshev series has products."""
    series = [node for node in graph.nodes if PRODUCTS.of(node) is Products.IN_A_ROW]
    return {d for node in series for d in range(depth[node.inputs[0]] + 1, depth[node.output.name] + 1)}


def _one_each(depth: Mapping[str, int]) -> tuple[int, ...]:
    """After every product a prime of the scale's size."""
    return (0, *(1 for _ in range(max(depth.values()))))


def _paired(graph: Graph, depth: Mapping[str, int]) -> tuple[int, ...]:
    """A square shares one prime of twice the scale's size with the linear layers after it, where only such follow."""
    deepest = max(depth.values())
    squares, levels = _depths_of_squares(graph, depth), _levels_of_series(graph, depth)
    linear = {depth[n.output.name] for n in graph.nodes if isinstance(n, AffineNode) and not n.reshapes_only}
    ends = {depth[name] for name in graph.outputs}
    products = [n for n in graph.nodes if PRODUCTS.of(n) is Products.OF_VALUES]
    factors = {depth[value] for node in products for value in node.inputs}
    spending = [0] * (deepest + 1)
    for d in range(1, deepest + 1):
        shared = d in squares and d not in linear | ends | factors and d + 1 in linear and d + 1 not in squares
        # Every level of a series divides by a prime of the scale's size, which keeps the powers at their scale.
        shared = shared and not levels.intersection((d, d + 1))
        if not shared:
            spending[d] = 2 if d > 1 and spending[d - 1] == 0 else 1
    return tuple(spending)


def headroom(depth: Mapping[str, int], magnitudes: Mapping[str, Magnitude]) -> dict[int, float]:
    """For each depth, how many bits of modulus beyond the scale's its values need.

    Room for the value at its scale, 2^scale_bits / observed; for the constant that is added to make it; and for the
    scale itself, should the value be tiny.
    """
    room: dict[int, float] = {}
    for value, m in magnitudes.items():
        bits = math.log2(max(HEADROOM * m.bound, 2 * m.added, 2.0) / m.observed)
        room[depth[value]] = max(bits, room.get(depth[value], bits))
    return room


def data_bits(
    spending: Spending, scale_bits: int, input_bits: int, room: Mapping[int, float], options: Options
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Bits of every data prime, and for each depth how many primes its values are divided by.

    The primes are those that nothing is divided by, then the deepest rescale's to the first's. The first are as large
    as the depth with the least headroom needs (``room``, see :func:`headroom`). For results to be disclosed
    scales are larger than primes can be, and a rescale divides by several (Agrawal et al., "High-precision RNS-CKKS on
    fixed but smaller word-size architectures", WAHC 2023).
    """
    primes = [prime.bits(scale_bits) if prime else 0 for prime in spending]
    if len(primes) > 1:
        primes[1] += input_bits
    left = [*itertools.accumulate(reversed(primes), initial=0)][::-1]
    base_bits = max(
        math.ceil(scale_bits + bits + 0.1) + (0 if d else input_bits) - left[d + 1] for d, bits in room.items()
    )
    if options.disclose:
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
def find_primes(sizes: tuple[int, ...], ring_degree: int) -> tuple[int, ...] | None:
    """Distinct primes of about the given sizes, or None when there are not enough."""
    primes: list[int] = []
    for bits in sizes:
        known = (q for count in NEAR_PRIMES for q in _near(bits, ring_degree, count) if q not in primes)
        found = next(known, None)
        if found is None:
            try:
                (found,) = ntt_primes(bits, ring_degree, 1, primes)
            except ParameterError:
                return None
        primes.append(found)
    return tuple(primes)


@lru_cache(maxsize=1024)
def _near(bits: int, ring_degree: int, count: int) -> tuple[int, ...]:
    """Some primes of a size, nearest first; none where there are not so many."""
    with contextlib.suppress(ParameterError):
        return ntt_primes(bits, ring_degree, count)
    return ()

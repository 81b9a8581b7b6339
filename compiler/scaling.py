"""Scales and levels of a lowered circuit under one modulus chain: every value reaches its target scale exactly.

The targets come first and the plaintext scales are solved backwards from them (the *errorless* scales of Kim,
Papadimitriou and Polyakov, CT-RSA 2022, made exact by rational arithmetic): a linear transform from scale ``s`` whose
result should have scale ``t`` after dividing by the primes ``q`` encodes its diagonals at ``t q / s``. A value's
target is ``2^bits`` over its observed magnitude; ahead of a product that is rescaled on its own, it is as much more or
less as makes the product hit its own, each factor's half of that; the argument of a Chebyshev series, which is at most
one, has as its scale the first prime that the series divides by, so that its powers keep that scale. So all branches of
a sum meet at equal scales and no normalisation ever touches a weight.

The parameter search (:mod:`hecc.passes.parameters`) calls this for many chains; :mod:`hecc.passes.scales` writes the
result of the chosen one into the circuit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from hecc.compiler.ir.graph import AffineNode, Graph, PolynomialNode, ProductNode, SeriesNode
from hecc.compiler.lowering import Lowered
from hecc.runtime.circuit import (
    ONE,
    Input,
    Instruction,
    LinearTransform,
    MatrixProduct,
    Multiply,
    MultiplyPlain,
    Polynomial,
    Square,
)
from hecc.runtime.parameters import digit_products

__all__ = ["Chain", "Magnitude", "Scales", "assign_scales", "is_product"]


@dataclass(frozen=True)
class Magnitude:
    """Of one graph value: largest observed, root mean square, what must not overflow; quantiles of an argument."""

    observed: float
    rms: float
    bound: float
    quantiles: tuple[float, ...] = ()


@dataclass(frozen=True)
class Chain:
    """A modulus chain and where along the depth of the network its primes are spent.

    Attributes
    ----------
    ring_degree
        N.
    scale_bits
        A value of magnitude one has about this many bits.
    input_bits
        The same for the inputs.
    data_primes, special_primes
        In SEAL's order: a rescale drops the last data prime in use.
    digit_limbs
        Data primes per digit of key switching.
    dropped
        For each multiplicative depth, from 0, how many primes a value of that depth is divided by before the next
        product uses it.
    """

    ring_degree: int
    scale_bits: int
    input_bits: int
    data_primes: tuple[int, ...]
    special_primes: tuple[int, ...]
    dropped: tuple[int, ...]
    digit_limbs: int = 1

    @property
    def log2_qp(self) -> float:
        """log2 of the product of all primes."""
        return sum(math.log2(q) for q in (*self.data_primes, *self.special_primes))

    def digits(self, limbs: int) -> tuple[int, ...]:
        """Product of the primes of each digit of a polynomial of ``limbs`` limbs."""
        return digit_products(self.data_primes[:limbs], self.digit_limbs)

    def limbs_before(self, depth: int) -> int:
        """Limbs at which the products of a depth are computed."""
        return len(self.data_primes) - sum(self.dropped[:depth])

    def limbs_after(self, depth: int) -> int:
        """Limbs of a value of a depth once it is rescaled."""
        return len(self.data_primes) - sum(self.dropped[: depth + 1])

    def divisor(self, depth: int) -> int:
        """Product of the primes that values of a depth are divided by; 1 if none."""
        return math.prod(self.data_primes[self.limbs_after(depth) : self.limbs_before(depth)])


@dataclass(frozen=True)
class Scales:
    """Limbs and scales for each instruction of a lowered circuit.

    Attributes
    ----------
    depth
        Of the value that the instruction belongs to.
    limbs, scale
        Of the instruction's result.
    plain
        Scale of the instruction's constant, where it has one.
    """

    chain: Chain
    depth: tuple[int, ...]
    limbs: tuple[int, ...]
    scale: tuple[Fraction, ...]
    plain: tuple[Fraction | None, ...]

    def ready_limbs(self, value: int) -> int:
        """Limbs of a value when the next product uses it."""
        return self.chain.limbs_after(self.depth[value])

    def ready_scale(self, value: int) -> Fraction:
        """Scale of a value when the next product uses it."""
        return self.scale[value] / self.chain.divisor(self.depth[value]) if self.pending(value) else self.scale[value]

    def pending(self, value: int) -> bool:
        """Whether a value has to be rescaled before the next product; the result of a polynomial was already."""
        return self.limbs[value] > self.ready_limbs(value)

    def dropped(self, polynomial: int, argument: int) -> tuple[int, ...]:
        """Primes that each rescale within a polynomial divides by."""
        return self.chain.dropped[self.depth[argument] + 1 : self.depth[polynomial] + 1]


def assign_scales(
    lowered: Lowered, graph: Graph, depth: Mapping[str, int], magnitudes: Mapping[str, float], chain: Chain
) -> Scales:
    """Choose scales for a lowered circuit under one chain.

    Parameters
    ----------
    depth
        Multiplicative depth of every graph value.
    magnitudes
        Observed magnitude of every graph value.
    """
    targets = _targets(graph, depth, magnitudes, chain)
    polynomials = {node.output.name for node in graph.nodes if isinstance(node, PolynomialNode)}
    depths = [depth[value] for value in lowered.values]
    limbs: list[int] = []
    scale: list[Fraction] = []
    plain: list[Fraction | None] = []
    for i, ins in enumerate(lowered.circuit.instructions):
        d, value = depths[i], lowered.values[i]
        own: Fraction | None = None
        if isinstance(ins, Input):
            limbs.append(len(chain.data_primes))
            scale.append(targets[value])
        elif isinstance(ins, Polynomial):
            limbs.append(chain.limbs_after(d))
            scale.append(targets[value])
        elif not is_product(ins):
            source = ins.operands[0]
            limbs.append(limbs[source])
            scale.append(scale[source])
        else:
            ready = _ready(chain, depths, limbs, scale, ins.operands[0])
            limbs.append(chain.limbs_before(d))
            if isinstance(ins, LinearTransform | MatrixProduct) and value not in polynomials:
                wanted = targets[value] * chain.divisor(d)
                own = wanted / ready
                scale.append(wanted)
            elif isinstance(ins, Multiply):
                scale.append(ready * _ready(chain, depths, limbs, scale, ins.y))
            else:
                # The linear part of a polynomial is added to the square.
                own = ready if isinstance(ins, MatrixProduct | MultiplyPlain) else None
                scale.append(ready * ready)
        plain.append(own)
    return Scales(chain, tuple(depths), tuple(limbs), tuple(scale), tuple(plain))


def is_product(ins: Instruction) -> bool:
    """Whether an instruction multiplies scales, so that its operands have to be rescaled first."""
    if isinstance(ins, MatrixProduct):
        return ins.scale != ONE
    return isinstance(ins, LinearTransform | Square | Multiply | MultiplyPlain | Polynomial)


def _targets(
    graph: Graph, depth: Mapping[str, int], magnitudes: Mapping[str, float], chain: Chain
) -> dict[str, Fraction]:
    """Scale of every value once it is rescaled."""
    products = _products(graph, magnitudes)
    series = {node.value: depth[node.value] + 1 for node in graph.nodes if isinstance(node, SeriesNode)}

    def stored_bits(value: str) -> float:
        return (chain.scale_bits if depth[value] else chain.input_bits) - math.log2(magnitudes[value])

    targets = {}
    for node in graph.nodes:
        name = node.output.name
        bits = stored_bits(name)
        if name in products:
            product, factors = products[name]
            if chain.dropped[depth[product]]:
                wanted = math.log2(chain.divisor(depth[product])) + stored_bits(product)
                bits += (wanted - sum(map(stored_bits, factors))) / 2
        targets[name] = Fraction(chain.divisor(series[name])) if name in series else _round(bits)
    return targets


def _products(graph: Graph, magnitudes: Mapping[str, float]) -> dict[str, tuple[str, tuple[str, str]]]:
    """For each value that is multiplied, the product that decides its scale, and that product's factors."""
    products: dict[str, tuple[str, tuple[str, str]]] = {}
    for node in graph.nodes:
        if isinstance(node, PolynomialNode | ProductNode):
            factors = (node.inputs[0], node.inputs[-1])
            for value in factors:
                # Of several products of one value the largest decides, which all then fit.
                known = products.get(value)
                if known is None or magnitudes[node.output.name] > magnitudes[known[0]]:
                    products[value] = node.output.name, factors
    # A product reads past reshapes, which share their argument's ciphertexts.
    for node in reversed(graph.nodes):
        if isinstance(node, AffineNode) and node.reshapes_only and node.output.name in products:
            products.setdefault(node.inputs[0], products[node.output.name])
    return products


def _ready(
    chain: Chain, depths: Sequence[int], limbs: Sequence[int], scale: Sequence[Fraction], value: int
) -> Fraction:
    """Scale of an instruction's result when the next product uses it."""
    pending = limbs[value] > chain.limbs_after(depths[value])
    return scale[value] / (chain.divisor(depths[value]) if pending else 1)


def _round(bits: float) -> Fraction:
    """A short rational near 2^bits: 24 significant bits."""
    exponent = math.floor(bits) - 24
    return Fraction(round(2 ** (bits - exponent))) * Fraction(2) ** exponent

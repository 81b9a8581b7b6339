"""Scales and levels of a lowered circuit under one modulus chain: every value reaches its target scale exactly.

The targets come first and the plaintext scales are solved backwards from them (the *errorless* scales of Kim,
Papadimitriou and Polyakov, CT-RSA 2022, made exact by rational arithmetic): a linear transform from scale ``s`` whose
result should have scale ``t`` after dividing by the primes ``q`` encodes its diagonals at ``t q / s``. A value's
target is ``2^bits`` over its observed magnitude; ahead of a product that is rescaled on its own, it is as much more or
less as makes the product hit its own, each factor's half of that; the argument of a Chebyshev series, which is at most
one, has as its scale the first prime that the series divides by, so that its powers keep that scale. So all branches of
a sum meet at equal scales and no normalisation ever touches a weight.

The parameter search (:mod:`hecc.passes.ckks.parameters`) calls this for many chains; :mod:`hecc.passes.ckks.scales`
writes the result of the chosen one into the circuit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

from hecc.compiler.ckks.lowering.lowering import Lowered
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, BootstrapNode, ChebyshevNode, QuadraticNode
from hecc.compiler.graph.traits import PRODUCTS, Products
from hecc.runtime.ckks.circuit.instructions import (
    INSTRUCTIONS,
    ONE,
    Add,
    AddPlain,
    AddScalar,
    Bootstrap,
    Conjugate,
    DropLimbs,
    Fold,
    FourierFactor,
    Input,
    Instruction,
    LinearTransform,
    MatrixProduct,
    Multiply,
    MultiplyPlain,
    MultiplyScalar,
    Negate,
    Output,
    PairedInput,
    Polynomial,
    Raise,
    Relinearize,
    Rescale,
    Rotate,
    Square,
    Subtract,
)
from hecc.runtime.ckks.circuit.parameters import digit_products
from hecc.runtime.ckks.circuit.traits import Trait
from hecc.runtime.reading import Reading

__all__ = ["Chain", "Magnitude", "Scales", "Scaling", "is_product"]


@dataclass(frozen=True)
class Magnitude:
    """Of one graph value: largest observed, root mean square, what must not overflow; quantiles of an argument.

    ``added`` is the largest constant that is added to make it: the value may be small because the two nearly cancel.
    """

    observed: float
    rms: float
    bound: float
    quantiles: tuple[float, ...] = ()
    added: float = 0.0


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

    @cached_property
    def _limbs(self) -> tuple[int, ...]:
        """Limbs at which the products of each depth are computed, and those that are left behind the last."""
        return tuple(len(self.data_primes) - dropped for dropped in itertools.accumulate(self.dropped, initial=0))

    @cached_property
    def _moduli(self) -> tuple[int, ...]:
        return tuple(itertools.accumulate(self.data_primes, int.__mul__, initial=1))

    def modulus(self, limbs: int) -> int:
        """Product of the primes of so many limbs."""
        return self._moduli[limbs]

    @cached_property
    def _divisors(self) -> tuple[int, ...]:
        return tuple(math.prod(self.data_primes[after:before]) for before, after in itertools.pairwise(self._limbs))

    def limbs_before(self, depth: int) -> int:
        """Limbs at which the products of a depth are computed."""
        return self._limbs[depth]

    def limbs_after(self, depth: int) -> int:
        """Limbs of a value of a depth once it is rescaled."""
        return self._limbs[depth + 1]

    def divisor(self, depth: int) -> int:
        """Product of the primes that values of a depth are divided by; 1 if none."""
        return self._divisors[depth]


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

    def dropped_around(self, bootstrap: int) -> tuple[int, ...]:
        """Primes that each rescale within a bootstrap divides by: the last one's, and then the first ones'."""
        return self.chain.dropped[-1], *self.chain.dropped[1 : self.depth[bootstrap] + 1]


class Scaling:
    """Limbs and scales of a lowered circuit under any chain: what no chain changes is worked out once.

    Parameters
    ----------
    depth
        Multiplicative depth of every graph value.
    magnitudes
        Observed magnitude of every graph value.
    """

    def __init__(
        self, lowered: Lowered, graph: Graph, depth: Mapping[str, int], magnitudes: Mapping[str, float]
    ) -> None:
        self._lowered, self._depth = lowered, depth
        self._depths = tuple(depth[value] for value in lowered.values)
        instructions = lowered.circuit.instructions
        self._levels = tuple((_LIMBS.of(ins)(ins), ins.operands[0] if ins.operands else None) for ins in instructions)
        self._names = [node.output.name for node in graph.nodes]
        self._bits = {name: math.log2(magnitudes[name]) for name in self._names}
        self._products = _products(graph, magnitudes)
        self._series = {node.value: depth[node.value] + 1 for node in graph.nodes if isinstance(node, ChebyshevNode)}
        self._refreshed = {node.value for node in graph.nodes if isinstance(node, BootstrapNode)}
        self._polynomials = {node.output.name for node in graph.nodes if isinstance(node, QuadraticNode)}

    def limbs(self, chain: Chain) -> tuple[int, ...]:
        """Limbs of every instruction's result: they depend on how many primes there are, and on none of them."""
        limbs: list[int] = []
        for (rule, x), d in zip(self._levels, self._depths, strict=True):
            limbs.append(rule(chain, d, 0 if x is None else limbs[x]))
        return tuple(limbs)

    def ready_limbs(self, chain: Chain, value: int) -> int:
        """Limbs of a value when the next product uses it."""
        return chain.limbs_after(self._depths[value])

    def scales(self, chain: Chain) -> Scales:
        """Limbs, and the scales at which every value reaches its target exactly."""
        solver = _Solver(chain, self._depths, self.limbs(chain), self._targets(chain), self._lowered.values)
        plain: list[Fraction | None] = []
        for i, ins in enumerate(self._lowered.circuit.instructions):
            polynomial = self._lowered.values[i] in self._polynomials
            scale, own = _SCALES.of(ins)(solver, i, ins, polynomial)
            solver.scale.append(scale)
            plain.append(own)
        return Scales(chain, self._depths, solver.limbs, tuple(solver.scale), tuple(plain))

    def _targets(self, chain: Chain) -> dict[str, Fraction]:
        """Scale of every value once it is rescaled."""

        def stored_bits(value: str) -> float:
            return (chain.scale_bits if self._depth[value] else chain.input_bits) - self._bits[value]

        targets = {}
        for name in self._names:
            bits = stored_bits(name)
            if name in self._products:
                product, factors = self._products[name]
                if chain.dropped[self._depth[product]]:
                    wanted = math.log2(chain.divisor(self._depth[product])) + stored_bits(product)
                    bits += (wanted - sum(map(stored_bits, factors))) / 2
            if name in self._refreshed:
                # One for all, whatever the values: so all bootstraps have the same weights.
                bits = float(chain.scale_bits)
            fixed = self._series.get(name)
            targets[name] = _round(bits) if fixed is None else Fraction(chain.divisor(fixed))
        return targets


def is_product(ins: Instruction) -> bool:
    """Whether an instruction multiplies scales, so that its operands have to be rescaled first; not by integers."""
    return Trait.SCALES in ins.traits and getattr(ins, "scale", None) != ONE


Limbs = Callable[[Chain, int, int], int]
"""Takes a chain, the depth of a value and the limbs of the operand."""


def _ready_limbs(ins: Instruction) -> Limbs:
    return lambda chain, depth, operand: chain.limbs_after(depth)


def _operands_limbs(ins: Instruction) -> Limbs:
    return lambda chain, depth, operand: operand


def _product_limbs(ins: Instruction) -> Limbs:
    return (lambda chain, depth, operand: chain.limbs_before(depth)) if is_product(ins) else _operands_limbs(ins)


_LATER: Mapping[type, str] = {
    **dict.fromkeys((Rescale, DropLimbs), "it is written where scales are planned, by what is worked out here"),
    **dict.fromkeys((FourierFactor, Raise), "it is written when bootstraps are expanded, behind this"),
}

_LIMBS: Reading[Callable[[Any], Limbs]] = Reading(
    "the limbs of results under a chain",
    INSTRUCTIONS,
    {
        Input: _ready_limbs,
        PairedInput: _ready_limbs,
        Output: _operands_limbs,
        Add: _operands_limbs,
        Subtract: _operands_limbs,
        Negate: _operands_limbs,
        Multiply: _product_limbs,
        Square: _product_limbs,
        Relinearize: _operands_limbs,
        AddPlain: _operands_limbs,
        MultiplyPlain: _product_limbs,
        AddScalar: _operands_limbs,
        MultiplyScalar: _product_limbs,
        Rotate: _operands_limbs,
        Conjugate: _operands_limbs,
        Fold: _operands_limbs,
        LinearTransform: _product_limbs,
        MatrixProduct: _product_limbs,
        Polynomial: _ready_limbs,
        Bootstrap: _ready_limbs,
    },
    _LATER,
)

Solved = tuple[Fraction, Fraction | None]
"""The scale of a result, and that of the instruction's constant."""


@dataclass
class _Solver:
    """Scales of the instructions under a chain, one after another."""

    chain: Chain
    depths: tuple[int, ...]
    limbs: tuple[int, ...]
    targets: Mapping[str, Fraction]
    values: tuple[str, ...]
    scale: list[Fraction] = field(default_factory=list)

    def ready(self, value: int) -> Fraction:
        """Scale of an instruction's result when the next product uses it."""
        d, scale = self.depths[value], self.scale[value]
        return scale / self.chain.divisor(d) if self.limbs[value] > self.chain.limbs_after(d) else scale

    def target(self, i: int, ins: Instruction, polynomial: bool) -> Solved:
        """What the value should have."""
        return self.targets[self.values[i]], None

    def unchanged(self, i: int, ins: Instruction, polynomial: bool) -> Solved:
        """What the operand has."""
        return self.scale[ins.operands[0]], None

    def weights(self, i: int, ins: LinearTransform | MatrixProduct, polynomial: bool) -> Solved:
        """What leads to the value's target; the linear part of a polynomial is added to the square."""
        if not is_product(ins):
            return self.unchanged(i, ins, polynomial)
        if polynomial:
            return self.constant(i, ins, polynomial)
        wanted = self.targets[self.values[i]] * self.chain.divisor(self.depths[i])
        return wanted, wanted / self.ready(ins.x)

    def constant(self, i: int, ins: Instruction, polynomial: bool) -> Solved:
        """That of a square."""
        factor = self.ready(ins.operands[0])
        return factor * factor, factor

    def bootstrap(self, i: int, ins: Bootstrap, polynomial: bool) -> Solved:
        """As near to the target as squares of short fractions come, and the scale that the sine is squared from."""
        depth = self.depths[i]
        divisors = [self.chain.divisor(d) for d in range(depth - ins.double_angles + 1, depth + 1)]
        bits = math.log2(self.targets[self.values[i]])
        for divisor in reversed(divisors):
            bits = (bits + math.log2(divisor)) / 2
        first = scale = _round(bits)
        for divisor in divisors:
            scale = scale * scale / divisor
        return scale, first

    def product(self, i: int, ins: Multiply | Square, polynomial: bool) -> Solved:
        """The product of the operands'."""
        return self.ready(ins.operands[0]) * self.ready(ins.operands[-1]), None


_SCALES: Reading[Callable[[_Solver, int, Any, bool], Solved]] = Reading(
    "the scales of results under a chain",
    INSTRUCTIONS,
    {
        Input: _Solver.target,
        PairedInput: _Solver.target,
        Output: _Solver.unchanged,
        Add: _Solver.unchanged,
        Subtract: _Solver.unchanged,
        Negate: _Solver.unchanged,
        Multiply: _Solver.product,
        Square: _Solver.product,
        Relinearize: _Solver.unchanged,
        AddPlain: _Solver.unchanged,
        MultiplyPlain: _Solver.constant,
        AddScalar: _Solver.unchanged,
        MultiplyScalar: _Solver.constant,
        Rotate: _Solver.unchanged,
        Conjugate: _Solver.unchanged,
        Fold: _Solver.unchanged,
        LinearTransform: _Solver.weights,
        MatrixProduct: _Solver.weights,
        Polynomial: _Solver.target,
        Bootstrap: _Solver.bootstrap,
    },
    _LATER,
)


def _products(graph: Graph, magnitudes: Mapping[str, float]) -> dict[str, tuple[str, tuple[str, str]]]:
    """For each value that is multiplied, the product that decides its scale, and that product's factors."""
    products: dict[str, tuple[str, tuple[str, str]]] = {}
    for node in graph.nodes:
        if PRODUCTS.of(node) is Products.OF_VALUES:
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


def _round(bits: float) -> Fraction:
    """A short rational near 2^bits: 24 significant bits."""
    exponent = math.floor(bits) - 24
    return Fraction(round(2 ** (bits - exponent))) * Fraction(2) ** exponent

"""Polynomials of ciphertexts: the macro instruction ``polynomial``, expanded into primitive ones.

Everything that has to know how a polynomial is evaluated (the verifier, the noise and cost models, both evaluators)
works on this expansion, so that none of them can disagree with another. It depends on nothing but the instruction, its
coefficients, and the limbs, scale and primes that it starts from.

The algorithm is that of Paterson and Stockmeyer ("On the number of nonscalar multiplications necessary to evaluate
polynomials", SIAM J. Comput. 2, 1973), in the form of Bossuat, Mouchet, Troncoso-Pastoriza and Hubaux ("Efficient
bootstrapping for approximate homomorphic encryption with non-sparse keys", EUROCRYPT 2021, section 5). With B_i the
basis and B_g a *giant* power, ``p = q B_g + r``; q and r are split in turn until only *baby* powers are left, which are
multiplied by scalars. In the Chebyshev basis ``B_(a+b) = 2 B_a B_b - B_|a-b|``, for the powers as for the split.

* *Depth.* A sum at level t may use powers of depth up to t and quotients that are ready at level t. A polynomial of
  degree below 2^(t+1) can always be split so, which gives ceil(log2(degree + 1)) levels.
* *Few products.* For every number of babies the cheapest splits are searched for, by their number of products.
  Coefficients that are zero ask for no power: an odd polynomial needs odd babies and even giants.
* *Scales.* Like those of Bossuat et al., targets are handed down: a sum that has to reach scale S at level t gives its
  quotient the target ``S / scale(B_g)`` times the primes of the quotient's rescale, and multiplies each power by a
  coefficient at ``S / scale(B_i)``. As these are exact fractions, all terms of a sum meet at exactly equal scales.
* *Lazy relinearisation.* All products of one level that are summed (those of a remainder too) are relinearised and
  rescaled once, as a sum; and everything loses the limbs that its user does not have before it is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.instructions import (
    Add,
    AddPlain,
    AddScalar,
    Circuit,
    DropLimbs,
    Instruction,
    Multiply,
    MultiplyPlain,
    MultiplyScalar,
    Polynomial,
    Relinearize,
    Rescale,
    Square,
    Subtract,
    power_of_two,
)
from hecc.runtime.depth import polynomial_depth
from hecc.runtime.errors import CircuitError

__all__ = [
    "MAX_DEGREE",
    "Expanded",
    "Expansion",
    "constant_prefix",
    "expand",
    "expand_polynomials",
    "polynomial_expansions",
    "splice",
    "with_operands",
]

MAX_DEGREE = 255
MAX_LEVELS = 64
"""There are no more primes in any chain."""
MAX_SCALE_BITS = 1 << 16
"""Bits of the numerator or denominator of a power's scale: the verifier's own limit, ahead of costly arithmetic."""

GRID = 4
"""Points per degree at which a polynomial is evaluated to bound it."""

Basis = Literal["power", "chebyshev"]
Coefficients = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Expansion:
    """A polynomial as primitive instructions.

    Attributes
    ----------
    instructions
        In SSA form; operand 0 is the polynomial's operand, operand ``i + 1`` the result of instruction ``i``. The last
        one's result is the polynomial's.
    limbs, scales
        Of each instruction's result; no scales where the operand has none.
    constants
        Slot vectors that the instructions name.
    bounds
        For the instructions whose results have to fit the modulus, the largest absolute value of a slot; empty when
        the operand's is not known. (Terms of a sum may wrap around when the sum does not.)
    """

    instructions: tuple[Instruction, ...]
    limbs: tuple[int, ...]
    scales: tuple[Fraction | None, ...]
    constants: Mapping[str, NDArray[Any]]
    bounds: Mapping[int, float]


@dataclass(frozen=True, eq=False)
class Expanded:
    """A circuit without macros.

    Attributes
    ----------
    circuit
        The circuit.
    limbs
        Of each of its values.
    moved
        For each value of the circuit with macros, its number.
    """

    circuit: Circuit
    limbs: tuple[int, ...]
    moved: tuple[int, ...]


def expand_polynomials(
    circuit: Circuit,
    limbs: Sequence[int],
    scales: Sequence[Fraction | None] | None = None,
    primes: Sequence[int] = (),
) -> Expanded:
    """Replace the polynomials of a verified circuit by their expansions.

    Parameters
    ----------
    limbs, scales
        Of every value. Without scales the expansion has none either: enough to count what it costs.
    primes
        The data primes, with scales.

    Raises
    ------
    CircuitError
        When a polynomial cannot be evaluated; see :func:`expand`.
    """
    return splice(circuit, limbs, polynomial_expansions(circuit, limbs, scales, primes))


def polynomial_expansions(
    circuit: Circuit,
    limbs: Sequence[int],
    scales: Sequence[Fraction | None] | None = None,
    primes: Sequence[int] = (),
) -> dict[int, Expansion]:
    """The expansion of each polynomial, by its number; arguments and errors as of :func:`expand_polynomials`."""
    return {
        index: expand(
            polynomial,
            circuit.constants[polynomial.coefficients],
            limbs=limbs[polynomial.x],
            scale=None if scales is None else scales[polynomial.x],
            primes=primes,
            prefix=constant_prefix(circuit, index),
        )
        for index, polynomial in circuit.every(Polynomial)
    }


def splice(circuit: Circuit, limbs: Sequence[int], expansions: Mapping[int, Expansion]) -> Expanded:
    """Replace macros, by their numbers, by their expansions; ``limbs`` are those of every value."""
    if not expansions:
        return Expanded(circuit, tuple(limbs), tuple(range(len(circuit.instructions))))
    instructions: list[Instruction] = []
    all_limbs: list[int] = []
    moved: list[int] = []
    constants = dict(circuit.constants)
    for index, ins in enumerate(circuit.instructions):
        operands = [moved[v] for v in ins.operands]
        if index in expansions:
            expansion = expansions[index]
            base = len(instructions) - 1
            for step in expansion.instructions:
                numbers = [base + v if v else operands[0] for v in step.operands]
                instructions.append(with_operands(step, numbers))
            all_limbs.extend(expansion.limbs)
            constants.update(expansion.constants)
        else:
            instructions.append(with_operands(ins, operands))
            all_limbs.append(limbs[index])
        moved.append(len(instructions) - 1)
    expanded = replace(circuit, instructions=tuple(instructions), constants=constants)
    return Expanded(expanded, tuple(all_limbs), tuple(moved))


def expand(
    instruction: Polynomial,
    coefficients: NDArray[Any],
    *,
    limbs: int,
    scale: Fraction | None,
    primes: Sequence[int] = (),
    prefix: str = "",
    bound: float | None = None,
) -> Expansion:
    """Expand one polynomial.

    Parameters
    ----------
    coefficients
        The instruction's constant, float64 of shape (degree + 1,) or (degree + 1, count, slots).
    limbs, scale
        Of the operand; without a scale only the structure is wanted, and no instruction has one.
    primes
        The data primes, with a scale.
    prefix
        Begins the names of the constants that are derived.
    bound
        Largest absolute value of a slot of the operand. In the Chebyshev basis it is at most 1.

    Raises
    ------
    CircuitError
        When the coefficients, the levels or the scales are such that the polynomial cannot be evaluated.
    """
    degree = _check(instruction, coefficients)
    levels = polynomial_depth(degree) if instruction.dropped is None else len(instruction.dropped)
    if instruction.basis == "chebyshev" and bound is not None and not bound <= 1:
        raise CircuitError(f"values up to {bound:.3g} are outside [-1, 1], where Chebyshev polynomials are bounded")
    plan = _plan(_mask(coefficients), levels, instruction.basis)
    builder = _Builder(instruction, plan, limbs, scale, primes, prefix, bound)
    builder.finish(coefficients, plan.root, levels - 1, instruction.scale if scale is not None else None)
    return Expansion(
        tuple(builder.instructions),
        tuple(builder.limbs[1:]),
        tuple(builder.scales[1:]),
        builder.constants,
        builder.bounds,
    )


def constant_prefix(circuit: Circuit, index: int) -> str:
    """How the names of the constants begin that the polynomial of instruction ``index`` derives; none begins so yet."""
    prefix = f"%{index}."
    while any(name.startswith(prefix) for name in circuit.constants):
        prefix = "%" + prefix
    return prefix


def with_operands(ins: Instruction, numbers: Sequence[int]) -> Instruction:
    """An instruction that reads other values."""
    return msgspec.structs.replace(ins, **dict(zip(("x", "y"), numbers, strict=False)))


def _check(instruction: Polynomial, coefficients: NDArray[Any]) -> int:
    """The degree of a polynomial whose coefficients and levels are possible."""
    if coefficients.ndim not in (1, 3) or coefficients.dtype != np.dtype("<f8"):
        raise CircuitError(
            f"polynomial: coefficients of {coefficients.dtype} and shape {coefficients.shape} are not float64 of shape "
            "(degree + 1,) or (degree + 1, count, slots)"
        )
    degree = len(coefficients) - 1
    if not 1 <= degree <= MAX_DEGREE:
        raise CircuitError(f"polynomial: degree {degree} is outside 1..{MAX_DEGREE}")
    if not bool(np.isfinite(coefficients).all()):
        raise CircuitError("polynomial: a coefficient is not finite")
    if not bool(coefficients[-1].any()):
        raise CircuitError(f"polynomial: the coefficient of degree {degree} is zero everywhere; leave it out")
    dropped = instruction.dropped
    if dropped is None:
        return degree
    if not polynomial_depth(degree) <= len(dropped) <= MAX_LEVELS or min(dropped) < 0:
        raise CircuitError(
            f"polynomial: degree {degree} takes {polynomial_depth(degree)} to {MAX_LEVELS} levels, each of which drops "
            f"0 limbs or more, not {list(dropped)[:MAX_LEVELS]}"
        )
    return degree


# --- The plan: which powers, and where to split -----------------------------------------------------------------------


@dataclass(frozen=True)
class _Node:
    """A sum: powers times coefficients, and quotients times giants.

    ``giant`` is 0 when only powers times coefficients are left, otherwise the leading part of the polynomial is split
    off; a quotient that is a constant is one more coefficient.
    """

    giant: int = 0
    quotient: _Node | None = None
    rest: _Node | None = None


@dataclass(frozen=True)
class _Plan:
    """How to evaluate a polynomial.

    Attributes
    ----------
    powers
        For every power that is needed beside the first, ascending by need, the two that it is a product of.
    root
        How the polynomial is split.
    """

    powers: Mapping[int, tuple[int, int]]
    root: _Node


def _mask(coefficients: NDArray[Any]) -> int:
    """Bit i is set where coefficient i is not zero everywhere."""
    return sum(1 << i for i, c in enumerate(coefficients) if bool(np.any(c)))


def power_depth(n: int) -> int:
    """Level at which power ``n`` is ready: ceil(log2(n))."""
    return (n - 1).bit_length()


@lru_cache(maxsize=256)
def _plan(mask: int, levels: int, basis: Basis) -> _Plan:
    """The plan with the fewest products for coefficients that are not zero where ``mask`` has bits."""
    degree = mask.bit_length() - 1
    best: tuple[tuple[int, int], _Plan] | None = None
    for babies in range(1, min(degree, 2 * math.isqrt(2 * degree) + 2) + 1):
        splits, root = _split(mask, levels - 1, babies, basis, {})
        used: set[int] = set()
        _powers_used(mask, root, basis, used)
        powers = _decompose(used, basis)
        rank = len(powers) + splits, len(powers)
        if best is None or rank < best[0]:
            best = rank, _Plan(powers, root)
    assert best is not None
    return best[1]


def _divide_mask(mask: int, giant: int, basis: Basis) -> tuple[int, int]:
    """Which coefficients of quotient and remainder may not be zero."""
    quotient, rest = mask >> giant, mask & ((1 << giant) - 1)
    if basis == "chebyshev":
        for i in range(1, quotient.bit_length()):
            if quotient >> i & 1:
                rest |= 1 << abs(giant - i)
    return quotient, rest


def _split(
    mask: int, level: int, babies: int, basis: Basis, known: dict[tuple[int, int], tuple[int, _Node]]
) -> tuple[int, _Node]:
    """The fewest products for a sum at ``level`` with so many babies, and how to split for them.

    Giants are the number of babies times a power of two, or powers of two, which always fit the levels.
    """
    degree = mask.bit_length() - 1
    if degree <= 0:
        return 0, _Node()
    key = mask, level
    if key in known:
        return known[key]
    direct = all(
        power_depth(n) <= level and (n <= babies or _is_giant(n, babies)) for n in range(1, degree + 1) if mask >> n & 1
    )
    if direct:
        known[key] = 0, _Node()
        return known[key]
    best: tuple[int, _Node] | None = None
    giants = [g for g in range(degree, 0, -1) if _is_giant(g, babies) and _fits(g, degree, level)]
    powers = [g for g in giants if g & (g - 1) == 0]
    for giant in dict.fromkeys((*giants[:2], *powers[:2])):
        quotient, rest = _divide_mask(mask, giant, basis)
        upper = _split(quotient, level - 1, babies, basis, known) if quotient > 1 else (0, None)
        lower = _split(rest, level, babies, basis, known)
        products = upper[0] + lower[0] + (quotient > 1)
        if best is None or products < best[0]:
            best = products, _Node(giant, upper[1], lower[1])
    assert best is not None
    known[key] = best
    return best


def _is_giant(n: int, babies: int) -> bool:
    """Whether ``n`` is a power of two, alone or times the number of babies."""
    if n & (n - 1) == 0:
        return True
    times, odd = divmod(n, babies)
    return odd == 0 and times & (times - 1) == 0


def _fits(giant: int, degree: int, level: int) -> bool:
    """Whether a giant is ready at ``level``, its quotient too, and the remainder of lower degree than the giant."""
    return power_depth(giant) <= level and degree - giant < 1 << level and degree < 3 * giant


def _powers_used(mask: int, node: _Node, basis: Basis, used: set[int]) -> None:
    """Collect the powers that a sum and its quotients multiply."""
    if node.giant == 0:
        used.update(n for n in range(1, mask.bit_length()) if mask >> n & 1)
        return
    quotient, rest = _divide_mask(mask, node.giant, basis)
    used.add(node.giant)
    if node.quotient is not None:
        _powers_used(quotient, node.quotient, basis, used)
    assert node.rest is not None
    _powers_used(rest, node.rest, basis, used)


def _decompose(used: set[int], basis: Basis) -> dict[int, tuple[int, int]]:
    """Products that make the powers, each after those that it needs, with few powers beside those asked for."""
    made: dict[int, tuple[int, int]] = {}

    def parts(a: int, b: int) -> set[int]:
        return {n for n in (a, b, a - b if basis == "chebyshev" else 0) if n > 1}

    def make(n: int) -> None:
        if n == 1 or n in made:
            return
        # The larger factor is ready a level before the product.
        pairs = [(a, n - a) for a in range((n + 1) // 2, min(n - 1, 1 << (power_depth(n) - 1)) + 1)]
        a, b = min(pairs, key=lambda pair: (len(parts(*pair) - made.keys()), pair[0] - pair[1]))
        for part in sorted(parts(a, b)):
            make(part)
        made[n] = a, b

    for n in sorted(used):
        make(n)
    return made


# --- The instructions -------------------------------------------------------------------------------------------------


class _Builder:
    """Emits the instructions of one polynomial; value 0 is its operand."""

    def __init__(
        self,
        instruction: Polynomial,
        plan: _Plan,
        limbs: int,
        scale: Fraction | None,
        primes: Sequence[int],
        prefix: str,
        bound: float | None,
    ) -> None:
        self._source = instruction.source
        self._basis = instruction.basis
        self._dropped = instruction.dropped or ()
        self._plan = plan
        self._primes = primes
        self._prefix = prefix
        self._bound = bound
        self.instructions: list[Instruction] = []
        self.limbs: list[int] = [limbs]
        self.constants: dict[str, NDArray[Any]] = {}
        self.bounds: dict[int, float] = {}
        self.scales: list[Fraction | None] = [scale]
        self._three = [False]
        self._powers: dict[int, int] = {1: 0}
        self._ready: dict[tuple[int, int], int] = {}

    def finish(self, coefficients: Coefficients, node: _Node, level: int, target: Fraction | None) -> int:
        """The sum of a node at a level, relinearised and rescaled to scale ``target`` at the level after it."""
        total = self._sum(coefficients, node, level, None if target is None else target * self._divisor(level))
        self._limit(total, lambda bound: _largest(coefficients, self._basis, bound))
        return self._rescaled(total, level)

    def _sum(self, coefficients: Coefficients, node: _Node, level: int, scale: Fraction | None) -> int:
        """The terms of a node and of its remainders, summed at ``scale`` with the limbs of ``level``."""
        total: int | None = None
        while node.giant:
            quotient, coefficients = _divide(coefficients, node.giant, self._basis)
            if bool(quotient[1:].any()):
                assert node.quotient is not None
                giant = self._power(node.giant, level)
                factor = self.scales[giant]
                target = None if scale is None or factor is None else scale / factor
                value = self.finish(quotient, node.quotient, level - 1, target)
                product = self._emit(Multiply(x=value, y=giant, source=self._source), value, scale, three=True)
                total = self._add(total, product)
            elif bool(quotient[0].any()):
                total = self._add(total, self._term(quotient[0], node.giant, level, scale))
            assert node.rest is not None
            node = node.rest
        for n in range(1, len(coefficients)):
            if bool(coefficients[n].any()):
                total = self._add(total, self._term(coefficients[n], n, level, scale))
        assert total is not None
        constant = coefficients[0]
        if not bool(constant.any()):
            return total
        number = _number(constant)
        if number is not None:
            return self._like(AddScalar(x=total, value=number, source=self._source), total)
        return self._like(AddPlain(x=total, vector=self._vector(constant), source=self._source), total)

    def _term(self, coefficient: NDArray[np.float64], n: int, level: int, scale: Fraction | None) -> int:
        """A power times its coefficient, encoded at what leads to ``scale``."""
        x = self._power(n, level)
        have = self.scales[x]
        encoded = None if scale is None or have is None else scale / have
        if encoded is not None and encoded < 1:
            raise CircuitError(
                f"polynomial: the coefficients of power {n} would be encoded at scale {power_of_two(encoded)}, below "
                "1; a larger scale of the result, or larger primes, would leave room for them"
            )
        number = _number(coefficient)
        if number is not None:
            return self._emit(MultiplyScalar(x=x, value=number, scale=encoded, source=self._source), x, scale)
        vector = self._vector(coefficient)
        return self._emit(MultiplyPlain(x=x, vector=vector, scale=encoded, source=self._source), x, scale)

    def _power(self, n: int, level: int) -> int:
        """Power ``n`` with the limbs of ``level``."""
        if n not in self._powers:
            self._powers[n] = self._make_power(n)
        return self._at(self._powers[n], level)

    def _make_power(self, n: int) -> int:
        """Power ``n`` from the two that the plan says, rescaled."""
        level = power_depth(n) - 1
        a, b = self._plan.powers[n]
        x, y = self._power(a, level), self._power(b, level)
        left, right = self.scales[x], self.scales[y]
        scale = None if left is None or right is None else left * right
        if scale is not None and max(scale.numerator.bit_length(), scale.denominator.bit_length()) > MAX_SCALE_BITS:
            raise CircuitError(f"polynomial: the scale of power {n} is a fraction of more than {MAX_SCALE_BITS} bits")
        product: Instruction = Multiply(x=x, y=y, source=self._source)
        if a == b:
            product = Square(x=x, source=self._source)
        value = self._emit(product, x, scale, three=True)
        if self._basis == "chebyshev":
            value = self._like(Add(x=value, y=value, source=self._source), value)
            if a == b:
                value = self._like(AddScalar(x=value, value=-1.0, source=self._source), value)
            else:
                other = self._term(np.ones(1), a - b, level, scale)
                value = self._like(Subtract(x=value, y=other, source=self._source), value)
        self._limit(value, lambda bound: bound**n if self._basis == "power" else 1.0)
        return self._rescaled(value, level)

    def _rescaled(self, value: int, level: int) -> int:
        """``value``, of ``level``, relinearised if it is a product and rescaled to the level after."""
        if self._three[value]:
            value = self._emit(Relinearize(x=value, source=self._source), value, self.scales[value])
        dropped = self._dropped[level] if self._dropped else 0
        if not dropped:
            return value
        scale = self.scales[value]
        after = None if scale is None else scale / self._divisor(level)
        return self._emit(Rescale(x=value, limbs=dropped, source=self._source), value, after, dropped=dropped)

    def _at(self, value: int, level: int) -> int:
        """``value`` without the limbs that ``level`` does not have."""
        surplus = self.limbs[value] - self._limbs_at(level)
        if not surplus:
            return value
        if (value, level) not in self._ready:
            drop = DropLimbs(x=value, limbs=surplus, source=self._source)
            self._ready[value, level] = self._emit(drop, value, self.scales[value], dropped=surplus)
        return self._ready[value, level]

    def _limbs_at(self, level: int) -> int:
        return self.limbs[0] - sum(self._dropped[:level])

    def _divisor(self, level: int) -> int:
        """What the rescale after ``level`` divides by."""
        return math.prod(self._primes[max(0, self._limbs_at(level + 1)) : max(0, self._limbs_at(level))])

    def _add(self, total: int | None, term: int) -> int:
        if total is None:
            return term
        add = Add(x=total, y=term, source=self._source)
        return self._emit(add, total, self.scales[total], three=self._three[total] or self._three[term])

    def _like(self, instruction: Instruction, value: int) -> int:
        """Emit what changes neither limbs, scale nor polynomials of ``value``."""
        return self._emit(instruction, value, self.scales[value], three=self._three[value])

    def _emit(
        self, instruction: Instruction, like: int, scale: Fraction | None, *, three: bool = False, dropped: int = 0
    ) -> int:
        self.instructions.append(instruction)
        self.limbs.append(self.limbs[like] - dropped)
        self.scales.append(scale)
        self._three.append(three)
        return len(self.instructions)

    def _vector(self, values: NDArray[np.float64]) -> str:
        name = f"{self._prefix}{len(self.constants)}"
        self.constants[name] = np.ascontiguousarray(values)
        return name

    def _limit(self, value: int, largest: Callable[[float], float]) -> None:
        """Note how large ``value`` can become."""
        if self._bound is not None:
            self.bounds[value - 1] = largest(self._bound)


def _number(coefficient: NDArray[np.float64]) -> float | None:
    """A coefficient that is the same in all slots, as a number."""
    first = float(coefficient.flat[0])
    return first if bool((coefficient == first).all()) else None


def _divide(coefficients: Coefficients, giant: int, basis: Basis) -> tuple[Coefficients, Coefficients]:
    """Coefficients of q and r in ``p = q B_giant + r``; shape as those of p."""
    quotient, rest = coefficients[giant:].copy(), coefficients[:giant].copy()
    if basis == "chebyshev":
        for i in range(1, len(quotient)):
            rest[abs(giant - i)] -= quotient[i]
            quotient[i] *= 2
    return quotient, rest


def _largest(coefficients: Coefficients, basis: Basis, bound: float) -> float:
    """An upper bound of the polynomial where its argument is at most ``bound``, over all sets of coefficients.

    A polynomial of degree n exceeds its largest value at m Chebyshev points by a factor of at most 1 / cos(pi n / 2m)
    (Ehlich and Zeller, "Schwankung von Polynomen zwischen Gitterpunkten", Math. Z. 86, 1964).
    """
    degree = len(coefficients) - 1
    points = max(1, GRID * degree)
    x = np.cos(np.pi * (np.arange(points) + 0.5) / points)
    if basis == "power":
        # In x / bound, with bound**i in the coefficients, so that nothing overflows before it must.
        matrix = np.polynomial.polynomial.polyvander(x, degree) * float(bound) ** np.arange(degree + 1)
    else:
        matrix = np.polynomial.chebyshev.chebvander(x, degree)
    sets = np.unique(coefficients.reshape(degree + 1, -1), axis=1)
    pieces = (sets[:, first : first + 4096] for first in range(0, sets.shape[1], 4096))
    largest = max(float(np.abs(matrix @ piece).max()) for piece in pieces)
    return largest / math.cos(math.pi * degree / (2 * points))

"""Bootstraps of ciphertexts: the macro instruction ``bootstrap``, expanded into primitive ones.

Everything that has to know how a bootstrap is evaluated works on this expansion, as with polynomials. It depends on
nothing but the instruction, and the limbs, scale and primes that it starts from; matrices and coefficients are made
from a few numbers (:mod:`hecc.runtime.ckks.bootstrapping`).

With q the first prime, rho the phase, n = N / 2 and A = K + 1/2:

=================== ===================== ======================= =====================================================
step                limbs                 scale                   value
=================== ===================== ======================= =====================================================
operand             1 + dropped           any                     slots u
slots to            the same, then 1      rho q, exactly          coefficients u, the high half zero
coefficients
raise               all                   rho q                   coefficients u + I / rho
coefficients to     one level a factor    S, that of the first    slots V^H z rho / (2 n A)
slots                                     primes of the sine
conjugate, add      the same              S                       slots t = (I + rho u) / A, real
polynomial          its levels            ``scale``               a_0 cos(2 pi (A t - 1/4) / 2^r)
double angles       a level each          squared, over primes    a_k cos(2 pi (A t - 1/4) / 2^(r - k))
=================== ===================== ======================= =====================================================

At the last line k = r, and the value ``sin(2 pi rho u)``. The products of scales are exact: those of
the first transform's plaintexts are what makes its result's scale ``rho q``, so that what is added by raising, q I, is
I / rho in units of the message; and the second's are what makes S.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from hecc.runtime.ckks.bootstrapping.fourier import check_groups
from hecc.runtime.ckks.bootstrapping.gains import rescaling_gain
from hecc.runtime.ckks.circuit.instructions import (
    Add,
    AddScalar,
    Bootstrap,
    Circuit,
    Conjugate,
    FourierFactor,
    Instruction,
    Polynomial,
    Raise,
    Relinearize,
    Rescale,
    Square,
    power_of_two,
)
from hecc.runtime.ckks.circuit.polynomials import (
    Expanded,
    Expansion,
    expand,
    polynomial_expansions,
    splice,
    with_operands,
)
from hecc.runtime.depth import polynomial_depth
from hecc.runtime.errors import CircuitError

__all__ = ["LARGEST_PHASE", "expand_bootstrap", "expand_macros"]

LARGEST_PHASE = Fraction(1, 4)
"""The sine rises up to a quarter of the prime, and folds back beyond."""

MAX_WEIGHT = 1 << 16
MAX_PHASE_BITS = 64
"""Bits of a phase's numerator and denominator: scales are made of it."""


def expand_macros(
    circuit: Circuit,
    limbs: Sequence[int],
    scales: Sequence[Fraction | None] | None = None,
    primes: Sequence[int] = (),
) -> Expanded:
    """Replace the polynomials and the bootstraps of a verified circuit by their expansions.

    Parameters
    ----------
    limbs, scales
        Of every value. Without scales the expansion has none either: enough to count what it costs.
    primes
        The data primes, with scales.

    Raises
    ------
    CircuitError
        When one cannot be evaluated; see :func:`expand_bootstrap` and
        :func:`hecc.runtime.ckks.circuit.polynomials.expand`.
    """
    bootstraps = {
        index: expand_bootstrap(
            bootstrap, limbs=limbs[bootstrap.x], scale=None if scales is None else scales[bootstrap.x], primes=primes
        )
        for index, bootstrap in circuit.every(Bootstrap)
    }
    return splice(circuit, limbs, {**polynomial_expansions(circuit, limbs, scales, primes), **bootstraps})


def expand_bootstrap(
    instruction: Bootstrap,
    *,
    limbs: int,
    scale: Fraction | None,
    primes: Sequence[int] = (),
    bound: float | None = None,
) -> Expansion:
    """Expand one bootstrap.

    Parameters
    ----------
    limbs, scale
        Of the operand; without a scale only the structure is wanted, and no instruction has one.
    primes
        The data primes, with a scale.
    bound
        Largest absolute value of a slot of the operand, if it is known.

    Raises
    ------
    CircuitError
        When its numbers, levels, limbs or scales are such that it cannot be evaluated, its operand is too large, or its
        polynomial is one of which nobody measured the noise.
    """
    _check(instruction, bound)
    builder = _Builder(instruction, limbs, scale, primes, bound)
    builder.to_coefficients()
    builder.raise_modulus()
    builder.to_slots()
    builder.cosine()
    builder.double_angles()
    return Expansion(
        tuple(builder.instructions), tuple(builder.limbs[1:]), tuple(builder.scales[1:]), {}, builder.bounds
    )


def _check(ins: Bootstrap, bound: float | None) -> None:
    """Refuse numbers that are no bootstrap, before anything is made of them."""
    if not 1 <= ins.weight <= MAX_WEIGHT:
        raise CircuitError(f"bootstrap: the weight {ins.weight} is outside 1..{MAX_WEIGHT}")
    phase = ins.phase
    if max(phase.numerator.bit_length(), phase.denominator.bit_length()) > MAX_PHASE_BITS:
        raise CircuitError(f"bootstrap: the phase is a fraction of more than {MAX_PHASE_BITS} bits")
    if not 0 < phase < LARGEST_PHASE:
        raise CircuitError(f"bootstrap: the phase {float(phase):.4g} is not between 0 and 1/4, where the sine turns")
    rescaling_gain(ins.reduction)
    if bound is not None and not Fraction(bound) * phase < LARGEST_PHASE:
        raise CircuitError(
            f"bootstrap: values up to {bound:.3g} at phase {float(phase):.4g} reach a quarter of the first prime, "
            "where the sine turns; a smaller phase, or a wider interval, would keep them below"
        )
    for groups in (ins.to_coefficients, ins.to_slots):
        if len(groups) > 16 or any(not 1 <= size <= 16 for size in groups):
            raise CircuitError("bootstrap: a transform has 1 to 16 factors of 1 to 16 stages each")
        check_groups(ins.ring_slots, groups)
    levels = 1 + len(ins.to_slots) + polynomial_depth(ins.degree) + ins.double_angles
    if ins.dropped is not None and (len(ins.dropped) != levels or not all(1 <= d <= 64 for d in ins.dropped)):
        raise CircuitError(
            f"bootstrap: it has {levels} rescales, each of which drops 1 to 64 limbs, not {list(ins.dropped)[:64]}"
        )


class _Builder:
    """Emits the instructions of one bootstrap; value 0 is its operand, and each reads what came before."""

    def __init__(
        self, ins: Bootstrap, limbs: int, scale: Fraction | None, primes: Sequence[int], bound: float | None
    ) -> None:
        self._ins, self._primes, self._bound = ins, primes, bound
        self.instructions: list[Instruction] = []
        self.limbs: list[int] = [limbs]
        self.scales: list[Fraction | None] = [scale]
        self.bounds: dict[int, float] = {}
        levels = 1 + len(ins.to_slots) + polynomial_depth(ins.degree) + ins.double_angles
        self._dropped = list(ins.dropped or (0,) * levels)

    def to_coefficients(self) -> None:
        """Slots u become coefficients u, at one limb and scale rho q exactly."""
        ins, (scale, limbs, dropped) = self._ins, (self.scales[0], self.limbs[0], self._dropped.pop(0))
        if scale is not None and limbs != 1 + dropped:
            raise CircuitError(
                f"bootstrap: an operand of {limbs} limbs, of which {dropped} are dropped before the modulus is raised; "
                "one has to be left"
            )
        parts: list[Fraction | None] = [None] * len(ins.to_coefficients)
        if scale is not None:
            wanted = ins.phase * self._primes[0] * self._divisor(limbs, dropped) / scale
            parts = list(_shares(wanted, len(parts)))
        stop = 0
        for size, plain in zip(ins.to_coefficients, parts, strict=True):
            first, stop = stop, stop + size
            self._factor(first, stop, plain, inverse=False)
        self._limit()
        self._rescale(dropped)
        # Of coefficients: that they fit the first prime is what keeps the phase below a quarter.
        self._limit()

    def raise_modulus(self) -> None:
        """To all limbs; multiples of the first prime come in."""
        self._emit(Raise(x=0, limbs=self._ins.limbs or 0, source=self._ins.source), limbs=self._ins.limbs or 0)

    def to_slots(self) -> None:
        """Coefficients become slots t, real."""
        ins, reduction = self._ins, self._ins.reduction
        dropped = [self._dropped.pop(0) for _ in ins.to_slots]
        gain = ins.phase / reduction.reach / (2 * ins.ring_slots)
        parts: list[Fraction | None] = [None] * len(dropped)
        have = self.scales[-1]
        if have is not None:
            left = self.limbs[-1] - sum(dropped)
            target = Fraction(self._divisor(left, self._dropped[0]))
            # Encoded is the factor times its gain at its scale: that is what should be of one size.
            encoded = target * self._divisor(self.limbs[-1], sum(dropped)) / have * gain
            first, *others = _shares(encoded, len(dropped))
            parts = [first / gain, *others]
        stop = sum(ins.to_slots)
        for k, (size, plain) in enumerate(zip(reversed(ins.to_slots), parts, strict=True)):
            self._factor(stop - size, stop, plain, inverse=True, gain=gain if k == 0 else Fraction(1))
            stop -= size
            self._rescale(dropped[k])
        both = len(self.instructions)
        self._emit(Conjugate(x=0, source=ins.source))
        self._emit(Add(x=0, y=both, source=ins.source))
        self._limit(1.0)

    def cosine(self) -> None:
        """The polynomial, from its own expansion."""
        ins = self._ins
        levels = polynomial_depth(ins.degree)
        dropped = tuple(self._dropped[:levels])
        del self._dropped[:levels]
        polynomial = Polynomial(
            x=0,
            coefficients="",
            basis="chebyshev",
            dropped=dropped if ins.dropped is not None else None,
            scale=ins.scale,
            source=ins.source,
        )
        expansion = expand(
            polynomial,
            ins.reduction.coefficients(),
            limbs=self.limbs[-1],
            scale=self.scales[-1],
            primes=self._primes,
            bound=None if self._bound is None else 1.0,
        )
        base = len(self.instructions)
        for step in expansion.instructions:
            self.instructions.append(with_operands(step, [base + v for v in step.operands]))
        self.limbs.extend(expansion.limbs)
        self.scales.extend(expansion.scales)
        self.bounds.update({base + number: limit for number, limit in expansion.bounds.items()})

    def double_angles(self) -> None:
        """``y^2 - a`` each."""
        for amplitude in self._ins.reduction.amplitudes[1:]:
            scale = self.scales[-1]
            squared = None if scale is None else scale * scale
            self._emit(Square(x=0, source=self._ins.source), scale=squared)
            self._emit(AddScalar(x=0, value=-amplitude, source=self._ins.source))
            self._limit(amplitude)
            self._emit(Relinearize(x=0, source=self._ins.source))
            self._rescale(self._dropped.pop(0))

    def _factor(
        self, first: int, stop: int, plain: Fraction | None, *, inverse: bool, gain: Fraction = Fraction(1)
    ) -> None:
        ins, scale = self._ins, self.scales[-1]
        if plain is not None and gain * plain < 1:
            raise CircuitError(
                f"bootstrap: a factor of its transforms would be encoded at scale {power_of_two(gain * plain)}, below "
                "1; larger primes, or a smaller scale of the operand, would leave room for it"
            )
        factor = FourierFactor(
            x=0,
            slots=ins.ring_slots,
            first=first,
            stop=stop,
            inverse=inverse,
            gain=gain,
            scale=plain,
            source=ins.source,
        )
        self._emit(factor, scale=None if scale is None or plain is None else scale * plain)

    def _rescale(self, dropped: int) -> None:
        if not dropped:
            return
        limbs, scale = self.limbs[-1], self.scales[-1]
        after = None if scale is None else scale / self._divisor(limbs, dropped)
        self._emit(Rescale(x=0, limbs=dropped, source=self._ins.source), limbs=limbs - dropped, scale=after)

    def _divisor(self, limbs: int, dropped: int) -> int:
        """Product of the last ``dropped`` primes of so many limbs."""
        return math.prod(self._primes[max(0, limbs - dropped) : max(0, limbs)])

    def _emit(self, instruction: Instruction, *, limbs: int | None = None, scale: Fraction | None = None) -> None:
        """Append an instruction that reads the latest value."""
        latest = len(self.instructions)
        self.instructions.append(with_operands(instruction, [latest, *instruction.operands[1:]]))
        self.limbs.append(self.limbs[-1] if limbs is None else limbs)
        self.scales.append(self.scales[-1] if scale is None else scale)

    def _limit(self, largest: float | None = None) -> None:
        """Note how large the latest value can become: so large, or as large as the operand."""
        if self._bound is not None:
            self.bounds[len(self.instructions) - 1] = self._bound if largest is None else largest


def _shares(product: Fraction, number: int) -> list[Fraction]:
    """So many factors of a product: powers of two about as large as one another, and what is left, which is first."""
    bits = product.numerator.bit_length() - product.denominator.bit_length()
    power = Fraction(2) ** (bits // number)
    return [product / power ** (number - 1), *[power] * (number - 1)]

"""How networks are bootstrapped: the ring, the sine, and the sizes of the primes along the way.

From the last to be dropped to the first a chain is: one prime that messages are raised from, one that the transform to
coefficients takes, primes of the scale's size for layers and polynomials, and larger ones for the sine and the
transform to slots. Every bootstrap goes through all of them, so that many shallow ones are faster than few deep ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from hecc.runtime.ckks.circuit.instructions import Bootstrap
from hecc.runtime.depth import polynomial_depth

__all__ = ["BOOTSTRAPPING", "Bootstrapping"]


@dataclass(frozen=True)
class Bootstrapping:
    """Bootstraps of one ring.

    Attributes
    ----------
    ring_degree
        N.
    to_coefficients, to_slots
        Stages of each factor of the transforms; log2(N / 2) in all.
    levels
        That messages have from one bootstrap to the next, at the most.
    first_bits, coefficients_bits, scale_bits, sine_bits, special_bits
        Sizes of the primes: the first, that of the transform to coefficients, those of messages, those of the sine and
        the transform to slots, and the special ones.
    special, digit_limbs
        How many special primes, and data primes in a digit, there are.
    largest, double_angles, degree, phase, weight
        See :class:`hecc.runtime.ckks.bootstrapping.sine.SineReduction`.
    """

    ring_degree: int
    to_coefficients: tuple[int, ...]
    to_slots: tuple[int, ...]
    levels: int = 6
    first_bits: int = 32
    coefficients_bits: int = 48
    scale_bits: int = 32
    sine_bits: int = 36
    special_bits: int = 44
    special: int = 5
    digit_limbs: int = 6
    largest: int = 13
    double_angles: int = 2
    degree: int = 31
    phase: Fraction = Fraction(9, 40)
    weight: int = 32

    @property
    def behind(self) -> int:
        """Depth of what a bootstrap makes: the levels of the transform to slots and of the sine."""
        return len(self.to_slots) + polynomial_depth(self.degree) + self.double_angles

    def data_bits(self, levels: int) -> tuple[int, ...]:
        """Sizes of the data primes, with so many levels of messages."""
        message, sine = (self.scale_bits,) * levels, (self.sine_bits,) * self.behind
        return self.first_bits, self.coefficients_bits, *message, *sine

    def instruction(self, x: int, interval: tuple[float, float], source: str) -> Bootstrap:
        """A bootstrap, its limbs and scales still open."""
        return Bootstrap(
            x=x,
            largest=self.largest,
            double_angles=self.double_angles,
            degree=self.degree,
            phase=self.phase,
            weight=self.weight,
            to_coefficients=self.to_coefficients,
            to_slots=self.to_slots,
            interval=interval,
            source=source,
        )


BOOTSTRAPPING = Bootstrapping(1 << 15, to_coefficients=(7, 7), to_slots=(5, 5, 4))
"""Of 128 bits of security: 852 of 868 bits of modulus."""

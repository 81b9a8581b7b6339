"""What kinds of instructions have in common: a reading that only asks this need not know the kinds."""

from __future__ import annotations

from enum import Flag, auto

__all__ = ["Trait"]


class Trait(Flag):
    """A property of an instruction kind; each kind declares all that it has."""

    NONE = 0

    BOUNDARY = auto()
    """The client gives or gets it: it stays although no instruction reads it."""

    COUNTED = auto()
    """It has a field ``count``: how many ciphertexts result. All others result in as many as they read."""

    WEIGHTS = auto()
    """It has a sparse matrix of weights."""

    ELEMENTWISE = auto()
    """A slot of the result depends on the same slot of the same ciphertext of each operand, and so does its error."""

    PRODUCT = auto()
    """It multiplies ciphertexts with each other: three polynomials result."""

    SCALES = auto()
    """It multiplies scales, so that its operands have to be rescaled before."""

    LEVELS = auto()
    """The result has fewer limbs than the operand."""

    RELINEARIZES = auto()
    """It switches keys with the relinearisation key."""

    ROTATES = auto()
    """It switches keys with the key of each rotation that it does."""

    CONJUGATES = auto()
    """It switches keys with the key of the conjugation."""

    EMBEDS = auto()
    """It switches keys with those of rotations of the ring's slots, whatever the logical ones are."""

    RAISES = auto()
    """The result has more limbs than the operand: it switches keys to a sparse secret and back."""

    EVALUATES = auto()
    """The evaluation of a polynomial may be made of it; see :mod:`hecc.runtime.ckks.circuit.polynomials`."""

    SWITCHES = RELINEARIZES | ROTATES | CONJUGATES | EMBEDS | RAISES
    """Those that switch keys."""

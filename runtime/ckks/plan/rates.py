"""What the elementary steps of an evaluator take on one machine: what predicted times are made of.

The numbers are measured by ``hecc bench --machine-profile``; the cost model (:mod:`hecc.compiler.ckks.prediction.cost`)
multiplies its counts with them. A plan that was compiled for a measured machine holds them, so that whoever has it can
see what it predicts.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = ["Rates"]

Seconds = Annotated[float, msgspec.Meta(ge=0.0, lt=1e-3)]
"""Of one step on one residue: nanoseconds, or less."""


class Rates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds of each elementary step, with some number of threads at work.

    Attributes
    ----------
    butterfly
        Of a number-theoretic transform, which has ``N log2(N)`` of these, whatever it does to two residues at a time.
    product
        A residue of a product or a sum of two polynomials.
    diagonal
        A residue of a diagonal times a ciphertext, added to a sum.
    moved
        A residue that an automorphism moves through memory.
    term
        A residue of a ciphertext times a number, added to a sum, in a matrix product.
    streamed
        A residue of a matrix product's arguments and results that passes through memory.
    key_byte
        A byte of switching keys, read and multiplied.
    loaded
        A residue of an encrypted input, from the client's stream to the evaluator.
    """

    butterfly: Seconds
    product: Seconds
    diagonal: Seconds = 0.0
    moved: Seconds = 0.0
    term: Seconds
    streamed: Seconds = 0.0
    key_byte: Seconds = 0.0
    loaded: Seconds = 0.0

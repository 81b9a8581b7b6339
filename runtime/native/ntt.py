"""The negacyclic number-theoretic transform of one limb, in Microsoft SEAL's order."""

from typing import Any

import numpy as np
import numpy.typing as npt

from hecc.runtime.native import _native

__all__ = ["NttTables"]


class NttTables:
    """Tables of roots of unity for one prime, and the two transforms that read them.

    The forward transform maps the coefficients of a polynomial of Z_q[X]/(X^N + 1) to its values at the odd powers of
    `root`: value ``i`` is taken at ``root ** (2 * r + 1)``, where ``r`` is ``i`` with its bits reversed. Products of
    polynomials become products of residues. The order is Microsoft SEAL's, so that residues travel between the two
    libraries unchanged.

    The butterflies are Harvey's ("Faster arithmetic for number-theoretic transforms", 2014): precomputed quotients and
    lazy reduction. The tables take 32 bytes per coefficient.

    Parameters
    ----------
    degree
        The ring's degree N, a power of two from 2^11 to 2^17.
    modulus
        The prime q, below 2^50 and equal to 1 modulo 2N.

    Raises
    ------
    TypeError
        If a parameter is not an integer.
    ValueError
        If a parameter is not as described; the message says which and why.
    """

    def __init__(self, degree: int, modulus: int) -> None:
        _check_word("degree", degree)
        _check_word("modulus", modulus)
        self._tables = _native.NttTables(int(degree), int(modulus))

    @property
    def degree(self) -> int:
        """The ring's degree N."""
        return self._tables.degree

    @property
    def modulus(self) -> int:
        """The prime q."""
        return self._tables.modulus

    @property
    def root(self) -> int:
        """The minimal primitive 2N-th root of unity modulo q, from which the order of the values follows."""
        return self._tables.root

    def forward(self, residues: npt.NDArray[np.uint64]) -> None:
        """Transform coefficients to values, in place; other threads may run meanwhile.

        Parameters
        ----------
        residues
            Writable C-contiguous array of unsigned 64-bit residues below the modulus, of shape (..., N): each row is
            transformed by itself.

        Raises
        ------
        TypeError
            If `residues` is not a numpy array of uint64.
        ValueError
            If its shape, layout or a residue is not as described. It is then unchanged.
        """
        self._check(residues)
        self._tables.forward(residues)

    def inverse(self, residues: npt.NDArray[np.uint64]) -> None:
        """Transform values back to coefficients, in place; `forward` undone exactly.

        Takes and raises what `forward` does.
        """
        self._check(residues)
        self._tables.inverse(residues)

    def __repr__(self) -> str:
        return f"NttTables(degree={self.degree}, modulus={self.modulus})"

    def _check(self, residues: Any) -> None:
        if not isinstance(residues, np.ndarray):
            raise TypeError(f"residues must be a numpy array, not {type(residues).__name__}")
        if residues.dtype != np.uint64:
            raise TypeError(f"residues must have dtype uint64, not {residues.dtype}")
        if residues.ndim == 0 or residues.shape[-1] != self.degree:
            raise ValueError(f"residues must have shape (..., {self.degree}), not {residues.shape}")
        flags = residues.flags
        if not (flags.c_contiguous and flags.aligned and flags.writeable):
            raise ValueError("residues must be C-contiguous, aligned and writable: they are transformed in place")


def _check_word(name: str, value: object) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise TypeError(f"the {name} must be an integer, not {type(value).__name__}")
    if not 0 < value < 2**64:
        raise ValueError(f"the {name} {value} is not a positive 64-bit integer")

"""The negacyclic number-theoretic transform of one limb, in Microsoft SEAL's order."""

from typing import Any

import numpy as np
import numpy.typing as npt

from hecc.runtime.native._native import NttTables as Tables

__all__ = ["NttTables"]


class NttTables(Tables):
    """Tables of roots of unity for one prime, and the two transforms that read them.

    The forward transform maps the coefficients of a polynomial of Z_q[X]/(X^N + 1) to its values at the odd powers of
    `root`: value ``i`` is taken at ``root ** (2 * r + 1)``, where ``r`` is ``i`` with its bits reversed. Products of
    polynomials become products of residues. The order is Microsoft SEAL's, so that residues travel between the two
    libraries unchanged.

    The butterflies are Harvey's ("Faster arithmetic for number-theoretic transforms", 2014): precomputed quotients and
    lazy reduction. The tables take 16 bytes per coefficient and are shared by all objects of the same parameters.

    Parameters
    ----------
    degree
        The ring's degree N, a power of two from 2^11 to 2^17.
    modulus
        The prime q, below 2^50 and equal to 1 modulo 2N.
    implementation
        Which of :func:`hecc.runtime.native.implementations` to use; by default the one that the environment variable
        ``HECC_KERNELS`` names, or the fastest.

    Raises
    ------
    TypeError
        If a parameter is not an integer.
    ValueError
        If a parameter is not as described; the message says which and why.
    """

    def __init__(self, degree: int, modulus: int, implementation: str | None = None) -> None:
        _check_word("degree", degree)
        _check_word("modulus", modulus)
        super().__init__(int(degree), int(modulus), implementation)

    @property
    def degree(self) -> int:
        """The ring's degree N."""
        return super().degree

    @property
    def modulus(self) -> int:
        """The prime q."""
        return super().modulus

    @property
    def root(self) -> int:
        """The minimal primitive 2N-th root of unity modulo q, from which the order of the values follows."""
        return super().root

    def forward(self, residues: npt.NDArray[np.uint64], sparse: bool = False) -> None:
        """Transform coefficients to values, in place; other threads may run meanwhile.

        Parameters
        ----------
        residues
            Writable C-contiguous array of unsigned 64-bit residues below the modulus, of shape (..., N): each row is
            transformed by itself.
        sparse
            The rows may then be shorter, a power of two M from 64: they hold every (N / M)-th coefficient of a
            polynomial whose others are zero, and each value stands for N / M equal consecutive ones.

        Raises
        ------
        TypeError
            If `residues` is not a numpy array of uint64.
        ValueError
            If its shape, layout or a residue is not as described. It is then unchanged.
        """
        self._check(residues, sparse)
        super().forward(residues, sparse)

    def inverse(self, residues: npt.NDArray[np.uint64], sparse: bool = False) -> None:
        """Transform values back to coefficients, in place; `forward` undone exactly.

        Takes and raises what `forward` does.
        """
        self._check(residues, sparse)
        super().inverse(residues, sparse)

    def __repr__(self) -> str:
        return f"NttTables(degree={self.degree}, modulus={self.modulus})"

    def _check(self, residues: Any, sparse: bool) -> None:
        if not isinstance(residues, np.ndarray):
            raise TypeError(f"residues must be a numpy array, not {type(residues).__name__}")
        if residues.dtype != np.uint64:
            raise TypeError(f"residues must have dtype uint64, not {residues.dtype}")
        if residues.ndim == 0 or (residues.shape[-1] != self.degree and not sparse):
            raise ValueError(f"residues must have shape (..., {self.degree}), not {residues.shape}")
        flags = residues.flags
        if not (flags.c_contiguous and flags.aligned and flags.writeable):
            raise ValueError("residues must be C-contiguous, aligned and writable: they are transformed in place")


def _check_word(name: str, value: object) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise TypeError(f"the {name} must be an integer, not {type(value).__name__}")
    if not 0 < value < 2**64:
        raise ValueError(f"the {name} {value} is not a positive 64-bit integer")

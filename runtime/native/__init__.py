"""Kernels in C++ behind typed Python faces.

They see public data (ciphertexts, evaluation keys, plaintext weights), and shares of secrets in time that does not
depend on them. Every kernel exists for several instruction sets, which return the same residues to the bit; the
fastest that the processor can run is used, unless the environment variable ``HECC_KERNELS`` names another one
(``avx512ifma``, ``avx2`` or ``portable``). ``HECC_MASK_CPU`` hides features of the processor from that choice, for
tests (``avx512ifma,avx2``; ``docs/explanation/kernels.md`` has the list).
"""

from hecc.runtime.native._native import (
    BasisConversion,
    Encoder,
    GaloisPermutation,
    Kernels,
    ModDown,
    NormalStream,
    implementations,
    time_kernels,
)
from hecc.runtime.native.ntt import NttTables

__all__ = [
    "BasisConversion",
    "Encoder",
    "GaloisPermutation",
    "Kernels",
    "ModDown",
    "NormalStream",
    "NttTables",
    "implementations",
    "time_kernels",
]

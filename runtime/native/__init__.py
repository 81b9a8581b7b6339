"""Kernels in C++ behind typed Python faces.

They see public data only: ciphertexts, evaluation keys and plaintext weights.
"""

from hecc.runtime.native.ntt import NttTables

__all__ = ["NttTables"]

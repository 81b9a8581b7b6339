"""The native kernels of this process, chosen once, at the first use."""

from __future__ import annotations

from functools import cache

from hecc.runtime.native._native import Kernels

__all__ = ["chosen_kernels"]


@cache
def chosen_kernels() -> Kernels:
    """Those of ``HECC_KERNELS``, or the fastest that the processor can run."""
    return Kernels()

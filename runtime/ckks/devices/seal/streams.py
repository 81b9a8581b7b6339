"""SEAL objects as bytes, and SEAL contexts: the bridge for public data.

The binding's ``save`` and ``load`` take a path. On Linux the path leads to an anonymous file in memory; elsewhere to a
file in a folder that only this user can enter, removed afterwards, on failure too.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tenseal import sealapi

from hecc.runtime.errors import FileFormatError, ParameterError

__all__ = ["Streamable", "load_stream", "make_context", "save_stream", "save_stream_to_array"]


class Streamable(Protocol):
    """A SEAL object that has ``save`` and ``load``: a ciphertext, a plaintext or a key."""

    def save(self, path: str, /) -> None:
        """Write the object to ``path``."""

    def load(self, context: Any, path: str, /) -> None:
        """Read the object from ``path`` and check it against ``context``."""


def make_context(ring_degree: int, primes: Sequence[int], *, expand: bool, enforce_128: bool) -> Any:
    """SEAL's context for a ring and its primes; the last prime is the special one when there are several.

    Parameters
    ----------
    ring_degree
        N, a power of two.
    primes
        In SEAL's order, data primes first.
    expand
        Whether every level of the modulus chain gets its tables. Evaluation needs it; key generation, encryption and
        decryption at the first level do not, and it is most of a context's cost.
    enforce_128
        Whether SEAL itself refuses parameters below 128 bits. Its table ends at N = 32768.

    Raises
    ------
    ParameterError
        When SEAL refuses the parameters, with its reason.
    """
    level = sealapi.SEC_LEVEL_TYPE.TC128 if enforce_128 else sealapi.SEC_LEVEL_TYPE.NONE
    try:
        parameters = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.CKKS)
        parameters.set_poly_modulus_degree(ring_degree)
        parameters.set_coeff_modulus([sealapi.Modulus(q) for q in primes])
        context = sealapi.SEALContext(parameters, expand, level)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ParameterError(f"SEAL refuses ring degree {ring_degree} with {len(primes)} primes: {error}") from None
    if not context.parameters_set():
        reason = context.parameters_error_message()
        raise ParameterError(f"SEAL refuses ring degree {ring_degree} with {len(primes)} primes: {reason}")
    return context


def save_stream(obj: Streamable) -> bytes:
    """The object in SEAL's own format."""
    with _scratch() as path:
        obj.save(str(path))
        return path.read_bytes()


def save_stream_to_array(obj: Streamable) -> NDArray[np.uint8]:
    """The object in SEAL's own format, where the caller can erase it."""
    with _scratch() as path:
        obj.save(str(path))
        return np.fromfile(path, dtype=np.uint8)


def load_stream(obj: Streamable, context: Any, data: bytes | memoryview) -> None:
    """Fill ``obj`` from SEAL's own format; SEAL checks every residue against ``context``.

    Raises
    ------
    FileFormatError
        When SEAL refuses the bytes, with its reason. ``obj`` must then not be used.
    """
    with _scratch() as path:
        path.write_bytes(data)
        try:
            obj.load(context, str(path))
        except (ValueError, RuntimeError, IndexError, MemoryError) as error:
            kind = type(obj).__name__
            raise FileFormatError(f"SEAL refuses a stream of {len(data)} bytes as {kind}: {error}") from None


@contextmanager
def _scratch() -> Iterator[Path]:
    """Path of an empty file that nobody else can open, gone afterwards."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("hecc")
        try:
            yield Path(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
    else:
        with tempfile.TemporaryDirectory(prefix="hecc-") as folder:
            yield Path(folder) / "stream"

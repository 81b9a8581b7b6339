"""Headers as canonical JSON: one value, one sequence of bytes, so that a fingerprint of a header means something.

Exact scales travel as the string ``"numerator/denominator"``: JSON numbers would round them.
"""

from __future__ import annotations

import hashlib
import re
from fractions import Fraction
from typing import Any, TypeVar

import msgspec

from hecc.runtime.errors import FileFormatError

__all__ = ["MAX_DIGITS", "decode", "decode_some", "encode", "fingerprint", "normalise"]

T = TypeVar("T")

MAX_DIGITS = 4300
"""Most digits of a numerator or denominator: where Python stops, because parsing takes quadratic time."""

MAX_SHOWN = 300
"""Most characters of a message about a file that may come from the file."""

_FRACTION = re.compile(rf"([1-9][0-9]{{0,{MAX_DIGITS - 1}}})/([1-9][0-9]{{0,{MAX_DIGITS - 1}}})")


def encode(value: Any) -> bytes:
    """Canonical JSON of a header: keys in the order of the declaration, no white space."""
    return msgspec.json.encode(value, enc_hook=_encode_hook, order="deterministic")


def decode(data: bytes | memoryview, kind: type[T], *, where: str) -> T:
    """The header in ``data``, decoded strictly.

    Parameters
    ----------
    data
        Canonical JSON, as :func:`encode` writes it.
    kind
        What to decode it as.
    where
        What the error message names: a file, and the part of it.

    Raises
    ------
    FileFormatError
        A missing, unknown or malformed field, or JSON that is valid but not canonical.
    """
    value = _decode(data, kind, where)
    if encode(value) != data:
        raise FileFormatError(f"{where} is not in canonical form; make the file again with hecc")
    return value


def decode_some(data: bytes | memoryview, kind: type[T], *, where: str) -> T:
    """Some fields of a header, as a struct that does not forbid others; whether they are canonical is not checked.

    Raises
    ------
    FileFormatError
        A missing or malformed field.
    """
    return _decode(data, kind, where)


def normalise(value: T) -> T:
    """``value`` as it will be after a journey through a file: an integer in a field of floats becomes a float."""
    return _decode(encode(value), type(value), type(value).__name__)


def fingerprint(value: Any) -> str:
    """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
    return hashlib.sha256(encode(value)).hexdigest()


def _decode(data: bytes | memoryview, kind: type[T], where: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind, strict=True, dec_hook=_decode_hook)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        reason = _shown(str(error))
        raise FileFormatError(f"{where} has a malformed field ({reason}); make the file again with hecc") from None


def _shown(text: str) -> str:
    """A message that quotes a file: nothing that a terminal obeys instead of printing it, and not without end."""
    printable = text if text.isprintable() else ascii(text)[1:-1]
    return printable if len(printable) <= MAX_SHOWN else printable[:MAX_SHOWN] + "..."


def _encode_hook(value: Any) -> str:
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    raise NotImplementedError(f"a header cannot hold a {type(value).__name__}")


def _decode_hook(kind: type[Any], value: Any) -> Fraction:
    if kind is not Fraction:
        raise NotImplementedError(f"a header cannot hold a {kind.__name__}")
    match = _FRACTION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"expected a positive fraction such as `3/4`, of at most {MAX_DIGITS} digits each")
    return Fraction(int(match[1]), int(match[2]))

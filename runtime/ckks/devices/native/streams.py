"""SEAL's ciphertext streams, read and written without SEAL.

The format is SEAL 4's: a header of 16 bytes, then the ciphertext, compressed or not. A ciphertext made with the secret
key may carry a seed in place of its second polynomial, which is uniform. Nothing is believed: every length follows from
what the caller expects, and is checked before it is used.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import zstandard
from numpy.typing import NDArray

from hecc.runtime.errors import FileFormatError

__all__ = [
    "ParsedCiphertext",
    "checked_ciphertext",
    "checked_switching_key",
    "parms_id",
    "parsed_switching_key",
    "read_ciphertext",
    "write_ciphertext",
]

_HEADER = struct.Struct("<HBBBBHQ")
"""Magic, header size, major and minor version, compression, reserved, size of all."""
_MAGIC, _VERSION = 0xA15E, (4, 3)
_UNCOMPRESSED, _ZSTD = 0, 2
_FIELDS = struct.Struct("<32sBQQQdQ")
"""parms_id, whether in NTT form, polynomials, N, limbs, scale, correction factor."""
_IDENTITY = 32
"""Bytes of a parms_id."""
_COUNT = struct.Struct("<Q")
_SEED = struct.Struct("<B64s")
"""Generator and seed."""
_BLAKE2XB = 1
_CKKS = 2


@dataclass(frozen=True)
class ParsedCiphertext:
    """A ciphertext as its stream has it.

    Attributes
    ----------
    parms_id
        SEAL's name of the ring and the primes.
    scale
        SEAL's double.
    residues
        In NTT form, shape (polynomials, limbs, N), or (1, limbs, N) with a seed. Not yet known to be reduced.
    seed
        64 bytes from which the second polynomial is sampled, or ``None``.
    """

    parms_id: bytes
    scale: float
    residues: NDArray[np.uint64]
    seed: bytes | None


def parms_id(ring_degree: int, primes: Sequence[int]) -> bytes:
    """SEAL's name of a level: BLAKE2b of the scheme, N, the primes left, and a plaintext modulus of 0."""
    words = (_CKKS, ring_degree, *primes, 0)
    return hashlib.blake2b(struct.pack(f"<{len(words)}Q", *words), digest_size=32).digest()


def read_ciphertext(
    stream: bytes | memoryview,
    *,
    ring_degree: int,
    limbs: int,
    polynomials: int,
    where: str,
    remedy: str = "encrypt again for this plan",
) -> ParsedCiphertext:
    """Parse a stream that should hold a ciphertext of ``polynomials`` polynomials with ``limbs`` limbs.

    Raises
    ------
    FileFormatError
        It does not; ``where`` begins the message, and ``remedy`` ends it.
    """
    try:
        return _parse(_ciphertext_body(stream, ring_degree, limbs, polynomials), ring_degree, limbs, polynomials)
    except _StreamError as error:
        raise FileFormatError(f"{where}: {error}; {remedy}") from None


def checked_ciphertext(
    stream: bytes | memoryview, *, ring_degree: int, limbs: int, polynomials: int, where: str, remedy: str
) -> bytes:
    """The same ciphertext in a stream that may be handed to SEAL: uncompressed, and of the structure expected.

    SEAL reads what a stream announces, nested and compressed as often as it says, and some that end too early end the
    process instead of raising an exception.

    Raises
    ------
    FileFormatError
        As :func:`read_ciphertext`.
    """
    try:
        body = _ciphertext_body(stream, ring_degree, limbs, polynomials)
        _parse(body, ring_degree, limbs, polynomials)
    except _StreamError as error:
        raise FileFormatError(f"{where}: {error}; {remedy}") from None
    return _uncompressed(body)


def checked_switching_key(
    stream: bytes | memoryview, *, ring_degree: int, limbs: int, places: int, place: int, where: str
) -> bytes:
    """As :func:`checked_ciphertext`, of SEAL's relinearisation or Galois keys with one key among them.

    Parameters
    ----------
    stream
        SEAL's ``KSwitchKeys``: a parms_id, the number of places, and for each place the number of its digits and these,
        each a ciphertext in a stream of its own.
    ring_degree, limbs
        N, and primes of each digit, special one included; there is a digit for each of the others.
    places, place
        How many places there are at most, and which one holds the key.
    where
        Begins the message of a refusal.

    Raises
    ------
    FileFormatError
        It is not such a key.
    """
    body, _ = _switching_key(stream, ring_degree, limbs, places, place, where)
    return _uncompressed(body)


def parsed_switching_key(
    stream: bytes | memoryview, *, ring_degree: int, limbs: int, places: int, place: int, where: str
) -> list[ParsedCiphertext]:
    """The digits of the key that :func:`checked_switching_key` checks.

    Raises
    ------
    FileFormatError
        It is not such a key.
    """
    return _switching_key(stream, ring_degree, limbs, places, place, where)[1]


def write_ciphertext(identity: bytes, scale: float, residues: NDArray[np.uint64]) -> bytes:
    """SEAL's uncompressed stream of residues in NTT form, shape (polynomials, limbs, N)."""
    polynomials, limbs, degree = residues.shape
    words = np.ascontiguousarray(residues, dtype="<u8")
    array_size = _HEADER.size + _COUNT.size + words.nbytes
    size = _HEADER.size + _FIELDS.size + array_size
    return b"".join(
        (
            _HEADER.pack(_MAGIC, _HEADER.size, *_VERSION, _UNCOMPRESSED, 0, size),
            _FIELDS.pack(identity, 1, polynomials, degree, limbs, scale, 1),
            _HEADER.pack(_MAGIC, _HEADER.size, *_VERSION, _UNCOMPRESSED, 0, array_size),
            _COUNT.pack(residues.size),
            words.reshape(-1).view(np.uint8).data,
        )
    )


class _StreamError(Exception):
    """What is wrong with a stream; whoever reads it says where it is and what to do."""


def _switching_key(
    stream: bytes | memoryview, ring_degree: int, limbs: int, places: int, place: int, where: str
) -> tuple[memoryview, list[ParsedCiphertext]]:
    """What is behind the header of a switching key, unpacked, and its digits."""
    digits = limbs - 1
    longest_digit = _FIELDS.size + 2 * (_HEADER.size + _COUNT.size) + _HEADER.size + 16 * limbs * ring_degree
    try:
        body = _body(memoryview(stream), _IDENTITY + _COUNT.size * (1 + places) + digits * longest_digit)
        first = _IDENTITY + _COUNT.size
        rest = body[first + _COUNT.size * place :]
        empty = (bytes(body[first : first + _COUNT.size * place]), bytes(_COUNT.size * place))
        if len(rest) < _COUNT.size or empty[0] != empty[1]:
            raise _StreamError("not the key that it should be")
        (found,), (count,) = _COUNT.unpack_from(body, _IDENTITY), _COUNT.unpack_from(rest)
        if not place < found <= places or count != digits:
            raise _StreamError(f"{count} digits at one of {found} places, not {digits} at one of at most {places}")
        rest = rest[_COUNT.size :]
        parsed = []
        for _ in range(digits):
            if len(rest) < _HEADER.size:
                raise _StreamError("truncated")
            length = _inner(rest)
            parsed.append(_parse(_ciphertext_body(rest[:length], ring_degree, limbs, 2), ring_degree, limbs, 2))
            rest = rest[length:]
        if bytes(rest) != bytes(_COUNT.size * (found - place - 1)):
            raise _StreamError("more than one key")
    except _StreamError as error:
        raise FileFormatError(f"{where}: {error}; make new keys") from None
    return body, parsed


def _ciphertext_body(stream: bytes | memoryview, ring_degree: int, limbs: int, polynomials: int) -> memoryview:
    """What is behind the header of a ciphertext, unpacked."""
    size = 8 * limbs * ring_degree
    longest = _FIELDS.size + _HEADER.size + _COUNT.size + max(polynomials * size, size + _HEADER.size + _SEED.size)
    return _body(memoryview(stream), longest)


def _parse(body: memoryview, ring_degree: int, limbs: int, polynomials: int) -> ParsedCiphertext:
    size, prefix = 8 * limbs * ring_degree, _HEADER.size + _COUNT.size
    if len(body) < _FIELDS.size:
        raise _StreamError("truncated")
    identity, is_ntt, found_polynomials, degree, found_limbs, scale, _ = _FIELDS.unpack_from(body)
    if degree != ring_degree:
        raise _StreamError(f"ring degree {degree}, not {ring_degree}")
    if found_limbs != limbs:
        raise _StreamError(f"{found_limbs} limbs, not {limbs}")
    if found_polynomials != polynomials:
        raise _StreamError(f"{found_polynomials} polynomials, not {polynomials}")
    if is_ntt != 1:
        raise _StreamError("not in NTT form")
    # An array shorter than its length, or a longer stream than the array and the seed, is refused by the last two.
    array = body[_FIELDS.size :]
    if len(array) < prefix:
        raise _StreamError("truncated")
    length = _inner(array)
    (count,) = _COUNT.unpack_from(array, _HEADER.size)
    seeded = 8 * count == size and polynomials == 2
    if length != prefix + 8 * count or not (seeded or 8 * count == polynomials * size) or len(array) < length:
        raise _StreamError("it does not hold the residues that it announces")
    shape = (1 if seeded else polynomials, limbs, ring_degree)
    residues = np.frombuffer(array, dtype="<u8", count=count, offset=prefix).reshape(shape)
    rest = array[length:]
    seed = _seed(rest) if seeded else None
    if len(rest) != (_HEADER.size + _SEED.size if seeded else 0):
        raise _StreamError("trailing bytes")
    return ParsedCiphertext(identity, scale, residues, seed)


def _body(stream: memoryview, longest: int) -> memoryview:
    """What is behind the header, unpacked: at most ``longest`` bytes."""
    if len(stream) < _HEADER.size:
        raise _StreamError("truncated")
    magic, header_size, major, _, mode, _, size = _HEADER.unpack_from(stream)
    if magic != _MAGIC or header_size != _HEADER.size or size != len(stream):
        raise _StreamError(f"not a SEAL stream of {len(stream)} bytes")
    if major != _VERSION[0]:
        raise _StreamError(f"written by SEAL {major}, hecc reads SEAL {_VERSION[0]}")
    content = stream[_HEADER.size :]
    if mode == _UNCOMPRESSED:
        return content
    if mode != _ZSTD:
        raise _StreamError(f"unknown compression {mode}")
    # One byte more than there may be, so that a longer one shows; however much it would unpack to, no more is made.
    target = memoryview(bytearray(longest + 1))
    filled = 0
    try:
        with zstandard.ZstdDecompressor().stream_reader(content) as reader:
            while filled < len(target) and (read := reader.readinto(target[filled:])):
                filled += read
    except zstandard.ZstdError as error:
        raise _StreamError(f"cannot be decompressed ({error})") from None
    return target[:filled]


def _inner(content: memoryview) -> int:
    """The size that the header of a part announces, itself included."""
    magic, header_size, major, _, mode, _, size = _HEADER.unpack_from(content)
    if magic != _MAGIC or header_size != _HEADER.size or major != _VERSION[0] or mode != _UNCOMPRESSED:
        raise _StreamError("a part of it is not as SEAL writes it")
    return int(size)


def _seed(content: memoryview) -> bytes:
    if len(content) != _HEADER.size + _SEED.size or _inner(content) != len(content):
        raise _StreamError("its seed is damaged")
    generator, seed = _SEED.unpack_from(content, _HEADER.size)
    if generator != _BLAKE2XB:
        raise _StreamError(f"made with random generator {generator}, which hecc does not know")
    return bytes(seed)


def _uncompressed(body: memoryview) -> bytes:
    """The body behind SEAL's header."""
    return _HEADER.pack(_MAGIC, _HEADER.size, *_VERSION, _UNCOMPRESSED, 0, _HEADER.size + len(body)) + body

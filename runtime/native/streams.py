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

__all__ = ["ParsedCiphertext", "parms_id", "read_ciphertext", "write_ciphertext"]

_HEADER = struct.Struct("<HBBBBHQ")
"""Magic, header size, major and minor version, compression, reserved, size of all."""
_MAGIC, _VERSION = 0xA15E, (4, 3)
_UNCOMPRESSED, _ZSTD = 0, 2
_FIELDS = struct.Struct("<32sBQQQdQ")
"""parms_id, whether in NTT form, polynomials, N, limbs, scale, correction factor."""
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
    stream: bytes | memoryview, *, ring_degree: int, limbs: int, polynomials: int, where: str
) -> ParsedCiphertext:
    """Parse a stream that should hold a ciphertext of ``polynomials`` polynomials with ``limbs`` limbs.

    Raises
    ------
    FileFormatError
        It does not; ``where`` begins the message.
    """
    size = 8 * limbs * ring_degree
    prefix = _HEADER.size + _COUNT.size
    longest = _FIELDS.size + prefix + max(polynomials * size, size + _HEADER.size + _SEED.size)
    body = _body(memoryview(stream), longest, where)
    if len(body) < _FIELDS.size:
        raise FileFormatError(f"{where}: truncated; encrypt again")
    identity, is_ntt, found_polynomials, degree, found_limbs, scale, _ = _FIELDS.unpack_from(body)
    if degree != ring_degree:
        raise FileFormatError(f"{where}: ring degree {degree}, not {ring_degree}; encrypt for this plan")
    if found_limbs != limbs:
        raise FileFormatError(f"{where}: {found_limbs} limbs, not {limbs}; encrypt for this plan")
    if found_polynomials != polynomials:
        raise FileFormatError(f"{where}: {found_polynomials} polynomials, not {polynomials}; encrypt for this plan")
    if is_ntt != 1:
        raise FileFormatError(f"{where}: not in NTT form; encrypt for this plan")
    # An array shorter than its length, or a longer stream than the array and the seed, is refused by the last two.
    array = body[_FIELDS.size :]
    if len(array) < prefix:
        raise FileFormatError(f"{where}: truncated; encrypt again")
    length = _inner(array, where)
    (count,) = _COUNT.unpack_from(array, _HEADER.size)
    seeded = 8 * count == size and polynomials == 2
    if length != prefix + 8 * count or not (seeded or 8 * count == polynomials * size) or len(array) < length:
        raise FileFormatError(f"{where}: it does not hold the residues that it announces; encrypt again")
    shape = (1 if seeded else polynomials, limbs, ring_degree)
    residues = np.frombuffer(array, dtype="<u8", count=count, offset=prefix).reshape(shape)
    rest = array[length:]
    seed = _seed(rest, where) if seeded else None
    if len(rest) != (_HEADER.size + _SEED.size if seeded else 0):
        raise FileFormatError(f"{where}: trailing bytes; encrypt again")
    return ParsedCiphertext(identity, scale, residues, seed)


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


def _body(stream: memoryview, longest: int, where: str) -> memoryview:
    """What is behind the header, unpacked: at most ``longest`` bytes."""
    if len(stream) < _HEADER.size:
        raise FileFormatError(f"{where}: truncated; encrypt again")
    magic, header_size, major, _, mode, _, size = _HEADER.unpack_from(stream)
    if magic != _MAGIC or header_size != _HEADER.size or size != len(stream):
        raise FileFormatError(f"{where}: not a SEAL stream of {len(stream)} bytes; encrypt again")
    if major != _VERSION[0]:
        raise FileFormatError(f"{where}: written by SEAL {major}, hecc reads SEAL {_VERSION[0]}; encrypt with hecc")
    content = stream[_HEADER.size :]
    if mode == _UNCOMPRESSED:
        return content
    if mode != _ZSTD:
        raise FileFormatError(f"{where}: unknown compression {mode}; encrypt with hecc")
    # One byte more than there may be, so that a longer one shows; however much it would unpack to, no more is made.
    target = memoryview(bytearray(longest + 1))
    filled = 0
    try:
        with zstandard.ZstdDecompressor().stream_reader(content) as reader:
            while filled < len(target) and (read := reader.readinto(target[filled:])):
                filled += read
    except zstandard.ZstdError as error:
        raise FileFormatError(f"{where}: cannot be decompressed ({error}); encrypt again") from None
    return target[:filled]


def _inner(content: memoryview, where: str) -> int:
    """The size that the header of a part announces, itself included."""
    magic, header_size, major, _, mode, _, size = _HEADER.unpack_from(content)
    if magic != _MAGIC or header_size != _HEADER.size or major != _VERSION[0] or mode != _UNCOMPRESSED:
        raise FileFormatError(f"{where}: a part of it is not as SEAL writes it; encrypt again")
    return int(size)


def _seed(content: memoryview, where: str) -> bytes:
    if len(content) != _HEADER.size + _SEED.size or _inner(content, where) != len(content):
        raise FileFormatError(f"{where}: its seed is damaged; encrypt again")
    generator, seed = _SEED.unpack_from(content, _HEADER.size)
    if generator != _BLAKE2XB:
        raise FileFormatError(f"{where}: made with random generator {generator}, which hecc does not know")
    return bytes(seed)

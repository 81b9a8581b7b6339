"""SEAL for the client: residues of keys, and small contexts of only the limbs that a ciphertext has.

SEAL names a level by a hash of the ring and of the primes left at that level (its *parms_id*). A context of the first
``limbs`` data primes and one special prime has, as its first level, exactly the level that the whole chain has at
``limbs`` limbs; so ciphertexts pass from one to the other, while the small context costs a fraction. Only keys, which
live at a context's own top level, have to be cut down to its primes: residues are independent of one another.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import zstandard
from numpy.typing import NDArray
from tenseal import sealapi

from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.devices.native.streams import checked_ciphertext
from hecc.runtime.ckks.devices.seal.streams import load_stream, make_context, save_stream, save_stream_to_array
from hecc.runtime.errors import FileFormatError
from hecc.runtime.native import _evaluator
from hecc.runtime.native.ntt import NttTables

__all__ = ["KeyMaker", "LevelCipher", "Vector", "key_context", "public_residues", "read_sample", "secret_key"]

Vector: TypeAlias = "NDArray[np.float64] | NDArray[np.complex128]"
"""What the slots of a ciphertext hold."""

LARGEST_CHECKED_DEGREE = 32768
"""SEAL's own security table ends here; above it hecc's alone decides."""

SCALE_TOLERANCE = 2.0**-40
"""As SEAL's own, relative: how far a ciphertext's scale may be from the plan's."""

_HEADER = struct.Struct("<HBBBBHQ")
_MAGIC, _VERSION = 0xA15E, (4, 3)
_UNCOMPRESSED, _ZSTD = 0, 2
_CIPHERTEXT = struct.Struct("<4QBQQQdQ")
_PLAINTEXT = struct.Struct("<4QQd")
_COUNT = struct.Struct("<Q")
_SEED = struct.Struct("<B64s")
_BLAKE2XB = 1
_UNKNOWN_FORMAT = "this SEAL writes another format; install a version of tenseal that hecc knows"


class KeyMaker:
    """A new secret key, and SEAL's keys made from it.

    Parameters
    ----------
    spec
        Parameters, checked by the caller.
    enforce_128
        Whether SEAL shall refuse insecure parameters too, as far as its table goes.
    """

    def __init__(self, spec: KeySpecification, *, enforce_128: bool) -> None:
        self._spec = spec
        self._enforce = enforce_128
        context = key_context(spec.ring_degree, (*spec.data_primes, *spec.special_primes), enforce_128)
        self._generator = sealapi.KeyGenerator(context)
        self._secret = self._generator.secret_key()

    def secret_residues(self) -> NDArray[np.uint64]:
        """The secret in NTT form, shape (primes, N), data primes first: the caller's own, to be erased after use."""
        primes = len(self._spec.data_primes) + len(self._spec.special_primes)
        out = np.empty((primes, self._spec.ring_degree), dtype=np.uint64)
        stream = save_stream_to_array(self._secret)
        try:
            reader = _reader(stream)
            head = reader.read(_PLAINTEXT.size + _HEADER.size + _COUNT.size)
            found = _read_into(reader, out)
            if found != out.nbytes or len(head) != _PLAINTEXT.size + _HEADER.size + _COUNT.size or reader.read(1):
                raise FileFormatError(_UNKNOWN_FORMAT)
        finally:
            stream.fill(0)
        return out

    def public(self) -> bytes:
        """SEAL's stream of the public key: an encryption of zero over the data primes and the first special one.

        One half of it is a seed.
        """
        context, selected = _selection(self._spec, len(self._spec.data_primes), self._enforce)
        secret = self.secret_residues()
        try:
            encryptor = sealapi.Encryptor(context, _selected_key(context, secret, selected))
        finally:
            secret.fill(0)
        return save_stream(encryptor.encrypt_zero_symmetric(context.key_parms_id()))

    def relinearization(self) -> bytes:
        """SEAL's stream of the relinearisation key, seeded."""
        return save_stream(self._generator.create_relin_keys())

    def galois(self, element: int) -> bytes:
        """SEAL's stream of the key for one Galois element, seeded."""
        return save_stream(self._generator.create_galois_keys([element]))

    @property
    def raising(self) -> Mapping[str, Callable[[], Iterator[NDArray[np.uint64]]]]:
        """No keys that raise ciphertexts: SEAL has no bootstrapping."""
        return {}


class LevelCipher:
    """Encryption and decryption of ciphertexts with a given number of limbs.

    Parameters
    ----------
    spec
        Parameters, checked by the caller.
    limbs
        Data primes in use.
    enforce_128
        Whether SEAL shall refuse insecure parameters too, as far as its table goes.
    secret
        Residues of the secret key, shape (primes, N), to encrypt with half the upload, and to decrypt.
    public
        Residues of the public key, shape (2, data primes + 1, N), to encrypt without the secret.
    """

    def __init__(
        self,
        spec: KeySpecification,
        limbs: int,
        *,
        enforce_128: bool,
        secret: NDArray[np.uint64] | None = None,
        public: NDArray[np.uint64] | None = None,
    ) -> None:
        self._limbs = limbs
        self._primes, self._degree = spec.data_primes[:limbs], spec.ring_degree
        self._context, selected = _selection(spec, limbs, enforce_128)
        self._encoder = sealapi.CKKSEncoder(self._context)
        self._symmetric = secret is not None
        if secret is not None:
            key = _selected_key(self._context, secret, selected)
            self._encryptor = sealapi.Encryptor(self._context, key)
            self._decryptor = sealapi.Decryptor(self._context, key)
        elif public is not None:
            self._encryptor = sealapi.Encryptor(self._context, _public_key(self._context, public[:, selected]))

    def encrypt(self, values: Vector, scale: float) -> bytes:
        """SEAL's stream of one encryption of ``values``, shape (slots of the ring,).

        With the secret key its random half is a seed.
        """
        plain = sealapi.Plaintext()
        self._encoder.encode(values.tolist(), scale, plain)
        if self._symmetric:
            return save_stream(self._encryptor.encrypt_symmetric(plain))
        ciphertext = sealapi.Ciphertext()
        self._encryptor.encrypt(plain, ciphertext)
        return save_stream(ciphertext)

    def decrypt(self, stream: bytes | memoryview, scale: float) -> NDArray[np.complex128]:
        """Slot values of one ciphertext, shape (slots of the ring,).

        Raises
        ------
        FileFormatError
            It is no ciphertext of two polynomials with these limbs and this scale.
        """
        return self._decode(self._decrypt(stream, scale))

    def decrypt_flooded(
        self, stream: bytes | memoryview, scale: float, noise: NDArray[np.int64]
    ) -> NDArray[np.complex128]:
        """The same with noise, which is added to the polynomial before anything is decoded.

        Slots that repeat, as those do whose mean a client takes, are those of a polynomial in a power of X: the mean
        keeps its coefficients and loses all others. Here the others are removed, and need no noise.

        Parameters
        ----------
        noise
            Twice as many integers as there are different slots, a power of two, as limbs of 32 bits, shape (limbs,
            integers), the least significant ones first; the last have the sign.

        Raises
        ------
        FileFormatError
            As :meth:`decrypt`.
        """
        plain = self._decrypt(stream, scale)
        shape = (self._limbs, self._degree)
        body = _body(save_stream(plain), _PLAINTEXT.size + _HEADER.size + _COUNT.size + 8 * math.prod(shape))
        residues = _words(body, _PLAINTEXT.size, math.prod(shape)).reshape(shape).astype(np.uint64)
        spacing = self._degree // noise.shape[1]
        for limb, prime in zip(residues, self._primes, strict=True):
            tables = NttTables(self._degree, prime)
            tables.inverse(limb)
            added = _noise_residues(noise, prime)
            kept = _remainder(limb[::spacing] + added, prime)
            limb[:] = 0
            limb[::spacing] = kept
            tables.forward(limb)
        result = sealapi.Plaintext()
        load_stream(result, self._context, _stream(body[: _PLAINTEXT.size] + _array(residues)))
        return self._decode(result)

    def _decode(self, plain: Any) -> NDArray[np.complex128]:
        return np.array(self._encoder.decode_complex(plain), dtype=np.complex128)

    def _decrypt(self, stream: bytes | memoryview, scale: float) -> Any:
        """SEAL's plaintext, in NTT form."""
        plain_stream = checked_ciphertext(
            stream,
            ring_degree=self._degree,
            limbs=self._limbs,
            polynomials=2,
            where="a ciphertext",
            remedy="ask for the result again",
        )
        ciphertext = sealapi.Ciphertext()
        load_stream(ciphertext, self._context, plain_stream)
        if ciphertext.parms_id() != self._context.first_parms_id():
            raise FileFormatError("a ciphertext has other primes than the plan; ask for the result again")
        if not math.isclose(ciphertext.scale, scale, rel_tol=SCALE_TOLERANCE):
            raise FileFormatError("a ciphertext does not have the scale of the plan; ask for the result again")
        plain = sealapi.Plaintext()
        self._decryptor.decrypt(ciphertext, plain)
        return plain


def public_residues(spec: KeySpecification, stream: bytes | memoryview, *, enforce_128: bool) -> NDArray[np.uint64]:
    """Both halves of a public key, shape (2, data primes + 1, N).

    Raises
    ------
    FileFormatError
        The stream holds no public key of these parameters.
    """
    limbs, degree = len(spec.data_primes) + 1, spec.ring_degree
    context, _ = _selection(spec, limbs - 1, enforce_128)
    checked = checked_ciphertext(
        stream, ring_degree=degree, limbs=limbs, polynomials=2, where="the public key", remedy="make new keys"
    )
    key = sealapi.PublicKey()
    load_stream(key, context, checked)
    # Saving again expands the seed.
    body = _body(save_stream(key), _CIPHERTEXT.size + _HEADER.size + _COUNT.size + 16 * limbs * degree)
    return _words(body, _CIPHERTEXT.size, 2 * limbs * degree).reshape(2, limbs, degree)


def key_context(ring_degree: int, primes: Sequence[int], enforce_128: bool) -> Any:
    """SEAL's context to make keys, encrypt and decrypt in, at its top level only.

    Parameters
    ----------
    ring_degree
        N.
    primes
        In SEAL's order.
    enforce_128
        Whether SEAL shall refuse insecure parameters too, as far as its table goes.

    Raises
    ------
    ParameterError
        SEAL refuses the parameters.
    """
    enforce_128 = enforce_128 and ring_degree <= LARGEST_CHECKED_DEGREE
    return make_context(ring_degree, primes, expand=False, enforce_128=enforce_128)


def secret_key(context: Any, residues: NDArray[np.uint64]) -> Any:
    """SEAL's secret key from its residues in NTT form, shape (primes of the context, N)."""
    key = sealapi.SecretKey()
    words = np.ascontiguousarray(residues, dtype="<u8").reshape(-1).view(np.uint8)
    array_size = _HEADER.size + _COUNT.size + words.nbytes
    size = _HEADER.size + _PLAINTEXT.size + array_size
    head = (
        _HEADER.pack(_MAGIC, _HEADER.size, *_VERSION, _UNCOMPRESSED, 0, size)
        + _PLAINTEXT.pack(*context.key_parms_id(), residues.size, 1.0)
        + _HEADER.pack(_MAGIC, _HEADER.size, *_VERSION, _UNCOMPRESSED, 0, array_size)
        + _COUNT.pack(residues.size)
    )
    # An array of our own, unlike bytes, can be erased.
    stream = np.empty(size, dtype=np.uint8)
    try:
        stream[: len(head)] = np.frombuffer(head, dtype=np.uint8)
        stream[len(head) :] = words
        load_stream(key, context, stream.data)
    finally:
        stream.fill(0)
    return key


def read_sample(sample: Any, primes: Sequence[int], out: NDArray[np.uint64]) -> None:
    """Copy an encryption that SEAL has just made, seeded, into ``out``.

    The first polynomial is in SEAL's stream. The second is uniform and public, and SEAL has put the seed it comes from
    in its place: it is expanded as SEAL would, which is several times as fast as SEAL's way of saving residues. The
    stream is erased; SEAL's and zstandard's own buffers cannot be.

    Parameters
    ----------
    sample
        What SEAL returns for ``encrypt_zero_symmetric`` and its like without a ciphertext to write to.
    primes
        Of its residues.
    out
        Shape (2, primes, N), C-contiguous.

    Raises
    ------
    FileFormatError
        SEAL's stream is not as hecc knows it.
    """
    stream = save_stream_to_array(sample)
    try:
        seed = _read_seeded(stream, out)
    finally:
        stream.fill(0)
    _evaluator.expand_seed(seed, primes, out[1])


def _read_seeded(stream: NDArray[np.uint8], out: NDArray[np.uint64]) -> bytes:
    """The first polynomial into ``out[0]``; the seed of the second."""
    reader = _reader(stream)
    head = reader.read(_CIPHERTEXT.size + _HEADER.size + _COUNT.size)
    found = _read_into(reader, out[0])
    # One byte more than there may be, so that a longer stream shows.
    tail = reader.read(_HEADER.size + _SEED.size + 1)
    if len(head) + found + len(tail) != _CIPHERTEXT.size + 2 * _HEADER.size + _COUNT.size + out[0].nbytes + _SEED.size:
        raise FileFormatError(_UNKNOWN_FORMAT)
    is_ntt, polynomials, degree, limbs = _CIPHERTEXT.unpack_from(head)[4:8]
    (words,) = _COUNT.unpack_from(head, len(head) - _COUNT.size)
    generator, seed = _SEED.unpack_from(tail, _HEADER.size)
    if not is_ntt or (polynomials, limbs, degree) != out.shape or words != out[0].size or generator != _BLAKE2XB:
        raise FileFormatError(_UNKNOWN_FORMAT)
    return bytes(seed)


def _reader(stream: NDArray[np.uint8]) -> Any:
    """What is behind SEAL's header, unpacked as it is read. Only for streams that SEAL has just made."""
    magic, _, _, _, mode, _, size = _HEADER.unpack_from(stream.data)
    if magic != _MAGIC or mode not in (_UNCOMPRESSED, _ZSTD) or size != len(stream):
        raise FileFormatError(_UNKNOWN_FORMAT)
    body = stream[_HEADER.size :].data
    return io.BytesIO(body) if mode == _UNCOMPRESSED else zstandard.ZstdDecompressor().stream_reader(body)


def _read_into(reader: Any, out: NDArray[np.uint64]) -> int:
    """Fill an array, C-contiguous; the bytes that there were for it."""
    target = out.reshape(-1).view(np.uint8).data
    found = 0
    while found < len(target) and (count := reader.readinto(target[found:])):
        found += count
    return found


def _selected_key(context: Any, secret: NDArray[np.uint64], selected: Sequence[int]) -> Any:
    """SEAL's secret key of some of the primes; the copy that this takes is erased."""
    residues = secret[selected]
    try:
        return secret_key(context, residues)
    finally:
        residues.fill(0)


def _noise_residues(noise: NDArray[np.int64], prime: int) -> NDArray[np.uint64]:
    """Integers of 32-bit limbs modulo a prime below 2^50: a sequence of operations that does not depend on them."""
    # The last limb has a sign; a multiple of the prime takes it away.
    residues = _remainder((noise[-1] + -(-(1 << 31) // prime) * prime).astype(np.uint64), prime)
    for limb in noise[-2::-1].astype(np.uint64):
        # Twelve bits at a time, so that nothing exceeds 62.
        for shift, bits in ((20, 12), (8, 12), (0, 8)):
            digits = limb >> np.uint64(shift) & np.uint64((1 << bits) - 1)
            residues = _remainder((residues << np.uint64(bits)) + digits, prime)
    return residues


def _remainder(values: NDArray[np.uint64], prime: int) -> NDArray[np.uint64]:
    """Without a division: numpy multiplies by the inverse of what an array is divided by."""
    return values - values // np.uint64(prime) * np.uint64(prime)


def _selection(spec: KeySpecification, limbs: int, enforce_128: bool) -> tuple[Any, list[int]]:
    """The context of the first ``limbs`` data primes and the first special one, and where they are among all."""
    selected = [*range(limbs), len(spec.data_primes)]
    primes = (*spec.data_primes, *spec.special_primes)
    return key_context(spec.ring_degree, [primes[i] for i in selected], enforce_128), selected


def _public_key(context: Any, residues: NDArray[np.uint64]) -> Any:
    key = sealapi.PublicKey()
    size, limbs, degree = residues.shape
    head = _CIPHERTEXT.pack(*context.key_parms_id(), True, size, degree, limbs, 1.0, 1)
    load_stream(key, context, _stream(head + _array(residues)))
    return key


def _stream(body: bytes) -> bytes:
    """``body`` behind SEAL's header, uncompressed."""
    return _HEADER.pack(_MAGIC, _HEADER.size, *_VERSION, _UNCOMPRESSED, 0, _HEADER.size + len(body)) + body


def _array(residues: NDArray[np.uint64]) -> bytes:
    return _stream(_COUNT.pack(residues.size) + np.ascontiguousarray(residues, dtype="<u8").tobytes())


def _body(stream: bytes, length: int) -> bytes:
    """What is behind SEAL's header, unpacked: ``length`` bytes. Only for streams that SEAL has just made."""
    magic, _, _, _, mode, _, size = _HEADER.unpack_from(stream)
    body = stream[_HEADER.size :]
    if mode == _ZSTD:
        body = zstandard.ZstdDecompressor().decompress(body, max_output_size=length)
    if magic != _MAGIC or mode not in (_UNCOMPRESSED, _ZSTD) or size != len(stream) or len(body) != length:
        raise FileFormatError(_UNKNOWN_FORMAT)
    return body


def _words(body: bytes, offset: int, count: int) -> NDArray[np.uint64]:
    """The residues of SEAL's array at ``offset``."""
    return np.frombuffer(body, dtype="<u8", count=count, offset=offset + _HEADER.size + _COUNT.size)

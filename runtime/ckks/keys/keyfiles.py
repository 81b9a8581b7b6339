"""The files of a key set. All carry the key specification and the id of the set, the fingerprint of its public key.

They hold SEAL's own streams and residues, and know nothing of what these mean: this module is on the server's side
too, and imports no SEAL.
"""

from __future__ import annotations

import hashlib
import os
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, Self, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.parameters import KeyLayout, KeyShape, KeySpecification
from hecc.runtime.ckks.circuit.security import check_structure
from hecc.runtime.ckks.keys.folder import check_owner
from hecc.runtime.ckks.keys.shapes import (
    DENSE_TO_SPARSE,
    GALOIS,
    KEY_FORMATS,
    RELINEARIZATION,
    SPARSE_TO_DENSE,
    key_layouts,
)
from hecc.runtime.ckks.keys.switching_keys import PackedKey, residues
from hecc.runtime.errors import FileFormatError, KeyMismatchError, ParameterError
from hecc.runtime.figures import count_words
from hecc.runtime.files import codec
from hecc.runtime.files.container import Container, ContainerWriter, FileSource, Kind
from hecc.runtime.pickling import NotPickled

__all__ = [
    "EvaluationKeyFile",
    "EvaluationKeyHeader",
    "KeyId",
    "KeyPermissionWarning",
    "Progress",
    "Protection",
    "PublicKeyFile",
    "PublicKeyHeader",
    "Rows",
    "SecretKeyFile",
    "SecretKeyHeader",
    "check_covers",
    "check_reduced",
    "key_fingerprint",
]

KeyId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
"""Id of a key set: the fingerprint of its public key (:func:`key_fingerprint`), in hexadecimal."""

Progress = Callable[[int, int], None]
"""Called with the number of steps done, and of all steps."""

Rows: TypeAlias = Iterable[NDArray[np.uint64]]
"""A switching key digit by digit, each of shape (2, primes, N). A digit is written while the next one is made, and may
be overwritten by the one after that."""

FINGERPRINT = b"hecc public key\0"
"""What a fingerprint begins with, so that it is that of nothing else."""

_SECRET = "secret"
_PUBLIC = "public"


class KeyPermissionWarning(UserWarning):
    """Others than the owner may read a secret key that no passphrase protects."""


class Protection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a passphrase protects a secret key: scrypt (RFC 7914) and ChaCha20-Poly1305 (RFC 8439).

    Attributes
    ----------
    log2_cost
        scrypt's N is ``2 ** log2_cost``; its memory is a kibibyte times that.
    salt, nonce
        Hexadecimal, 16 and 12 random bytes.
    """

    kdf: Literal["scrypt"] = "scrypt"
    cipher: Literal["ChaCha20-Poly1305"] = "ChaCha20-Poly1305"
    log2_cost: Annotated[int, msgspec.Meta(ge=14, le=20)]
    salt: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    nonce: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{24}$")]


class SecretKeyHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Header of a secret key file."""

    key_id: KeyId
    keys: KeySpecification
    protection: Protection | None


class PublicKeyHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Header of a public key file."""

    key_id: KeyId
    keys: KeySpecification


class EvaluationKeyHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Header of an evaluation key file.

    ``shape`` "seal" means SEAL's own keys, one special prime, untruncated; "native" hybrid keys, each cut down to the
    limbs at which it is used, Galois keys permuted beforehand.
    """

    key_id: KeyId
    keys: KeySpecification
    shape: KeyShape


class SecretKeyFile(NotPickled):
    """The secret key: residues in NTT form, as they are or under a passphrase.

    Parameters
    ----------
    header
        Key set, parameters and protection.
    residues
        Shape (primes, N), data primes first; ``None`` when a passphrase protects them.
    sealed
        The residues under the passphrase.
    """

    UNPICKLED: ClassVar[str] = "it holds a secret key; read the file where you need it"

    def __init__(
        self,
        header: SecretKeyHeader,
        residues: NDArray[np.uint64] | None = None,
        sealed: bytes | memoryview | None = None,
    ) -> None:
        self.header = header
        self.residues = residues
        self.sealed = sealed

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, readable by its owner only."""
        with ContainerWriter(path, Kind.SECRET_KEY, self.header, secret=True) as writer:
            for blob in (self.residues, self.sealed):
                if blob is not None:
                    writer.add(_SECRET, blob)

    @classmethod
    def load(cls, file: FileSource) -> Self:
        """Read the file. Warns when others may read it too and no passphrase protects it.

        Raises
        ------
        InputError, FileFormatError
            The file cannot be opened, is no secret key, is damaged or impossible; it is another user's, or others may
            write it or its folder.
        """
        if isinstance(file, str | os.PathLike):
            check_owner(Path(file))
        container = Container(file, Kind.SECRET_KEY)
        header = container.header(SecretKeyHeader)
        _check_spec(container.where, header.keys)
        _check_names(container, [_SECRET])
        if header.protection is not None:
            return cls(header, sealed=container.bytes(_SECRET))
        residues = container.array(_SECRET)
        primes = len(header.keys.data_primes) + len(header.keys.special_primes)
        if residues.dtype != np.uint64 or residues.shape != (primes, header.keys.ring_degree):
            raise FileFormatError(
                f"{container.where}: the secret key does not have N residues per prime; make new keys"
            )
        path = container.path
        if path is not None and os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            warnings.warn(
                f"{path}: others may read this secret key; run `chmod 600` on it", KeyPermissionWarning, stacklevel=2
            )
        return cls(header, residues=residues)


class PublicKeyFile:
    """The public key: enough to encrypt, not to decrypt.

    Parameters
    ----------
    header
        Key set and parameters.
    stream
        SEAL's stream of an encryption of zero over all data primes and the first special one. That its fingerprint is
        the id in the header is for whoever unpacks it to check
        (:func:`hecc.runtime.ckks.client.keyproof.opened_public`).
    path
        The file it came from, for error messages.
    """

    def __init__(self, header: PublicKeyHeader, stream: bytes | memoryview, path: Path | None = None) -> None:
        self.header = header
        self.stream = stream
        self.path = path

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file."""
        with ContainerWriter(path, Kind.PUBLIC_KEY, self.header) as writer:
            writer.add(_PUBLIC, self.stream)

    @classmethod
    def load(cls, file: FileSource) -> Self:
        """Read the file.

        Raises
        ------
        InputError, FileFormatError
            The file cannot be opened, is no public key, is damaged or impossible.
        """
        container = Container(file, Kind.PUBLIC_KEY)
        header = container.header(PublicKeyHeader)
        _check_spec(container.where, header.keys)
        _check_names(container, [_PUBLIC])
        return cls(header, container.bytes(_PUBLIC), container.path)


class EvaluationKeyFile:
    """The keys that the server computes with, mapped from the file; each is verified when first asked for.

    In the shape "seal" a key is a SEAL stream. In the shape "native" it is a read-only array of uint8, a packed key
    (:mod:`hecc.runtime.ckks.keys.switching_keys`) for the limbs in this file's own specification, which may be more
    than a plan needs; what comes from here has that size. Whether every residue is below its prime is for evaluators to
    check, and for :meth:`verify`. Kernels must be memory-safe whatever the residues are, since a file can change while
    it is mapped.

    Parameters
    ----------
    file
        Its path, or all that it holds.

    Attributes
    ----------
    where
        What sentences call it.

    Raises
    ------
    InputError, FileFormatError
        The file cannot be opened, holds no evaluation keys, is damaged or impossible.
    """

    def __init__(self, file: FileSource) -> None:
        self._container = Container(file, Kind.EVALUATION_KEYS)
        self.where = self._container.where
        self.header = self._container.header(EvaluationKeyHeader)
        spec = self.header.keys
        _check_spec(self.where, spec)
        shape = KEY_FORMATS[self.header.shape]
        if spec.encapsulation is not msgspec.UNSET and not shape.raises:
            raise FileFormatError(
                f"{self.where}: keys of shape {self.header.shape!r} raise no ciphertexts, and these were made for a "
                "plan that does; make new keys, of shape 'native'"
            )
        self._layouts = shape.ordered(key_layouts(spec))
        _check_names(self._container, self._layouts)
        for name, layout in self._layouts.items():
            if self._container.layout(name) != shape.entry(spec, layout):
                raise FileFormatError(
                    f"{self.where}: key {name!r} is not of the shape that the header announces; make new keys"
                )

    @classmethod
    def load(cls, file: FileSource) -> Self:
        """The same as the constructor; all files of hecc have it."""
        return cls(file)

    def galois(self, element: int) -> memoryview | NDArray[np.uint8]:
        """The key for one Galois element.

        Raises
        ------
        KeyMismatchError
            There is no such key.
        FileFormatError
            The key was altered.
        """
        name = f"{GALOIS}{element}"
        if name not in self._container:
            raise KeyMismatchError(f"{self.where}: no key for Galois element {element}; make keys for this plan")
        return self._key(name)

    def relinearization(self) -> memoryview | NDArray[np.uint8]:
        """The relinearisation key.

        Raises
        ------
        KeyMismatchError
            There is none.
        FileFormatError
            The key was altered.
        """
        if RELINEARIZATION not in self._container:
            raise KeyMismatchError(f"{self.where}: no relinearisation key; make keys for this plan")
        return self._key(RELINEARIZATION)

    def dense_to_sparse(self) -> memoryview | NDArray[np.uint8]:
        """The key to the sparse secret.

        Raises
        ------
        KeyMismatchError
            There is none.
        FileFormatError
            The key was altered.
        """
        return self._raising(DENSE_TO_SPARSE)

    def sparse_to_dense(self) -> memoryview | NDArray[np.uint8]:
        """The key back from the sparse secret; errors are those of :meth:`dense_to_sparse`."""
        return self._raising(SPARSE_TO_DENSE)

    def _raising(self, name: str) -> memoryview | NDArray[np.uint8]:
        if name not in self._container:
            raise KeyMismatchError(f"{self.where}: no keys that raise ciphertexts; make keys for this plan")
        return self._key(name)

    def verify(self) -> None:
        """Verify all checksums, and all residues, now: as when a server registers a client's keys.

        Raises
        ------
        FileFormatError
            Naming the first key that was altered, or has residues that are not below their primes.
        """
        for name, layout in self._layouts.items():
            key = self._key(name)
            if isinstance(key, np.ndarray):
                check_reduced(key, layout, self.header.keys.ring_degree, where=f"{self.where}: key {name!r}")

    @staticmethod
    def write(
        path: str | os.PathLike[str],
        header: EvaluationKeyHeader,
        *,
        relinearization: Callable[[], bytes | Rows],
        galois: Callable[[int], bytes | Rows],
        raising: Mapping[str, Callable[[], Rows]] = MappingProxyType({}),
        progress: Progress | None = None,
    ) -> None:
        """Make the file key by key: only two keys, and two rows, are in memory at any time.

        Parameters
        ----------
        path
            The file.
        header
            Key set, parameters and shape.
        relinearization, galois
            Make the relinearisation key, and that of one Galois element: a SEAL stream, or the rows of a hybrid key,
            of shape (2, primes, N), in two buffers at least that take turns.
        raising
            Make the keys that raise ciphertexts, by name, where the header's specification has them.
        progress
            Called before the first key and after each.
        """
        keys = KEY_FORMATS[header.shape].ordered(key_layouts(header.keys))
        named: dict[str, Callable[[], bytes | Rows]] = {RELINEARIZATION: relinearization, **raising}
        named.update((f"{GALOIS}{key.element}", partial(galois, key.element)) for key in header.keys.galois)
        with ContainerWriter(path, Kind.EVALUATION_KEYS, header) as writer:
            for done, (name, layout) in enumerate(keys.items()):
                if progress is not None:
                    progress(done, len(keys))
                key = named[name]()
                if isinstance(key, bytes):
                    writer.add(name, key)
                else:
                    packed = PackedKey(layout, header.keys.ring_degree)
                    writer.add_filled(name, packed.array, _packing(packed, key))
            if progress is not None:
                progress(len(keys), len(keys))

    def _key(self, name: str) -> memoryview | NDArray[np.uint8]:
        return KEY_FORMATS[self.header.shape].read(self._container, name)


def _packing(packed: PackedKey, rows: Rows) -> Iterator[Callable[[], None]]:
    for row in rows:
        yield partial(packed.add, row)
    yield packed.finish


def key_fingerprint(spec: KeySpecification, residues: NDArray[np.uint64]) -> str:
    """The id of a key set: SHA-256 of its key specification, as canonical JSON, and of both halves of its public key.

    Whoever has the id thus has a commitment to the public key: nobody finds another key with the same id.

    Parameters
    ----------
    spec
        What the keys were made for.
    residues
        Of the public key in SEAL's NTT order, shape (2, data primes + 1, N), each below its prime.
    """
    digest = hashlib.sha256(FINGERPRINT + codec.encode(spec))
    digest.update(np.ascontiguousarray(residues, dtype="<u8").data)
    return digest.hexdigest()


def check_reduced(key: NDArray[np.uint8], layout: KeyLayout, ring_degree: int, *, where: str) -> None:
    """Refuse a switching key with residues that are not below their primes.

    Parameters
    ----------
    key
        Packed (:mod:`hecc.runtime.ckks.keys.switching_keys`).
    layout, ring_degree
        Its primes and digits, and N.
    where
        What the error message names.

    Raises
    ------
    FileFormatError
        There is such a residue.
    """
    rows = residues(key, layout.primes, layout.digits, ring_degree)
    for prime, values in zip(layout.primes, rows, strict=True):
        if values.max() >= prime:
            raise FileFormatError(f"{where} has residues that are not below their prime; make new keys")


def check_covers(
    own: KeySpecification, needed: KeySpecification, *, galois: bool, where: str | os.PathLike[str] | None = None
) -> None:
    """Refuse keys of one specification for a plan of another, unless they hold everything the plan needs.

    Parameters
    ----------
    own
        What the keys were made for.
    needed
        What the plan needs.
    galois
        Whether the evaluation keys count too, or the ring and the primes only.
    where
        The file of the keys, which the error message names.

    Raises
    ------
    KeyMismatchError
        Saying what differs.
    """
    difference = _difference(own, needed, galois=galois)
    if difference:
        prefix = "" if where is None else f"{os.fspath(where)}: "
        raise KeyMismatchError(
            f"{prefix}the keys were made for another plan, {difference}; make keys for this plan, or give the plan "
            "that they were made for"
        )


def _difference(own: KeySpecification, needed: KeySpecification, *, galois: bool) -> str:
    """What the plan that keys were made for has or needs, and this one not; empty if the keys do for this one."""
    if own.ring_degree != needed.ring_degree:
        return f"with N = {own.ring_degree} and not {needed.ring_degree}"
    for what, words in _WORDS.items():
        if getattr(own, what) != getattr(needed, what):
            return f"with {words}"
    if not galois:
        return ""
    if own.digit_limbs != needed.digit_limbs:
        return "which switches keys in digits of another size"
    if own.relinearization_limbs < needed.relinearization_limbs:
        return "which multiplies at lower levels"
    if needed.encapsulation is not msgspec.UNSET:
        raising = needed.encapsulation
        if own.encapsulation is msgspec.UNSET:
            return f"which raises no ciphertexts; this one does, under a sparse secret of weight {raising.weight}"
        if own.encapsulation.weight != raising.weight:
            return f"with a sparse secret of weight {own.encapsulation.weight} and not {raising.weight}"
        if own.encapsulation.limbs < raising.limbs:
            return "which raises ciphertexts to fewer limbs"
    limbs = {key.element: key.limbs for key in own.galois}
    lacking = sum(limbs.get(key.element, 0) < key.limbs for key in needed.galois)
    return f"and lack {count_words(lacking, 'rotation key')} that this one needs" if lacking else ""


_WORDS = {
    "scheme": "another scheme",
    "data_primes": "other primes",
    "special_primes": "other primes",
    "secret": "another distribution of the secret key",
}
"""What may differ between two plans, in words."""


def _check_spec(where: str, spec: KeySpecification) -> None:
    try:
        check_structure(spec)
    except ParameterError as error:
        raise FileFormatError(f"{where}: impossible parameters ({error}); make new keys") from None


def _check_names(container: Container, names: Iterable[str]) -> None:
    if list(container) != list(names):
        raise FileFormatError(f"{container.where}: the keys in the file are not those of its header; make new keys")

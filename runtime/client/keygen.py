"""Key generation: three files, of which one must never leave the client."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from hecc.runtime import codec
from hecc.runtime.client.passphrase import new_protection, protect, scrypt_memory, unprotect
from hecc.runtime.dumps import exclude_from_dumps
from hecc.runtime.errors import FileFormatError, InputError
from hecc.runtime.files import check_target
from hecc.runtime.keyfiles import (
    EvaluationKeyFile,
    EvaluationKeyHeader,
    Progress,
    PublicKeyFile,
    PublicKeyHeader,
    SecretKeyFile,
    SecretKeyHeader,
)
from hecc.runtime.parameters import KeyShape, KeySpecification
from hecc.runtime.security import InsecureLevel, MinSecurity, check_keys
from hecc.runtime.switching_keys import switching_key_bytes

__all__ = ["EVALUATION", "PUBLIC", "SECRET", "KeySet", "generate_keys", "key_making_memory", "secret_residues"]

SECRET, PUBLIC, EVALUATION = "secret.bin", "public.bin", "evaluation.bin"

PROGRAM_BYTES = 24 << 20
POLYNOMIALS = 48
"""What SEAL and hecc need besides the keys at hand, measured: so many polynomials over all primes."""


@dataclass(frozen=True)
class KeySet:
    """Where the keys of one set are.

    Attributes
    ----------
    key_id
        Random, 128 bits, in hexadecimal.
    secret
        Stays with the client.
    public
        May go to whoever encrypts for the client.
    evaluation
        Goes to the server.
    """

    key_id: str
    secret: Path
    public: Path
    evaluation: Path


def generate_keys(
    spec: KeySpecification,
    folder: str | os.PathLike[str],
    *,
    shape: KeyShape = "seal",
    min_security: MinSecurity = 128,
    passphrase: str | None = None,
    progress: Progress | None = None,
) -> KeySet:
    """Make a key set in ``folder``, after checking the parameters for ourselves.

    The secret key is written last: a folder with one has a complete set. What an interrupted run leaves is removed.

    Parameters
    ----------
    spec
        From a plan that somebody else may have written.
    folder
        Made when it does not exist, for this user only.
    shape
        Which evaluator the evaluation keys are for: "native", hybrid keys with ``spec.digit_limbs`` limbs per digit,
        each cut down to the limbs at which it is used; or "seal", SEAL's own.
    min_security
        Bits of security to insist on.
    passphrase
        Protects the secret key.
    progress
        Called with the number of evaluation keys done, and of all.

    Raises
    ------
    ParameterError, SecurityError
        The parameters are impossible, or not secure enough.
    InputError
        There is no such shape; or the folder holds a secret key already, cannot be written, or is on a disk without
        the space.
    """
    if shape not in get_args(KeyShape):
        raise InputError(f"there is no evaluator {shape!r}; choose one of {', '.join(get_args(KeyShape))}")
    check_keys(spec, min_security)
    folder = Path(folder)
    keys = KeySet(secrets.token_hex(16), folder / SECRET, folder / PUBLIC, folder / EVALUATION)
    made_folder = _prepare(folder, keys.secret)

    # The binding is imported here, so that a refusal above does not wait for it.
    from hecc.runtime.client.keybuilder import KeyBuilder
    from hecc.runtime.client.seal_bridge import KeyMaker

    enforce = not isinstance(min_security, InsecureLevel)
    try:
        check_target(keys.evaluation, _disk_bytes(spec, shape))
        seal = KeyMaker(spec, enforce_128=enforce)
        residues, public = seal.secret_residues(), seal.public()
        exclude_from_dumps(residues)
        with contextlib.ExitStack() as stack:
            maker: KeyMaker | KeyBuilder = seal
            if shape == "native":
                maker = stack.enter_context(KeyBuilder(spec, residues, enforce_128=enforce))
            # The builder has a context of its own; the one of all primes would only take memory.
            del seal
            EvaluationKeyFile.write(
                keys.evaluation,
                EvaluationKeyHeader(key_id=keys.key_id, keys=spec, shape=shape),
                relinearization=maker.relinearization,
                galois=maker.galois,
                progress=progress,
            )
        PublicKeyFile(PublicKeyHeader(key_id=keys.key_id, keys=spec), public).save(keys.public)
        _secret_file(spec, keys.key_id, residues, passphrase).save(keys.secret)
    except BaseException:
        for path in (keys.secret, keys.public, keys.evaluation):
            path.unlink(missing_ok=True)
        if made_folder:
            with contextlib.suppress(OSError):  # somebody else uses it
                folder.rmdir()
        raise
    return keys


def key_making_memory(spec: KeySpecification, shape: KeyShape, *, protected: bool) -> int:
    """Bytes that :func:`generate_keys` is going to need: two switching keys, one of which is being written.

    A passphrase needs more, and by intent (:mod:`hecc.runtime.client.passphrase`).
    """
    polynomial = 8 * spec.ring_degree * (len(spec.data_primes) + len(spec.special_primes))
    largest = max(_switching_keys(spec, shape), default=0)
    return PROGRAM_BYTES + 2 * largest + POLYNOMIALS * polynomial + (scrypt_memory() if protected else 0)


def secret_residues(file: SecretKeyFile, passphrase: str | None) -> NDArray[np.uint64]:
    """The secret key in NTT form, shape (primes, N), in memory that core dumps leave out where the system can.

    Raises
    ------
    InputError
        The key needs a passphrase, or another one.
    """
    header = file.header
    if file.residues is not None:
        exclude_from_dumps(file.residues)
        return file.residues
    if passphrase is None or header.protection is None or file.sealed is None:
        raise InputError("the secret key is protected; give its passphrase")
    data = unprotect(file.sealed, passphrase, header.protection, codec.encode(header))
    primes = len(header.keys.data_primes) + len(header.keys.special_primes)
    if len(data) != 8 * primes * header.keys.ring_degree:
        raise FileFormatError("the secret key does not have N residues per prime; make new keys")
    residues = np.frombuffer(data, dtype="<u8").reshape(primes, header.keys.ring_degree)
    exclude_from_dumps(residues)
    return residues


def _secret_file(
    spec: KeySpecification, key_id: str, residues: NDArray[np.uint64], passphrase: str | None
) -> SecretKeyFile:
    if passphrase is None:
        return SecretKeyFile(SecretKeyHeader(key_id=key_id, keys=spec, protection=None), residues)
    protection = new_protection()
    header = SecretKeyHeader(key_id=key_id, keys=spec, protection=protection)
    return SecretKeyFile(header, sealed=protect(residues.tobytes(), passphrase, protection, codec.encode(header)))


def _disk_bytes(spec: KeySpecification, shape: KeyShape) -> int:
    """All three files, at most. One half of each of SEAL's keys is a seed."""
    primes = len(spec.data_primes) + len(spec.special_primes)
    evaluation = sum(_switching_keys(spec, shape)) // (2 if shape == "seal" else 1)
    return evaluation + 8 * spec.ring_degree * (primes + len(spec.data_primes) + 1)


def _switching_keys(spec: KeySpecification, shape: KeyShape) -> list[int]:
    """Bytes of each switching key in memory. SEAL's have a digit for every prime but one, over all primes."""
    limbs = [key.limbs for key in spec.galois]
    limbs += [spec.relinearization_limbs] if spec.relinearization_limbs else []
    if shape == "seal":
        primes = len(spec.data_primes) + len(spec.special_primes)
        return [16 * (primes - 1) * primes * spec.ring_degree] * len(limbs)
    return [switching_key_bytes(spec, used) for used in limbs]


def _prepare(folder: Path, secret: Path) -> bool:
    """Make the folder; whether it was not there."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            made = False
            if not folder.is_dir():
                raise
        else:
            made = True
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from None
    if secret.exists():
        raise InputError(
            f"{secret}: a secret key is here already, and without it its results are lost; choose another folder, or "
            "replace the keys with --force"
        )
    return made

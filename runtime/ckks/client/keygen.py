"""Key generation: three files, of which one must never leave the client."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.parameters import KeyShape, KeySpecification
from hecc.runtime.ckks.circuit.security import InsecureLevel, MinSecurity, check_keys
from hecc.runtime.ckks.client.keyfolder import new_set
from hecc.runtime.ckks.client.ledger import Ledger
from hecc.runtime.ckks.client.passphrase import new_protection, protect, scrypt_memory, unprotect
from hecc.runtime.ckks.keys.keyfiles import (
    EvaluationKeyFile,
    EvaluationKeyHeader,
    Progress,
    PublicKeyFile,
    PublicKeyHeader,
    SecretKeyFile,
    SecretKeyHeader,
    key_fingerprint,
)
from hecc.runtime.ckks.keys.shapes import KEY_FORMATS
from hecc.runtime.dumps import exclude_from_dumps
from hecc.runtime.errors import FileFormatError, InputError
from hecc.runtime.files import codec
from hecc.runtime.files.atomic import check_target
from hecc.runtime.plan.keyset import EVALUATION, PUBLIC, SECRET, KeySet

__all__ = [
    "KeySet",
    "generate_keys",
    "key_making_memory",
    "key_set_bytes",
    "secret_residues",
]

PROGRAM_BYTES = 24 << 20
POLYNOMIALS = 48
"""What SEAL and hecc need besides the keys at hand, measured: so many polynomials over all primes."""


def generate_keys(
    spec: KeySpecification,
    folder: str | os.PathLike[str],
    *,
    shape: KeyShape = "seal",
    min_security: MinSecurity = 128,
    passphrase: str | None = None,
    force: bool = False,
    disclose: bool = False,
    progress: Progress | None = None,
) -> KeySet:
    """Make a key set in ``folder``, after checking the parameters for ourselves.

    The set appears whole (:mod:`hecc.runtime.ckks.client.keyfolder`). What an interrupted run leaves is removed.

    Parameters
    ----------
    spec
        From a plan that somebody else may have written.
    folder
        Made when it does not exist, for this user only.
    shape
        Of the evaluation keys, as a device takes them: "native", hybrid keys with ``spec.digit_limbs`` limbs per digit,
        each cut down to the limbs at which it is used; or "seal", SEAL's own.
    min_security
        Bits of security to insist on.
    passphrase
        Protects the secret key.
    force
        Replace the keys that are there; nothing else, and none that others make meanwhile.
    disclose
        Results may be disclosed: begin the ledger that counts them.
    progress
        Called with the number of evaluation keys done, and of all.

    Raises
    ------
    ParameterError, SecurityError
        The parameters are impossible, or not secure enough.
    InputError
        There is no such shape, or the plan bootstraps and the shape is SEAL's; or the folder holds keys already,
        cannot be written, may be written by others, or is on a disk without the space.
    """
    if shape not in get_args(KeyShape):
        raise InputError(f"there are no keys of shape {shape!r}; choose one of {', '.join(get_args(KeyShape))}")
    check_keys(spec, min_security)
    if spec.encapsulation is not msgspec.UNSET and not KEY_FORMATS[shape].raises:
        raise InputError(
            f"the plan bootstraps, and SEAL, which takes keys of shape {shape!r}, has no bootstrapping; make keys of "
            "shape 'native', for the device native"
        )
    folder = Path(folder)
    # The binding is imported behind the first refusals, so that they do not wait for it.
    with new_set(folder, force=force) as new:
        check_target(new / EVALUATION, key_set_bytes(spec, shape))
        key_id = _make(spec, new, shape, not isinstance(min_security, InsecureLevel), passphrase, disclose, progress)
    return KeySet(key_id, folder / SECRET, folder / PUBLIC, folder / EVALUATION)


def _make(
    spec: KeySpecification,
    folder: Path,
    shape: KeyShape,
    enforce: bool,
    passphrase: str | None,
    disclose: bool,
    progress: Progress | None,
) -> str:
    """Make the three files, and the ledger where there is to be one; the id of the set.

    What was secret is erased, as far as it is in hecc's hands.
    """
    from hecc.runtime.ckks.client.keymakers import KEY_MAKERS
    from hecc.runtime.ckks.client.seal_bridge import KeyMaker, public_residues

    seal = KeyMaker(spec, enforce_128=enforce)
    secret = seal.secret_residues()
    try:
        exclude_from_dumps(secret)
        public = seal.public()
        key_id = key_fingerprint(spec, public_residues(spec, public, enforce_128=enforce))
        with contextlib.ExitStack() as stack:
            maker = stack.enter_context(KEY_MAKERS[shape](seal, spec, secret, enforce))
            # A maker may have contexts of its own; the one of all primes would only take memory.
            del seal
            EvaluationKeyFile.write(
                folder / EVALUATION,
                EvaluationKeyHeader(key_id=key_id, keys=spec, shape=shape),
                relinearization=maker.relinearization,
                galois=maker.galois,
                raising=maker.raising,
                progress=progress,
            )
        PublicKeyFile(PublicKeyHeader(key_id=key_id, keys=spec), public).save(folder / PUBLIC)
        if disclose:
            Ledger(folder, key_id, secret).begin()
        _secret_file(spec, key_id, secret, passphrase).save(folder / SECRET)
    finally:
        secret.fill(0)
    return key_id


def key_making_memory(spec: KeySpecification, shape: KeyShape, *, protected: bool) -> int:
    """Bytes that :func:`generate_keys` is going to need: two switching keys, one of which is being written.

    A passphrase needs more, and by intent (:mod:`hecc.runtime.ckks.client.passphrase`).
    """
    polynomial = 8 * spec.ring_degree * (len(spec.data_primes) + len(spec.special_primes))
    largest = max(KEY_FORMATS[shape].all_memory(spec), default=0)
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
    data = residues.reshape(-1).view(np.uint8).data
    return SecretKeyFile(header, sealed=protect(data, passphrase, protection, codec.encode(header)))


def key_set_bytes(spec: KeySpecification, shape: KeyShape) -> int:
    """Bytes of the files of a key set, at most."""
    primes = len(spec.data_primes) + len(spec.special_primes)
    return KEY_FORMATS[shape].all_stored(spec) + 8 * spec.ring_degree * (primes + len(spec.data_primes) + 1)

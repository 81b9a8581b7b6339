"""A passphrase around a secret key: scrypt (RFC 7914) makes the key of ChaCha20-Poly1305 (RFC 8439)."""

from __future__ import annotations

import secrets
import unicodedata

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from hecc.runtime.ckks.keys.keyfiles import Protection
from hecc.runtime.errors import InputError

__all__ = ["new_protection", "protect", "scrypt_memory", "unprotect"]

LOG2_COST = 17
"""scrypt's cost for new keys: 128 MiB and about half a second for each guess."""


def new_protection(log2_cost: int = LOG2_COST) -> Protection:
    """Fresh salt and nonce, for one key only."""
    return Protection(log2_cost=log2_cost, salt=secrets.token_hex(16), nonce=secrets.token_hex(12))


def scrypt_memory(log2_cost: int = LOG2_COST) -> int:
    """Bytes that scrypt takes, so that guessing takes as much."""
    return 1 << (log2_cost + 10)


def protect(data: bytes | memoryview, passphrase: str, protection: Protection, bound: bytes) -> bytes:
    """``data`` encrypted and authenticated.

    Parameters
    ----------
    data
        What to protect.
    passphrase
        Not empty; its spelling in Unicode does not matter (NFC).
    protection
        Used for this data only.
    bound
        Authenticated too: the header that must not be swapped.

    Raises
    ------
    InputError
        The passphrase is empty.
    """
    return _cipher(passphrase, protection).encrypt(bytes.fromhex(protection.nonce), data, bound)


def unprotect(sealed: bytes | memoryview, passphrase: str, protection: Protection, bound: bytes) -> bytes:
    """What :func:`protect` was given.

    Raises
    ------
    InputError
        The passphrase is wrong, or something was altered; the cipher cannot tell which.
    """
    try:
        return _cipher(passphrase, protection).decrypt(bytes.fromhex(protection.nonce), bytes(sealed), bound)
    except InvalidTag:
        raise InputError(
            "the passphrase does not open this secret key, or the file was altered; type it again, or restore a backup"
        ) from None


def _cipher(passphrase: str, protection: Protection) -> ChaCha20Poly1305:
    if not passphrase:
        raise InputError("the passphrase is empty; give one, or make keys without a passphrase")
    kdf = Scrypt(salt=bytes.fromhex(protection.salt), length=32, n=1 << protection.log2_cost, r=8, p=1)
    return ChaCha20Poly1305(kdf.derive(unicodedata.normalize("NFC", passphrase).encode()))

"""Passphrases of secret keys in the system's keyring: macOS's Keychain, Windows' Credential Locker, GNOME's, KDE's.

The secret key stays a file, encrypted with the passphrase as always; the keyring has the passphrase, under the id of
the key set, which the file bears: so keys may be moved, and several sets are told apart. What keeps secrets in plain
sight, or not at all, is refused.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hecc.runtime.errors import InputError
from hecc.runtime.extras import require
from hecc.runtime.files.container import CONTENT, Container, Content, FileSource, Kind
from hecc.runtime.plan.keyset import SECRET
from hecc.runtime.plan.scheme import scheme_of

__all__ = ["SERVICE", "Stored", "new_passphrase", "stored_passphrase"]

SERVICE = "hecc"
"""What the keyring calls the owner of these passphrases."""

UNSAFE = ("keyring.backends.fail", "keyring.backends.null", "keyrings.alt")
"""Modules of backends that keep nothing, or keep it in files of their own, some of which are not encrypted."""

PASSPHRASE_BYTES = 32

WITHOUT = "leave --keyring out (in Python keyring), and type a passphrase"


def new_passphrase() -> str:
    """A passphrase that nobody has to remember: 256 bits."""
    return secrets.token_urlsafe(PASSPHRASE_BYTES)


def stored_passphrase(keys: FileSource) -> str:
    """The passphrase that the keyring has for a folder of keys, or for the bytes of a secret key.

    Raises
    ------
    MissingExtraError
        The package keyring is not installed.
    InputError
        There is no secret key; the keyring is none that keeps secrets, is locked, or has no passphrase for this key.
    FileFormatError
        The secret key is damaged.
    """
    given: Path | Content = keys if isinstance(keys, CONTENT) else Path(keys)
    if isinstance(given, Path) and given.is_dir():
        given = given / SECRET
    container = Container(given, Kind.SECRET_KEY)
    key_id = scheme_of(container).verifier.describe(container).key_id
    ring = _keyring()
    found = _asked(ring, lambda: ring.get_password(SERVICE, key_id))
    if not found:
        raise InputError(f"the keyring has no passphrase for the key set {key_id[:8]}; {WITHOUT}")
    return str(found)


class Stored:
    """A passphrase that is in the keyring from the moment on when this is made, before there are keys.

    Parameters
    ----------
    passphrase
        Of the keys that are going to be made.
    folder
        Where they are going to be made.

    Raises
    ------
    MissingExtraError
        The package keyring is not installed.
    InputError
        The keyring is none that keeps secrets, or does not give back what it was given.
    """

    def __init__(self, passphrase: str, folder: Path) -> None:
        self._ring = _keyring()
        self._passphrase = passphrase
        self._name = f"keys that are being made in {folder.absolute()}"
        self._folder = folder
        self._put(self._name)

    def name(self, key_id: str) -> None:
        """Keep it under the id of the keys, now that they are made.

        Raises
        ------
        InputError
            The keyring refuses; it has the passphrase still, under the first name.
        """
        try:
            self._put(key_id)
        except InputError as error:
            raise InputError(
                f"{self._folder}: the keys are made, but their passphrase could not be named after them: {error}; "
                f"`keyring get {SERVICE} '{self._name}'` shows it"
            ) from None
        self.forget()

    def forget(self) -> None:
        """Remove what was stored under the first name; of no use to anybody, it may stay if the keyring wants it to."""
        with contextlib.suppress(InputError):
            _asked(self._ring, lambda: self._ring.delete_password(SERVICE, self._name))

    def _put(self, name: str) -> None:
        _asked(self._ring, lambda: self._ring.set_password(SERVICE, name, self._passphrase))
        if _asked(self._ring, lambda: self._ring.get_password(SERVICE, name)) != self._passphrase:
            raise InputError(f"the keyring {_words(self._ring)} does not keep what it is given; {WITHOUT}")


def _keyring() -> Any:
    """The system's keyring, which keeps secrets."""
    require("keyring")
    import keyring

    ring: Any = keyring.get_keyring()
    # One that tries several may end up with any of them.
    for backend in (ring, *getattr(ring, "backends", ())):
        if type(backend).__module__.startswith(UNSAFE):
            raise InputError(
                f"this system has no keyring that keeps secrets (only {_words(backend)}); {WITHOUT}, or set one up as "
                "`keyring diagnose` tells"
            )
    return ring


def _asked(ring: Any, question: Callable[[], Any]) -> Any:
    """What a keyring answers; whatever it raises becomes a sentence."""
    try:
        return question()
    except Exception as error:  # backends talk to other programs, and raise what these do
        reason = next(iter(str(error).splitlines()), "").rstrip(".") or type(error).__name__
        raise InputError(f"the keyring {_words(ring)} refused ({reason}); unlock it, or {WITHOUT}") from None


def _words(ring: Any) -> str:
    return f"{type(ring).__module__}.{type(ring).__qualname__}"

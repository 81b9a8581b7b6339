"""``hecc.verify``: whether files are whole, and which of them belong together."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hecc.runtime.errors import HeccError, InputError, MissingExtraError
from hecc.runtime.figures import count_words
from hecc.runtime.files.atomic import open_regular, reading
from hecc.runtime.files.container import MATERIAL, Container, Kind, kind_of
from hecc.runtime.plan.keyset import MinSecurity
from hecc.runtime.plan.plan import Plan
from hecc.runtime.plan.scheme import Scheme, load_scheme, scheme_of
from hecc.runtime.plan.verifier import Conflict, Verifier

__all__ = ["Conflict", "Verification", "VerifiedFile", "needs_passphrase", "verify"]

MATERIAL_OF, MATERIAL_CHECK = "sharing", "hecc.runtime.sharing.material.whole:whole_material"
"""The scheme that has material, and what checks a file of it."""


@dataclass(frozen=True)
class VerifiedFile:
    """What was found out about one file.

    Attributes
    ----------
    path
        As it was given.
    kind
        What the file holds; ``None`` if it is no file of hecc, cannot be read, or is material.
    fault
        Why it is not whole; ``None`` if it is.
    plan
        SHA-256 of the plan that it is, or is the result of.
    inputs
        SHA-256 of the input signatures that it was encrypted for, or that it has.
    key_id
        The key set that it is of.
    insecurity
        That its scheme protects nothing, in a sentence; ``None`` of one that protects something.
    material
        Of material whose it is and how much is left, in words; ``None`` of other files.
    """

    path: Path
    kind: Kind | None = None
    fault: str | None = None
    plan: str | None = None
    inputs: str | None = None
    key_id: str | None = None
    insecurity: str | None = None
    material: str | None = None

    @property
    def label(self) -> str:
        """What it holds, in words with an article."""
        return self.material or ("no file of hecc" if self.kind is None else self.kind.label)


@dataclass(frozen=True)
class Verification:
    """What :func:`verify` found out.

    Attributes
    ----------
    files
        Each file, in the order given.
    conflicts
        Every pair that does not belong together.
    odd
        The files without which the others belong together. Of two files that do not fit each other, both.
    proved
        Public and evaluation keys that a secret key among the files decrypts to what they should be.
    """

    files: tuple[VerifiedFile, ...]
    conflicts: tuple[Conflict, ...]
    odd: tuple[Path, ...]
    proved: tuple[Path, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all files are whole and belong together."""
        return not self.conflicts and all(file.fault is None for file in self.files)


def verify(
    paths: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    passphrase: str | None = None,
    keyring: bool = False,
    min_security: MinSecurity | None = None,
) -> Verification:
    """Check files completely: all checksums, a plan's circuit, every residue of keys, and that the files fit together.

    Of material all blocks that are left are looked at, and the ledger beside it. It belongs to the plan that it was
    dealt for, and to the other party's of the same batch.

    Plans belong together if they are the two files of one plan; keys and a plan if the keys have all that the plan
    needs; encrypted rows and a plan if they were encrypted for its inputs; a result and a plan if the plan made it, a
    result and rows if it answers them; keys, rows and results if they are of one key set. A public key is the one that
    its key set is named after. Of other files the key set is what they say; a secret key among the files proves, of
    public and evaluation keys, that they are its own. What is inside ciphertexts only a client can check, by
    decrypting.

    Parameters
    ----------
    paths
        The files.
    passphrase
        Of the secret key, when it is protected and there are keys to prove.
    keyring
        Take that passphrase from the system's keyring.
    min_security
        Security that plans and keys have to have, as for :class:`hecc.Client`; by default that is not looked at.

    Raises
    ------
    InputError
        There are no files, or one is given twice; or the passphrase is missing or wrong.
    """
    given = [Path(paths)] if isinstance(paths, str | os.PathLike) else [Path(path) for path in paths]
    if not given or len(set(given)) != len(given):
        raise InputError("no files, or one of them twice; give each file once")
    if keyring and needs_passphrase(given):
        from hecc.passphrases import stored_passphrase

        passphrase = stored_passphrase(next(path for path in given if kind_of(path) is Kind.SECRET_KEY))
    files: list[VerifiedFile] = []
    loaded: dict[Path, _Whole] = {}
    for path in given:
        kind = None
        try:
            if _is_material(path):
                verified, loaded[path] = _material(path)
                files.append(verified)
                continue
            container = Container(path, *Kind)
            kind = container.kind
            if kind is not Kind.EVALUATION_KEYS:  # large, and read in full when they are loaded
                container.verify()
            scheme = scheme_of(container)
            file = scheme.verifier.load(path, kind)
            if min_security is not None:
                scheme.verifier.check_security(path, file, min_security)
            owner = scheme.verifier.owner(file)
            loaded[path] = _Whole(scheme.name, scheme.verifier, file)
            files.append(
                VerifiedFile(
                    path,
                    kind,
                    plan=owner.plan,
                    inputs=owner.inputs,
                    key_id=owner.key_id,
                    insecurity=_insecurity(scheme, container, file),
                )
            )
        except MissingExtraError:
            raise  # that nobody can look at it here is no fault of the file
        except HeccError as error:
            files.append(VerifiedFile(path, kind, str(error)))
    conflicts = []
    for first, second in itertools.combinations(loaded, 2):
        reason = _conflict(loaded[first], loaded[second])
        if reason is not None:
            conflicts.append(Conflict(first, second, reason))
    fitting = {path: file for path, file in loaded.items() if path not in _odd(conflicts)}
    proved: list[Path] = []
    # Files that fit are of one scheme.
    if fitting:
        found, proved = next(iter(fitting.values())).verifier.prove(
            {path: whole.file for path, whole in fitting.items()}, passphrase
        )
        conflicts += found
    return Verification(tuple(files), tuple(conflicts), _odd(conflicts), tuple(proved))


def _is_material(path: Path) -> bool:
    with reading(path), open_regular(path) as file:
        return file.read(len(MATERIAL)) == MATERIAL


def _material(path: Path) -> tuple[VerifiedFile, _Whole]:
    """A file of material, which is no container."""
    module, _, name = MATERIAL_CHECK.partition(":")
    whole = getattr(importlib.import_module(module), name)(path)
    words = f"{whole.label}, with {whole.left} of {count_words(whole.batch.count, 'block')} left"
    return VerifiedFile(path, plan=whole.batch.plan, material=words), _Whole(
        MATERIAL_OF, load_scheme(MATERIAL_OF).verifier, whole
    )


@dataclass(frozen=True)
class _Whole:
    """A whole file, and what knows of it."""

    scheme: str
    verifier: Verifier[Any]
    file: Any


def _insecurity(scheme: Scheme[Any, Any], container: Container, file: Any) -> str | None:
    """What is said of a file whose scheme protects nothing."""
    if scheme.is_secure:
        return None
    if isinstance(file, Plan):
        return scheme.security(file.header)
    return dict(scheme.verifier.describe(container).facts).get("security", "none")


def _conflict(one: _Whole, other: _Whole) -> str | None:
    if one.scheme != other.scheme:
        return f"one is of the scheme {one.scheme}, the other of {other.scheme}"
    return one.verifier.conflict(one.file, other.file)


def needs_passphrase(paths: Iterable[str | os.PathLike[str]]) -> bool:
    """Whether among files there are a protected secret key, and keys to prove with it."""
    verifiers: dict[str, tuple[Verifier[Any], list[Path]]] = {}
    for path in map(Path, paths):
        with contextlib.suppress(HeccError):  # which is going to be said of that file
            scheme = scheme_of(Container(path, *Kind))
            verifiers.setdefault(scheme.name, (scheme.verifier, []))[1].append(path)
    return any(verifier.needs_passphrase(given) for verifier, given in verifiers.values())


def _odd(conflicts: Iterable[Conflict]) -> tuple[Path, ...]:
    """The file with the most conflicts, and again without it, until there are none; several if they have as many."""
    left, odd = list(conflicts), []
    while left:
        counts = Counter(path for conflict in left for path in (conflict.first, conflict.second))
        most = max(counts.values())
        found = [path for path, count in counts.items() if count == most]
        odd += found
        left = [conflict for conflict in left if not {conflict.first, conflict.second} & set(found)]
    return tuple(odd)

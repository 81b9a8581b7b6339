"""``hecc.verify``: whether files are whole, and which of them belong together."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from hecc.runtime.ckks.ciphertexts import CiphertextFile, ResultFile, groups
from hecc.runtime.ckks.circuit.security import MinSecurity, check_keys
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, PublicKeyFile, SecretKeyFile, check_covers
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.errors import HeccError, InputError, KeyMismatchError, SecurityError
from hecc.runtime.files.container import Container, Kind, kind_of

__all__ = ["Conflict", "Verification", "VerifiedFile", "needs_passphrase", "verify"]

_Keys: TypeAlias = SecretKeyFile | PublicKeyFile | EvaluationKeyFile
_Rows: TypeAlias = CiphertextFile | ResultFile
_Loaded: TypeAlias = CkksPlan | _Keys | _Rows


@dataclass(frozen=True)
class VerifiedFile:
    """What was found out about one file.

    Attributes
    ----------
    path
        As it was given.
    kind
        What the file holds; ``None`` if it is no file of hecc or cannot be read.
    fault
        Why it is not whole; ``None`` if it is.
    plan
        SHA-256 of the plan that it is, or is the result of.
    inputs
        SHA-256 of the input signatures that it was encrypted for, or that it has.
    key_id
        The key set that it is of.
    """

    path: Path
    kind: Kind | None = None
    fault: str | None = None
    plan: str | None = None
    inputs: str | None = None
    key_id: str | None = None


@dataclass(frozen=True)
class Conflict:
    """Two whole files that do not belong together, and why."""

    first: Path
    second: Path
    reason: str


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
    min_security: MinSecurity | None = None,
) -> Verification:
    """Check files completely: all checksums, a plan's circuit, every residue of keys, and that the files fit together.

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
    files: list[VerifiedFile] = []
    loaded: dict[Path, _Loaded] = {}
    for path in given:
        kind = None
        try:
            container = Container(path, *Kind)
            kind = container.kind
            if kind is not Kind.EVALUATION_KEYS:  # large, and read in full when they are loaded
                container.verify()
            file = _LOAD[kind](path)
            if min_security is not None:
                _check_security(path, file, min_security)
            loaded[path] = file
            files.append(_describe(path, kind, loaded[path]))
        except HeccError as error:
            files.append(VerifiedFile(path, kind, str(error)))
    conflicts = []
    for first, second in itertools.combinations(loaded, 2):
        reason = _conflict(loaded[first], loaded[second]) or _conflict(loaded[second], loaded[first])
        if reason is not None:
            conflicts.append(Conflict(first, second, reason))
    fitting = {path: file for path, file in loaded.items() if path not in _odd(conflicts)}
    found, proved = _proved(fitting, passphrase)
    conflicts += found
    return Verification(tuple(files), tuple(conflicts), _odd(conflicts), tuple(proved))


def needs_passphrase(paths: Iterable[str | os.PathLike[str]]) -> bool:
    """Whether among files there are a protected secret key, and keys to prove with it."""
    given = [Path(path) for path in paths]
    kinds = {path: kind_of(path) for path in given}
    if not {Kind.PUBLIC_KEY, Kind.EVALUATION_KEYS} & set(kinds.values()):
        return False
    secrets = [path for path, kind in kinds.items() if kind is Kind.SECRET_KEY]
    with contextlib.suppress(HeccError):  # which is going to be said of that file
        return any(SecretKeyFile.load(path).header.protection is not None for path in secrets)
    return False


def _proved(loaded: Mapping[Path, _Loaded], passphrase: str | None) -> tuple[list[Conflict], list[Path]]:
    """What the secret key among the files says of the other keys: which are not its own, and which are."""
    from hecc.runtime.ckks.client.keygen import secret_residues
    from hecc.runtime.ckks.client.keyproof import prove_evaluation, prove_public

    conflicts, proved = [], []
    others = {path: file for path, file in loaded.items() if isinstance(file, PublicKeyFile | EvaluationKeyFile)}
    secrets = {path: file for path, file in loaded.items() if isinstance(file, SecretKeyFile)}
    for secret_path, secret in secrets.items() if others else ():
        residues = secret_residues(secret, passphrase)
        for path, file in others.items():
            try:
                if isinstance(file, PublicKeyFile):
                    prove_public(file, secret, residues)
                else:
                    prove_evaluation(file, secret, residues)
                proved.append(path)
            except HeccError as error:
                conflicts.append(Conflict(secret_path, path, str(error)))
    return conflicts, proved


def _result(path: Path) -> ResultFile:
    result = ResultFile.load(path)
    result.verify()
    return result


def _public_key(path: Path) -> PublicKeyFile:
    from hecc.runtime.ckks.client.keyproof import opened_public

    key = PublicKeyFile.load(path)
    opened_public(key, enforce_128=False)
    return key


def _check_security(path: Path, file: _Loaded, minimum: MinSecurity) -> None:
    """Rows and results have no parameters of their own: they belong to keys that do."""
    if isinstance(file, CiphertextFile | ResultFile):
        return
    try:
        check_keys(file.header.keys, minimum)
    except HeccError as error:
        raise SecurityError(f"{path}: {error}") from None


def _evaluation_keys(path: Path) -> EvaluationKeyFile:
    keys = EvaluationKeyFile(path)
    keys.verify()
    return keys


_LOAD: dict[Kind, Callable[[Path], _Loaded]] = {
    Kind.SERVER_PLAN: CkksPlan.load,
    Kind.CLIENT_PLAN: CkksPlan.load,
    Kind.SECRET_KEY: SecretKeyFile.load,
    Kind.PUBLIC_KEY: _public_key,
    Kind.EVALUATION_KEYS: _evaluation_keys,
    Kind.CIPHERTEXT: CiphertextFile.load,
    Kind.RESULT: _result,
}


def _describe(path: Path, kind: Kind, file: _Loaded) -> VerifiedFile:
    if isinstance(file, CkksPlan):
        return VerifiedFile(path, kind, plan=file.fingerprint, inputs=file.input_fingerprint)
    plan = file.header.plan if isinstance(file, ResultFile) else None
    inputs = file.header.inputs if isinstance(file, CiphertextFile) else None
    return VerifiedFile(path, kind, plan=plan, inputs=inputs, key_id=file.header.key_id)


def _conflict(one: _Loaded, other: _Loaded) -> str | None:
    """Why two files do not belong together; looks at them in this order only."""
    if isinstance(one, CkksPlan):
        return _conflict_with_plan(one, other)
    if isinstance(other, CkksPlan):
        return None
    if one.header.key_id != other.header.key_id:
        return f"one is of key set {one.header.key_id[:8]}, the other of {other.header.key_id[:8]}"
    if _keys_fingerprint(one) != _keys_fingerprint(other):
        return "they name one key set, but other parameters of it"
    if isinstance(one, CiphertextFile) and isinstance(other, ResultFile):
        if one.header.rows != other.header.rows:
            return f"{one.header.rows} rows were encrypted, and the result has {other.header.rows}"
        if one.fingerprint != other.header.request:
            return f"the rows are request {one.fingerprint[:16]}, and the result answers {other.header.request[:16]}"
    return None


def _conflict_with_plan(plan: CkksPlan, other: _Loaded) -> str | None:
    header = plan.header
    if isinstance(other, CkksPlan):
        return None if plan.fingerprint == other.fingerprint else "they are different plans"
    if isinstance(other, CiphertextFile):
        if other.header.inputs != plan.input_fingerprint or other.header.groups != groups(header.inputs):
            return "the rows were encrypted for another plan"
    elif isinstance(other, ResultFile):
        if other.header.plan != plan.fingerprint or other.header.groups != groups(header.sent):
            return "it is the result of another plan"
    else:
        try:
            check_covers(other.header.keys, header.keys, galois=isinstance(other, EvaluationKeyFile))
        except KeyMismatchError as error:
            return str(error)
    return None


def _keys_fingerprint(file: _Keys | _Rows) -> str:
    return file.header.keys if isinstance(file, CiphertextFile | ResultFile) else file.header.keys.fingerprint


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

"""Files of CKKS, in words and against one another: what `hecc inspect` and `hecc verify` say of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from hecc.runtime.ckks.ciphertexts import CiphertextFile, ResultFile, ResultHeader, groups
from hecc.runtime.ckks.circuit.security import check_keys
from hecc.runtime.ckks.devices.device import device_for
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, PublicKeyFile, SecretKeyFile, check_covers
from hecc.runtime.ckks.plan.facts import ring_facts, ring_fields
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.errors import HeccError, KeyMismatchError, SecurityError
from hecc.runtime.files.container import Container, Kind, kind_of
from hecc.runtime.plan.facts import rows_words
from hecc.runtime.plan.keyset import MinSecurity
from hecc.runtime.plan.verifier import Conflict, Description, Owner

__all__ = ["CkksVerifier", "File"]

_Keys: TypeAlias = SecretKeyFile | PublicKeyFile | EvaluationKeyFile
_Rows: TypeAlias = CiphertextFile | ResultFile
File: TypeAlias = CkksPlan | _Keys | _Rows
"""A file of any kind."""


class CkksVerifier:
    """See :class:`hecc.runtime.plan.verifier.Verifier`."""

    def describe(self, container: Container) -> Description:
        """A file of keys or of rows in words."""
        path = container.source
        if container.kind is Kind.CIPHERTEXT:
            return _describe_rows(CiphertextFile.load(path))
        if container.kind is Kind.RESULT:
            return _describe_rows(ResultFile.load(path))
        if container.kind is Kind.SECRET_KEY:
            secret = SecretKeyFile.load(path).header
            said = "protects it" if secret.protection else "none: whoever has the file can decrypt"
            return Description(
                secret.key_id,
                [("passphrase", said), *ring_facts(secret.keys)],
                {"protected": secret.protection is not None, "ring": ring_fields(secret.keys)},
            )
        if container.kind is Kind.PUBLIC_KEY:
            public = _public_key(path).header
            return Description(public.key_id, [*ring_facts(public.keys)], {"ring": ring_fields(public.keys)})
        keys = EvaluationKeyFile(path).header
        device = device_for(keys.shape).name
        return Description(
            keys.key_id,
            [("made for", f"the device {device}"), *ring_facts(keys.keys)],
            {"device": device, "ring": ring_fields(keys.keys)},
        )

    def load(self, path: Path, kind: Kind) -> File:
        """Read a file and check all of it that its checksums do not."""
        return _LOAD[kind](path)

    def check_security(self, path: Path, file: File, minimum: MinSecurity) -> None:
        """Rows and results have no parameters of their own: they belong to keys that do."""
        if isinstance(file, CiphertextFile | ResultFile):
            return
        try:
            check_keys(file.header.keys, minimum)
        except HeccError as error:
            raise SecurityError(f"{path}: {error}") from None

    def owner(self, file: File) -> Owner:
        """What a file belongs to."""
        if isinstance(file, CkksPlan):
            return Owner(plan=file.fingerprint, inputs=file.input_fingerprint)
        plan = file.header.plan if isinstance(file, ResultFile) else None
        inputs = file.header.inputs if isinstance(file, CiphertextFile) else None
        return Owner(plan, inputs, file.header.key_id)

    def conflict(self, one: File, other: File) -> str | None:
        """Why two files do not belong together, in either order."""
        return _conflict(one, other) or _conflict(other, one)

    def prove(self, files: Mapping[Path, File], passphrase: str | None) -> tuple[list[Conflict], list[Path]]:
        """What the secret key among the files says of the other keys: which are not its own, and which are."""
        others = {path: file for path, file in files.items() if isinstance(file, PublicKeyFile | EvaluationKeyFile)}
        secrets = {path: file for path, file in files.items() if isinstance(file, SecretKeyFile)}
        if not others or not secrets:
            return [], []
        from hecc.runtime.ckks.client.keygen import secret_residues
        from hecc.runtime.ckks.client.keyproof import prove_evaluation, prove_public

        conflicts, proved = [], []
        for secret_path, secret in secrets.items():
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

    def needs_passphrase(self, paths: Sequence[Path]) -> bool:
        """Whether among files there are a protected secret key, and keys to prove with it."""
        kinds = {path: kind_of(path) for path in paths}
        if not {Kind.PUBLIC_KEY, Kind.EVALUATION_KEYS} & set(kinds.values()):
            return False
        secrets = [path for path, kind in kinds.items() if kind is Kind.SECRET_KEY]
        with contextlib.suppress(HeccError):  # which is going to be said of that file
            return any(SecretKeyFile.load(path).header.protection is not None for path in secrets)
        return False


def _describe_rows(rows: _Rows) -> Description:
    header = rows.header
    each = "row" if header.batch == 1 else "batch"
    request = header.request if isinstance(header, ResultHeader) else rows.fingerprint
    facts = [("request", request), ("rows", rows_words(rows))]
    facts += [(group.name, f"{group.count} x {group.limbs} limbs per {each}") for group in header.groups]
    tensors = [{"name": group.name, "ciphertexts": group.count, "limbs": group.limbs} for group in header.groups]
    fields: dict[str, Any] = {"request": request, "rows": header.rows, "batch": header.batch}
    return Description(header.key_id, facts, {**fields, "batches": rows.batches, "groups": tensors})


def _result(path: Path) -> ResultFile:
    result = ResultFile.load(path)
    result.verify()
    return result


def _public_key(path: Path | bytes) -> PublicKeyFile:
    from hecc.runtime.ckks.client.keyproof import opened_public

    key = PublicKeyFile.load(path)
    opened_public(key, enforce_128=False)
    return key


def _evaluation_keys(path: Path) -> EvaluationKeyFile:
    keys = EvaluationKeyFile(path)
    keys.verify()
    return keys


_LOAD: dict[Kind, Callable[[Path], File]] = {
    Kind.SERVER_PLAN: CkksPlan.load,
    Kind.CLIENT_PLAN: CkksPlan.load,
    Kind.SECRET_KEY: SecretKeyFile.load,
    Kind.PUBLIC_KEY: _public_key,
    Kind.EVALUATION_KEYS: _evaluation_keys,
    Kind.CIPHERTEXT: CiphertextFile.load,
    Kind.RESULT: _result,
}


def _conflict(one: File, other: File) -> str | None:
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


def _conflict_with_plan(plan: CkksPlan, other: File) -> str | None:
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

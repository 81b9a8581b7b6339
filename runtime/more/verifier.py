"""What is said of files under MORE, and whether they belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hecc.runtime.errors import SecurityError
from hecc.runtime.figures import count_words
from hecc.runtime.files.container import Container, Kind
from hecc.runtime.more.keyfiles import KeyHeader, load_evaluation
from hecc.runtime.more.keys import SecretKey
from hecc.runtime.more.plan import MorePlan
from hecc.runtime.more.rows import EncodedFile
from hecc.runtime.more.training.file import TrainedFile, is_trained
from hecc.runtime.more.words import NO_SECURITY, accept_no_security
from hecc.runtime.plan.keyset import MinSecurity
from hecc.runtime.plan.verifier import Conflict, Description, Owner

__all__ = ["MoreVerifier"]

File = MorePlan | EncodedFile | TrainedFile | KeyHeader | SecretKey


class MoreVerifier:
    """See :class:`hecc.runtime.plan.verifier.Verifier`."""

    def describe(self, container: Container) -> Description:
        """A file of keys or of rows in words."""
        facts, fields = (
            [("scheme", "more"), ("security", NO_SECURITY)],
            {
                "scheme": "more",
                "security": NO_SECURITY,
                "security_level": None,
            },
        )
        if is_trained(container):
            trained = TrainedFile.load(container.source)
            facts += [
                ("trained", f"{count_words(trained.header.steps, 'step')} by {trained.header.trained.optimizer}"),
                ("parameters", ", ".join(trained.header.parameters)),
            ]
            fields |= {"steps": trained.header.steps, "parameters": list(trained.header.parameters)}  # type: ignore[dict-item]
            return Description(trained.header.key_id, facts, fields)
        if container.kind in (Kind.CIPHERTEXT, Kind.RESULT):
            rows = EncodedFile.load(container.source, container.kind)
            facts += [
                ("rows", str(rows.rows)),
                ("tensors", ", ".join(rows.tensors)),
                ("encoded", f"as matrices of {rows.header.size} x {rows.header.size}"),
            ]
            fields |= {"rows": rows.rows, "tensors": list(rows.tensors)}  # type: ignore[dict-item]
            return Description(rows.key_id, facts, fields)
        return Description(container.header(KeyHeader).key_id, facts, fields)

    def load(self, path: Path, kind: Kind) -> File:
        """Read a file and check it."""
        if kind in (Kind.SERVER_PLAN, Kind.CLIENT_PLAN):
            return MorePlan.load(path)
        if kind is Kind.SECRET_KEY:
            return SecretKey.load(path)
        if kind in (Kind.CIPHERTEXT, Kind.RESULT):
            return TrainedFile.load(path) if is_trained(Container(path, kind)) else EncodedFile.load(path, kind)
        return load_evaluation(path)

    def check_security(self, path: Path, file: File, minimum: MinSecurity) -> None:
        """Refuse whoever insists on some."""
        try:
            accept_no_security(minimum)
        except SecurityError as error:
            raise SecurityError(f"{path}: {error}") from None

    def owner(self, file: File) -> Owner:
        """What a file belongs to."""
        if isinstance(file, MorePlan):
            return Owner(plan=file.fingerprint, inputs=file.input_fingerprint)
        if isinstance(file, EncodedFile):
            of = {"plan": file.header.of} if file.kind is Kind.RESULT else {"inputs": file.header.of}
            return Owner(key_id=file.key_id, **of)
        if isinstance(file, TrainedFile):
            return Owner(plan=file.header.of, key_id=file.header.key_id)
        return Owner(key_id=file.key_id)

    def conflict(self, one: File, other: File) -> str | None:
        """Why two files do not belong together."""
        first, second = self.owner(one), self.owner(other)
        if first.key_id and second.key_id and first.key_id != second.key_id:
            return "they are of two key sets"
        if first.plan and second.plan and first.plan != second.plan:
            return "they are of two plans"
        if first.inputs and second.inputs and first.inputs != second.inputs:
            return "the rows were encoded for the inputs of another plan"
        for answer, rows in ((one, other), (other, one)):
            if isinstance(rows, EncodedFile) and rows.kind is Kind.CIPHERTEXT:
                asked = (
                    answer.header.request
                    if isinstance(answer, TrainedFile)
                    else answer.answers
                    if isinstance(answer, EncodedFile) and answer.kind is Kind.RESULT
                    else None
                )
                if asked is not None and asked != rows.fingerprint:
                    return "the one does not answer the other"
        return None

    def prove(self, files: Mapping[Path, File], passphrase: str | None) -> tuple[list[Conflict], list[Path]]:
        """There are no other keys to prove."""
        return [], []

    def needs_passphrase(self, paths: Sequence[Path]) -> bool:
        """No key has one."""
        return False

"""``hecc verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hecc.cli.client.keys import KeyringOption, read_passphrase
from hecc.cli.console import JsonOption, console
from hecc.cli.usage import SECURITY

if TYPE_CHECKING:
    from hecc.verification import VerifiedFile

__all__ = ["verify_command"]


def verify_command(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Files of hecc: plans, keys, encrypted rows, results, material."),
    ],
    keyring: KeyringOption = False,
    min_security: Annotated[
        str | None,
        typer.Option(
            "--min-security",
            metavar="BITS[-quantum]",
            show_default=False,
            help="Refuse plans and keys below this, as keygen, encrypt and decrypt do.",
            rich_help_panel=SECURITY,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check that files are whole, and that they belong together.

    All checksums, a plan's circuit and every residue of evaluation keys are verified; then whether the files fit one
    another: keys and plan, rows and plan, result and plan, material and plan, and one key set for all. The exit code is
    1 if something is wrong, and the file at fault is named. What a file holds is what `hecc inspect` says, of one file.
    """
    with console(as_json) as out:
        from hecc.runtime.figures import size_words
        from hecc.runtime.files.container import Kind
        from hecc.verification import needs_passphrase, verify

        needed = needs_passphrase(files) and not keyring
        passphrase = read_passphrase("Passphrase of the secret key") if needed else None
        with out.stages("verifying") as stage:
            stage(f"{len(files)} files" if len(files) > 1 else str(files[0]))
            found = verify(files, passphrase=passphrase, keyring=keyring, min_security=min_security)
        for file in found.files:
            if file.fault is None:
                out.say(f"{file.path}: {file.label}, {size_words(file.path.stat().st_size)}, whole; {_of(file)}")
        for file in found.files:
            if file.fault is not None:
                out.note(f"error: {file.fault}")
        for conflict in found.conflicts:
            out.say(f"{conflict.first} and {conflict.second}: {conflict.reason}")
        if found.odd:
            names = ", ".join(map(str, found.odd))
            verb = "does not belong to the others" if len(found.odd) == 1 else "do not belong together"
            out.note(f"error: {names} {verb}; give files of one plan and one key set")
        elif found.ok and len(files) > 1:
            if found.proved:
                out.say(f"the secret key proves that {' and '.join(map(str, found.proved))} belong to it")
            keys = [file.path for file in found.files if file.kind is Kind.EVALUATION_KEYS]
            for path in set(keys) - set(found.proved):
                out.say(f"{path} is of the key set that it names; give the secret key, too, to have it proved")
            out.say("all of them belong together")
        for sentence in dict.fromkeys(file.insecurity for file in found.files if file.insecurity):
            out.insecure(sentence)
        out.result(
            ok=found.ok,
            files=[_fields(file) for file in found.files],
            conflicts=[
                {"files": [str(conflict.first), str(conflict.second)], "reason": conflict.reason}
                for conflict in found.conflicts
            ],
            odd=[str(path) for path in found.odd],
            proved=[str(path) for path in found.proved],
        )
        if not found.ok:
            raise typer.Exit(1)


def _of(file: VerifiedFile) -> str:
    """What a file belongs to."""
    from hecc.runtime.files.container import Kind

    parts = []
    if file.plan is not None:
        parts.append(f"plan {file.plan[:8]}")
    if file.inputs is not None:
        parts.append(f"inputs {file.inputs[:8]}")
    if file.key_id is not None:
        # The one key that has to be compared with what its owner says.
        public = file.kind is Kind.PUBLIC_KEY
        parts.append(f"key set {file.key_id if public else file.key_id[:8]}")
    return ", ".join(parts)


def _fields(file: VerifiedFile) -> dict[str, Any]:
    return {
        "file": str(file.path),
        "kind": "material" if file.material else None if file.kind is None else file.kind.name.lower(),
        "fault": file.fault,
        "plan": file.plan,
        "inputs": file.inputs,
        "key_id": file.key_id,
    }

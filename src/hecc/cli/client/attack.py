"""``hecc attack``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hecc.cli.console import JsonOption, console
from hecc.cli.options import ForceOption
from hecc.cli.outputs import check_targets
from hecc.cli.usage import FILES

__all__ = ["attack_command"]


def attack_command(
    encrypted: Annotated[Path, typer.Argument(help="A file of rows of the scheme more; no key is needed.")],
    known: Annotated[
        str | None,
        typer.Option(
            metavar="ROW:ELEMENT=VALUE",
            show_default=False,
            help="One value that the attacker knows, as 0:0=0; without one smoothness tells the data from the rest.",
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="What was recovered: .npy, .csv, or .png of the first rows of images, with both candidates.",
            rich_help_panel=FILES,
        ),
    ] = Path("recovered.npy"),
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Recover the data from encoded rows, without any key: why the scheme more is no encryption.

    The eigenvalues of each encoded number are the number and a decoy, and all numbers of a key have the same
    eigenvectors. So there are two candidates for the whole file, and one known value, or how smooth they are, tells
    which is the data. Only files of the scheme more can be attacked like this: it is an encoding without a security
    level.
    """
    with console(as_json) as out:
        from hecc.attacks.eigenvalues import attack, write_recovered
        from hecc.runtime.figures import count_words, shape_words

        check_targets({"--output": output}, [encrypted])
        found = attack(encrypted, known=known)
        write_recovered(found, output, force=force)
        (name, data), *others = [(name, values[0]) for name, values in found.candidates.items()]
        out.say(
            f"{output}: {count_words(len(data), 'row')} of {name!r} ({shape_words(data.shape[1:])}) recovered from "
            f"{encrypted} alone, told from a decoy by {found.told_by}"
        )
        if found.certain > 1:
            out.say(f"  the data is {found.certain:.3g} times as smooth as the decoy")
        for other, values in others:
            out.say(f"  {other!r} came out, too: {count_words(len(values), 'row')}")
        out.insecure("none: the scheme more is an encoding without a security level, as this shows")
        out.result(output=str(output), rows=len(data), told_by=found.told_by, certain=found.certain)

"""Machine profiles: the cost model's rates as they were measured on one machine.

The compiler's own rates are those of the machine that hecc was developed on. ``hecc bench --machine-profile`` measures
another one and writes a *machine profile*, a small JSON file that ``hecc compile --machine`` reads. A profile is only
used when it is named: without one, everybody's compiler makes the same plan of the same network.
"""

from __future__ import annotations

import os
from typing import Annotated, Literal, Self

import msgspec

from hecc.runtime.ckks.plan.rates import Rates
from hecc.runtime.errors import InputError
from hecc.runtime.files.atomic import open_regular, reading, write_file

__all__ = ["MachineProfile", "is_profile"]

MAX_FILE = 1 << 16
"""Bytes of a profile, at most; they have less than two thousand."""


class MachineProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The native evaluator's rates on one machine, as measured there.

    Attributes
    ----------
    format
        Version of the file format.
    machine
        The processor, by its own name.
    kernels
        Implementation of the kernels that was measured.
    producer
        Name and version of the program that measured.
    threads
        Processors that were at work together for ``all_threads``.
    one_thread, all_threads
        The rates.
    error
        By how much the rates miss the times that they were fitted to, typically: the root mean square over the measured
        circuits of predicted over measured time, less one.
    """

    format: Literal[1] = 1
    machine: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[ -~]*$")]
    kernels: Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern=r"^[ -~]*$")]
    producer: Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[ -~]*$")]
    threads: Annotated[int, msgspec.Meta(ge=1, le=4096)]
    one_thread: Rates
    all_threads: Rates
    error: Annotated[float, msgspec.Meta(ge=0.0)]

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write the profile.

        Parameters
        ----------
        path
            The file. Another profile is replaced.
        force
            Replace any other file, too.

        Raises
        ------
        InputError
            The file cannot be written, or would replace one that is no profile.
        """
        content = msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"
        write_file(path, content, own=is_profile, kind="a machine profile", force=force)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a profile.

        Raises
        ------
        InputError
            The file cannot be read, or is no machine profile of this version of hecc.
        """
        with reading(path), open_regular(path) as file:
            text = file.read(MAX_FILE + 1)
        remedy = "measure the machine with `hecc bench --machine-profile`"
        if len(text) > MAX_FILE:
            raise InputError(f"{path}: too large for a machine profile; {remedy}")
        try:
            found = msgspec.json.decode(text, type=cls, strict=True)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"{path}: not a machine profile ({error}); {remedy}") from None
        for rates in (found.one_thread, found.all_threads):
            if not rates.butterfly > 0:
                raise InputError(f"{path}: a machine whose transforms take no time; {remedy}")
        return found


def is_profile(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a machine profile, of whichever version of hecc."""
    with reading(path), open_regular(path) as file:
        text = file.read(MAX_FILE + 1)
    try:
        fields = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(fields, dict) and {"format", "machine", "kernels"} <= fields.keys()

"""Sharing as a scheme: what the common code asks of it. There are no keys and no encrypted files, but sessions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import InputError
from hecc.runtime.files.container import Container, ContainerWriter, Content, FileSource
from hecc.runtime.plan.scheme import Scheme
from hecc.runtime.sharing.plan.header import SharingHeader
from hecc.runtime.sharing.plan.plan import SharingPlan

if TYPE_CHECKING:
    from hecc.runtime.plan.holder import Steps
    from hecc.runtime.plan.keyset import MinSecurity
    from hecc.runtime.sharing.verifier import SharingVerifier
    from hecc.runtime.tail.outcomes import Outputs

__all__ = ["SHARING"]


class _Sharing:
    """See :class:`hecc.runtime.plan.scheme.Scheme`."""

    name = "sharing"
    header = SharingHeader
    roles = ("client", "server", "dealer")
    is_secure = True
    verb = "shared"

    def security(self, header: SharingHeader) -> str:
        """Who must not collude."""
        from hecc.runtime.sharing.words import SECURITY

        return SECURITY

    def summary(self, header: SharingHeader) -> Iterator[tuple[str, str]]:
        """What a plan does and costs, in a few sentences."""
        from hecc.runtime.sharing.words import plan_summary

        return plan_summary(header)

    def facts(self, header: SharingHeader) -> Iterator[tuple[str, str]]:
        """All that is known of a plan."""
        from hecc.runtime.sharing.words import plan_facts

        return plan_facts(header)

    def fields(self, header: SharingHeader) -> dict[str, Any]:
        """The same for JSON."""
        from hecc.runtime.sharing.words import plan_fields

        return plan_fields(header)

    def check(self, header: SharingHeader) -> None:
        """Refuse a header that contradicts itself."""
        from hecc.runtime.sharing.plan.header import check_sharing_header

        check_sharing_header(header)

    def key_bytes(self, headers: Sequence[SharingHeader], *, device: str | None) -> int:
        """There are no keys."""
        _refuse()

    def key_memory(self, headers: Sequence[SharingHeader], *, device: str | None, protected: bool) -> int:
        """There are no keys."""
        _refuse()

    def keygen(
        self,
        headers: Sequence[SharingHeader],
        folder: Path,
        *,
        device: str | None,
        min_security: MinSecurity,
        passphrase: str | None,
        force: bool,
        progress: Steps | None,
    ) -> NoReturn:
        """There are no keys."""
        _refuse()

    def is_protected(self, folder: Path) -> bool:
        """There are no keys."""
        return False

    def holder(
        self,
        plan: SharingPlan,
        keys: Path | Content,
        *,
        passphrase: str | None,
        public: bool,
        min_security: MinSecurity,
    ) -> NoReturn:
        """There are no keys."""
        _refuse()

    def request(self, file: FileSource) -> NoReturn:
        """There are no encrypted files."""
        _refuse()

    def result(self, file: FileSource) -> NoReturn:
        """There are no encrypted files."""
        _refuse()

    def result_bytes(self, plan: SharingPlan, request: Any) -> int:
        """There are no encrypted files."""
        _refuse()

    def evaluation_keys(self, file: FileSource) -> NoReturn:
        """There are no keys."""
        _refuse()

    def engine(self, plan: SharingPlan, *, device: str | None, memory: int | None, threads: int | None) -> NoReturn:
        """A plan is made ready by whoever listens."""
        _refuse()

    def server(self, plan: Any, keys: Any, *, device: str | None, memory: int | None, threads: int | None) -> NoReturn:
        """A plan is made ready by whoever listens."""
        _refuse()

    @property
    def verifier(self) -> SharingVerifier:
        """What is said of files."""
        from hecc.runtime.sharing.verifier import SharingVerifier

        return SharingVerifier()

    def simulate(
        self, plan: SharingPlan, rows: Mapping[str, NDArray[np.float64]], *, noise: bool, seed: int
    ) -> Outputs:
        """What both parties make of rows together; noise is the random rounding, without it the nearest is taken."""
        from hecc.runtime.sharing.parties.clear import Nearest, SeededCoins, in_clear
        from hecc.runtime.tail.outcomes import finished

        count = len(next(iter(rows.values())))
        coins = SeededCoins(count, seed) if noise else Nearest(count)
        return finished(plan.header, in_clear(plan, rows, coins))

    def read_program(self, container: Container, header: SharingHeader) -> SharingPlan:
        """The plan in a file."""
        from hecc.runtime.sharing.plan.plan import read_program

        return read_program(container, header)

    def write_program(self, writer: ContainerWriter, plan: SharingPlan) -> None:
        """Write the program, and into the server's file the weights."""
        from hecc.runtime.sharing.plan.plan import write_program

        write_program(writer, plan)


def _refuse() -> NoReturn:
    from hecc.runtime.sharing.words import NO_KEYS

    raise InputError(NO_KEYS)


SHARING: Scheme[SharingHeader, SharingPlan] = _Sharing()

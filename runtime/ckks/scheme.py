"""CKKS as a scheme: what the common code asks of it. Each answer loads what it needs, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hecc.runtime.ckks.plan.header import CkksHeader
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.files.container import Container, ContainerWriter
from hecc.runtime.plan.scheme import Scheme

__all__ = ["CKKS"]


class _Ckks:
    """See :class:`hecc.runtime.plan.scheme.Scheme`."""

    name = "ckks"
    header = CkksHeader
    roles = ("client", "server")

    def security(self, header: CkksHeader) -> str:
        """The level, and why the parameters have it."""
        from hecc.runtime.ckks.plan.facts import security_words

        return security_words(header.keys)

    def facts(self, header: CkksHeader) -> Iterator[tuple[str, str]]:
        """What a plan costs and promises."""
        from hecc.runtime.ckks.plan.facts import plan_facts

        return plan_facts(header)

    def fields(self, header: CkksHeader) -> dict[str, Any]:
        """The same for JSON."""
        from hecc.runtime.ckks.plan.facts import plan_fields

        return plan_fields(header)

    def check(self, header: CkksHeader) -> None:
        """Refuse a header that contradicts itself."""
        from hecc.runtime.ckks.plan.checks import check_header

        check_header(header)

    def read_program(self, container: Container, header: CkksHeader) -> CkksPlan:
        """The plan in a file."""
        from hecc.runtime.ckks.plan.plan import read_program

        return read_program(container, header)

    def write_program(self, writer: ContainerWriter, plan: CkksPlan) -> None:
        """Write circuit, choices and weights."""
        from hecc.runtime.ckks.plan.plan import write_program

        write_program(writer, plan)


CKKS: Scheme[CkksHeader, CkksPlan] = _Ckks()

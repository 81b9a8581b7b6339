"""MORE as a scheme: what the common code asks of it. An encoding without a security level; see ``docs/more.md``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import InputError
from hecc.runtime.files.container import Container, ContainerWriter, Content, FileSource, Kind
from hecc.runtime.more.header import MoreHeader
from hecc.runtime.more.plan import MorePlan
from hecc.runtime.plan.scheme import Scheme

if TYPE_CHECKING:
    from hecc.runtime.more.client import Holder
    from hecc.runtime.more.keyfiles import KeyHeader
    from hecc.runtime.more.rows import EncodedFile
    from hecc.runtime.more.server import Engine, Server
    from hecc.runtime.more.verifier import MoreVerifier
    from hecc.runtime.plan.holder import Steps
    from hecc.runtime.plan.keyset import KeySet, MinSecurity
    from hecc.runtime.tail.outcomes import Outputs

__all__ = ["MORE"]

KEY_FILE = 4096
"""Bytes of a key's file, at most."""


class _More:
    """See :class:`hecc.runtime.plan.scheme.Scheme`."""

    name = "more"
    header = MoreHeader
    roles = ("client", "server")
    is_secure = False
    verb = "encoded"

    def security(self, header: MoreHeader) -> str:
        """That there is none."""
        from hecc.runtime.more.words import NO_SECURITY

        return NO_SECURITY

    def summary(self, header: MoreHeader) -> Iterator[tuple[str, str]]:
        """What a plan does and costs, in a few sentences."""
        from hecc.runtime.more.words import plan_summary

        return plan_summary(header)

    def facts(self, header: MoreHeader) -> Iterator[tuple[str, str]]:
        """All that is known of a plan."""
        from hecc.runtime.more.words import plan_facts

        return plan_facts(header)

    def fields(self, header: MoreHeader) -> dict[str, Any]:
        """The same for JSON."""
        from hecc.runtime.more.words import plan_fields

        return plan_fields(header)

    def check(self, header: MoreHeader) -> None:
        """Refuse a header that contradicts itself."""
        from hecc.runtime.more.header import check_more_header

        check_more_header(header)

    def key_bytes(self, headers: Sequence[MoreHeader], *, device: str | None) -> int:
        """Bytes of the files of a key set, at most."""
        self._size(headers)
        return 2 * KEY_FILE

    def key_memory(self, headers: Sequence[MoreHeader], *, device: str | None, protected: bool) -> int:
        """Bytes of memory that making keys takes."""
        return KEY_FILE

    def _size(self, headers: Sequence[MoreHeader]) -> int:
        from hecc.runtime.errors import KeyMismatchError

        sizes = {header.size for header in headers}
        if len(sizes) > 1:
            raise KeyMismatchError(f"no key serves matrices of the sizes {', '.join(map(str, sorted(sizes)))}")
        return sizes.pop()

    def keygen(
        self,
        headers: Sequence[MoreHeader],
        folder: Path,
        *,
        device: str | None,
        min_security: MinSecurity,
        passphrase: str | None,
        force: bool,
        progress: Steps | None,
    ) -> KeySet:
        """Make a key."""
        from hecc.runtime.more.keys import generate, write_keys
        from hecc.runtime.more.words import accept_no_security, refuse_passphrase

        accept_no_security(min_security)
        refuse_passphrase(passphrase)
        return write_keys(generate(self._size(headers)), folder, force=force)

    def is_protected(self, folder: Path) -> bool:
        """No passphrase protects a key."""
        return False

    def holder(
        self, plan: MorePlan, keys: Path | Content, *, passphrase: str | None, public: bool, min_security: MinSecurity
    ) -> Holder:
        """Whoever holds the key."""
        from hecc.runtime.more.client import Holder
        from hecc.runtime.more.words import accept_no_security, refuse_passphrase

        accept_no_security(min_security)
        refuse_passphrase(passphrase)
        if public:
            raise InputError("the scheme more has no public key: whoever encodes can decode; leave --public out")
        return Holder.open(plan, keys)

    def request(self, file: FileSource) -> EncodedFile:
        """A file of encoded inputs."""
        from hecc.runtime.more.rows import EncodedFile

        return EncodedFile.load(file, Kind.CIPHERTEXT)

    def result(self, file: FileSource) -> EncodedFile:
        """A file of encoded results."""
        from hecc.runtime.more.rows import EncodedFile
        from hecc.runtime.more.training.file import is_trained

        container = Container(file, Kind.RESULT)
        if is_trained(container):
            raise InputError(f"{container.where}: this is a trained network; `hecc decrypt --model FILE` writes it")
        return EncodedFile.load(file, Kind.RESULT)

    def result_bytes(self, plan: MorePlan, request: EncodedFile) -> int:
        """How large the file of a request's result becomes, at most."""
        numbers = sum(int(np.prod(target.shape)) for target in plan.header.sent)
        return 8 * plan.header.size**2 * request.rows * numbers + (1 << 16)

    def evaluation_keys(self, file: FileSource) -> KeyHeader:
        """The name of a key set."""
        from hecc.runtime.more.keyfiles import load_evaluation

        return load_evaluation(file)

    def engine(self, plan: MorePlan, *, device: str | None, memory: int | None, threads: int | None) -> Engine:
        """A plan made ready; NumPy chooses its own threads."""
        from hecc.runtime.more.server import Engine

        return Engine(plan, device=device)

    def server(
        self, plan: MorePlan | Engine, keys: KeyHeader, *, device: str | None, memory: int | None, threads: int | None
    ) -> Server:
        """A plan, or an engine of one, with the name of a key set."""
        from hecc.runtime.more.server import Engine, Server

        if isinstance(plan, Engine):
            return Server(plan, keys, owns=False)
        return Server(Engine(plan, device=device), keys, owns=True)

    @property
    def verifier(self) -> MoreVerifier:
        """What is said of files."""
        from hecc.runtime.more.verifier import MoreVerifier

        return MoreVerifier()

    def simulate(self, plan: MorePlan, rows: Mapping[str, NDArray[np.float64]], *, noise: bool, seed: int) -> Outputs:
        """What the network makes of rows; there is no noise but rounding, and so none is added."""
        from hecc.runtime.network.evaluation import PlainArithmetic, evaluate
        from hecc.runtime.tail.outcomes import finished

        plan.require_program()
        assert plan.network is not None, "it was asked for"
        given = {source.name: source.normalised(rows[source.name]) for source in plan.header.inputs}
        return finished(plan.header, evaluate(plan.network, PlainArithmetic(), given, {}))

    def read_program(self, container: Container, header: MoreHeader) -> MorePlan:
        """The plan in a file."""
        from hecc.runtime.more.plan import read_program

        return read_program(container, header)

    def write_program(self, writer: ContainerWriter, plan: MorePlan) -> None:
        """Write the programs."""
        from hecc.runtime.more.plan import write_program

        write_program(writer, plan)


MORE: Scheme[MoreHeader, MorePlan] = _More()

"""CKKS as a scheme: what the common code asks of it. Each answer loads what it needs, and nothing else."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.parameters import KeyShape, KeySpecification
from hecc.runtime.ckks.plan.header import CkksHeader
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.files.container import Container, ContainerWriter, Content, FileSource
from hecc.runtime.plan.scheme import Scheme

if TYPE_CHECKING:
    from hecc.runtime.ckks.ciphertexts import CiphertextFile, ResultFile
    from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile
    from hecc.runtime.ckks.server import Engine, Server
    from hecc.runtime.ckks.verification import CkksVerifier
    from hecc.runtime.plan.holder import AnyHolder, Steps
    from hecc.runtime.plan.keyset import KeySet, MinSecurity
    from hecc.runtime.tail.outcomes import Outputs

__all__ = ["CKKS"]


class _Ckks:
    """See :class:`hecc.runtime.plan.scheme.Scheme`."""

    name = "ckks"
    header = CkksHeader
    roles = ("client", "server")
    is_secure = True
    verb = "encrypted"

    def security(self, header: CkksHeader) -> str:
        """The level, and why the parameters have it."""
        from hecc.runtime.ckks.plan.facts import security_words

        return security_words(header.keys)

    def summary(self, header: CkksHeader) -> Iterator[tuple[str, str]]:
        """What a plan does, promises and costs, in a few sentences."""
        from hecc.runtime.ckks.plan.facts import plan_summary

        return plan_summary(header)

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

    def key_bytes(self, headers: Sequence[CkksHeader], *, device: str | None) -> int:
        """Bytes of the files of a key set, at most."""
        from hecc.runtime.ckks.client.keygen import key_set_bytes

        return key_set_bytes(*_wanted(headers, device))

    def key_memory(self, headers: Sequence[CkksHeader], *, device: str | None, protected: bool) -> int:
        """Bytes of memory that making keys takes."""
        from hecc.runtime.ckks.client.keygen import key_making_memory

        return key_making_memory(*_wanted(headers, device), protected=protected)

    def keygen(
        self,
        headers: Sequence[CkksHeader],
        folder: Path,
        *,
        device: str | None,
        min_security: MinSecurity,
        passphrase: str | None,
        force: bool,
        progress: Steps | None,
    ) -> KeySet:
        """Make keys that serve all of some plans."""
        from hecc.runtime.ckks.client.keygen import generate_keys

        keys, chosen = _wanted(headers, device)
        return generate_keys(
            keys,
            folder,
            shape=chosen,
            min_security=min_security,
            passphrase=passphrase,
            force=force,
            disclose=any(header.disclosure for header in headers),
            progress=progress,
        )

    def is_protected(self, folder: Path) -> bool:
        """Whether a passphrase protects the secret key in a folder."""
        from hecc.runtime.ckks.keys.keyfiles import SecretKeyFile
        from hecc.runtime.plan.keyset import SECRET

        secret = folder / SECRET
        return secret.exists() and SecretKeyFile.load(secret).header.protection is not None

    def holder(
        self, plan: CkksPlan, keys: Path | Content, *, passphrase: str | None, public: bool, min_security: MinSecurity
    ) -> AnyHolder:
        """Whoever holds the keys in a folder, or one of them."""
        from hecc.runtime.ckks.client.client import Client

        return Client.open(plan, keys, passphrase=passphrase, public=public, min_security=min_security)

    def request(self, file: FileSource) -> CiphertextFile:
        """A file of encrypted inputs."""
        from hecc.runtime.ckks.ciphertexts import CiphertextFile

        return CiphertextFile.load(file)

    def result(self, file: FileSource) -> ResultFile:
        """A file of encrypted results."""
        from hecc.runtime.ckks.ciphertexts import ResultFile

        return ResultFile.load(file)

    def result_bytes(self, plan: CkksPlan, request: CiphertextFile) -> int:
        """How large the file of a request's result becomes, at most."""
        from hecc.runtime.ckks.ciphertexts import ResultFile

        return ResultFile.most_bytes(plan, request)

    def evaluation_keys(self, file: FileSource) -> EvaluationKeyFile:
        """A file of evaluation keys."""
        from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile

        return EvaluationKeyFile(file)

    def engine(self, plan: CkksPlan, *, device: str | None, memory: int | None, threads: int | None) -> Engine:
        """A plan made ready on a device."""
        from hecc.runtime.ckks.devices.device import DEFAULT_MEMORY
        from hecc.runtime.ckks.server import Engine

        return Engine(plan, device=device, memory=DEFAULT_MEMORY if memory is None else memory, threads=threads)

    def server(
        self,
        plan: CkksPlan | Engine,
        keys: EvaluationKeyFile,
        *,
        device: str | None,
        memory: int | None,
        threads: int | None,
    ) -> Server:
        """A plan, or an engine of one, with a client's keys."""
        from hecc.runtime.ckks.server import Server

        return Server(plan, keys, device=device, memory=memory, threads=threads)

    @property
    def verifier(self) -> CkksVerifier:
        """What is said of files."""
        from hecc.runtime.ckks.verification import CkksVerifier

        return CkksVerifier()

    def simulate(self, plan: CkksPlan, rows: Mapping[str, NDArray[np.float64]], *, noise: bool, seed: int) -> Outputs:
        """What the circuit makes of rows, with noise drawn at random."""
        from hecc.runtime.ckks.simulation import simulate_rows

        return simulate_rows(plan, rows, noise, seed=seed)

    def read_program(self, container: Container, header: CkksHeader) -> CkksPlan:
        """The plan in a file."""
        from hecc.runtime.ckks.plan.plan import read_program

        return read_program(container, header)

    def write_program(self, writer: ContainerWriter, plan: CkksPlan) -> None:
        """Write circuit, choices and weights."""
        from hecc.runtime.ckks.plan.plan import write_program

        write_program(writer, plan)


def _wanted(headers: Sequence[CkksHeader], device: str | None) -> tuple[KeySpecification, KeyShape]:
    """What keys for some plans are to be made for."""
    from hecc.runtime.ckks.circuit.parameters import union
    from hecc.runtime.ckks.devices.device import load_device

    keys = functools.reduce(union, [header.keys for header in headers])
    return keys, load_device(device or headers[0].estimate.device).key_shape


CKKS: Scheme[CkksHeader, CkksPlan] = _Ckks()

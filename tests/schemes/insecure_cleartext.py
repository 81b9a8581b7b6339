"""A scheme that hides nothing, for tests of what is common: rows travel as they are, and a server knows them.

It evaluates one affine map. Keys are made, named and asked for as those of any scheme, and protect nothing.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import msgspec
import numpy as np

from hecc.compiler.graph.nodes import AffineNode, InputNode
from hecc.runtime.errors import InputError, KeyMismatchError, ParameterError, SecurityError, UnsupportedError
from hecc.runtime.files import codec
from hecc.runtime.files.container import Container, ContainerWriter, Kind
from hecc.runtime.files.memory import MemoryFile
from hecc.runtime.inputs.preprocessing import Preprocessing
from hecc.runtime.inputs.ranges import ElementRanges
from hecc.runtime.inputs.tensors import input_rows
from hecc.runtime.plan.facts import tensor_facts, tensor_fields, tensor_words
from hecc.runtime.plan.header import InputSignature, OutputSignature, PlanHeader, check_header
from hecc.runtime.plan.keyset import EVALUATION, PUBLIC, SECRET, InsecureLevel, KeySet
from hecc.runtime.plan.plan import Plan
from hecc.runtime.plan.verifier import Conflict, Description, Owner
from hecc.runtime.tail.epilogue import Step
from hecc.runtime.tail.outcomes import finished, report

NAME = "insecure-cleartext"
SENTENCE = "none at all: whoever sees a file reads what is in it"


class ClearInput(InputSignature, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    shape: tuple[int, ...]
    low: float
    high: float
    preprocessing: Preprocessing | None = None
    ranges: ElementRanges | None = None
    columns: tuple[str, ...] = ()


class ClearOutput(OutputSignature, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    shape: tuple[int, ...]
    epilogue: tuple[Step, ...] = ()
    labels: tuple[str, ...] = ()
    of: str = ""


class ClearHeader(PlanHeader, frozen=True, kw_only=True, forbid_unknown_fields=True):
    scheme: Literal["insecure-cleartext"] = NAME
    inputs: tuple[ClearInput, ...]
    outputs: tuple[ClearOutput, ...]


@dataclass(frozen=True)
class AffineMap:
    """``weights @ x + bias``."""

    weights: np.ndarray
    bias: np.ndarray

    def __str__(self):
        return "return weights @ x + bias"


@dataclass(frozen=True, repr=False)
class ClearPlan(Plan):
    header: ClearHeader
    map: AffineMap | None = None

    @property
    def program(self):
        return self.map

    @property
    def summary(self):
        return f"one affine map of {self.map.weights.size} weights"


def build_plan(imported, model, calibration, declared, options, progress):
    """The compiler's half."""
    progress("multiply the layers")
    for node in imported.nodes:
        if not isinstance(node, AffineNode | InputNode):
            raise UnsupportedError(f"{node.source}: cleartext multiplies affine maps only; leave it out")
    (source,), (output,) = imported.inputs(), imported.outputs
    shape = imported.example_shape(source.output.shape)
    size = int(np.prod(shape))
    probes = np.vstack([np.zeros(size), np.eye(size)])
    values = imported.evaluate({source.output.name: probes})[output]
    header = ClearHeader(
        producer=options.producer,
        model=hashlib.sha256(model).hexdigest(),
        inputs=(ClearInput(name=source.output.name, shape=shape, low=declared["x"][0], high=declared["x"][1]),),
        outputs=(
            ClearOutput(
                name=output,
                shape=imported.example_shape(imported.node(output).output.shape),
                epilogue=imported.epilogues.get(output, ()),
            ),
        ),
    )
    return ClearPlan(header, AffineMap((values[1:] - values[0]).T.copy(), values[0].copy()))


class RowsHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    scheme: Literal["insecure-cleartext"] = NAME
    key_id: str
    of: str
    request: str = ""


class KeyHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    scheme: Literal["insecure-cleartext"] = NAME
    key_id: str


@dataclass(frozen=True)
class ClearRows:
    """Rows, a request's or a result's."""

    kind: Kind
    header: RowsHeader
    values: np.ndarray
    path: Path | None = None
    batch = 1

    @property
    def rows(self):
        return len(self.values)

    batches = rows

    @property
    def key_id(self):
        return self.header.key_id

    @property
    def fingerprint(self):
        return hashlib.sha256(codec.encode(self.header) + self.values.tobytes()).hexdigest()

    @property
    def answers(self):
        return self.header.request or self.fingerprint

    def save(self, path, *, force=False):
        with ContainerWriter(path, self.kind, self.header, force=force) as writer:
            writer.add("values", self.values)

    def dumps(self):
        self.save(memory := MemoryFile())
        return memory.content

    @classmethod
    def load(cls, file, kind):
        container = Container(file, kind)
        return cls(kind, container.header(RowsHeader), container.array("values"), container.path)


class ClearHolder:
    """Whoever "encrypts" and "decrypts"."""

    def __init__(self, plan, key_id):
        self.plan, self.key_id, self.last = plan, key_id, None
        self.disclosures_left = 0

    def encrypt(self, tensors, *, processes=None, note=True):
        (source,) = self.plan.header.inputs
        values = source.normalised(input_rows(tensors, self.plan.header.inputs)[source.name])
        header = RowsHeader(key_id=self.key_id, of=self.plan.input_fingerprint)
        return ClearRows(Kind.CIPHERTEXT, header, values)

    def encrypt_to(self, path, tensors, *, processes=None, progress=None, resume=True, force=False):
        rows = self.encrypt(tensors)
        rows.save(path, force=force)
        return rows

    def decrypt(self, result, *, disclose=False, request=None, index=()):
        outputs = self.decrypt_rows(result, request=request, index=index)
        report(outputs, "there is nothing to do about it")
        return outputs

    def decrypt_rows(self, result, *, request=None, index=()):
        if request not in (None, result.header.request):
            raise KeyMismatchError("this answers another request")
        if result.header.of != self.plan.fingerprint:
            raise KeyMismatchError("this is the result of another plan")
        (signature,) = self.plan.header.outputs
        values = result.values.reshape(-1, *signature.shape)
        bad = dict.fromkeys(_bad(values), "it is not finite")
        return finished(self.plan.header, {signature.name: values}, bad, index=index)


def _bad(values):
    return np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1)).tolist()


class ClearServer:
    """Knows everything."""

    device = SimpleNamespace(name="numpy", words="NumPy")

    def __init__(self, plan, key_id):
        self.plan, self.key_id = plan, key_id

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.plan = None

    def run(self, request, *, progress=None):
        if request.header.key_id != self.key_id:
            raise KeyMismatchError("the rows are of another key set")
        step = SimpleNamespace(op="affine", source="all layers")
        for row in range(request.rows if progress else 0):
            progress(row, 1, 1, step)
        header = RowsHeader(key_id=self.key_id, of=self.plan.fingerprint, request=request.fingerprint)
        return ClearRows(Kind.RESULT, header, _applied(self.plan, request.values))

    def run_bytes(self, request, *, progress=None):
        return self.run(request, progress=progress).dumps()

    def run_to(self, path, request, *, progress=None, resume=True, force=False):
        result = self.run(request, progress=progress)
        result.save(path, force=force)
        return result


def _applied(plan, values):
    return values.reshape(len(values), -1) @ plan.map.weights.T + plan.map.bias


class ClearVerifier:
    """Of files."""

    def describe(self, container):
        if container.kind in (Kind.CIPHERTEXT, Kind.RESULT):
            rows = ClearRows.load(container.source, container.kind)
            return Description(rows.key_id, [("rows", str(rows.rows))], {"rows": rows.rows})
        return Description(container.header(KeyHeader).key_id, [("security", SENTENCE)])

    def load(self, path, kind):
        if kind in (Kind.SERVER_PLAN, Kind.CLIENT_PLAN):
            return ClearPlan.load(path)
        return ClearRows.load(path, kind) if kind in (Kind.CIPHERTEXT, Kind.RESULT) else _key(path, kind)

    def check_security(self, path, file, minimum):
        _check_level(minimum)

    def owner(self, file):
        if isinstance(file, ClearPlan):
            return Owner(plan=file.fingerprint, inputs=file.input_fingerprint)
        return Owner(key_id=file.key_id)

    def conflict(self, one, other):
        if isinstance(one, ClearPlan) or isinstance(other, ClearPlan):
            return None
        return None if one.key_id == other.key_id else "they are of two key sets"

    def prove(self, files: Mapping[Path, Any], passphrase) -> tuple[list[Conflict], list[Path]]:
        return [], []

    def needs_passphrase(self, paths):
        return False


def _key(file, kind):
    return Container(file, kind).header(KeyHeader)


def _check_level(minimum):
    if not isinstance(minimum, InsecureLevel) and minimum != "none":
        raise SecurityError(f"{minimum} bits of security, and this scheme has {SENTENCE}")


class Cleartext:
    """See :class:`hecc.runtime.plan.scheme.Scheme`."""

    name = NAME
    header = ClearHeader
    roles = ("client", "server")
    is_secure = False
    verb = "copied"
    verifier = ClearVerifier()

    def security(self, header):
        return SENTENCE

    def summary(self, header):
        yield "in and out", tensor_words(header)
        yield "security", SENTENCE

    def facts(self, header):
        yield from tensor_facts(header, ["in clear"], ["in clear"])
        yield "security", SENTENCE

    def fields(self, header):
        return tensor_fields(header, [{}], [{}])

    def check(self, header):
        check_header(header)
        if len(header.inputs) != 1 or len(header.outputs) != 1:
            raise ParameterError("a plan of cleartext has one input and one output")

    def read_program(self, container, header):
        if container.kind is Kind.CLIENT_PLAN:
            return ClearPlan(header, path=container.path)
        program = AffineMap(container.array("weights"), container.array("bias"))
        return ClearPlan(header, program, path=container.path)

    def write_program(self, writer, plan):
        writer.add("weights", plan.map.weights)
        writer.add("bias", plan.map.bias)

    def key_bytes(self, headers, *, device):
        return 3000

    def key_memory(self, headers, *, device, protected):
        return 1

    def keygen(self, headers, folder, *, device, min_security, passphrase, force, progress):
        _check_level(min_security)
        if passphrase is not None:
            raise InputError("these keys protect nothing, and no passphrase protects them")
        folder.mkdir(parents=True, exist_ok=True)
        header = KeyHeader(key_id=secrets.token_hex(32))
        kinds = {SECRET: Kind.SECRET_KEY, PUBLIC: Kind.PUBLIC_KEY, EVALUATION: Kind.EVALUATION_KEYS}
        for name, kind in kinds.items():
            with ContainerWriter(folder / name, kind, header):
                pass
        return KeySet(header.key_id, *(folder / name for name in kinds))

    def is_protected(self, folder):
        return False

    def holder(self, plan, keys, *, passphrase, public, min_security):
        _check_level(min_security)
        file = keys / SECRET if isinstance(keys, Path) else keys
        return ClearHolder(plan, _key(file, Kind.SECRET_KEY).key_id)

    def request(self, file):
        return ClearRows.load(file, Kind.CIPHERTEXT)

    def result(self, file):
        return ClearRows.load(file, Kind.RESULT)

    def result_bytes(self, plan, request):
        return 8 * request.rows * len(plan.map.bias) + (1 << 12)

    def evaluation_keys(self, file):
        return _key(file, Kind.EVALUATION_KEYS)

    def engine(self, plan, *, device, memory, threads):
        return SimpleNamespace(plan=plan, close=lambda: None)

    def server(self, plan, keys, *, device, memory, threads):
        return ClearServer(getattr(plan, "plan", plan), keys.key_id)

    def simulate(self, plan, rows, *, noise, seed):
        (values,) = rows.values()
        (signature,) = plan.header.outputs
        return finished(plan.header, {signature.name: _applied(plan, values).reshape(-1, *signature.shape)})


CLEARTEXT = Cleartext()


def with_another_model(plan):
    """The same plan of another network."""
    return replace(plan, header=msgspec.structs.replace(plan.header, model="1" * 64))

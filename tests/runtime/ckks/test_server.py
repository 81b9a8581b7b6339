"""The server, from the client's files to the client's files, at parameters that are insecure but fast."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np
import pytest

from hecc.runtime.ckks.ciphertexts import CiphertextFile, ResultFile
from hecc.runtime.ckks.circuit.instructions import (
    AddPlain,
    Circuit,
    Diagonals,
    Fold,
    Input,
    LinearTransform,
    Output,
    Relinearize,
    Rescale,
    Square,
)
from hecc.runtime.ckks.circuit.layout import vector_layout
from hecc.runtime.ckks.circuit.parameters import (
    GaloisElement,
    KeyShape,
    KeySpecification,
    SecurityEvidence,
    galois_element,
)
from hecc.runtime.ckks.circuit.security import InsecureLevel, ntt_primes
from hecc.runtime.ckks.client.client import Client
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, PublicKeyFile, SecretKeyFile
from hecc.runtime.ckks.plan.header import CkksHeader, CkksInput, CkksOutput, Estimate
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.ckks.readings.types import verify
from hecc.runtime.ckks.server import Server
from hecc.runtime.errors import InputError, KeyMismatchError

INSECURE = InsecureLevel.INSECURE_FOR_TESTS_ONLY
SLOTS, DEGREE, INPUTS, OUTPUTS, PERIOD = 32, 2048, 20, 3, 4
SCALE = Fraction(1 << 40)
PRIMES = (*ntt_primes(49, DEGREE, 1), *ntt_primes(40, DEGREE, 2))
SPECIAL = ntt_primes(49, DEGREE, 1, exclude=PRIMES)
MATRIX = np.random.default_rng(1).uniform(-1, 1, (OUTPUTS, INPUTS))
BIAS = np.array([0.5, -0.25, 1.0])


def hybrid_circuit() -> Circuit:
    """``(Mx + b)^2``: PERIOD diagonals of partial sums, a fold, a bias, a square."""
    dense = np.zeros((PERIOD, SLOTS))
    for k in range(PERIOD):
        for s in range(SLOTS):
            if s % PERIOD < OUTPUTS and (s + k) % SLOTS < INPUTS:
                dense[k, s] = MATRIX[s % PERIOD, (s + k) % SLOTS]
    number, places = np.nonzero(dense)
    zeros = np.zeros(PERIOD, "<i4")
    offsets = np.searchsorted(number, np.arange(PERIOD + 1)).astype("<i8")
    diagonals = Diagonals(
        zeros,
        zeros,
        np.array([0, 1, 0, 1], "<i4"),
        np.array([0, 0, 2, 2], "<i4"),
        offsets,
        places.astype("<u2"),
        dense[number, places].astype("<f4"),
    )
    source, target = vector_layout((INPUTS,), SLOTS), vector_layout((OUTPUTS,), SLOTS)
    program = (
        Input(name="x", count=1, occupied="in", period=SLOTS, limbs=3, scale=SCALE),
        LinearTransform(x=0, count=1, diagonals="d", partial=PERIOD, scale=Fraction(PRIMES[2])),
        Rescale(x=1),
        Fold(x=2, period=PERIOD, span=SLOTS),
        AddPlain(x=3, vector="b"),
        Square(x=4),
        Relinearize(x=5),
        Rescale(x=6),
        Output(x=7, name="y", occupied="out"),
    )
    constants = {
        "in": source.occupied.astype(np.uint8),
        "out": target.occupied.astype(np.uint8),
        "b": target.pack(BIAS),
        **{f"d.{field}": getattr(diagonals, field) for field in Diagonals.FIELDS},
    }
    return Circuit(SLOTS, program, constants)


def make_plan(*extra_steps: int, relinearization_limbs: int = 2) -> CkksPlan:
    circuit = hybrid_circuit()
    elements = sorted({galois_element(step, DEGREE) for step in (*circuit.rotations(), *extra_steps)})
    keys = KeySpecification(
        ring_degree=DEGREE,
        data_primes=PRIMES,
        special_primes=SPECIAL,
        relinearization_limbs=relinearization_limbs,
        galois=tuple(GaloisElement(element, 3) for element in elements),
        security=SecurityEvidence(level=0, adversary="classical", table="none: insecure", log2_limit=0),
    )
    last = verify(circuit, keys)[-1]
    assert last.scale is not None
    header = CkksHeader(
        producer="test",
        model="0" * 64,
        inputs=(
            CkksInput(
                name="x",
                shape=(INPUTS,),
                layout=vector_layout((INPUTS,), SLOTS),
                limbs=3,
                scale=SCALE,
                low=-1.0,
                high=1.0,
            ),
        ),
        outputs=(
            CkksOutput(
                name="y",
                shape=(OUTPUTS,),
                layout=vector_layout((OUTPUTS,), SLOTS),
                limbs=last.limbs,
                scale=last.scale,
                bound=200.0,
                error=1e-5,
            ),
        ),
        keys=keys,
        estimate=Estimate(
            depth=2,
            rotations=5,
            seconds=0.1,
            peak_memory=1,
            evaluation_key_bytes=1,
            input_bytes=1,
            output_bytes=1,
            precision_bits=16.0,
        ),
    )
    return CkksPlan(header, circuit)


@dataclasses.dataclass
class World:
    """A plan, a client's folder of keys, and the client."""

    plan: CkksPlan
    folder: Path
    client: Client

    @property
    def evaluation_keys(self) -> EvaluationKeyFile:
        return EvaluationKeyFile.load(self.folder / "evaluation.bin")


def make_world(folder: Path, plan: CkksPlan, shape: KeyShape = "seal") -> World:
    plan.save(folder / "plan.bin")
    Client.keygen(plan, folder / "keys", shape=shape, min_security=INSECURE)
    return World(
        CkksPlan.load(folder / "plan.bin"),
        folder / "keys",
        Client.open(folder / "plan.bin", folder / "keys", min_security=INSECURE),
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), make_plan())


def test_rows_go_in_encrypted_and_come_out_right(world: World, tmp_path: Path) -> None:
    rows = np.random.default_rng(2).uniform(-1, 1, (3, INPUTS))
    seen: list[tuple[int, int, int, str]] = []
    world.client.encrypt(rows).save(tmp_path / "encrypted.bin")
    with Server(world.plan, world.evaluation_keys) as server:
        result = server.run(
            CiphertextFile.load(tmp_path / "encrypted.bin"),
            progress=lambda row, done, total, instruction: seen.append((row, done, total, instruction.op)),
        )
        result.save(tmp_path / "result.bin")
        again = server.run(world.client.encrypt(rows[0]))
    first = CiphertextFile.load(tmp_path / "encrypted.bin").fingerprint
    found = world.client.decrypt(ResultFile.load(tmp_path / "result.bin"), request=first)["y"]
    expected = (rows @ MATRIX.T + BIAS) ** 2
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(world.client.decrypt(again)["y"], expected[:1], atol=1e-5)
    assert seen[0] == (0, 1, 9, "input")
    assert seen[-1] == (2, 9, 9, "output")
    assert len(seen) == 27


def test_keys_that_cover_more_than_the_plan_serve_it(world: World, tmp_path: Path) -> None:
    larger = make_world(tmp_path, make_plan(5, 7, relinearization_limbs=3))
    spec = larger.plan.header.keys
    assert spec != world.plan.header.keys
    rows = np.random.default_rng(3).uniform(-1, 1, (1, INPUTS))
    client = Client(world.plan, secret=SecretKeyFile.load(larger.folder / "secret.bin"), min_security=INSECURE)
    with Server(world.plan, larger.evaluation_keys) as server:
        found = client.decrypt(server.run(client.encrypt(rows)))["y"]
    np.testing.assert_allclose(found, (rows @ MATRIX.T + BIAS) ** 2, atol=1e-5)


@pytest.mark.parametrize("count", [2, 3])
def test_seal_runs_a_plan_with_several_special_primes(tmp_path: Path, count: int) -> None:
    # They are further data primes to SEAL, all but the last: ciphertexts arrive below them.
    plan = make_plan(5)
    keys = msgspec.structs.replace(
        plan.header.keys, special_primes=ntt_primes(49, DEGREE, count, exclude=PRIMES), digit_limbs=2
    )
    plan = CkksPlan(msgspec.structs.replace(plan.header, keys=keys), plan.circuit)
    world = make_world(tmp_path, plan)
    rows = np.random.default_rng(4).uniform(-1, 1, (2, INPUTS))
    with Server(world.plan, world.evaluation_keys) as server:
        for client in (world.client, public_client(world)):
            found = client.encrypt(rows)
            values = world.client.decrypt(server.run(found), request=found.fingerprint)["y"]
            np.testing.assert_allclose(values, (rows @ MATRIX.T + BIAS) ** 2, atol=1e-5)


def public_client(world: World) -> Client:
    return Client(world.plan, public=PublicKeyFile.load(world.folder / "public.bin"), min_security=INSECURE)


def test_keys_of_a_shape_that_the_device_cannot_use_are_refused(world: World, tmp_path: Path) -> None:
    hybrid = make_world(tmp_path, world.plan, "native")
    with pytest.raises(
        KeyMismatchError,
        match=r"evaluation.bin: keys of shape 'native', but the device 'seal' needs shape 'seal'; "
        "choose another device, or make keys of that shape",
    ):
        Server(world.plan, hybrid.evaluation_keys, device="seal")


def test_keys_that_lack_what_the_plan_needs_are_refused(world: World) -> None:
    plan = make_plan(5)
    with pytest.raises(KeyMismatchError, match="another plan, and lack 1 rotation key that this one needs"):
        Server(plan, world.evaluation_keys)


def test_a_request_under_another_key_set_is_refused(world: World, tmp_path: Path) -> None:
    other = make_world(tmp_path, world.plan)
    request = other.client.encrypt(np.zeros(INPUTS))
    with (
        Server(world.plan, world.evaluation_keys) as server,
        pytest.raises(KeyMismatchError, match="use the evaluation keys of the client that encrypted"),
    ):
        server.run(request)


def test_a_request_for_another_plan_is_refused(world: World) -> None:
    header = world.plan.header
    inputs = tuple(msgspec.structs.replace(signature, high=2.0) for signature in header.inputs)
    other = CkksPlan(msgspec.structs.replace(header, inputs=inputs), world.plan.circuit)
    with (
        Server(other, world.evaluation_keys) as server,
        pytest.raises(KeyMismatchError, match="encrypted for another plan"),
    ):
        server.run(world.client.encrypt(np.zeros(INPUTS)))


def test_the_clients_plan_is_refused(world: World) -> None:
    with pytest.raises(InputError, match="this is the client's plan"):
        Server(world.plan.client(), world.evaluation_keys)


def test_an_unknown_device_is_refused(world: World) -> None:
    with pytest.raises(InputError, match="there is no device 'abacus'"):
        Server(world.plan, world.evaluation_keys, device="abacus")

"""The noise model against SEAL: measured standard deviations are within a factor 1.5 of the predicted ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from tenseal import sealapi

from hecc.runtime.ckks.circuit.instructions import (
    AddScalar,
    Circuit,
    Diagonals,
    Fold,
    Input,
    LinearTransform,
    MatrixProduct,
    MultiplyPlain,
    MultiplyScalar,
    Output,
    Rescale,
)
from hecc.runtime.ckks.circuit.parameters import GaloisElement, KeySpecification, SecurityEvidence, galois_element
from hecc.runtime.ckks.circuit.security import InsecureLevel, ntt_primes
from hecc.runtime.ckks.client.keygen import generate_keys, secret_residues
from hecc.runtime.ckks.client.seal_bridge import LevelCipher
from hecc.runtime.ckks.devices.seal.engine import SealEngine
from hecc.runtime.ckks.devices.seal.streams import make_context
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, SecretKeyFile
from hecc.runtime.ckks.readings.clear import Simulator
from hecc.runtime.ckks.readings.noise_drawn import (
    GaussianNoise,
    Normals,
    RingNoise,
    TransformStatistics,
    rounding_errors,
)
from hecc.runtime.ckks.readings.types import verify

DEGREES = (4096, 8192)
SLOTS_WITH_BIAS = 6
FACTOR = 1.5
KEYS = 8
SCALE = 2.0**30


class InsecureRing:
    """SEAL with 30-bit primes, more of them than are secure; values of zero, so that what is decrypted is the error."""

    def __init__(self, degree: int, special_bits: int = 30) -> None:
        self.degree, self.slots = degree, degree // 2
        self.primes = ntt_primes(30, degree, 3)
        self.special = ntt_primes(special_bits, degree, 1, self.primes)
        self.context = make_context(degree, (*self.primes, *self.special), expand=True, enforce_128=False)
        self.generator = sealapi.KeyGenerator(self.context)
        secret = self.generator.secret_key()
        self.encryptor = sealapi.Encryptor(self.context, secret)
        public = sealapi.PublicKey()
        self.generator.create_public_key(public)
        self.public_encryptor = sealapi.Encryptor(self.context, public)
        self.decryptor = sealapi.Decryptor(self.context, secret)
        self.encoder = sealapi.CKKSEncoder(self.context)
        self.evaluator = sealapi.Evaluator(self.context)

    def encode(self, values: np.ndarray[Any, Any], scale: float = SCALE) -> Any:
        plaintext = sealapi.Plaintext()
        self.encoder.encode(np.broadcast_to(values, self.slots).tolist(), scale, plaintext)
        return plaintext

    def zero(self) -> Any:
        ciphertext = sealapi.Ciphertext()
        self.encryptor.encrypt_symmetric(self.encode(np.zeros(1)), ciphertext)
        return ciphertext

    def errors(self, ciphertext: Any) -> np.ndarray[Any, Any]:
        """Slot errors as complex numbers, times the scale."""
        plaintext = sealapi.Plaintext()
        self.decryptor.decrypt(ciphertext, plaintext)
        return np.array(self.encoder.decode_complex(plaintext)) * ciphertext.scale


def deviation(samples: Sequence[np.ndarray[Any, Any]]) -> float:
    """Standard deviation of a real part, over keys and slots; both parts err alike."""
    return float(np.sqrt(np.mean(np.abs(np.array(samples)) ** 2) / 2))


def within(measured: float, variance: float, factor: float = FACTOR) -> None:
    predicted = math.sqrt(variance)
    assert predicted / factor < measured < predicted * factor, f"measured {measured:.4g}, predicted {predicted:.4g}"


def fresh_with_public_key(ring: InsecureRing) -> Any:
    ciphertext = sealapi.Ciphertext()
    ring.public_encryptor.encrypt(ring.encode(np.zeros(1)), ciphertext)
    return ciphertext


def rescaled(ring: InsecureRing) -> Any:
    """A product with a large one before it, so that its own error vanishes in the division."""
    product, result = sealapi.Ciphertext(), sealapi.Ciphertext()
    ring.evaluator.multiply_plain(ring.zero(), ring.encode(np.ones(1), 2.0**10), product)
    ring.evaluator.rescale_to_next(product, result)
    return result


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize(
    ("operation", "predicted"),
    [
        (fresh_with_public_key, lambda ring: ring.fresh),
        (rescaled, lambda ring: ring.rounding),
    ],
    ids=["fresh", "rescale"],
)
def test_fresh_ciphertexts_and_rescales(
    degree: int, operation: Callable[[InsecureRing], Any], predicted: Callable[[RingNoise], float]
) -> None:
    rings = [InsecureRing(degree) for _ in range(KEYS)]
    within(deviation([ring.errors(operation(ring)) for ring in rings]), predicted(RingNoise(degree, degree // 2)))


@pytest.mark.parametrize("degree", DEGREES)
def test_encryption_with_the_secret_key_is_no_worse_than_the_model(degree: int) -> None:
    """The model has one number for both ways, that of the public key."""
    model = RingNoise(degree, degree // 2)
    measured = deviation([ring.errors(ring.zero()) for ring in [InsecureRing(degree)]])
    assert measured < math.sqrt(model.fresh)
    within(measured, model.fresh - model.rounding)


def rotated(ring: InsecureRing) -> np.ndarray[Any, Any]:
    """What a rotation adds to the error that was there."""
    keys, before, result = sealapi.GaloisKeys(), ring.zero(), sealapi.Ciphertext()
    element = galois_element(1, ring.degree)
    ring.generator.create_galois_keys([element], keys)
    ring.evaluator.apply_galois(before, element, keys, result)
    return ring.errors(result) - np.roll(ring.errors(before), -1)


def relinearized(ring: InsecureRing) -> np.ndarray[Any, Any]:
    """What a relinearisation adds to the error that was there."""
    keys, square, result = sealapi.RelinKeys(), sealapi.Ciphertext(), sealapi.Ciphertext()
    ring.generator.create_relin_keys(keys)
    ring.evaluator.square(ring.zero(), square)
    ring.evaluator.relinearize(square, keys, result)
    return ring.errors(result) - ring.errors(square)


@pytest.mark.parametrize("special_bits", [30, 40], ids=["small special prime", "large special prime"])
@pytest.mark.parametrize("operation", [rotated, relinearized])
def test_key_switching_errs_by_the_profile_of_its_bias(
    operation: Callable[[InsecureRing], np.ndarray[Any, Any]], special_bits: int
) -> None:
    """Digits that are not centred make the first slots of the ring dozens of times worse than the others."""
    degree = 4096
    rings = [InsecureRing(degree, special_bits) for _ in range(KEYS)]
    errors = np.array([operation(ring) for ring in rings])
    model = RingNoise(degree, degree // 2)
    switching = model.switching(rings[0].primes, float(rings[0].special[0]))
    profile = model.rounding + switching * (1 + model.bias)
    # A few random numbers decide each of the first slots, so they are judged together, and less sharply.
    normalised = np.abs(errors) / np.sqrt(2 * profile)
    within(float(np.sqrt(np.mean(normalised[:, :SLOTS_WITH_BIAS] ** 2))), 1.0, 2.0)
    within(float(np.sqrt(np.mean(normalised[:, SLOTS_WITH_BIAS:] ** 2))), 1.0)
    if special_bits == 30:
        assert model.bias[0] > 4000
        assert deviation(errors[:, :1]) > 10 * deviation(errors[:, SLOTS_WITH_BIAS:])


@pytest.mark.parametrize("logical", [16, 2048])
def test_multiplication_by_a_plaintext_rounds_it(logical: int) -> None:
    """Ones at a scale so small that the plaintext's rounding is all that is left of the error."""
    degree, small = 4096, 2.0**12
    ring, model = InsecureRing(degree), RingNoise(degree, logical)
    generator = np.random.default_rng(0)
    samples = []
    for _ in range(KEYS):
        values = generator.uniform(-1, 1, logical)
        plaintext = ring.encode(np.tile(values, ring.slots // logical), small)
        decoded = np.array(ring.encoder.decode_complex(plaintext)) * small
        samples.append(decoded - np.tile(values, ring.slots // logical) * small)
    within(deviation(samples), model.encoding)


def test_the_rounding_of_scalars_is_computed_and_not_drawn() -> None:
    # Quarters and eighths are integers over 8. Halves go away from zero.
    off = rounding_errors(np.array([0.25, -0.375, 0.15625, 0.0625, -0.0625]), 8.0)
    np.testing.assert_array_equal(off, [0, 0, -0.03125, 0.0625, -0.0625])
    slots = 4
    constants = {
        "m.offsets": np.array([0, 2, 2, 3], "<i8"),
        "m.columns": np.array([0, 2, 1], "<i4"),
        "m.values": np.array([0.25, -0.375, 0.15625], "<f4"),
        "b": np.array([1.0, 1 / 512, 0.5]),
        "all": np.ones((3, slots), np.uint8),
    }
    program = (
        Input(name="x", count=3, occupied="all", period=1, limbs=3, scale=Fraction(16)),
        MatrixProduct(x=0, count=3, matrix="m", bias="b", scale=Fraction(8)),
        MultiplyScalar(x=1, value=0.15625, scale=Fraction(8)),
        AddScalar(x=2, value=1 / 4096),
        Output(x=3, name="y", occupied="all"),
    )
    circuit = Circuit(slots, program, constants)
    primes = ntt_primes(30, 4096, 4)
    keys = KeySpecification(
        ring_degree=4096,
        data_primes=primes[:3],
        special_primes=primes[3:],
        relinearization_limbs=0,
        galois=(),
        security=SecurityEvidence(level=0, adversary="classical", table="INSECURE", log2_limit=0),
    )
    model = GaussianNoise(circuit, verify(circuit, keys), keys, np.random.default_rng(0))
    x = np.random.default_rng(1).uniform(-1, 1, (5, 3, slots))
    product = model.noise(1, program[1], x, [x])
    assert product is not None
    np.testing.assert_array_equal(product[:, 0], 0)
    # The bias is added at the scale of the product, 128.
    np.testing.assert_array_equal(product[:, 1], -1 / 512)
    np.testing.assert_allclose(product[:, 2], -0.03125 * x[:, 1])
    np.testing.assert_allclose(model.noise(2, program[2], x, [x]), -0.03125 * x)
    np.testing.assert_allclose(model.noise(3, program[3], x, [x]), -1 / 4096)


def chain(degree: int, special_bits: int) -> tuple[Circuit, KeySpecification]:
    """A dense transform with baby and giant steps, its fold and a plain product, at scales where every part counts."""
    slots, period = 64, 8
    generator = np.random.default_rng(5)
    baby, giant = np.meshgrid(np.arange(4), np.arange(0, 8, 4))
    order = np.lexsort((baby.reshape(-1), giant.reshape(-1)))
    place = np.tile(np.arange(slots), 8).astype(np.uint16)
    diagonals = Diagonals(
        row=np.zeros(8, np.int32),
        column=np.zeros(8, np.int32),
        baby=baby.reshape(-1)[order].astype(np.int32),
        giant=giant.reshape(-1)[order].astype(np.int32),
        offsets=np.arange(9, dtype=np.int64) * slots,
        slots=place,
        values=generator.uniform(-1, 1, 8 * slots).astype(np.float32),
    )
    constants: dict[str, Any] = {f"d.{name}": getattr(diagonals, name) for name in Diagonals.FIELDS}
    constants["all"] = np.ones((1, slots), np.uint8)
    constants["w"] = np.tile(generator.uniform(0.5, 1, (1, period)), slots // period)
    primes = ntt_primes(30, degree, 3)
    circuit = Circuit(
        slots,
        (
            Input(name="x", count=1, occupied="all", period=slots, limbs=3, scale=Fraction(1 << 30)),
            LinearTransform(x=0, count=1, diagonals="d", partial=period, scale=Fraction(1 << 20)),
            Fold(x=1, period=period, span=slots),
            Rescale(x=2),
            MultiplyPlain(x=3, vector="w", scale=Fraction(1 << 30)),
            Rescale(x=4),
            Output(x=5, name="y", occupied="all"),
        ),
        constants,
    )
    keys = KeySpecification(
        ring_degree=degree,
        data_primes=primes,
        special_primes=ntt_primes(special_bits, degree, 1, primes),
        relinearization_limbs=0,
        galois=tuple(GaloisElement(e, 3) for e in sorted(galois_element(s, degree) for s in circuit.rotations())),
        security=SecurityEvidence(level=0, adversary="classical", table="INSECURE", log2_limit=0),
    )
    return circuit, keys


@pytest.mark.parametrize("special_bits", [30, 45])
def test_simulated_noise_of_a_circuit_is_that_of_its_encrypted_run(special_bits: int, tmp_path: Any) -> None:
    """Root of the mean square error over all result slots and several keys, and that of the first slots alone."""
    degree = 4096
    circuit, keys = chain(degree, special_bits)
    types = verify(circuit, keys)
    x = np.random.default_rng(1).uniform(-1, 1, (1, 64))
    exact = Simulator(circuit).run({"x": x[np.newaxis]})["y"][0, 0]
    measured = []
    for number in range(10):
        made = generate_keys(keys, tmp_path / str(number), min_security=InsecureLevel.INSECURE_FOR_TESTS_ONLY)
        secret = secret_residues(SecretKeyFile.load(made.secret), None)
        cipher = LevelCipher(keys, 3, enforce_128=False, secret=secret)
        stream = cipher.encrypt(np.tile(x[0], degree // 128), 2.0**30)
        with SealEngine(circuit, keys).session(EvaluationKeyFile(made.evaluation)) as session:
            (result,) = session.run({"x": [stream]})["y"]
        scale = types[-1].scale
        assert scale is not None
        decrypted = LevelCipher(keys, 1, enforce_128=False, secret=secret).decrypt(result, float(scale))
        measured.append(decrypted.real.reshape(-1, 64).mean(axis=0) - exact)
    model = GaussianNoise(circuit, types, keys, np.random.default_rng(2))
    simulated = Simulator(circuit).run({"x": np.repeat(x[np.newaxis], 200, axis=0)}, model)["y"][:, 0] - exact
    # The first slots depend on a few random numbers per key set: their measured deviation is a rough one.
    for part, factor in ((slice(0, 2), 4.0), (slice(2, 64), 2.0)):
        found = math.sqrt(np.mean(np.square(np.array(measured)[:, part])))
        within(found, float(np.mean(np.square(simulated[:, part]))), factor)


def test_statistics_of_a_transform_are_sums_over_its_diagonals() -> None:
    """A worked example: two slots, one of them rotated by a giant step."""
    diagonals = Diagonals(
        row=np.zeros(3, np.int32),
        column=np.zeros(3, np.int32),
        baby=np.array([0, 1, 1], np.int32),
        giant=np.array([0, 0, 2], np.int32),
        offsets=np.array([0, 2, 3, 4], np.int64),
        slots=np.array([0, 1, 0, 1], np.uint16),
        values=np.array([1, 2, 3, 4], np.float32),
    )
    ring = RingNoise(4096, 4)
    found = TransformStatistics.of(diagonals, 1, ring)
    assert (found.filled, found.gain, found.rotated_gain) == (2, (1 + 4 + 9 + 16) / 2, (9 + 16) / 2)
    assert (found.diagonals, found.giants) == (3, 1)
    np.testing.assert_allclose(found.giant_bias, [ring.bias])
    # Slot 0 reads a rotation where it stands, slot 1 reads one two slots further on.
    np.testing.assert_allclose(found.rotated_bias, [[9 * ring.bias[0], 16 * ring.bias[3], 0, 0]])


def test_a_slot_of_several_lanes_is_as_biased_as_the_worst_of_them() -> None:
    ring, lanes = RingNoise(256, 128), RingNoise(256, 16, lanes=4)
    assert lanes.copies == 2
    np.testing.assert_allclose(lanes.bias, ring.bias.reshape(2, 16, 4).mean(axis=0).max(axis=1))
    assert (lanes.rounding, lanes.encoding) == (ring.rounding / 2, ring.encoding / 2)


def test_the_bias_is_the_value_of_a_polynomial_of_ones() -> None:
    """``|1 + z + ... + z^(N-1)|^2 (q/2)^2`` over ``N q^2 / 12``, computed term by term."""
    degree, slots = 64, 32
    z = np.exp(1j * np.pi * np.array([pow(3, s, 2 * degree) for s in range(slots)]) / degree)
    ones = sum(z**k for k in range(degree))
    np.testing.assert_allclose(RingNoise(degree, slots).bias, np.abs(ones) ** 2 / 4 / (degree / 12))


def test_numbers_never_come_again() -> None:
    normals = Normals(np.random.default_rng(3))
    drawn = np.concatenate([normals.draw((64, 8, 512)).reshape(-1) for _ in range(80)])
    assert len(drawn) > 1 << 24
    # Of floats of 24 bits some are alike by chance; a row of three is not.
    triples = np.ascontiguousarray(drawn[: len(drawn) // 3 * 3]).reshape(-1, 3)
    keys = triples.view(np.dtype((np.void, 24))).reshape(-1)
    assert len(np.unique(keys)) == len(keys)


def test_numbers_are_standard_normal_and_do_not_go_together() -> None:
    normals = Normals(np.random.default_rng(4))
    drawn = np.stack([normals.draw((16, 2, 32)) for _ in range(300)]).reshape(300, -1)
    assert abs(drawn.std() - 1) < 0.02
    correlations = np.corrcoef(drawn)[np.triu_indices(300, 1)]
    assert np.quantile(np.abs(correlations), 0.99) < 4 / np.sqrt(1024)
    assert abs(np.mean(drawn[:, :-1] * drawn[:, 1:])) < 0.02


def test_examples_lie_last_in_memory() -> None:
    drawn = Normals(np.random.default_rng(5)).draw((16, 2, 32))
    assert drawn.shape == (16, 2, 32)
    assert np.moveaxis(drawn, 0, -1).flags.c_contiguous

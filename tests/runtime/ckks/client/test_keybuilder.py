"""Hybrid switching keys: what their rows are, that no two share randomness, and that a slow, plain key switch made of
Python integers works with them on SEAL's ciphertexts. On rings that are insecure, because small ones are fast.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import itertools
import math
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from tenseal import sealapi

from hecc.runtime.ckks.circuit.parameters import (
    Encapsulation,
    GaloisElement,
    KeySpecification,
    SecurityEvidence,
    SparseEvidence,
    galois_element,
)
from hecc.runtime.ckks.circuit.security import InsecureLevel, is_prime, ntt_primes
from hecc.runtime.ckks.client import keybuilder, seal_bridge
from hecc.runtime.ckks.client.keybuilder import KeyBuilder, galois_permutation, sparse_secret
from hecc.runtime.ckks.client.keygen import generate_keys, secret_residues
from hecc.runtime.ckks.client.seal_bridge import KeyMaker, LevelCipher, key_context, read_sample, secret_key
from hecc.runtime.ckks.devices.native.streams import read_ciphertext
from hecc.runtime.ckks.devices.seal import streams
from hecc.runtime.ckks.devices.seal.streams import load_stream, save_stream
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, PublicKeyFile, SecretKeyFile
from hecc.runtime.ckks.keys.switching_keys import packed_key, residues, switching_key_bytes
from hecc.runtime.errors import FileFormatError
from hecc.runtime.files.container import ContainerWriter
from hecc.runtime.native import NttTables, _evaluator

INSECURE = InsecureLevel.INSECURE_FOR_TESTS_ONLY
DEGREE, LIMBS, STEP = 2048, 5, 3
ROTATION, CONJUGATION = galois_element(STEP, DEGREE), 2 * DEGREE - 1
SHORT = galois_element(1, DEGREE)
DATA = (*ntt_primes(36, DEGREE, 1), *ntt_primes(30, DEGREE, 4))
SPECIAL = ntt_primes(49, DEGREE, 4, exclude=DATA)
SIGMA = math.sqrt(10.5)
"""SEAL's error: a centred binomial of 42 bits, at most 21."""
SCALE = 2.0**25

Array = NDArray[Any]


def make_spec(alpha: int, special: int) -> KeySpecification:
    """Five data primes; the rotation at all of them, another at four, the conjugation at two, squares at three."""
    return KeySpecification(
        ring_degree=DEGREE,
        data_primes=DATA,
        special_primes=SPECIAL[:special],
        digit_limbs=alpha,
        relinearization_limbs=3,
        galois=(GaloisElement(SHORT, 4), GaloisElement(ROTATION, LIMBS), GaloisElement(CONJUGATION, 2)),
        security=SecurityEvidence(level=0, adversary="classical", table="INSECURE test parameters", log2_limit=0),
    )


@dataclass
class World:
    """A specification, a secret, and its hybrid keys by element; 0 is the relinearisation key."""

    spec: KeySpecification
    secret: Array
    keys: dict[int, Array]
    ciphers: dict[int, LevelCipher] = field(default_factory=dict)

    @property
    def limbs(self) -> dict[int, int]:
        """Highest limbs of every key."""
        return {0: self.spec.relinearization_limbs} | {key.element: key.limbs for key in self.spec.galois}

    def at(self, limbs: int) -> tuple[list[int], Array]:
        """The primes and the secret of keys at so many limbs."""
        selected = [*range(limbs), *range(LIMBS, LIMBS + len(self.spec.special_primes))]
        primes = (*self.spec.data_primes, *self.spec.special_primes)
        return [primes[i] for i in selected], self.secret[selected].astype(object)

    def cipher(self, limbs: int) -> LevelCipher:
        if limbs not in self.ciphers:
            self.ciphers[limbs] = LevelCipher(self.spec, limbs, enforce_128=False, secret=self.secret)
        return self.ciphers[limbs]


@functools.cache
def make_world(alpha: int, special: int) -> World:
    spec = make_spec(alpha, special)
    secret = KeyMaker(spec, enforce_128=False).secret_residues()
    with KeyBuilder(spec, secret, enforce_128=False) as builder:
        keys = {0: collect(builder.relinearization())}
        keys.update((key.element, collect(builder.galois(key.element))) for key in spec.galois)
    return World(spec, secret, keys)


def rows_of(spec: KeySpecification, key: Any, limbs: int) -> Array:
    primes = (*spec.data_primes[:limbs], *spec.special_primes)
    return np.stack(list(residues(key, primes, spec.digits(limbs), DEGREE)), axis=2)


def collect(rows: Any) -> Array:
    return np.stack([row.copy() for row in rows])


# Digits of 30 to 156 bits; the product of the special primes is above the largest digit's in all of them.
SPECS = [(1, 1), (1, 2), (2, 2), (3, 2), (4, 3), (5, 4)]


@pytest.fixture(params=SPECS, ids=lambda spec: f"{spec[0]} limbs per digit, {spec[1]} special")
def world(request: pytest.FixtureRequest) -> World:
    return make_world(*request.param)


# Arithmetic of the tests ----------------------------------------------------------------------------------------------


@functools.cache
def tables(prime: int) -> NttTables:
    return NttTables(DEGREE, prime)


def to_coefficients(values: Array, primes: list[int]) -> Array:
    """Coefficients of every limb, from values in SEAL's order; Python integers."""
    limbs = values.astype(np.uint64)
    for limb, prime in zip(limbs, primes, strict=True):
        tables(prime).inverse(limb)
    return limbs.astype(object)


def to_values(coefficients: Array, primes: list[int]) -> Array:
    """Values of every limb in SEAL's order, from integer coefficients, shape (N,) or (limbs, N)."""
    limbs = np.empty((len(primes), DEGREE), dtype=np.uint64)
    for i, prime in enumerate(primes):
        limbs[i] = (coefficients if coefficients.ndim == 1 else coefficients[i]) % prime
        tables(prime).forward(limbs[i])
    return limbs.astype(object)


def column(primes: list[int]) -> Array:
    return np.array(primes, dtype=object)[:, np.newaxis]


def compose(coefficients: Array, primes: list[int]) -> Array:
    """The centred integers behind residues modulo several primes."""
    modulus = math.prod(primes)
    total = sum(
        limb * (modulus // prime * pow(modulus // prime, -1, prime))
        for limb, prime in zip(coefficients, primes, strict=True)
    )
    total = total % modulus
    return np.where(total > modulus // 2, total - modulus, total)


def automorphism(coefficients: Array, element: int) -> Array:
    """``f(X^element)`` of integer coefficients: no part of the code under test."""
    places = element * np.arange(DEGREE) % (2 * DEGREE)
    image = np.empty(DEGREE, dtype=object)
    image[places % DEGREE] = np.where(places < DEGREE, coefficients, -coefficients)
    return image


def source(world: World, element: int, limbs: int) -> Array:
    """What the key is from: the square of the secret, or its image under an automorphism. Values, Python integers."""
    primes, secret = world.at(limbs)
    if element == 0:
        return secret * secret % column(primes)
    coefficients = compose(to_coefficients(secret[:1], primes[:1]), primes[:1])
    return to_values(automorphism(coefficients, element), primes)


def unpermuted(world: World, element: int) -> Array:
    """The textbook's key: what is stored, under the automorphism whose inverse it was stored under."""
    key = world.keys[element]
    return key if element == 0 else key[..., galois_permutation(element, DEGREE)]


def errors(world: World, element: int, key: Array, limbs: int) -> Array:
    """``b + a s - P g_j s'`` of every row, as centred coefficients that all primes agree on, shape (digits, N)."""
    primes, secret = world.at(limbs)
    target = source(world, element, limbs) * math.prod(world.spec.special_primes) % column(primes)
    found = []
    for j, (b, a) in enumerate(key.astype(object)):
        digit = np.zeros((len(primes), 1), dtype=object)
        digit[j * world.spec.digit_limbs : min((j + 1) * world.spec.digit_limbs, limbs)] = 1
        error = to_coefficients((b + a * secret - digit * target) % column(primes), primes)
        centred = np.where(error > column(primes) // 2, error - column(primes), error)
        assert (centred == centred[0]).all()
        found.append(centred[0].astype(np.int64))
    return np.array(found)


# What the keys are ----------------------------------------------------------------------------------------------------


def test_keys_have_the_shape_of_the_specification(world: World) -> None:
    alpha, special = world.spec.digit_limbs, len(world.spec.special_primes)
    for element, limbs in world.limbs.items():
        key = world.keys[element]
        assert key.dtype == np.uint64
        assert key.shape == (math.ceil(limbs / alpha), 2, limbs + special, DEGREE)
        assert packed_key(key, world.spec, limbs).shape == (switching_key_bytes(world.spec, limbs),)
        primes, _ = world.at(limbs)
        assert (key < column(primes).astype(np.uint64)).all()


def test_every_row_decrypts_to_what_it_should_with_seals_error(world: World) -> None:
    found = [errors(world, element, unpermuted(world, element), limbs) for element, limbs in world.limbs.items()]
    rows = np.concatenate(found)
    assert np.abs(rows).max() <= 21
    # Of 2048 coefficients the deviation is known to 0.05, the mean to 0.07.
    assert np.std(rows, axis=1) == pytest.approx(SIGMA, abs=0.3)
    assert np.mean(rows, axis=1) == pytest.approx(0, abs=0.4)
    assert len({row.tobytes() for row in rows}) == len(rows)


def test_what_is_added_to_a_galois_key_is_the_secret_before_the_automorphism(world: World) -> None:
    # Under the inverse automorphism a row is an encryption under the image of the secret, of P times the secret.
    for element, limbs in list(world.limbs.items())[1:]:
        primes, secret = world.at(limbs)
        inverse = pow(element, -1, 2 * DEGREE)
        image = source(world, inverse, limbs)
        b, a = world.keys[element][0].astype(object)
        factor = np.zeros((len(primes), 1), dtype=object)
        factor[: min(world.spec.digit_limbs, limbs)] = math.prod(world.spec.special_primes)
        error = compose(to_coefficients((b + a * image - factor * secret) % column(primes), primes), primes)
        assert np.abs(error).max() <= 21


def test_no_two_random_halves_of_a_key_set_are_the_same(world: World) -> None:
    # Sorted, so that a sample used twice under two permutations would show.
    halves = [a for key in world.keys.values() for _, a in key]
    for limb in (0, -1):
        assert len({np.sort(a[limb]).tobytes() for a in halves}) == len(halves)
    limbs = [np.sort(limb).tobytes() for a in halves for limb in a]
    assert len(set(limbs)) == len(limbs)


def test_two_runs_share_nothing() -> None:
    spec = make_spec(2, 2)
    secret = KeyMaker(spec, enforce_128=False).secret_residues()
    halves = set()
    for _ in range(2):
        with KeyBuilder(spec, secret, enforce_128=False) as builder:
            for _ in range(2):
                halves.update(row[part].tobytes() for row in builder.galois(ROTATION) for part in range(2))
    assert len(halves) == 2 * 2 * spec.digits(LIMBS) * 2


def test_part_of_a_key_is_a_key_for_fewer_limbs(world: World) -> None:
    alpha = world.spec.digit_limbs
    key = unpermuted(world, ROTATION)
    whole = errors(world, ROTATION, key, LIMBS)
    for limbs in range(1, LIMBS):
        digits = math.ceil(limbs / alpha)
        part = np.concatenate((key[:digits, :, :limbs], key[:digits, :, LIMBS:]), axis=2)
        assert part.shape == (digits, 2, limbs + len(world.spec.special_primes), DEGREE)
        np.testing.assert_array_equal(errors(world, ROTATION, part, limbs), whole[:digits])


@pytest.mark.parametrize("element", [1, SHORT, ROTATION, CONJUGATION])
def test_the_permutation_is_the_automorphism_in_seals_order(element: int) -> None:
    prime = DATA[0]
    coefficients = np.random.default_rng(1).integers(0, prime, DEGREE).astype(object)
    values = to_values(coefficients, [prime])[0]
    image = to_values(automorphism(coefficients, element), [prime])[0]
    np.testing.assert_array_equal(values[galois_permutation(element, DEGREE)], image)


@pytest.mark.parametrize("bits", [20, 33, 49, 50])
def test_modular_arithmetic_is_exact_at_all_extremes(bits: int) -> None:
    rng = np.random.default_rng(2)
    candidates = (number for number in range((1 << bits) - 2047, 1, -2048) if is_prime(number))
    # Whether the reciprocal of a prime is rounded up or down decides on which side a quotient's estimate errs.
    for prime in itertools.islice(candidates, 8):
        extremes = np.array([0, 1, 2, prime // 2, prime // 2 + 1, prime - 2, prime - 1], dtype=np.uint64)
        pairs = np.array(list(itertools.product(extremes, repeat=2)), dtype=np.uint64)
        pairs = np.concatenate((pairs, rng.integers(0, prime, (1000, 2), dtype=np.uint64)))
        # Products just beside a multiple of the prime are where an estimate is one off.
        x = rng.integers(1, prime, 500).astype(object)
        inverse = np.array([pow(int(v), -1, prime) for v in x], dtype=object)
        near = [np.stack([x, inverse * c % prime], axis=1).astype(np.uint64) for c in (1, 2, prime - 1, prime - 2)]
        first, second = np.concatenate((pairs, *near)).T.copy()
        product = keybuilder._product(first, second, prime)
        np.testing.assert_array_equal(product, first.astype(object) * second.astype(object) % prime)
        total = first[np.newaxis].copy()
        keybuilder._add(total, second[np.newaxis], np.array([[prime]]))
        np.testing.assert_array_equal(total[0], (first.astype(object) + second.astype(object)) % prime)


def test_what_was_derived_from_the_secret_is_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_spec(2, 2)
    secret = KeyMaker(spec, enforce_128=False).secret_residues()
    samples: list[Array] = []

    def watch(sample: Any, primes: tuple[int, ...], out: Array) -> None:
        read_sample(sample, primes, out)
        assert out.any(axis=2).all()
        samples.append(out)

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(keybuilder, "read_sample", watch)
    with KeyBuilder(spec, secret, enforce_128=False) as builder:
        derived = [builder._scaled, builder._scaled_square]
        assert all(array.any() for array in derived)
        for number, _ in enumerate(builder.galois(ROTATION), start=1):
            assert len(samples) == number
            assert not samples[-1].any()
        monkeypatch.setattr(keybuilder, "_add", fail)
        with pytest.raises(KeyboardInterrupt):
            next(builder.relinearization())
    assert len(samples) == spec.digits(LIMBS) + 1
    assert not any(array.any() for array in (*derived, *samples))


# Key switching with them ----------------------------------------------------------------------------------------------


def switch(world: World, element: int, values: Array, limbs: int) -> Array:
    """Both polynomials of the key switch of one, by the definition, slowly: shape (2, limbs, N), values.

    For a Galois key they are still to be rotated.
    """
    spec, highest = world.spec, world.limbs[element]
    key = world.keys[element]
    data, special = list(spec.data_primes[:limbs]), list(spec.special_primes)
    primes = data + special
    chosen = [*range(limbs), *range(highest, highest + len(special))]
    coefficients = to_coefficients(values, data)
    total = np.zeros((2, len(primes), DEGREE), dtype=object)
    for j in range(spec.digits(limbs)):
        digit = slice(j * spec.digit_limbs, min((j + 1) * spec.digit_limbs, limbs))
        lifted = to_values(compose(coefficients[digit], data[digit]), primes)
        total = (total + lifted * key[j][:, chosen].astype(object)) % column(primes)
    modulus = math.prod(special)
    results = []
    for polynomial in total:
        residues = to_coefficients(polynomial, primes)
        remainder = compose(residues[limbs:], special)
        inverses = column([pow(modulus, -1, prime) for prime in data])
        results.append(to_values((residues[:limbs] - remainder) * inverses % column(data), data))
    return np.array(results)


def load(cipher: LevelCipher, stream: bytes, limbs: int) -> Array:
    """Residues of a ciphertext, shape (2, limbs, N), as Python integers; SEAL expands its seed."""
    ciphertext = sealapi.Ciphertext()
    load_stream(ciphertext, cipher._context, stream)
    whole = read_ciphertext(save_stream(ciphertext), ring_degree=DEGREE, limbs=limbs, polynomials=2, where="here")
    return whole.residues.astype(object)


def save(cipher: LevelCipher, polynomials: Array, scale: float) -> bytes:
    """SEAL's stream of a ciphertext of two polynomials."""
    size, limbs, degree = polynomials.shape
    parms_id = cipher._context.first_parms_id()
    head = seal_bridge._CIPHERTEXT.pack(*parms_id, True, size, degree, limbs, scale, 1)
    return seal_bridge._stream(head + seal_bridge._array(polynomials.astype(np.uint64)))


def slots(seed: int) -> Array:
    return np.random.default_rng(seed).uniform(-1, 1, DEGREE // 2)


@pytest.mark.parametrize("limbs", range(1, LIMBS + 1))
def test_a_rotation_of_seals_ciphertext_decrypts_to_the_rotated_slots(world: World, limbs: int) -> None:
    cipher, x = world.cipher(limbs), slots(limbs)
    primes = column(list(DATA[:limbs]))
    for element, expected in ((ROTATION, np.roll(x, -STEP)), (SHORT, np.roll(x, -1)), (CONJUGATION, x)):
        if limbs > world.limbs[element]:
            continue
        b, a = load(cipher, cipher.encrypt(x, SCALE), limbs)
        first, second = switch(world, element, a, limbs)
        order = galois_permutation(element, DEGREE)
        rotated = np.array([((b + first) % primes)[:, order], second[:, order]])
        found = cipher.decrypt(save(cipher, rotated, SCALE), SCALE)
        # Noise of some tens in a coefficient: some thousands in a slot.
        np.testing.assert_allclose(found, expected, atol=1e4 / SCALE)


@pytest.mark.parametrize("limbs", [2, 3])
def test_a_product_of_seals_ciphertexts_relinearises(world: World, limbs: int) -> None:
    cipher, x, y = world.cipher(limbs), slots(1), slots(2)
    (b, a), (d, c) = (load(cipher, cipher.encrypt(values, SCALE), limbs) for values in (x, y))
    primes = column(list(DATA[:limbs]))
    first, second = switch(world, 0, a * c % primes, limbs)
    product = np.array([(b * d + first) % primes, (a * d + b * c + second) % primes])
    found = cipher.decrypt(save(cipher, product, SCALE * SCALE), SCALE * SCALE)
    np.testing.assert_allclose(found, x * y, atol=1e5 / SCALE)


@pytest.mark.parametrize(("alpha", "special"), [(1, 1), (2, 1), (3, 1), (2, 2), (3, 2), (5, 4)])
@pytest.mark.parametrize("limbs", [LIMBS, 3])
def test_the_noise_of_a_key_switch_is_as_expected(alpha: int, special: int, limbs: int) -> None:
    world = make_world(alpha, special)
    primes, secret = list(DATA[:limbs]), world.at(limbs)[1][:limbs]
    values = to_values(np.random.default_rng(4).integers(0, 1 << 62, (limbs, DEGREE)).astype(object), primes)
    first, second = switch(world, ROTATION, values, limbs)
    order = galois_permutation(ROTATION, DEGREE)
    image = secret[:, order]
    phase = first[:, order] + second[:, order] * secret - values[:, order] * image
    noise = compose(to_coefficients(phase % column(primes), primes), primes).astype(np.float64)
    # Digits are uniform; errors meet N of their coefficients; rounding meets the secret, of weight 2N / 3.
    modulus = math.prod(world.spec.special_primes)
    digits = [math.prod(DATA[i : min(i + alpha, limbs)]) for i in range(0, limbs, alpha)]
    switching = sum(DEGREE * 10.5 / 12 * (digit / modulus) ** 2 for digit in digits)
    rounding = (1 + 2 * DEGREE / 3) / 12
    assert np.std(noise) == pytest.approx(math.sqrt(switching + rounding), rel=0.15)


# From the specification to the file -----------------------------------------------------------------------------------


def test_key_generation_writes_hybrid_keys_that_belong_to_the_secret_key(tmp_path: Path) -> None:
    spec = make_spec(2, 2)
    steps: list[tuple[int, int]] = []
    made = generate_keys(
        spec,
        tmp_path / "keys",
        shape="native",
        min_security=INSECURE,
        passphrase="correct horse",
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    file = EvaluationKeyFile(made.evaluation)
    assert file.header.shape == "native"
    file.verify()
    secret = secret_residues(SecretKeyFile.load(made.secret), "correct horse")
    limbs = {0: spec.relinearization_limbs, **{key.element: key.limbs for key in spec.galois}}
    packed = {0: file.relinearization(), **{element: file.galois(element) for element in limbs if element}}
    keys = {element: rows_of(spec, key, limbs[element]) for element, key in packed.items()}
    world = World(spec, secret, keys)
    for element, limbs in world.limbs.items():
        assert np.abs(errors(world, element, unpermuted(world, element), limbs)).max() <= 21


INTERRUPTIONS = {
    "before the first key": ("progress", 0),
    "between two keys": ("progress", 2),
    "after the last key": ("progress", 4),
    "at the first row": (keybuilder, "read_sample", 0),
    "inside a key": (keybuilder, "_add", 3),
    "inside SEAL's stream": (seal_bridge, "_read_seeded", 1),
    "when a row is written": (ContainerWriter, "_write", 2),
    "when the file is finished": (ContainerWriter, "_finish", 0),
    "at the public key": (PublicKeyFile, "save", 0),
    "at the secret key": (SecretKeyFile, "save", 0),
}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MemoryError])
@pytest.mark.parametrize("place", INTERRUPTIONS)
@pytest.mark.parametrize("in_memory", [True, False])
def test_an_interrupted_generation_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], place: str, in_memory: bool
) -> None:
    if not in_memory:
        monkeypatch.delattr(streams.os, "memfd_create", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    where, *what = INTERRUPTIONS[place]
    calls = 0

    def progress(done: int, _: int) -> None:
        if where == "progress" and done == what[0]:
            raise error

    if where != "progress":
        name, wanted = what
        original = getattr(where, name)

        def interrupt(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > wanted:
                raise error
            return original(*arguments)

        monkeypatch.setattr(where, name, interrupt)
    with pytest.raises(error):
        generate_keys(make_spec(2, 2), tmp_path / "keys", shape="native", min_security=INSECURE, progress=progress)
    assert not (tmp_path / "keys").exists()
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_generation_leaves_three_files_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: bool
) -> None:
    if not in_memory:
        monkeypatch.delattr(streams.os, "memfd_create", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    made = generate_keys(make_spec(2, 2), tmp_path / "keys", shape="native", min_security=INSECURE)
    assert {*(tmp_path / "keys").iterdir()} == {made.secret, made.public, made.evaluation}
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_specification_without_keys_makes_an_empty_file(tmp_path: Path) -> None:
    spec = msgspec.structs.replace(make_spec(2, 2), relinearization_limbs=0, galois=())
    made = generate_keys(spec, tmp_path / "keys", shape="native", min_security=INSECURE)
    EvaluationKeyFile(made.evaluation).verify()


@pytest.fixture
def sample() -> tuple[Any, Any, list[int]]:
    """What SEAL samples for a row: its context, a seeded encryption of zero, and the primes of it."""
    world = make_world(2, 2)
    primes, secret = world.at(LIMBS)
    context = key_context(DEGREE, primes, False)
    encryptor = sealapi.Encryptor(context, secret_key(context, secret.astype(np.uint64)))
    return context, encryptor.encrypt_zero_symmetric(context.key_parms_id()), primes


def test_a_sample_is_what_seal_itself_makes_of_its_seed(sample: tuple[Any, Any, list[int]]) -> None:
    context, seeded, primes = sample
    found = np.empty((2, len(primes), DEGREE), dtype=np.uint64)
    read_sample(seeded, primes, found)
    # Only a public key may have all primes in SEAL; it is no more than a ciphertext.
    ciphertext = sealapi.PublicKey()
    load_stream(ciphertext, context, save_stream(seeded))
    stream = save_stream(ciphertext)
    whole = read_ciphertext(stream, ring_degree=DEGREE, limbs=len(primes), polynomials=2, where="here")
    assert whole.seed is None
    np.testing.assert_array_equal(found, whole.residues)


def test_a_stream_that_is_not_as_expected_is_refused(
    sample: tuple[Any, Any, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, seeded, primes = sample
    limbs = len(primes)
    problem = "this SEAL writes another format; install a version of tenseal"
    for shape in ((2, limbs + 1, DEGREE), (2, limbs - 1, DEGREE), (2, limbs, DEGREE // 2), (1, limbs, DEGREE)):
        with pytest.raises(FileFormatError, match=problem):
            read_sample(seeded, primes, np.empty(shape, dtype=np.uint64))
    # An uncompressed stream is read as well.
    expected = np.empty((2, limbs, DEGREE), dtype=np.uint64)
    read_sample(seeded, primes, expected)
    body = seal_bridge._body(save_stream(seeded), seal_bridge._CIPHERTEXT.size + 24 + 8 * limbs * DEGREE + 81)
    found, given = np.empty_like(expected), [np.frombuffer(seal_bridge._stream(body), dtype=np.uint8).copy()]
    monkeypatch.setattr(seal_bridge, "save_stream_to_array", lambda _: given[0])
    read_sample(seeded, primes, found)
    np.testing.assert_array_equal(found, expected)
    assert not given[0].any()
    # The end: a byte more, a byte less, another generator; the fields: not in NTT form, another number of words.
    words = seal_bridge._CIPHERTEXT.size + 16
    for changed in (
        body + b"0",
        body[:-1],
        body[:100],
        b"",
        body[:-65] + b"\x02" + body[-64:],
        body[:32] + b"\x00" + body[33:],
        body[:words] + b"\x01" + body[words + 1 :],
    ):
        given[0] = np.frombuffer(seal_bridge._stream(changed), dtype=np.uint8).copy()
        with pytest.raises(FileFormatError, match=problem):
            read_sample(seeded, primes, found)
        assert not given[0].any()
    for place in (0, 5, 8):
        given[0] = np.frombuffer(seal_bridge._stream(body), dtype=np.uint8).copy()
        given[0][place] ^= 0x40
        with pytest.raises(FileFormatError, match=problem):
            read_sample(seeded, primes, found)


@pytest.mark.parametrize(
    ("seed", "primes", "output", "problem"),
    [
        (b"0" * 63, DATA[:2], np.zeros((2, DEGREE), np.uint64), "a seed has 64 bytes"),
        (b"0" * 64, DATA[:2], np.zeros((3, DEGREE), np.uint64), "shape 3 2048 instead of 2 2048"),
        (b"0" * 64, DATA[:2], np.zeros((2, 513), np.uint64), "a degree of 513 is no multiple of 512"),
        (b"0" * 64, (DATA[0], 35), np.zeros((2, DEGREE), np.uint64), "35"),
    ],
)
def test_a_seed_is_expanded_to_what_fits_only(seed: bytes, primes: Any, output: Array, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        _evaluator.expand_seed(seed, primes, output)
    assert not output.any()


@pytest.mark.parametrize("shape", ["native", "seal"])
@pytest.mark.parametrize("passphrase", [None, "correct horse"])
@pytest.mark.parametrize("fails", [False, True])
def test_what_was_secret_is_erased_after_key_generation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: Any, passphrase: str | None, fails: bool
) -> None:
    seen: list[Array] = []
    filled: list[int] = []

    def noted(function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            found = function(*arguments)
            seen.append(found if isinstance(found, np.ndarray) else arguments[1])
            filled.append(np.count_nonzero(seen[-1]))
            return found

        return call

    # Every array that holds the secret: what SEAL's key is read into, streams of keys, and what keys are made from.
    monkeypatch.setattr(KeyMaker, "secret_residues", noted(KeyMaker.secret_residues))
    monkeypatch.setattr(seal_bridge, "save_stream_to_array", noted(seal_bridge.save_stream_to_array))
    monkeypatch.setattr(seal_bridge, "secret_key", noted(seal_bridge.secret_key))
    monkeypatch.setattr(keybuilder, "secret_key", noted(keybuilder.secret_key))
    if fails:

        def fail(*_: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(PublicKeyFile, "save", fail)
    with contextlib.suppress(KeyboardInterrupt):
        generate_keys(make_spec(2, 2), tmp_path / "keys", shape=shape, min_security=INSECURE, passphrase=passphrase)
    assert len(seen) >= 4
    assert all(filled)
    assert not any(array.any() for array in seen)
    assert (tmp_path / "keys").exists() != fails


# Keys that raise ------------------------------------------------------------------------------------------------------

WEIGHT = 32


@functools.cache
def raising_world(limbs: int, special: int) -> tuple[KeySpecification, Array, dict[str, Array]]:
    """A specification with two special primes or one, a secret, and the two keys, of shape (1, 2, primes, N)."""
    evidence = SparseEvidence(level=0, table="INSECURE test parameters", log2_limit=0)
    spec = msgspec.structs.replace(
        make_spec(2, special),
        galois=(GaloisElement(SHORT, 1),),
        encapsulation=Encapsulation(weight=WEIGHT, limbs=limbs, security=evidence),
    )
    secret = KeyMaker(spec, enforce_128=False).secret_residues()
    with KeyBuilder(spec, secret, enforce_128=False) as builder:
        # At one limb with one special prime a rotation's key has the primes of the key to the sparse secret.
        collect(builder.galois(SHORT))
        keys = {name: collect(make()) for name, make in builder.raising.items()}
        sparse = builder._sparse.copy()
    return spec, secret, {**keys, "sparse": sparse}


@pytest.mark.parametrize("limbs", [LIMBS, 3])
@pytest.mark.parametrize("special", [1, 2])
def test_both_keys_decrypt_to_what_they_should_with_seals_error(limbs: int, special: int) -> None:
    spec, secret, keys = raising_world(limbs, special)
    sparse, first = keys["sparse"].astype(object), spec.special_primes[0]
    ternary = to_coefficients(keys["sparse"][:1], [DATA[0]])
    ternary = np.where(ternary > DATA[0] // 2, ternary - DATA[0], ternary)[0]
    assert set(ternary) == {-1, 0, 1}
    assert np.count_nonzero(ternary) == WEIGHT
    for place, prime in enumerate((*spec.data_primes, *spec.special_primes)):
        np.testing.assert_array_equal(sparse[place], to_values(ternary, [prime])[0])
    found = []
    for name, under, target, factor, layout in (
        ("sparse_to_dense", secret.astype(object), sparse, math.prod(spec.special_primes), spec.sparse_to_dense(limbs)),
        ("dense_to_sparse", sparse, secret.astype(object), first, spec.dense_to_sparse),
    ):
        primes = list(layout.primes)
        places = [[*spec.data_primes, *spec.special_primes].index(prime) for prime in primes]
        ((b, a),) = keys[name].astype(object)
        data = np.array([[int(place < LIMBS)] for place in places], dtype=object)
        phase = b + a * under[places] - data * factor * target[places]
        error = to_coefficients(phase % column(primes), primes)
        centred = np.where(error > column(primes) // 2, error - column(primes), error)
        assert (centred == centred[0]).all()
        assert np.abs(centred[0]).max() <= 21
        assert np.std(centred[0].astype(np.int64)) == pytest.approx(SIGMA, abs=0.3)
        found.append(a[0])
    # Nothing random is used twice, and neither half alone is of zeros.
    assert not np.array_equal(found[0], found[1])
    assert all(np.count_nonzero(half) > DEGREE - 4 for half in found)


def test_a_new_key_set_has_a_new_sparse_secret() -> None:
    spec, secret, keys = raising_world(LIMBS, 2)
    seen = {keys["sparse"][0].tobytes()}
    for _ in range(3):
        with KeyBuilder(spec, secret, enforce_128=False) as builder:
            halves = [row[part].tobytes() for make in builder.raising.values() for row in make() for part in range(2)]
            assert len(set(halves)) == 4
            seen.add(builder._sparse[0].tobytes())
    assert len(seen) == 4


def test_a_sparse_secret_and_what_is_made_of_it_are_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, secret, _ = raising_world(LIMBS, 2)
    drawn: list[Array] = []

    def watch(weight: int, ring_degree: int) -> Array:
        drawn.append(sparse_secret(weight, ring_degree))
        assert np.count_nonzero(drawn[-1]) == WEIGHT
        return drawn[-1]

    monkeypatch.setattr(keybuilder, "sparse_secret", watch)
    with KeyBuilder(spec, secret, enforce_128=False) as builder:
        derived = [builder._sparse, builder._scaled_sparse, builder._single]
        assert all(array.any() for array in derived)
    assert not any(array.any() for array in (*derived, *drawn))


def test_without_an_encapsulation_nothing_sparse_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keybuilder, "sparse_secret", None)
    spec = make_spec(2, 2)
    with KeyBuilder(spec, KeyMaker(spec, enforce_128=False).secret_residues(), enforce_128=False) as builder:
        assert builder.raising == {}


@pytest.mark.parametrize(("weight", "degree"), [(1, 64), (5, 64), (63, 64), (64, 64)])
def test_every_support_and_every_sign_of_a_sparse_secret_is_as_likely(weight: int, degree: int) -> None:
    number = 4000
    samples = np.array([sparse_secret(weight, degree) for _ in range(number)])
    assert (np.count_nonzero(samples, axis=1) == weight).all()
    assert np.abs(samples).max() == 1
    # Chi-squared: of the places, of the signs at each place. The limits are exceeded once in a billion runs.
    share = weight / degree
    places = (samples != 0).sum(axis=0)
    if weight < degree:
        spread = ((places - number * share) ** 2).sum() / (number * share * (1 - share)) * (degree - 1) / degree
        assert 15 < spread < 160
    signs = samples.sum(axis=0) ** 2 / np.maximum(places, 1)
    assert 15 < signs.sum() < 160
    # Pairs: two given places are taken together as often as chance has it.
    together = ((samples[:, ::2] != 0) & (samples[:, 1::2] != 0)).sum()
    expected = number * degree / 2 * weight * (weight - 1) / (degree * (degree - 1))
    assert abs(together - expected) < 8 * math.sqrt(expected + 1) + 1


def test_a_sparse_secret_follows_from_seals_words_as_floyds_algorithm_says(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    for weight, degree in ((3, 4), (8, 8), (40, 64), (32, 32768)):
        for _ in range(20):
            words = [int(w) for w in rng.integers(0, 1 << 64, 2 * weight, dtype=np.uint64)]
            words[0] = (1 << 64) - 1
            stream = iter(words)
            monkeypatch.setattr(keybuilder.sealapi, "random_uint64", lambda stream=stream: next(stream))
            taken: dict[int, int] = {}
            for i in reversed(range(weight)):
                place = i + (words[i] * (degree - i) >> 64)
                taken[i if place in taken else place] = -1 if words[weight + i] >> 63 else 1
            expected = np.zeros(degree, dtype=np.int64)
            expected[list(taken)] = list(taken.values())
            np.testing.assert_array_equal(sparse_secret(weight, degree), expected)


# The rules ------------------------------------------------------------------------------------------------------------

TREE = ast.parse(Path(keybuilder.__file__).read_text(encoding="utf-8"))
RUNTIME = Path(keybuilder.__file__).parent.parent.parent


def annotations() -> set[ast.AST]:
    """All nodes that only say a type."""
    found: set[ast.AST] = set()
    for node in ast.walk(TREE):
        for name in ("annotation", "returns"):
            inside = getattr(node, name, None)
            found.update(ast.walk(inside) if inside is not None else ())
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("Residues", "_Under"):
            found.update(ast.walk(node.value))
    return found


def test_no_branch_and_no_index_of_the_key_builder_depends_on_the_secret() -> None:
    """All conditions, loops, indices and divisions there are: made of parameters, which are public.

    A list that must be read by a person when it changes, not a proof: it holds no name of an array that is made from
    the secret (``secret``, ``_scaled``, ``target``, ``sample``, ``row``, ``x``, ``y`` and what ``_product`` makes), and
    none of a sparse one (``words``, ``places``, ``signs``, ``coefficients``, ``_sparse``, ``_single``).
    """
    types = annotations()
    conditions, loops, indices, divisions = set(), set(), set(), set()
    for node in ast.walk(TREE):
        if isinstance(node, ast.If | ast.While | ast.IfExp | ast.Assert):
            conditions.add(ast.unparse(node.test))
        elif isinstance(node, ast.Compare | ast.BoolOp | ast.Match | ast.NamedExpr):
            conditions.add(ast.unparse(node))
        elif isinstance(node, ast.For | ast.comprehension):
            loops.add(ast.unparse(node.iter))
            conditions.update(ast.unparse(test) for test in getattr(node, "ifs", ()))
        elif isinstance(node, ast.Subscript) and node not in types:
            indices.add(ast.unparse(node.slice))
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.FloorDiv | ast.Div | ast.Pow):
            divisions.add(ast.unparse(node))
    assert conditions == {
        "(under, selected) != self._ready",
        "spec.encapsulation is not msgspec.UNSET",
        "self._spec.encapsulation is msgspec.UNSET",
    }
    assert loops == {
        "spec.galois",
        "enumerate(spec.data_primes)",
        "enumerate(primes)",
        "selected",
        "range(0, limbs, width)",
        "range(weight)",
        "range(2 * weight)",
        "reversed(range(weight))",
        "range(ring_degree.bit_length() - 1)",
        "arrays",
    }
    assert indices == {
        "limb",
        "element",
        ":limbs",
        "(:, np.newaxis)",
        "(0, digit)",
        "digit",
        "selected",
        "exponents // 2",
        "place",
        "np.newaxis",
        "under",
        "0",
        ":weight",
        "weight:",
        "i",
        "i + 1:",
    }
    assert divisions == {
        "special % prime",
        "spec.special_primes[0] % first",
        "element * (2 * reversed_bits + 1) % (2 * ring_degree)",
        "exponents // 2",
        "1.0 / prime",
    }


def test_the_key_builder_calls_nothing_that_branches_on_data() -> None:
    called = {ast.unparse(node.func) for node in ast.walk(TREE) if isinstance(node, ast.Call)}
    numpy = {name for name in called if name.startswith("np.")}
    assert numpy == {
        "np.empty",
        "np.empty_like",
        "np.full",
        "np.array",
        "np.zeros",
        "np.concatenate",
        "np.take",
        "np.uint64",
        "np.int64",
        "np.arange",
        "np.bitwise_or.reduce",
    }


def test_every_row_is_one_call_of_seals_own_sampling() -> None:
    text = ast.unparse(TREE)
    assert text.count("encrypt_zero_symmetric") == 1
    rows = next(node for node in ast.walk(TREE) if isinstance(node, ast.FunctionDef) and node.name == "_rows")
    loop = next(node for node in ast.walk(rows) if isinstance(node, ast.For))
    attempt = next(node for node in loop.body if isinstance(node, ast.Try))
    # A sample is made, used once and erased, and the row handed out once.
    assert [ast.unparse(statement) for statement in attempt.body] == [
        "read_sample(self._encryptor.encrypt_zero_symmetric(self._parms_id), primes, sample)",
        "np.take(sample, order, axis=2, out=row, mode='clip')",
        "_add(row[0, digit], target[digit], moduli[digit])",
    ]
    assert [ast.unparse(statement) for statement in attempt.finalbody] == ["_erase(sample)"]
    assert sum(isinstance(node, ast.Yield) for node in ast.walk(loop)) == 1


def test_only_key_generation_imports_the_key_builder() -> None:
    users = {
        file.relative_to(RUNTIME).as_posix()
        for file in RUNTIME.rglob("*.py")
        if "keybuilder" in file.read_text(encoding="utf-8") and file.name != "keybuilder.py"
    }
    assert users == {"ckks/client/keymakers.py"}
    importers = {
        file.relative_to(RUNTIME).as_posix()
        for file in RUNTIME.rglob("*.py")
        if "client.keymakers" in file.read_text(encoding="utf-8")
    }
    assert importers == {"ckks/client/keygen.py"}


def test_nothing_on_the_servers_side_imports_the_client() -> None:
    server = [file for file in RUNTIME.rglob("*.py") if file.parent.name != "client"]
    assert len(server) > 20
    for file in server:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        # These are asked by both sides: what they import only when they are asked is for the side that asks.
        lazy = file in {RUNTIME / "ckks" / "scheme.py", RUNTIME / "ckks" / "verification.py"}
        for node in tree.body if lazy else ast.walk(tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            assert not any(name.startswith("hecc.runtime.ckks.client") for name in names), file


def test_a_server_with_its_kernels_does_not_load_the_client() -> None:
    program = (
        "import sys, hecc.runtime.native\n"
        "import hecc.runtime.ckks.scheme, hecc.runtime.ckks.server, hecc.runtime.ckks.verification\n"
        "sys.exit(any(name.startswith('hecc.runtime.ckks.client') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

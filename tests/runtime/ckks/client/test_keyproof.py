"""That keys belong together is proved: fingerprints, and what a secret key decrypts other keys to."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from hecc.runtime.ckks.circuit.parameters import GaloisElement
from hecc.runtime.ckks.circuit.security import InsecureLevel
from hecc.runtime.ckks.client import keyproof
from hecc.runtime.ckks.client.client import Client
from hecc.runtime.ckks.client.keybuilder import KeyBuilder
from hecc.runtime.ckks.client.keygen import generate_keys
from hecc.runtime.ckks.client.keyproof import LARGEST_ERROR, opened_public, prove_evaluation, prove_public
from hecc.runtime.ckks.client.seal_bridge import public_residues
from hecc.runtime.ckks.devices.native.streams import parms_id, write_ciphertext
from hecc.runtime.ckks.keys.keyfiles import (
    EvaluationKeyFile,
    EvaluationKeyHeader,
    PublicKeyFile,
    PublicKeyHeader,
    SecretKeyFile,
    key_fingerprint,
)
from hecc.runtime.ckks.keys.switching_keys import packed_key
from hecc.runtime.ckks.verification import CkksVerifier
from hecc.runtime.errors import FileFormatError, InputError, KeyMismatchError, ParameterError
from hecc.runtime.files.container import Container, ContainerWriter, Kind
from hecc.runtime.native import NttTables
from hecc.runtime.plan.keyset import KeySet

INSECURE = InsecureLevel.INSECURE_FOR_TESTS_ONLY
DOES_NOT_DECRYPT = "does not belong to the secret key .the secret key does not decrypt it to what it should be"


def make(spec, folder, shape="native") -> KeySet:
    return generate_keys(spec, folder, shape=shape, min_security=INSECURE)


@pytest.fixture(scope="module")
def plan(plans):
    return plans.square(plans.specification(2048, plans.insecure_evidence))


@pytest.fixture(scope="module")
def spec(plan):
    return plan.header.keys


@pytest.fixture(scope="module")
def owner(spec, tmp_path_factory):
    return make(spec, tmp_path_factory.mktemp("owner") / "keys")


@pytest.fixture(scope="module")
def stranger(spec, tmp_path_factory):
    return make(spec, tmp_path_factory.mktemp("stranger") / "keys")


def secret_of(keys: KeySet):
    file = SecretKeyFile.load(keys.secret)
    return file, file.residues


def renamed(file: Path, kind: Kind, header, target: Path) -> Path:
    """A file with another header; checksums stay right."""
    container = Container(file, kind)
    with ContainerWriter(target, kind, header) as writer:
        for name in container:
            dtype, _ = container.layout(name)
            writer.add(name, bytes(container.bytes(name)) if dtype == "bytes" else container.array(name))
    return target


def public_of(spec, key_id, residues) -> PublicKeyFile:
    primes = (*spec.data_primes, spec.special_primes[0])
    stream = write_ciphertext(parms_id(spec.ring_degree, primes), 1.0, residues)
    return PublicKeyFile(PublicKeyHeader(key_id=key_id, keys=spec), stream)


def test_the_id_is_the_fingerprint_in_any_spelling_of_the_key(spec, owner):
    public = PublicKeyFile.load(owner.public)
    residues = public_residues(spec, public.stream, enforce_128=False)
    assert len(owner.key_id) == 64
    assert owner.key_id == key_fingerprint(spec, residues)
    # Without a seed and uncompressed it is the same key.
    spelled = public_of(spec, owner.key_id, residues)
    assert len(spelled.stream) > 1.5 * len(public.stream)
    np.testing.assert_array_equal(opened_public(spelled, enforce_128=False), residues)
    other = msgspec.structs.replace(spec, relinearization_limbs=2)
    assert key_fingerprint(other, residues) != owner.key_id


def test_a_public_key_with_the_id_of_another_encrypts_nothing(tmp_path, plan, spec, owner, stranger):
    header = PublicKeyHeader(key_id=owner.key_id, keys=spec)
    forged = PublicKeyFile.load(renamed(stranger.public, Kind.PUBLIC_KEY, header, tmp_path / "public.bin"))
    problem = f"public.bin: this is not the public key of set {owner.key_id[:8]}, whose id it bears; get it again"
    with pytest.raises(KeyMismatchError, match=problem):
        Client(plan, public=forged, min_security=INSECURE)
    # One that was named after its own fingerprint has another id, which is what people compare.
    assert Client(plan, public=PublicKeyFile.load(stranger.public), min_security=INSECURE).key_id != owner.key_id


@pytest.mark.parametrize("shape", ["native", "seal"])
def test_a_secret_key_proves_its_own_keys(tmp_path, spec, shape):
    keys = make(spec, tmp_path / "keys", shape)
    file, residues = secret_of(keys)
    before = residues.copy()
    prove_public(PublicKeyFile.load(keys.public), file, residues)
    prove_evaluation(EvaluationKeyFile(keys.evaluation), file, residues)
    np.testing.assert_array_equal(residues, before)


@pytest.mark.parametrize("shape", ["native", "seal"])
def test_evaluation_keys_of_another_secret_are_refused(tmp_path, spec, owner, shape):
    other = make(spec, tmp_path / "keys", shape)
    header = EvaluationKeyHeader(key_id=owner.key_id, keys=spec, shape=shape)
    forged = EvaluationKeyFile(renamed(other.evaluation, Kind.EVALUATION_KEYS, header, tmp_path / "evaluation.bin"))
    forged.verify()
    with pytest.raises(KeyMismatchError, match=f"the relinearisation key, digit 0 {DOES_NOT_DECRYPT}"):
        prove_evaluation(forged, *secret_of(owner))
    with pytest.raises(KeyMismatchError, match=r"of key set .*, and the secret key is of set .*; give the files"):
        prove_evaluation(EvaluationKeyFile(other.evaluation), *secret_of(owner))


def test_a_key_in_the_place_of_another_is_refused(tmp_path, spec):
    spec = msgspec.structs.replace(spec, galois=(GaloisElement(3, 2), GaloisElement(9, 2)))
    keys = make(spec, tmp_path / "keys")
    container = Container(keys.evaluation, Kind.EVALUATION_KEYS)
    swap = {"galois/3": "galois/9", "galois/9": "galois/3"}
    header = EvaluationKeyFile(keys.evaluation).header
    with ContainerWriter(tmp_path / "swapped.bin", Kind.EVALUATION_KEYS, header) as writer:
        for name in container:
            writer.add(name, container.array(swap.get(name, name)))
    prove_evaluation(EvaluationKeyFile(keys.evaluation), *secret_of(keys))
    with pytest.raises(KeyMismatchError, match=f"the key of Galois element 3, digit 0 {DOES_NOT_DECRYPT}"):
        prove_evaluation(EvaluationKeyFile(tmp_path / "swapped.bin"), *secret_of(keys))


def altered(spec, owner, change):
    """The owner's public key after a change of its coefficients, named after its own fingerprint."""
    residues = public_residues(spec, PublicKeyFile.load(owner.public).stream, enforce_128=False).copy()
    primes = (*spec.data_primes, spec.special_primes[0])
    for place, prime in enumerate(primes):
        tables = NttTables(spec.ring_degree, prime)
        half = np.ascontiguousarray(residues[:, place])
        tables.inverse(half)
        half = change(half.astype(object), place) % prime
        half = np.ascontiguousarray(half.astype(np.uint64))
        tables.forward(half)
        residues[:, place] = half
    key_id = key_fingerprint(spec, residues)
    file, secret = secret_of(owner)
    header = msgspec.structs.replace(file.header, key_id=key_id)
    return public_of(spec, key_id, residues), SecretKeyFile(header, secret), secret


def error_in_b(size):
    def change(half, place):
        half[0, 7] += size
        return half

    return change


def only_the_last_prime(half, place):
    half[0, 7] += place == 3
    return half


def small_b_and_no_a(half, place):
    noise = np.random.default_rng(1).binomial(42, 0.5, half.shape[1]) - 21
    return np.stack([noise.astype(object), np.zeros(half.shape[1], dtype=object)])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (error_in_b(3 * LARGEST_ERROR), "does not decrypt it"),
        (only_the_last_prime, "does not decrypt it"),
        (lambda half, place: 2 * half, "does not decrypt it|errors have a deviation of 6"),
        (lambda half, place: 0 * half, "its random half is not random"),
        (small_b_and_no_a, "its random half is not random"),
    ],
)
def test_a_public_key_that_is_no_encryption_of_zero_is_refused(spec, owner, change, reason):
    public, file, secret = altered(spec, owner, change)
    with pytest.raises(KeyMismatchError, match=reason):
        prove_public(public, file, secret)


def test_a_public_key_as_it_is_passes_the_same_way(spec, owner):
    prove_public(*altered(spec, owner, lambda half, place: half))


def test_an_error_that_is_too_small_is_refused(spec, owner):
    # Nobody makes such a key by chance; what a fault in sampling would make.
    secret = secret_of(owner)[1]
    primes = (*spec.data_primes, spec.special_primes[0])
    residues = public_residues(spec, PublicKeyFile.load(owner.public).stream, enforce_128=False).copy()
    for place, prime in enumerate(primes):
        product = residues[1, place].astype(object) * secret[place].astype(object)
        residues[0, place] = (-product % prime).astype(np.uint64)
    key_id = key_fingerprint(spec, residues)
    header = msgspec.structs.replace(SecretKeyFile.load(owner.secret).header, key_id=key_id)
    with pytest.raises(KeyMismatchError, match=r"its errors have a deviation of 0.00, and not of 3.24"):
        prove_public(public_of(spec, key_id, residues), SecretKeyFile(header, secret), secret)


def test_residues_that_are_none_are_refused(tmp_path, spec, owner):
    container = Container(owner.evaluation, Kind.EVALUATION_KEYS)
    header = EvaluationKeyFile(owner.evaluation).header
    with ContainerWriter(tmp_path / "evaluation.bin", Kind.EVALUATION_KEYS, header) as writer:
        for name in container:
            writer.add(name, np.full_like(container.array(name), 255))
    with pytest.raises(FileFormatError, match="residues that are not below their prime"):
        prove_evaluation(EvaluationKeyFile(tmp_path / "evaluation.bin"), *secret_of(owner))


def test_keys_of_a_ring_that_is_for_tests_only_are_not_proved(tmp_path, insecure_plan):
    keys = make(insecure_plan.header.keys, tmp_path / "keys", "seal")
    with pytest.raises(ParameterError, match="keys of ring degree 1024 are for tests, and are not proved"):
        prove_public(PublicKeyFile.load(keys.public), *secret_of(keys))


# Keys that raise ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def raising_keys(plans, tmp_path_factory):
    """Two key sets of the insecure small set."""
    folder = tmp_path_factory.mktemp("raising")
    return [make(plans.insecure_small(), folder / name) for name in ("one", "other")]


def exchanged(keys: KeySet, target: Path, **blobs):
    """A key set's file with other blobs in some places."""
    container = Container(keys.evaluation, Kind.EVALUATION_KEYS)
    with ContainerWriter(target, Kind.EVALUATION_KEYS, EvaluationKeyFile(keys.evaluation).header) as writer:
        for name in container:
            writer.add(name, blobs.get(name, container.array(name)))
    return EvaluationKeyFile(target)


def test_a_secret_key_proves_the_keys_that_raise(raising_keys):
    one, other = raising_keys
    for keys in raising_keys:
        prove_evaluation(EvaluationKeyFile(keys.evaluation), *secret_of(keys))
    # No file of a set holds the sparse secret, and the sets have one each.
    assert EvaluationKeyFile(one.evaluation).sparse_to_dense().tobytes() != (
        EvaluationKeyFile(other.evaluation).sparse_to_dense().tobytes()
    )


def test_keys_that_raise_are_refused_when_they_are_of_another_set(raising_keys, tmp_path):
    one, other = raising_keys
    strange = EvaluationKeyFile(other.evaluation)
    forged = exchanged(one, tmp_path / "back.bin", sparse_to_dense=strange.sparse_to_dense())
    with pytest.raises(KeyMismatchError, match=f"the key from the sparse secret {DOES_NOT_DECRYPT}"):
        prove_evaluation(forged, *secret_of(one))
    # The other set's sparse secret is not this one's: the key to it is no key to this one.
    forged = exchanged(one, tmp_path / "down.bin", dense_to_sparse=strange.dense_to_sparse())
    with pytest.raises(KeyMismatchError, match=f"the key to the sparse secret {DOES_NOT_DECRYPT}"):
        prove_evaluation(forged, *secret_of(one))


def test_a_key_from_a_secret_of_another_weight_is_refused(plans, raising_keys, tmp_path):
    spec = plans.insecure_small()
    heavier = msgspec.structs.replace(spec, encapsulation=msgspec.structs.replace(spec.encapsulation, weight=33))
    file, secret = secret_of(raising_keys[0])
    with KeyBuilder(heavier, secret, enforce_128=False) as builder:
        layouts = {"dense_to_sparse": spec.dense_to_sparse, "sparse_to_dense": spec.sparse_to_dense(18)}
        blobs = {name: packed_key(make_rows(), spec, layouts[name]) for name, make_rows in builder.raising.items()}
    forged = exchanged(raising_keys[0], tmp_path / "heavier.bin", **blobs)
    with pytest.raises(KeyMismatchError, match="what it switches from is no sparse secret of weight 32"):
        prove_evaluation(forged, file, secret)


def test_what_is_proved_of_a_sparse_secret_is_erased(raising_keys, monkeypatch):
    seen = []

    def watch(residues, prime):
        seen.append(centred(residues, prime))
        return seen[-1]

    centred = keyproof._centred
    monkeypatch.setattr(keyproof, "_centred", watch)
    file, secret = secret_of(raising_keys[0])
    keyproof._prove_raising(EvaluationKeyFile(raising_keys[0].evaluation), file.header.keys.encapsulation, secret)
    sparse = [array for array in seen if np.count_nonzero(array) == 32]
    assert not sparse
    assert not seen[len(file.header.keys.special_primes)].any()


def test_keys_that_raise_are_not_made_for_seal(plans, tmp_path):
    problem = "the plan bootstraps, and SEAL, which takes keys of shape 'seal', has no bootstrapping"
    with pytest.raises(InputError, match=problem):
        make(plans.insecure_small(), tmp_path / "keys", "seal")
    assert not (tmp_path / "keys").exists()


def test_files_of_keys_that_raise_say_so(raising_keys):
    for path in (raising_keys[0].secret, raising_keys[0].public, raising_keys[0].evaluation):
        found = CkksVerifier().describe(Container(path, *Kind))
        facts = dict(found.facts)
        assert facts["security"].startswith("0 bits")
        assert "INSECURE test parameters" in facts["security"]
        assert facts["switching keys"] == "relinearisation and 2 rotations, and two that raise ciphertexts"
        assert facts["sparse secret"].startswith("0 bits (classical adversary): weight 32, one key of 76.0 of at most")
        assert "INSECURE test parameters, an estimate that nobody has confirmed" in facts["sparse secret"]
        fields = found.fields["ring"]["sparse_secret"]
        assert fields["weight"] == 32
        assert fields["table"] == "INSECURE test parameters"
        assert fields["log2_modulus"] == pytest.approx(76, abs=0.1)

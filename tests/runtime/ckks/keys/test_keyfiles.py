"""Key files: what they are bound to, who may read them, and what happens to damaged and swapped ones.

They hold no real keys here; those are in ``client/test_client.py``.
"""

import os
import stat

import msgspec
import numpy as np
import pytest

from hecc.runtime.ckks.circuit.parameters import Encapsulation, GaloisElement, SparseEvidence
from hecc.runtime.ckks.keys.keyfiles import (
    EvaluationKeyFile,
    EvaluationKeyHeader,
    KeyPermissionWarning,
    Protection,
    PublicKeyFile,
    PublicKeyHeader,
    SecretKeyFile,
    SecretKeyHeader,
    check_covers,
    check_reduced,
)
from hecc.runtime.ckks.keys.switching_keys import layout_bytes, packed_key, switching_key_bytes
from hecc.runtime.errors import FileFormatError, KeyMismatchError
from hecc.runtime.files.container import Container, ContainerWriter, Kind

KEY_ID = "0123456789abcdef" * 4
PROTECTION = Protection(log2_cost=14, salt="0" * 32, nonce="0" * 24)


@pytest.fixture(scope="module")
def spec(insecure_plan):
    return insecure_plan.header.keys


def secret(spec, protection=None):
    header = SecretKeyHeader(key_id=KEY_ID, keys=spec, protection=protection)
    if protection:
        return SecretKeyFile(header, sealed=b"sealed")
    return SecretKeyFile(header, residues=np.arange(4 * 1024, dtype=np.uint64).reshape(4, 1024))


def write_evaluation(path, spec, progress=None, shape="seal"):
    EvaluationKeyFile.write(
        path,
        EvaluationKeyHeader(key_id=KEY_ID, keys=spec, shape=shape),
        relinearization=lambda: b"relinearisation key",
        galois=lambda element: b"key of %d" % element,
        progress=progress,
    )
    return path


def test_a_secret_key_is_read_back(tmp_path, spec):
    secret(spec).save(tmp_path / "secret")
    loaded = SecretKeyFile.load(tmp_path / "secret")
    assert loaded.header == secret(spec).header
    np.testing.assert_array_equal(loaded.residues, secret(spec).residues)
    assert loaded.sealed is None


def test_a_protected_secret_key_is_read_back_sealed(tmp_path, spec):
    secret(spec, PROTECTION).save(tmp_path / "secret")
    loaded = SecretKeyFile.load(tmp_path / "secret")
    assert bytes(loaded.sealed) == b"sealed"
    assert loaded.residues is None


@pytest.mark.parametrize("protection", [None, PROTECTION])
def test_a_secret_key_is_the_owners_alone(tmp_path, spec, protection):
    secret(spec, protection).save(tmp_path / "secret")
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
def test_a_secret_key_that_others_can_read_is_warned_about_unless_protected(tmp_path, spec):
    for protection in (None, PROTECTION):
        (tmp_path / "secret").unlink(missing_ok=True)
        secret(spec, protection).save(tmp_path / "secret")
        (tmp_path / "secret").chmod(0o640)
        if protection is None:
            with pytest.warns(KeyPermissionWarning, match="others may read this secret key; run `chmod 600` on it"):
                SecretKeyFile.load(tmp_path / "secret")
        else:
            SecretKeyFile.load(tmp_path / "secret")


@pytest.mark.parametrize(
    "residues", [np.zeros((3, 1024), np.uint64), np.zeros((4, 512), np.uint64), np.zeros((4, 1024), np.int64)]
)
def test_a_secret_key_of_another_shape_is_refused(tmp_path, spec, residues):
    SecretKeyFile(secret(spec).header, residues=residues).save(tmp_path / "secret")
    with pytest.raises(FileFormatError, match="the secret key does not have N residues per prime; make new keys"):
        SecretKeyFile.load(tmp_path / "secret")


@pytest.mark.parametrize("cost", [13, 21, 60])
def test_a_forged_cost_cannot_make_the_client_allocate(tmp_path, spec, cost):
    forged = Protection(log2_cost=cost, salt="0" * 32, nonce="0" * 24)
    header = SecretKeyHeader(key_id=KEY_ID, keys=spec, protection=forged)
    path = tmp_path / "secret"
    with ContainerWriter(path, Kind.SECRET_KEY, msgspec.Raw(msgspec.json.encode(header))) as writer:
        writer.add("secret", b"sealed")
    with pytest.raises(FileFormatError, match=r"malformed field .* at `\$.protection.log2_cost`"):
        SecretKeyFile.load(path)


def test_a_public_key_is_read_back(tmp_path, spec):
    PublicKeyFile(PublicKeyHeader(key_id=KEY_ID, keys=spec), b"stream").save(tmp_path / "public")
    loaded = PublicKeyFile.load(tmp_path / "public")
    assert bytes(loaded.stream) == b"stream"
    assert loaded.header.key_id == KEY_ID
    assert loaded.header.keys.fingerprint == spec.fingerprint


def test_evaluation_keys_are_read_back_one_by_one(tmp_path, spec):
    loaded = EvaluationKeyFile.load(write_evaluation(tmp_path / "evaluation", spec))
    assert bytes(loaded.relinearization()) == b"relinearisation key"
    assert bytes(loaded.galois(3)) == b"key of 3"
    assert loaded.header.shape == "seal"
    loaded.verify()


def test_evaluation_keys_are_made_one_at_a_time_with_progress(tmp_path, spec):
    steps = []
    write_evaluation(tmp_path / "evaluation", spec, lambda done, total: steps.append((done, total)))
    assert steps == [(0, 2), (1, 2), (2, 2)]


def test_a_missing_key_is_a_sentence(tmp_path, spec):
    without = msgspec.structs.replace(spec, relinearization_limbs=0)
    loaded = EvaluationKeyFile(write_evaluation(tmp_path / "evaluation", without))
    with pytest.raises(KeyMismatchError, match="evaluation: no key for Galois element 9; make keys for this plan"):
        loaded.galois(9)
    with pytest.raises(KeyMismatchError, match="evaluation: no relinearisation key; make keys for this plan"):
        loaded.relinearization()


def test_an_altered_evaluation_key_is_named_when_it_is_asked_for(tmp_path, spec):
    path = write_evaluation(tmp_path / "evaluation", spec)
    path.write_bytes(path.read_bytes().replace(b"key of 3", b"kex of 3"))
    loaded = EvaluationKeyFile(path)
    loaded.relinearization()
    for touch in (loaded.verify, lambda: loaded.galois(3)):
        with pytest.raises(FileFormatError, match="blob 'galois/3' was altered"):
            touch()


def test_keys_that_are_not_those_of_the_header_are_refused(tmp_path, spec):
    header = EvaluationKeyHeader(key_id=KEY_ID, keys=spec, shape="seal")
    with ContainerWriter(tmp_path / "f", Kind.EVALUATION_KEYS, header) as writer:
        writer.add("relinearization", b"")
    with pytest.raises(FileFormatError, match="the keys in the file are not those of its header; make new keys"):
        EvaluationKeyFile(tmp_path / "f")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"key_id": "0" * 63}, r"at `\$.key_id`"),
        ({"key_id": "G" * 64}, r"at `\$.key_id`"),
        ({"shape": "other"}, r"Invalid enum value 'other' - at `\$.shape`"),
    ],
)
def test_a_malformed_key_header_is_named(tmp_path, spec, changes, problem):
    header = EvaluationKeyHeader(**({"key_id": KEY_ID, "keys": spec, "shape": "seal"} | changes))
    with ContainerWriter(tmp_path / "f", Kind.EVALUATION_KEYS, msgspec.Raw(msgspec.json.encode(header))):
        pass
    with pytest.raises(FileFormatError, match=problem):
        EvaluationKeyFile(tmp_path / "f")


def test_impossible_parameters_are_refused_in_every_key_file(tmp_path, spec):
    forged = msgspec.structs.replace(spec, data_primes=(15, *spec.data_primes[1:]))
    secret(forged, PROTECTION).save(tmp_path / "secret")
    PublicKeyFile(PublicKeyHeader(key_id=KEY_ID, keys=forged), b"").save(tmp_path / "public")
    write_evaluation(tmp_path / "evaluation", forged)
    for kind, name in ((SecretKeyFile, "secret"), (PublicKeyFile, "public"), (EvaluationKeyFile, "evaluation")):
        with pytest.raises(
            FileFormatError, match=f"{name}: impossible parameters .*15 is not a prime.*; make new keys"
        ):
            kind.load(tmp_path / name)


def test_one_kind_of_key_for_another_is_a_sentence(tmp_path, spec):
    secret(spec).save(tmp_path / "secret")
    with pytest.raises(FileFormatError, match="this is a secret key file; expected an evaluation keys file"):
        EvaluationKeyFile(tmp_path / "secret")
    with pytest.raises(FileFormatError, match="this is a secret key file; expected a public key file"):
        PublicKeyFile.load(tmp_path / "secret")
    with pytest.raises(FileFormatError, match="expected a secret key file"):
        SecretKeyFile.load(write_evaluation(tmp_path / "evaluation", spec))


# Hybrid keys ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hybrid(spec):
    """Digits of two limbs and one special prime; rotations at one, three and two limbs, squares at two."""
    galois = (GaloisElement(3, 1), GaloisElement(5, 3), GaloisElement(9, 2))
    return msgspec.structs.replace(spec, digit_limbs=2, relinearization_limbs=2, galois=galois)


def hybrid_key(spec, limbs, seed=0):
    primes = np.array([*spec.data_primes[:limbs], *spec.special_primes], dtype=np.uint64)
    shape = (-(-limbs // spec.digit_limbs), 2, len(primes), spec.ring_degree)
    return np.random.default_rng([seed, limbs]).integers(0, primes[:, np.newaxis], shape, dtype=np.uint64)


def write_hybrid(path, spec, change=lambda name, rows: rows, packed=lambda name, key: key):
    """A file with what ``change`` makes of good keys' rows and ``packed`` of the keys, below all checks."""
    limbs = {"relinearization": 2, 3: 1, 5: 3, 9: 2}
    with ContainerWriter(
        path, Kind.EVALUATION_KEYS, EvaluationKeyHeader(key_id=KEY_ID, keys=spec, shape="native")
    ) as writer:
        for name in (5, "relinearization", 9, 3):
            blob = name if isinstance(name, str) else f"galois/{name}"
            rows = change(blob, hybrid_key(spec, limbs[name]))
            writer.add(blob, packed(blob, packed_key(rows, spec, limbs[name])))
    return path


def test_hybrid_keys_are_read_back_as_views_of_the_file(tmp_path, hybrid):
    EvaluationKeyFile.write(
        tmp_path / "f",
        EvaluationKeyHeader(key_id=KEY_ID, keys=hybrid, shape="native"),
        relinearization=lambda: iter(hybrid_key(hybrid, 2)),
        galois=lambda element: iter(hybrid_key(hybrid, {3: 1, 5: 3, 9: 2}[element])),
    )
    assert (tmp_path / "f").read_bytes() == write_hybrid(tmp_path / "g", hybrid).read_bytes()
    # By descending limbs, or key generation would make one context after another.
    names = ["galois/5", "relinearization", "galois/9", "galois/3"]
    assert list(Container(tmp_path / "f", Kind.EVALUATION_KEYS)) == names
    loaded = EvaluationKeyFile.load(tmp_path / "f")
    loaded.verify()
    for key, limbs in ((loaded.relinearization(), 2), (loaded.galois(3), 1), (loaded.galois(5), 3)):
        np.testing.assert_array_equal(key, packed_key(hybrid_key(hybrid, limbs), hybrid, limbs))
        assert key.shape == (switching_key_bytes(hybrid, limbs),)
        assert key.dtype == np.uint8
        assert key.ctypes.data % 64 == 0
        assert not key.flags.writeable
        assert not key.flags.owndata
    assert loaded.galois(5).ctypes.data == loaded.galois(5).ctypes.data
    with pytest.raises(KeyMismatchError, match="f: no key for Galois element 7; make keys for this plan"):
        loaded.galois(7)


@pytest.mark.parametrize(
    "change",
    [
        lambda key: key[:1],
        lambda key: key[:-1],
        lambda key: np.concatenate((key, key)),
        lambda key: key.reshape(2, -1),
        lambda key: key.astype(np.int64),
        lambda key: key.view(np.uint64),
        lambda key: key.tobytes(),
    ],
)
def test_a_hybrid_key_of_another_shape_is_refused_when_the_file_is_opened(tmp_path, hybrid, change):
    path = write_hybrid(tmp_path / "f", hybrid, packed=lambda name, key: change(key) if name == "galois/5" else key)
    with pytest.raises(
        FileFormatError, match="f: key 'galois/5' is not of the shape that the header announces; make new keys"
    ):
        EvaluationKeyFile(path)


def test_streams_are_no_hybrid_keys_and_arrays_no_streams(tmp_path, hybrid):
    path = write_evaluation(tmp_path / "f", hybrid, shape="native")
    with pytest.raises(FileFormatError, match="is not of the shape that the header announces"):
        EvaluationKeyFile(path)
    header = EvaluationKeyHeader(key_id=KEY_ID, keys=hybrid, shape="seal")
    with ContainerWriter(tmp_path / "g", Kind.EVALUATION_KEYS, header) as writer:
        for name in ("relinearization", "galois/3", "galois/5", "galois/9"):
            writer.add(name, packed_key(hybrid_key(hybrid, 3), hybrid, 3))
    with pytest.raises(FileFormatError, match="is not of the shape that the header announces"):
        EvaluationKeyFile(tmp_path / "g")


@pytest.mark.parametrize("position", [(0, 0, 0, 0), (1, 1, 2, 1023), (0, 1, 3, 500)])
@pytest.mark.parametrize("beyond", [0, 1, 100])
def test_a_residue_that_is_not_reduced_is_found_when_the_file_is_verified(tmp_path, hybrid, position, beyond):
    primes = (*hybrid.data_primes, *hybrid.special_primes)

    def change(name, key):
        if name == "galois/5":
            key[position] = primes[position[2]] + beyond
        return key

    loaded = EvaluationKeyFile(write_hybrid(tmp_path / "f", hybrid, change))
    for _ in range(2):
        with pytest.raises(
            FileFormatError, match="f: key 'galois/5' has residues that are not below their prime; make new keys"
        ):
            loaded.verify()


def test_the_largest_residue_is_allowed_and_belongs_to_its_own_prime(hybrid):
    primes = (*hybrid.data_primes[:2], *hybrid.special_primes)
    shape = (1, 2, len(primes), hybrid.ring_degree)
    largest = np.array(primes, dtype=np.uint64)[:, np.newaxis] - np.uint64(1)
    check_reduced(packed_key(np.broadcast_to(largest, shape), hybrid, 2), hybrid.hybrid(2), 1024, where="the key")
    key = packed_key(np.broadcast_to(largest[[1, 0, 2]], shape), hybrid, 2)
    with pytest.raises(FileFormatError, match="the key has residues"):
        check_reduced(key, hybrid.hybrid(2), 1024, where="the key")


def test_an_altered_or_truncated_hybrid_key_is_a_sentence(tmp_path, hybrid):
    good = write_hybrid(tmp_path / "f", hybrid).read_bytes()
    data = bytearray(good)
    data[data.index(packed_key(hybrid_key(hybrid, 1), hybrid, 1).tobytes()) + 4096] ^= 1
    (tmp_path / "f").write_bytes(data)
    loaded = EvaluationKeyFile(tmp_path / "f")
    loaded.galois(5)
    for touch in (loaded.verify, lambda: loaded.galois(3)):
        with pytest.raises(FileFormatError, match="blob 'galois/3' was altered; copy or make the file again"):
            touch()
    (tmp_path / "f").write_bytes(good[:-4096])
    with pytest.raises(FileFormatError, match=r"f: truncated, .* bytes are left; copy or make the file again"):
        EvaluationKeyFile(tmp_path / "f")


def test_keys_that_lack_a_row_are_not_written(tmp_path, hybrid):
    with pytest.raises(ValueError, match="the rows of a switching key are not 2 arrays"):
        EvaluationKeyFile.write(
            tmp_path / "f",
            EvaluationKeyHeader(key_id=KEY_ID, keys=hybrid, shape="native"),
            relinearization=lambda: iter(hybrid_key(hybrid, 2)),
            galois=lambda element: iter(hybrid_key(hybrid, 2)[:0]),
        )
    assert list(tmp_path.iterdir()) == []


# Keys that raise ------------------------------------------------------------------------------------------------------


def raising(spec, weight=32, limbs=3):
    evidence = SparseEvidence(0, "INSECURE test parameters", 0)
    encapsulation = Encapsulation(weight=weight, limbs=limbs, security=evidence)
    return msgspec.structs.replace(spec, encapsulation=encapsulation)


def row(layout, degree):
    primes = np.array(layout.primes, dtype=np.uint64)
    return np.random.default_rng(len(primes)).integers(0, primes[:, np.newaxis], (2, len(primes), degree), np.uint64)


def write_raising(path, spec, names=("dense_to_sparse", "sparse_to_dense")):
    layouts = {"dense_to_sparse": spec.dense_to_sparse, "sparse_to_dense": spec.sparse_to_dense(3)}
    EvaluationKeyFile.write(
        path,
        EvaluationKeyHeader(key_id=KEY_ID, keys=spec, shape="native"),
        relinearization=lambda: iter(hybrid_key(spec, 2)),
        galois=lambda element: iter(hybrid_key(spec, {3: 1, 5: 3, 9: 2}[element])),
        raising={name: lambda name=name: iter([row(layouts[name], 1024)]) for name in names},
    )
    return path


def test_keys_that_raise_are_read_back(tmp_path, hybrid):
    spec = raising(hybrid)
    loaded = EvaluationKeyFile(write_raising(tmp_path / "f", spec))
    loaded.verify()
    names = ["galois/5", "sparse_to_dense", "relinearization", "galois/9", "galois/3", "dense_to_sparse"]
    assert list(Container(tmp_path / "f", Kind.EVALUATION_KEYS)) == names
    for key, layout in (
        (loaded.dense_to_sparse(), spec.dense_to_sparse),
        (loaded.sparse_to_dense(), spec.sparse_to_dense(3)),
    ):
        np.testing.assert_array_equal(key, packed_key([row(layout, 1024)], spec, layout))
        assert key.shape == (layout_bytes(layout, 1024),)
    assert spec.dense_to_sparse.primes == (spec.data_primes[0], spec.special_primes[0])


def test_fewer_or_more_keys_that_raise_are_refused(tmp_path, hybrid):
    spec = raising(hybrid)
    good = Container(write_raising(tmp_path / "f", spec), Kind.EVALUATION_KEYS)
    for name, header, left in (
        ("fewer", spec, [name for name in good if name != "dense_to_sparse"]),
        ("more", hybrid, list(good)),
        ("twice", spec, [*good, "dense_to_sparse/2"]),
        ("none", spec, [name for name in good if "sparse" not in name]),
    ):
        with ContainerWriter(
            tmp_path / name, Kind.EVALUATION_KEYS, EvaluationKeyHeader(key_id=KEY_ID, keys=header, shape="native")
        ) as writer:
            for blob in left:
                writer.add(blob, good.array(blob if blob in good else "dense_to_sparse"))
        with pytest.raises(FileFormatError, match=f"{name}: the keys in the file are not those of its header"):
            EvaluationKeyFile(tmp_path / name)


def test_a_key_that_raises_is_refused_in_the_place_of_another(tmp_path, hybrid):
    spec = raising(hybrid)
    good = Container(write_raising(tmp_path / "f", spec), Kind.EVALUATION_KEYS)
    swap = {"sparse_to_dense": "dense_to_sparse", "dense_to_sparse": "sparse_to_dense"}
    header = EvaluationKeyHeader(key_id=KEY_ID, keys=spec, shape="native")
    with ContainerWriter(tmp_path / "swapped", Kind.EVALUATION_KEYS, header) as writer:
        for blob in good:
            writer.add(blob, good.array(swap.get(blob, blob)))
    with pytest.raises(FileFormatError, match="key 'sparse_to_dense' is not of the shape that the header announces"):
        EvaluationKeyFile(tmp_path / "swapped")


def test_residues_of_keys_that_raise_are_checked(tmp_path, hybrid):
    spec = raising(hybrid)
    largest = np.array(spec.dense_to_sparse.primes, dtype=np.uint64)[:, np.newaxis]
    key = packed_key([np.broadcast_to(largest, (2, 2, 1024)).copy()], spec, spec.dense_to_sparse)
    with pytest.raises(FileFormatError, match="the key has residues that are not below their prime"):
        check_reduced(key, spec.dense_to_sparse, 1024, where="the key")
    check_reduced(
        packed_key([np.broadcast_to(largest - np.uint64(1), (2, 2, 1024)).copy()], spec, spec.dense_to_sparse),
        spec.dense_to_sparse,
        1024,
        where="the key",
    )


def test_keys_of_seals_shape_raise_nothing(tmp_path, spec):
    write_evaluation(tmp_path / "good", spec)
    header = EvaluationKeyHeader(key_id=KEY_ID, keys=raising(spec), shape="seal")
    with ContainerWriter(tmp_path / "f", Kind.EVALUATION_KEYS, header) as writer:
        writer.add("relinearization", b"")
    with pytest.raises(FileFormatError, match=r"f: keys of shape 'seal' raise no ciphertexts, .* of shape 'native'"):
        EvaluationKeyFile(tmp_path / "f")
    loaded = EvaluationKeyFile(tmp_path / "good")
    for touch in (loaded.dense_to_sparse, loaded.sparse_to_dense):
        with pytest.raises(KeyMismatchError, match="good: no keys that raise ciphertexts; make keys for this plan"):
            touch()


def test_keys_that_raise_otherwise_do_not_serve_a_plan(spec):
    check_covers(raising(spec), spec, galois=True)
    check_covers(raising(spec), raising(spec, limbs=2), galois=True)
    check_covers(spec, raising(spec), galois=False)
    for own, problem in (
        (
            spec,
            "which raises no ciphertexts; this one does, under a sparse secret of weight 32; make keys for this plan",
        ),
        (raising(spec, weight=64), "with a sparse secret of weight 64 and not 32"),
        (raising(spec, limbs=2), "which raises ciphertexts to fewer limbs"),
    ):
        with pytest.raises(KeyMismatchError, match=problem):
            check_covers(own, raising(spec), galois=True)


# What covers what -----------------------------------------------------------------------------------------------------


def test_a_superset_of_keys_serves_a_plan(spec):
    element = spec.galois[0].element
    larger = msgspec.structs.replace(spec, galois=(GaloisElement(element, 3), GaloisElement(element + 2, 1)))
    check_covers(larger, spec, galois=True)
    check_covers(spec, larger, galois=False)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"ring_degree": 2048}, "the keys were made for another plan, with N = "),
        ({"data_primes": (1, 2)}, "another plan, with other primes"),
        ({"special_primes": ()}, "another plan, with other primes"),
        ({"digit_limbs": 2}, "another plan, which switches keys in digits of another size; make keys for this plan"),
        ({"relinearization_limbs": 1}, "another plan, which multiplies at lower levels"),
        ({"galois": ()}, "another plan, and lack 1 rotation key that this one needs"),
        ({"galois": (GaloisElement(3, 1),)}, "another plan, and lack 1 rotation key that this one needs"),
    ],
)
def test_keys_of_another_specification_are_refused(spec, changes, problem):
    with pytest.raises(KeyMismatchError, match=problem):
        check_covers(msgspec.structs.replace(spec, **changes), spec, galois=True)


def test_encryption_does_not_depend_on_digits(spec):
    check_covers(msgspec.structs.replace(spec, digit_limbs=3), spec, galois=False)


def test_key_files_hold_the_same_bytes_each_time(tmp_path, spec):
    first = write_evaluation(tmp_path / "a", spec).read_bytes()
    assert first == write_evaluation(tmp_path / "b", spec).read_bytes()
    assert list(Container(tmp_path / "a", Kind.EVALUATION_KEYS)) == ["relinearization", "galois/3"]

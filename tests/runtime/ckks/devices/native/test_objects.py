"""The extension module itself refuses what its face would never pass: memory safety does not rest on Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hecc.runtime.ckks.circuit.security import ntt_primes
from hecc.runtime.native import _evaluator

DEGREE = 2048
PRIMES = ntt_primes(30, DEGREE, 6)
DATA, SPECIAL = PRIMES[:4], PRIMES[4:]


def make_context(data: Any = DATA, special: Any = SPECIAL, alpha: int = 2, threads: int = 2) -> _evaluator.Context:
    return _evaluator.Context(DEGREE, data, special, alpha, threads, "")


CONTEXT = make_context()
OTHER = make_context(DATA[::-1])


def ciphertexts(polynomials: int = 2, limbs: int = 3, count: int = 1, context: Any = CONTEXT) -> Any:
    return context.ciphertexts(np.ones((count, polynomials, limbs, DEGREE), dtype=np.uint64))


def switching_key(limbs: int = 4, context: Any = CONTEXT) -> Any:
    # Residues of 30 bits take four bytes.
    return _evaluator.SwitchingKey(context, np.ones((limbs + 1) // 2 * 2 * (limbs + 2) * DEGREE * 4, dtype=np.uint8))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((2047, DATA, SPECIAL, 2, 1, ""), "degree"),
        ((DEGREE, (), SPECIAL, 1, 1, ""), "there must be a data prime"),
        ((DEGREE, DATA, (), 2, 1, ""), "there must be a data prime"),
        ((DEGREE, DATA, DATA[:1], 2, 1, ""), "not distinct"),
        ((DEGREE, DATA, SPECIAL, 0, 1, ""), "a digit of 0 limbs"),
        ((DEGREE, DATA, SPECIAL, 5, 1, ""), "a digit of 5 limbs"),
        ((DEGREE, DATA, SPECIAL, 2, 0, ""), "number of threads 0"),
        ((DEGREE, (4097,), SPECIAL, 1, 1, ""), "not a prime"),
        ((DEGREE, (2**50 + 1,), SPECIAL, 1, 1, ""), "below"),
        ((DEGREE, DATA, SPECIAL, 2, 1, "nonsense"), "nonsense"),
    ],
)
def test_impossible_contexts_are_refused(arguments: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        _evaluator.Context(*arguments)


@pytest.mark.parametrize("arguments", [(), (1,), ("2048", DATA, SPECIAL, 2, 1, ""), (DEGREE, (-1,), SPECIAL, 1, 1, "")])
def test_contexts_of_other_types_are_refused(arguments: Any) -> None:
    with pytest.raises(TypeError):
        _evaluator.Context(*arguments)


@pytest.mark.parametrize("shape", [(0, 2, 3, DEGREE), (1, 0, 3, DEGREE), (1, 4, 3, DEGREE), (1, 2, 0, DEGREE)])
def test_impossible_ciphertexts_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be one at least|outside 1\.\.4"):
        CONTEXT.ciphertexts(np.zeros(shape, dtype=np.uint64))


@pytest.mark.parametrize("shape", [(1, 2, 5, DEGREE), (1, 2, 3, DEGREE // 2), (1, 2, 3, 2 * DEGREE)])
def test_ciphertexts_of_another_ring_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"outside 1\.\.4|has the shape"):
        CONTEXT.ciphertexts(np.zeros(shape, dtype=np.uint64))


@pytest.mark.parametrize(
    "array",
    [
        None,
        [[[[0]]]],
        np.zeros((2, 3, DEGREE), dtype=np.uint64),
        np.zeros((1, 2, 3, DEGREE), dtype=np.int64),
        np.zeros((1, 2, 3, DEGREE), dtype=np.float64),
        np.zeros((1, 2, 3, DEGREE), dtype=">u8"),
        np.zeros((1, 2, 3, 2 * DEGREE), dtype=np.uint64)[..., ::2],
        np.zeros((1, 2, 3, DEGREE), dtype=np.uint64, order="F"),
    ],
    ids=["none", "list", "rank", "int64", "double", "endian", "strided", "fortran"],
)
def test_arrays_of_another_kind_are_refused(array: Any) -> None:
    with pytest.raises(TypeError):
        CONTEXT.ciphertexts(array)


def test_an_unaligned_array_is_refused() -> None:
    array = np.frombuffer(bytearray(2 * 3 * DEGREE * 8 + 1), dtype=np.uint64, offset=1).reshape(1, 2, 3, DEGREE)
    with pytest.raises(ValueError, match="not aligned"):
        CONTEXT.ciphertexts(array)


def test_read_only_arrays_are_good_enough_and_results_cannot_be_written() -> None:
    array = np.ones((1, 2, 3, DEGREE), dtype=np.uint64)
    array.flags.writeable = False
    result = CONTEXT.negate(CONTEXT.ciphertexts(array)).array()
    assert not result.flags.writeable
    assert (result[0, 0, 1] == DATA[1] - 1).all()


def test_an_array_outlives_its_ciphertexts_and_its_context() -> None:
    context = make_context()
    arrays = [context.negate(ciphertexts(context=context)).array() for _ in range(50)]
    del context
    for array in arrays:
        assert (array[0, 0, 2] == DATA[2] - 1).all()


def test_a_pool_ends_whatever_its_threads_are_doing() -> None:
    # A thread that had just missed a loop once took the end of its pool for another one, and waited for ever.
    for number in range(3000):
        context = make_context(threads=2 + number % 3)
        values = ciphertexts(context=context)
        for _ in range(number % 4):
            values = context.negate(values)
        del values, context


Operation = Callable[[Any], Any]
OPERATIONS: dict[str, Operation] = {
    "add counts": lambda c: c.add(ciphertexts(), ciphertexts(count=2)),
    "add limbs": lambda c: c.add(ciphertexts(), ciphertexts(limbs=2)),
    "subtract limbs": lambda c: c.subtract(ciphertexts(), ciphertexts(limbs=2)),
    "multiply three": lambda c: c.multiply(ciphertexts(3), ciphertexts(3)),
    "multiply by three": lambda c: c.multiply(ciphertexts(), ciphertexts(3)),
    "square three": lambda c: c.square(ciphertexts(3)),
    "square one": lambda c: c.square(ciphertexts(1)),
    "add plain of two": lambda c: c.add_plain(ciphertexts(), ciphertexts()),
    "multiply plain of two": lambda c: c.multiply_plain(ciphertexts(), ciphertexts()),
    "multiply plain of fewer limbs": lambda c: c.multiply_plain(ciphertexts(), ciphertexts(1, limbs=2)),
    "relinearize two": lambda c: c.relinearize(ciphertexts(), switching_key()),
    "relinearize above the key": lambda c: c.relinearize(ciphertexts(3), switching_key(2)),
    "relinearize with another's key": lambda c: c.relinearize(ciphertexts(3), switching_key(context=OTHER)),
    "rotate three": lambda c: c.rotate(ciphertexts(3), switching_key(), 3),
    "rotate above the key": lambda c: c.rotate(ciphertexts(), switching_key(2), 3),
    "rotate by an even element": lambda c: c.rotate(ciphertexts(), switching_key(), 4),
    "rotate by a large element": lambda c: c.rotate(ciphertexts(), switching_key(), 4097),
    "rotate with another's key": lambda c: c.rotate(ciphertexts(), switching_key(context=OTHER), 3),
    "hoisted without a key": lambda c: c.rotate_hoisted(ciphertexts(), [switching_key()], [3, 5]),
    "hoisted above the key": lambda c: c.rotate_hoisted(ciphertexts(), [switching_key(2)], [3]),
    "hoisted by an even element": lambda c: c.rotate_hoisted(ciphertexts(), [switching_key()], [2]),
    "fold of nothing": lambda c: c.rotate_and_add(ciphertexts(), [], []),
    "rescale to nothing": lambda c: c.rescale(ciphertexts(), 3),
    "rescale by nothing": lambda c: c.rescale(ciphertexts(), 0),
    "drop to nothing": lambda c: c.drop_limbs(ciphertexts(), 3),
    "drop more": lambda c: c.drop_limbs(ciphertexts(), 2**63),
    "another's ciphertext": lambda c: c.negate(ciphertexts(context=OTHER)),
    "another's second ciphertext": lambda c: c.add(ciphertexts(), ciphertexts(context=OTHER)),
    "encode three slots": lambda c: c.encode(np.zeros((1, 3)), 1.0, 2),
    "encode too many slots": lambda c: c.encode(np.zeros((1, DEGREE)), 1.0, 2),
    "encode too many limbs": lambda c: c.encode(np.zeros((1, 32)), 1.0, 5),
    "encode no vector": lambda c: c.encode(np.zeros((0, 32)), 1.0, 2),
    "encode nan": lambda c: c.encode(np.full((1, 32), np.nan), 1.0, 2),
    "encode infinity": lambda c: c.encode(np.full((1, 32), -np.inf), 1.0, 2),
    "encode too large": lambda c: c.encode(np.ones((1, 32)), 2.0**200, 2),
    "encode at no scale": lambda c: c.encode(np.ones((1, 32)), 0.0, 2),
    "encode at scale nan": lambda c: c.encode(np.ones((1, 32)), np.nan, 2),
    "seed of 63 bytes": lambda c: c.expand_seed(b"0" * 63, np.zeros((2, DEGREE), dtype=np.uint64)),
    "seed to too many limbs": lambda c: c.expand_seed(b"0" * 64, np.zeros((5, DEGREE), dtype=np.uint64)),
    "seed to another degree": lambda c: c.expand_seed(b"0" * 64, np.zeros((2, 64), dtype=np.uint64)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operands_that_do_not_fit_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"\w{3}"):
        OPERATIONS[name](CONTEXT)


def test_a_seed_is_not_expanded_into_a_read_only_array() -> None:
    array = np.zeros((2, DEGREE), dtype=np.uint64)
    array.flags.writeable = False
    with pytest.raises(TypeError):
        CONTEXT.expand_seed(b"0" * 64, array)


def transform(**changed: Any) -> Any:
    arguments: dict[str, Any] = {
        "context": CONTEXT,
        "rows": 2,
        "columns": 2,
        "slots": 32,
        "limbs": 3,
        "scale": 1024.0,
        "row": np.array([0, 1], np.int32),
        "column": np.array([0, 1], np.int32),
        "baby": np.array([0, 1], np.int32),
        "giant": np.array([0, 4], np.int32),
        "offsets": np.array([0, 1, 3], np.int64),
        "value_slots": np.array([5, 0, 31], np.uint16),
        "values": np.array([1, 2, 3], np.float32),
        "memory": 1 << 20,
    }
    return _evaluator.LinearTransform(**(arguments | changed))


KEYS = [switching_key(), switching_key()]
ELEMENTS = [3, 81]


def test_the_transform_that_the_next_tests_change_is_good() -> None:
    good = transform()
    assert good.steps == [1, 4]
    assert good.apply(ciphertexts(count=2), KEYS, ELEMENTS, 0).count == 2
    assert good.kept_bytes == 2 * 5 * 64 * 4


@pytest.mark.parametrize(
    "changed",
    [
        {"row": np.array([0, 2], np.int32)},
        {"row": np.array([0, -1], np.int32)},
        {"row": np.array([0], np.int32)},
        {"column": np.array([2, 0], np.int32)},
        {"baby": np.array([0, 32], np.int32)},
        {"giant": np.array([-(2**31), 0], np.int32)},
        {"offsets": np.array([0, 1, 4], np.int64)},
        {"offsets": np.array([0, -1, 3], np.int64)},
        {"offsets": np.array([1, 2, 3], np.int64)},
        {"offsets": np.array([0, 2**62, 3], np.int64)},
        {"offsets": np.array([0, 3], np.int64)},
        {"value_slots": np.array([5, 0, 32], np.uint16)},
        {"value_slots": np.array([5, 0], np.uint16)},
        {"values": np.array([1, np.nan, 3], np.float32)},
        {"values": np.array([1, np.inf, 3], np.float32)},
        {"slots": 31},
        {"slots": 0},
        {"slots": DEGREE},
        {"limbs": 0},
        {"limbs": 5},
        {"rows": 0},
        {"columns": 0},
        {"scale": 0.0},
        {"scale": float("inf")},
    ],
    ids=str,
)
def test_impossible_transforms_are_refused(changed: Any) -> None:
    with pytest.raises(ValueError, match=r"\w{3}"):
        transform(**changed)


@pytest.mark.parametrize(
    ("x", "keys", "elements"),
    [
        (ciphertexts(), KEYS, ELEMENTS),
        (ciphertexts(3, count=2), KEYS, ELEMENTS),
        (ciphertexts(limbs=2, count=2), KEYS, ELEMENTS),
        (ciphertexts(count=2, context=OTHER), KEYS, ELEMENTS),
        (ciphertexts(count=2), KEYS[:1], ELEMENTS[:1]),
        (ciphertexts(count=2), KEYS, [3, 3]),
        (ciphertexts(count=2), KEYS, [3]),
        (ciphertexts(count=2), [KEYS[0], switching_key(2)], ELEMENTS),
        (ciphertexts(count=2), [KEYS[0], switching_key(context=OTHER)], ELEMENTS),
    ],
    ids=["count", "polynomials", "limbs", "context", "keys", "elements", "lengths", "level", "another's key"],
)
def test_transforms_of_operands_that_do_not_fit_are_refused(x: Any, keys: Any, elements: Any) -> None:
    with pytest.raises(ValueError, match=r"\w{3}"):
        transform().apply(x, keys, elements, 1 << 20)


def test_a_diagonal_too_large_to_encode_is_refused_every_time() -> None:
    large = transform(scale=2.0**200)
    for _ in range(2):
        with pytest.raises(ValueError, match="too large to encode"):
            large.apply(ciphertexts(count=2), KEYS, ELEMENTS, 1 << 20)
        assert large.kept_bytes == 0


def test_slots_that_change_after_the_check_stay_within_bounds() -> None:
    slots = np.array([5, 0, 31], np.uint16)
    changing = transform(value_slots=slots)
    slots[:] = 65535
    assert changing.apply(ciphertexts(count=2), KEYS, ELEMENTS, 0).count == 2


def test_hoisted_rotations_are_rotations(hybrid_client: Callable[[int, int], Any]) -> None:
    from hecc.runtime.ckks.devices.native.streams import parms_id, read_ciphertext, write_ciphertext

    for shape in ((1, 1), (2, 2)):
        client = hybrid_client(*shape)
        context = _evaluator.Context(DEGREE, client.data_primes, client.special, client.alpha, 2, "")
        values = np.random.default_rng(0).uniform(-1, 1, (1, 1024))
        limbs = len(client.data_primes)
        parsed = read_ciphertext(client.encrypt(values)[0], ring_degree=DEGREE, limbs=limbs, polynomials=2, where="")
        residues = np.empty((1, 2, limbs, DEGREE), np.uint64)
        residues[0, 0] = parsed.residues[0]
        context.expand_seed(parsed.seed, residues[0, 1])
        x = context.ciphertexts(residues)
        elements = [3, 9, pow(3, 700, 2 * DEGREE)]
        keys = [_evaluator.SwitchingKey(context, client.galois(element)) for element in elements]
        for step, element, key, found in zip(
            (1, 2, 700), elements, keys, context.rotate_hoisted(x, keys, elements), strict=True
        ):
            alone = context.rotate(x, key, element).array()
            if shape != (1, 1):  # there a lone rotation takes SEAL's digits, a hoisted one centred ones
                assert np.array_equal(found.array(), alone)
            stream = write_ciphertext(parms_id(DEGREE, client.data_primes), 2.0**40, found.array()[0])
            decrypted = client.decrypt([stream], 1024, limbs=limbs, scale=2.0**40)
            np.testing.assert_allclose(decrypted, np.roll(values, -step, axis=1), atol=1e-7)

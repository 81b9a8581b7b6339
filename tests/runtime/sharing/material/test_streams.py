import hashlib
import hmac

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from hecc.runtime.errors import FileFormatError
from hecc.runtime.sharing.material.streams import next_seed, stream
from hecc.runtime.sharing.material.tapes import BlockTape, BlockWriter, StreamTape

SEED = bytes(range(32))


def test_a_stream_is_counter_mode_under_a_derived_key():
    """HKDF (RFC 5869) written out, and AES in counter mode from zero as ECB of the counters."""
    extracted = hmac.digest(bytes(32), SEED, "sha256")
    key = hmac.digest(extracted, b"masks\0plan and block\x01", "sha256")
    blocks = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    expected = b"".join(blocks.update(counter.to_bytes(16, "big")) for counter in range(4))
    found = stream(SEED, "masks", b"plan and block")
    assert b"".join(found.read(size).tobytes() for size in (5, 0, 20, 39)) == expected


def test_streams_differ_by_purpose_binding_and_seed():
    first = {
        stream(seed, purpose, bound).read(32).tobytes()
        for seed in (SEED, next_seed(SEED))
        for purpose in ("masks", "shares")
        for bound in (b"a", b"b")
    }
    assert len(first) == 8
    assert next_seed(SEED) == hashlib.sha256(b"next\0" + SEED).digest()


def test_tapes_give_what_was_written():
    writer = BlockWriter()
    values = np.random.default_rng(0).integers(0, 1 << 20, (3, 7), dtype=np.uint64)
    writer.put(values, 20)
    writer.put(values[:, :3] & np.uint64(1), 1)
    tape = BlockTape(writer.blocks(3))
    np.testing.assert_array_equal(tape.take(7, 20), values)
    with pytest.raises(FileFormatError, match="longer than the plan needs"):
        tape.check_end()
    np.testing.assert_array_equal(tape.take(3, 1), values[:, :3] & np.uint64(1))
    tape.check_end()
    with pytest.raises(FileFormatError, match="shorter than the plan needs"):
        tape.take(1, 1)


def test_rows_have_streams_of_their_own():
    tape = StreamTape([stream(SEED, "masks", bytes([row])) for row in range(2)])
    first, second = tape.take(10, 13), tape.take(10, 13)
    assert first.shape == (2, 10)
    assert len({first[0].tobytes(), first[1].tobytes(), second[0].tobytes(), second[1].tobytes()}) == 4
    assert int(first.max()) < 1 << 13

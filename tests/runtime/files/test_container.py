"""The container: every byte is accounted for, and every refusal is a sentence."""

import errno
import hashlib
import json
import os
import stat
import struct
import tempfile
import threading
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hecc.runtime.errors import FileFormatError, InputError
from hecc.runtime.files import container
from hecc.runtime.files.container import ALIGNMENT, MAGIC, Container, ContainerWriter, Kind, kind_of

KIND = Kind.CIPHERTEXT


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    word: str
    number: int


HEADER = Header("hello", 3)
ARRAY = np.arange(12, dtype=np.float32).reshape(3, 4)
BLOBS = {"a/0": b"seven b", "empty": b"", "array": ARRAY, "none": np.zeros((2, 0), np.int64), "z": bytes(range(200))}


def write(path, blobs=BLOBS, header=HEADER, **options):
    with ContainerWriter(path, KIND, header, **options) as writer:
        for name, blob in blobs.items():
            writer.add(name, blob)
    return path


def padded(data):
    return data + bytes(-len(data) % ALIGNMENT)


def build(blobs, *, header=None, entries=None, kind=KIND, magic=MAGIC, version=2, tail=b"", **fields):
    """A file by hand, from the documentation alone; anything about it can be forged, checksums stay right."""
    header = json.dumps({"word": "hello", "number": 3}, separators=(",", ":")).encode() if header is None else header
    data = padded(bytes(80) + header)
    table = []
    for name, dtype, shape, blob in blobs:
        table.append([name, dtype, shape, len(data), len(blob), hashlib.sha256(blob).hexdigest()])
        data = padded(data + blob)
    table = table if entries is None else entries(table)
    table = table if isinstance(table, bytes) else json.dumps(table, separators=(",", ":")).encode()
    lengths = {
        "header_length": len(header),
        "offset": len(data),
        "table_length": len(table),
        "length": len(data) + len(table),
    }
    start = struct.pack("<8sIIQQQQ", magic, version, kind, *(lengths | fields).values())
    checksum = hashlib.sha256(start + header + table).digest()
    return start + checksum + data[80:] + table + tail


RAW = [("a/0", "bytes", [], b"seven b"), ("array", "<f4", [3, 4], ARRAY.tobytes())]


def read_everything(path):
    opened = Container(path, KIND)
    opened.verify()
    return opened.header(Header), {name: opened.length(name) for name in opened}


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture(scope="module")
def good(folder):
    return write(folder / "good.bin").read_bytes()


def test_what_is_written_is_read(tmp_path):
    opened = Container(write(tmp_path / "f"), Kind.RESULT, KIND)
    assert opened.kind is KIND
    assert opened.header(Header) == HEADER
    assert list(opened) == list(BLOBS)
    assert len(opened) == 5
    assert "array" in opened
    assert "other" not in opened
    assert bytes(opened.bytes("a/0")) == b"seven b"
    assert bytes(opened.bytes("empty")) == b""
    assert opened.array("array").dtype == np.float32
    np.testing.assert_array_equal(opened.array("array"), ARRAY)
    assert opened.array("none").shape == (2, 0)
    assert opened.length("z") == 200
    opened.verify()


def test_a_file_made_by_hand_from_the_documentation_is_what_the_writer_writes(tmp_path):
    assert write(tmp_path / "f", {"a/0": b"seven b", "array": ARRAY}).read_bytes() == build(RAW)


def test_arrays_are_aligned_read_only_views_of_the_file(tmp_path):
    opened = Container(write(tmp_path / "f"), KIND)
    array = opened.array("array")
    assert array.ctypes.data % ALIGNMENT == 0
    assert not array.flags.writeable
    assert not array.flags.owndata
    assert opened.array("array").ctypes.data == array.ctypes.data
    assert opened.bytes("z").readonly
    del opened
    np.testing.assert_array_equal(array, ARRAY)


def test_equal_contents_give_equal_bytes(tmp_path):
    assert write(tmp_path / "f").read_bytes() == write(tmp_path / "g").read_bytes()


def test_layout_and_byte_order_of_the_source_do_not_matter(tmp_path):
    wide = np.arange(24, dtype=">f4").reshape(3, 8)
    write(tmp_path / "f", {"array": wide[:, ::2]})
    write(tmp_path / "g", {"array": wide[:, ::2].astype("<f4").copy()})
    assert (tmp_path / "f").read_bytes() == (tmp_path / "g").read_bytes()


def test_an_array_written_row_by_row_is_the_array(tmp_path):
    whole = np.arange(96, dtype=np.uint64).reshape(12, 2, 4)

    def rows():
        row, other = (np.empty((2, 4), dtype=np.uint64) for _ in range(2))
        for values in whole:
            row[...] = values
            yield row
            row, other = other, row

    blobs = {"array": whole, "after": b"bytes", "none": whole[:0], "again": whole}
    with ContainerWriter(tmp_path / "f", KIND, HEADER) as writer:
        add_rows(writer, "array", (12, 2, 4), rows())
        writer.add("after", b"bytes")
        add_rows(writer, "none", (0, 2, 4), iter(()))
        add_rows(writer, "again", (12, 2, 4), rows())
    assert (tmp_path / "f").read_bytes() == write(tmp_path / "g", blobs).read_bytes()
    opened = Container(tmp_path / "f", KIND)
    assert opened.layout("array") == ("<u8", (12, 2, 4))
    assert opened.layout("after") == ("bytes", ())
    np.testing.assert_array_equal(opened.array("array"), whole)


def add_rows(writer, name, shape, rows):
    """An array filled row by row."""
    blob = np.empty(shape, np.uint64)
    writer.add_filled(name, blob, (partial(np.copyto, blob[i], row) for i, row in enumerate(rows)))


def test_a_part_is_filled_while_the_next_one_is_made(tmp_path):
    filling, made = threading.Event(), threading.Event()
    blob = np.empty((2, 4), np.uint64)

    def slow():
        filling.set()
        assert made.wait(10)
        blob[0] = 0

    def parts():
        yield slow
        assert filling.wait(10)
        made.set()
        yield partial(blob[1].fill, 1)

    with ContainerWriter(tmp_path / "f", KIND, HEADER) as writer:
        writer.add_filled("array", blob, parts())
    np.testing.assert_array_equal(Container(tmp_path / "f", KIND).array("array"), [[0] * 4, [1] * 4])


def test_a_part_that_fails_leaves_no_file(tmp_path):
    def refuse():
        raise ValueError("no such part")

    with (
        pytest.raises(ValueError, match="no such part"),
        ContainerWriter(tmp_path / "f", KIND, HEADER) as writer,
    ):
        writer.add_filled("array", np.empty(4, np.uint8), iter([refuse]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failing", [0, 1])
def test_an_array_that_cannot_be_written_is_a_sentence_and_leaves_no_file(tmp_path, monkeypatch, failing):
    # The last array fails when nothing waits for it any more but the end of the file.
    written = []
    write_row = ContainerWriter._write

    def full(self, view):
        if len(written) == failing:
            with container.writing(self.path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(view)
        write_row(self, view)

    monkeypatch.setattr(ContainerWriter, "_write", full)
    with pytest.raises(InputError, match=r"f: cannot be written \(No space left on device\)"):
        write_rows(tmp_path / "f")
    assert len(written) == failing
    assert list(tmp_path.iterdir()) == []


def write_rows(path):
    with ContainerWriter(path, KIND, HEADER) as writer:
        for name in ("a", "b"):
            add_rows(writer, name, (2, 4), iter([np.zeros(4, np.uint64)] * 2))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_rows_that_fail_leave_no_file_and_no_thread(tmp_path, error):
    before = set(threading.enumerate())

    def rows():
        yield np.zeros(4, np.uint64)
        raise error

    with pytest.raises(error), ContainerWriter(tmp_path / "f", KIND, HEADER) as writer:
        add_rows(writer, "array", (3, 4), rows())
    assert list(tmp_path.iterdir()) == []
    assert set(threading.enumerate()) == before


def test_arrays_by_prefix(tmp_path):
    opened = Container(write(tmp_path / "f", {"c/x": ARRAY, "c/y.z": ARRAY, "d": b""}), KIND)
    arrays = opened.arrays("c/")
    assert list(arrays) == ["x", "y.z"]
    assert len(arrays) == 2
    np.testing.assert_array_equal(arrays["y.z"], ARRAY)
    assert "d" not in arrays
    with pytest.raises(KeyError):
        arrays["d"]


def test_a_blob_is_verified_when_touched_and_only_then(tmp_path, good):
    path = tmp_path / "f"
    data = bytearray(good)
    data[good.index(bytes(range(200))) + 7] ^= 1
    path.write_bytes(data)
    opened = Container(path, KIND)
    opened.bytes("a/0")
    opened.array("array")
    for touch in (lambda: opened.bytes("z"), opened.verify):
        with pytest.raises(FileFormatError, match=f"{path}: blob 'z' was altered; copy or make the file again"):
            touch()


def test_a_blob_is_verified_once(tmp_path, monkeypatch):
    opened = Container(write(tmp_path / "f"), KIND)
    opened.bytes("z")
    monkeypatch.setattr(container.hashlib, "sha256", None)
    opened.bytes("z")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda d: b"", r"not a hecc file \(it is empty\); expected a ciphertext file"),
        (
            lambda d: b"solid 123",
            r"not a hecc file \(it begins with 73 6f 6c 69 64 20 31 32\)",
        ),
        (lambda d: b"\x93NUMPY\x01\x00", r"not a hecc file \(a NumPy array\)"),
        (lambda d: b"PK\x03\x04" + d, r"not a hecc file \(a zip archive"),
        (
            lambda d: b"\x08\x08\x12\x07pytorch",
            r"not a hecc file \(it looks like an ONNX model; `hecc compile` makes a plan",
        ),
        (lambda d: d[:5], "truncated, only 5 bytes are left"),
        (lambda d: d[:79], "truncated, only 79 bytes are left"),
        (lambda d: d[:-1], r"truncated, \d+ of \d+ bytes are left; copy or make the file again"),
        (lambda d: d + b"xyz", "3 trailing bytes"),
        (lambda d: d[:48] + b"\0" + d[49:], "the header or the blob table was altered"),
        (lambda d: d.replace(b"hello", b"hallo"), "the header or the blob table was altered"),
        (lambda d: d.replace(b'"array"', b'"arrey"'), "the header or the blob table was altered"),
        (lambda d: d.replace(b"seven b\0", b"seven b\1"), "the zeros between two blobs were altered"),
    ],
)
def test_damage_is_named(tmp_path, good, change, problem):
    path = tmp_path / "f.bin"
    path.write_bytes(change(good))
    with pytest.raises(FileFormatError, match=problem) as refusal:
        read_everything(path)
    assert str(refusal.value).startswith(f"{path}: ")


def second(position, value):
    def change(table):
        table[1][position] = value
        return table

    return change


def empty(shape):
    """The second blob without a byte, and of a shape."""
    return lambda table: [table[0], [*table[1][:2], shape, table[1][3], 0, table[1][5]]]


@pytest.mark.parametrize(
    ("forged", "problem"),
    [
        ({"version": 1}, "a ciphertext file of format version 1, but this hecc reads version 2; make the file again"),
        ({"kind": 99}, "unknown kind of file 99"),
        ({"kind": 7}, "this is a result file; expected a ciphertext file"),
        ({"kind": 5}, "this is an evaluation keys file; expected a ciphertext file"),
        ({"header_length": 1 << 60}, "over the limit"),
        ({"table_length": 1 << 40}, "over the limit"),
        ({"offset": 0}, "do not fit the file"),
        ({"offset": 1 << 63}, "do not fit the file"),
        ({"table_length": 3}, "do not fit the file"),
        ({"length": 1 << 63}, "truncated"),
        ({"entries": second(3, 128)}, "blob 'array' is not where it should be"),
        ({"entries": second(3, 193)}, "blob 'array' is not where it should be"),
        ({"entries": second(3, -64)}, "blob 'array' is not where it should be"),
        ({"entries": second(3, 10**30)}, "the blob table has a malformed field|not where it should be"),
        ({"entries": second(4, 10**9)}, "blob 'array' is not where it should be"),
        ({"entries": second(4, -1)}, "the blob table has a malformed field"),
        ({"entries": second(4, 47)}, "blob 'array' has a shape that is not its length"),
        ({"entries": second(2, [12])}, None),
        ({"entries": second(2, [3, 5])}, "blob 'array' has a shape that is not its length"),
        ({"entries": second(2, [1 << 40, 1 << 40])}, "blob 'array' has a shape that is not its length"),
        ({"entries": empty([0, 1 << 62])}, "blob 'array' has a shape that is not its length"),
        ({"entries": second(2, [-3, -4])}, "malformed field"),
        ({"entries": second(2, [1] * 9)}, "malformed field"),
        ({"entries": second(1, "<f2")}, "malformed field .Invalid enum value '<f2'"),
        ({"entries": second(1, "|O")}, "malformed field"),
        ({"entries": second(1, "bytes")}, "blob 'array' has a shape that is not its length"),
        ({"entries": second(0, "a/0")}, "blob 'a/0' stands twice in the table"),
        ({"entries": second(0, "")}, "malformed field"),
        ({"entries": second(0, "x" * 1025)}, "malformed field"),
        ({"entries": second(5, "0" * 64)}, "blob 'array' was altered"),
        ({"entries": second(5, "0" * 63)}, "malformed field"),
        ({"entries": lambda table: [[*line, 0] for line in table]}, "malformed field"),
        ({"entries": lambda table: table[:1]}, "bytes that no blob owns"),
        ({"entries": lambda table: [table[1], table[0]]}, "is not where it should be"),
        ({"entries": lambda table: {}}, "malformed field"),
        ({"entries": lambda table: b"[" * 100_000}, "malformed field"),
        ({"entries": lambda table: b"["}, "malformed field"),
        ({"tail": b"\0"}, "1 trailing bytes"),
        ({"magic": b"\x89HECC\n\n\n"}, "not a hecc file"),
    ],
)
def test_forgeries_with_right_checksums_are_named(tmp_path, forged, problem):
    path = tmp_path / "f.bin"
    path.write_bytes(build(RAW, **forged))
    if problem is None:
        read_everything(path)
        return
    with pytest.raises(FileFormatError, match=problem):
        read_everything(path)


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (
            b'{"word":"hello","number":"3"}',
            r"the header has a malformed field \(Expected `int`, got `str` - at `\$.num",
        ),
        (b'{"word":"hello"}', "missing required field `number`"),
        (b'{"word":"hello","number":3,"x":1}', "unknown field `x`"),
        (b'{"number":3,"word":"hello"}', "the header is not in canonical form"),
        (b"", "malformed field"),
    ],
)
def test_a_malformed_header_field_is_named(tmp_path, header, problem):
    path = tmp_path / "f.bin"
    path.write_bytes(build(RAW, header=header))
    opened = Container(path, KIND)
    with pytest.raises(FileFormatError, match=problem):
        opened.header(Header)


def test_a_blob_of_the_other_nature_or_none_is_named(tmp_path):
    opened = Container(write(tmp_path / "f"), KIND)
    with pytest.raises(FileFormatError, match="blob 'array' is an array"):
        opened.bytes("array")
    with pytest.raises(FileFormatError, match="blob 'z' is not an array"):
        opened.array("z")
    with pytest.raises(FileFormatError, match="blob 'other' is missing"):
        opened.array("other")


def refused(path, data):
    path.write_bytes(data)
    with pytest.raises(FileFormatError):
        read_everything(path)


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_every_flipped_bit_is_noticed(folder, good, data):
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    changed = bytearray(good)
    changed[bit // 8] ^= 1 << bit % 8
    refused(folder / "flipped", changed)


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_every_truncation_and_every_cut_is_noticed(folder, good, data):
    start = data.draw(st.integers(0, len(good) - 1))
    stop = data.draw(st.integers(start + 1, len(good)))
    refused(folder / "cut", good[:start])
    refused(folder / "cut", good[:start] + good[stop:])


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=200, deadline=None)
def test_random_bytes_are_refused(folder, data, magic):
    refused(folder / "random", (MAGIC + struct.pack("<II", 1, KIND) if magic else b"") + data)


WORDS = st.one_of(st.integers(-(2**70), 2**70), st.integers(0, 400), st.none(), st.floats(), st.text(max_size=3))


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_random_tables_give_nothing_but_a_refusal(folder, data):
    def change(table):
        line = table[data.draw(st.integers(0, 1))]
        line[data.draw(st.integers(0, 5))] = data.draw(st.one_of(WORDS, st.lists(WORDS, max_size=3)))
        return table

    path = folder / "table"
    path.write_bytes(build(RAW, entries=change))
    try:
        read_everything(path)
    except FileFormatError:
        return


def test_a_secret_file_is_the_owners_alone_from_its_creation_on(tmp_path):
    path = tmp_path / "secret"
    with ContainerWriter(path, KIND, HEADER, secret=True) as writer:
        (temporary,) = tmp_path.iterdir()
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
        writer.add("a", b"x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_other_files_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        assert stat.S_IMODE(write(tmp_path / "f").stat().st_mode) == 0o640
    finally:
        os.umask(before)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write(tmp_path / "f")
    old = path.read_bytes()
    with pytest.raises(ValueError, match="two blobs"):
        write_twice(path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_replaces_the_old_one_without_disturbing_its_readers(tmp_path):
    path = write(tmp_path / "f")
    array = Container(path, KIND).array("array")
    write(path, {"array": ARRAY + 1})
    np.testing.assert_array_equal(array, ARRAY)
    np.testing.assert_array_equal(Container(path, KIND).array("array"), ARRAY + 1)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("missing/f", "cannot be written, as there is no such folder; make it first"),
        (".", r"cannot be written \(.+\); check the folder and the free space"),
    ],
)
def test_a_file_that_cannot_be_written_is_a_sentence(tmp_path, path, sentence):
    with pytest.raises(InputError, match=sentence):
        write(tmp_path / path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"missing: cannot be read \(No such file or directory\); check the path"):
        Container(tmp_path / "missing", KIND)
    with pytest.raises(InputError, match="cannot be read"):
        Container(tmp_path, KIND)
    with pytest.raises(InputError, match="not a regular file"):
        Container("/dev/null", KIND)


def test_the_writer_refuses_what_no_reader_would_take(tmp_path):
    with pytest.raises(ValueError, match="two blobs are named 'a'"):
        write_twice(tmp_path / "f")
    with pytest.raises(FileFormatError, match="malformed"):
        write(tmp_path / "f", {"a": np.zeros(3, dtype=complex)})
    with pytest.raises(InputError, match="over the limit"):
        write(tmp_path / "f", header=Header("x" * container.MAX_HEADER, 1))
    assert list(tmp_path.iterdir()) == []


def write_twice(path):
    with ContainerWriter(path, KIND, HEADER) as writer:
        writer.add("a", b"")
        writer.add("a", b"")


def test_the_kind_of_a_file_is_known_from_its_first_bytes(tmp_path, good):
    path = tmp_path / "f"
    assert kind_of(path) is None
    for contents, kind in ((good, KIND), (good[:100], KIND), (good[:20], None), (b"solid", None), (b"", None)):
        path.write_bytes(contents)
        assert kind_of(path) is kind
    assert kind_of(tmp_path) is None

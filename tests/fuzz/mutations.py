"""Mutations of hecc's files: of the bytes as they are, and behind the checksums, which are then made right again.

Everything follows from one `random.Random`, so that a number names a mutation for ever.
`docs/reference/file-formats.md` is all that is used of the format; none of hecc is
imported, whose reader is what is under test.
"""

from __future__ import annotations

import copy
import hashlib
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import msgspec
import numpy as np
import zstandard

FIELDS = struct.Struct("<8sIIQQQQ")
START = FIELDS.size + 32
STREAM = struct.Struct("<HBBBBHQ")
"""The header of SEAL's streams: magic, header size, version (2), compression, reserved, size of all."""
ZSTD = 2

VERSIONS = {3: 2, 4: 2, 5: 2, 6: 2, 7: 2}
"""The format version of each kind of file, where it is not 1."""
WORDS = (0, 1, 2, 63, 64, 65, 80, 127, 128, 1 << 15, 1 << 16, 1 << 20, 1 << 24, 1 << 28, 1 << 31, 1 << 32, 1 << 40)
LARGE = (1 << 48, 1 << 53, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
NUMBERS = (*WORDS, *LARGE, -1, -2, -(1 << 31), -(1 << 63), 1 << 64, 1 << 200)
VALUES: tuple[Any, ...] = (
    *NUMBERS,
    0.0, -0.0, 0.5, 1e-300, 5e-324, 1e300, -1e300, 1.7976931348623157e308,
    None, True, "", "x", "y", "z", "\x1b[2J", "a\nb", "\u202e", "a" * 300, "é", "../x", "circuit",
    "1/1", "2/1", "1/3", "0/1", "1/0", "-1/2", "2/4", f"{1 << 90}/7", f"7/{1 << 900}",
    "9" * 4300 + "/1", "1/" + "9" * 5000,
    [], [0], [1, 2], [[1, 1]], {}, {"op": "input"}, {"op": "output", "x": 0},
)  # fmt: skip


@dataclass(frozen=True)
class Blob:
    """A line of the blob table, with its bytes."""

    name: str
    dtype: str
    shape: list[int]
    data: bytes


@dataclass(frozen=True)
class Parts:
    """A file taken apart: what stands in it, without offsets, lengths and checksums."""

    kind: int
    header: bytes
    blobs: tuple[Blob, ...]


def take_apart(data: bytes) -> Parts:
    """The parts of a good file."""
    _, _, kind, header_length, table, _, _ = FIELDS.unpack_from(data)
    entries = json.loads(data[table:])
    blobs = tuple(Blob(name, dtype, shape, data[at : at + size]) for name, dtype, shape, at, size, _ in entries)
    return Parts(kind, data[START : START + header_length], blobs)


def put_together(parts: Parts, forge: Callable[[list[list[Any]]], None] = lambda table: None) -> bytes:
    """A file of these parts whose checksums are all right; ``forge`` may change the blob table first."""
    data = bytearray(START) + parts.header
    table: list[list[Any]] = []
    for blob in parts.blobs:
        data += bytes(-len(data) % 64)
        sha256 = hashlib.sha256(blob.data).hexdigest()
        table.append([blob.name, blob.dtype, blob.shape, len(data), len(blob.data), sha256])
        data += blob.data
    data += bytes(-len(data) % 64)
    forge(table)
    return finish(data, parts.kind, len(parts.header), encode(table))


def finish(data: bytearray, kind: int, header: int, table: bytes) -> bytes:
    """The prologue in front, the table behind."""
    version = VERSIONS.get(kind, 1)
    fields = FIELDS.pack(b"\x89HECC\r\n\n", version, kind, header, len(data), len(table), len(data) + len(table))
    data[: FIELDS.size] = fields
    data[FIELDS.size : START] = hashlib.sha256(fields + bytes(data[START : START + header]) + table).digest()
    return bytes(data) + table


def encode(tree: Any) -> bytes:
    """JSON as hecc spells it; integers beyond 64 bits, which msgspec does not write, included."""
    try:
        return msgspec.json.encode(tree)
    except (OverflowError, TypeError):
        return json.dumps(tree, separators=(",", ":"), ensure_ascii=False).encode()


def mutate(good: bytes, other: bytes, random: Random) -> tuple[bytes, bool]:
    """One to three mutations of a file.

    Parameters
    ----------
    good
        The file.
    other
        Another good file, for splices: of the same format or not.
    random
        What decides.

    Returns
    -------
    bytes
        The mutated file, never equal to ``good``.
    bool
        Whether its checksums were made right again.
    """
    while True:
        sealed = random.random() < 0.7
        data = good
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            try:
                data = resealed(data, other, random) if sealed else bytes(flipped(bytearray(data), other, random))
            except UNFIT:
                break
        if data != good:
            return data, sealed


def resealed(data: bytes, other: bytes, random: Random) -> bytes:
    """One mutation behind the checksums."""
    choose, weights = zip(*MUTATIONS, strict=True)
    changed = random.choices(choose, weights)[0](take_apart(data), other, random)
    return put_together(changed) if isinstance(changed, Parts) else changed


UNFIT = (ValueError, KeyError, IndexError, TypeError, struct.error, zstandard.ZstdError)
"""What a second mutation meets where the first has left nothing that it could take apart."""


# --- bytes as they are ------------------------------------------------------------------------------------------------


def flipped(data: bytearray, other: bytes, random: Random) -> bytearray:
    """Bytes with a bit flipped, a word replaced, a stretch removed, repeated, exchanged or taken from elsewhere."""
    at = random.randrange(len(data)) if random.random() < 0.6 else random.randrange(min(len(data), START))
    size = 1 << random.randrange(12)
    match random.randrange(8):
        case 0 | 1:
            data[at] ^= 1 << random.randrange(8)
        case 2:
            data[at : at + 8] = struct.pack("<Q", random.choice((*WORDS, *LARGE)))
        case 3:
            del data[at : at + size]
        case 4:
            data[at:at] = data[at : at + size]
        case 5:
            del data[random.randrange(len(data)) :]
        case 6:
            start = random.randrange(len(other))
            data[at : at + size] = other[start : start + size]
        case _:
            data += random.randbytes(random.randrange(1, 100))
    return data or bytearray(1)


# --- behind the checksums ---------------------------------------------------------------------------------------------


def header_tree(parts: Parts, _: bytes, random: Random) -> Parts:
    """A header with another value somewhere."""
    return replace(parts, header=changed_json(parts.header, random))


def circuit_tree(parts: Parts, other: bytes, random: Random) -> Parts:
    """A circuit with another value somewhere, or with instructions removed, repeated or exchanged."""
    number = next((i for i, blob in enumerate(parts.blobs) if blob.name == "circuit"), None)
    if number is None:
        return blob_bytes(parts, other, random)
    blob = parts.blobs[number]
    return with_blob(parts, number, replace(blob, data=changed_json(blob.data, random)))


def header_bytes(parts: Parts, other: bytes, random: Random) -> Parts:
    """A header that may be no JSON any more, or one of another file."""
    if random.random() < 0.2:
        return replace(parts, header=take_apart(other).header)
    return replace(parts, header=bytes(flipped(bytearray(parts.header), other, random)))


def kind_number(parts: Parts, _: bytes, random: Random) -> Parts:
    """A file of another kind, by its prologue."""
    return replace(parts, kind=random.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 1 << 31)))


def blob_bytes(parts: Parts, other: bytes, random: Random) -> Parts:
    """A blob with other bytes, and perhaps another length."""
    if not parts.blobs:
        return header_tree(parts, other, random)
    number = random.randrange(len(parts.blobs))
    blob = parts.blobs[number]
    data = bytes(flipped(bytearray(blob.data or b"\0"), other, random))
    if blob.dtype != "bytes" and random.random() < 0.8:
        # Of the length that the shape has, so that it is an array after all.
        data = (data + bytes(len(blob.data)))[: len(blob.data)]
    return with_blob(parts, number, replace(blob, data=data))


def blob_numbers(parts: Parts, other: bytes, random: Random) -> Parts:
    """An array with another number in it: the next one, an extreme, one that stands elsewhere; or all the same."""
    arrays = [i for i, blob in enumerate(parts.blobs) if blob.dtype != "bytes" and blob.data]
    if not arrays:
        return blob_stream(parts, other, random)
    number = random.choice(arrays)
    blob = parts.blobs[number]
    values = np.frombuffer(blob.data, blob.dtype).copy()
    at = random.randrange(len(values))
    if values.dtype.kind == "f":
        pool = [0.0, -1.0, 1e30, -1e30, float("nan"), float("inf"), 1e-40, values[random.randrange(len(values))]]
    else:
        info = np.iinfo(values.dtype)
        pool = [0, info.min, info.max, int(values.max()), min(int(values[at]) + 1, info.max)]
        pool += [max(int(values[at]) - 1, info.min), int(values[random.randrange(len(values))])]
    chosen = random.choice(pool)
    with np.errstate(over="ignore"):
        values[at if random.random() < 0.8 else slice(None)] = chosen
    return with_blob(parts, number, replace(blob, data=values.tobytes()))


def blob_shape(parts: Parts, other: bytes, random: Random) -> Parts:
    """An array of another dtype, rank or length, with as many bytes as that takes."""
    arrays = [i for i, blob in enumerate(parts.blobs) if blob.dtype != "bytes"]
    if not arrays:
        return blob_stream(parts, other, random)
    number = random.choice(arrays)
    blob = parts.blobs[number]
    dtype = random.choice((blob.dtype, blob.dtype, "|u1", "<u2", "<i4", "<i8", "<u8", "<f4", "<f8"))
    shape = list(blob.shape)
    match random.randrange(4):
        case 0 if shape:
            shape[random.randrange(len(shape))] = random.choice((0, 1, 2, 3, 100))
        case 1:
            shape.insert(random.randrange(len(shape) + 1), random.choice((0, 1, 2)))
        case 2 if shape:
            shape.pop()
        case _:
            shape = [random.choice((0, 1, 1000)), *shape]
    size = int(np.prod([min(n, 1 << 12) for n in shape], dtype=np.int64)) * np.dtype(dtype).itemsize
    if size > 1 << 22:
        return parts
    data = (blob.data * (size // max(1, len(blob.data)) + 1))[:size] if blob.data else bytes(size)
    return with_blob(parts, number, Blob(blob.name, dtype, shape, data))


def blob_stream(parts: Parts, other: bytes, random: Random) -> Parts:
    """A SEAL stream with another field in its header, or changed behind its compression; or a bomb."""
    streams = [i for i, blob in enumerate(parts.blobs) if blob.dtype == "bytes" and blob.data[:2] == b"\x5e\xa1"]
    if not streams:
        return circuit_tree(parts, other, random)
    number = random.choice(streams)
    blob = parts.blobs[number]
    fields = list(STREAM.unpack_from(blob.data))
    body = blob.data[STREAM.size :]
    if random.random() < 0.2:
        fields[random.randrange(6)] = random.choice((0, 1, 2, 3, 4, 16, 255))
        fields[6] = random.choice((fields[6], *WORDS, *LARGE))
        data = STREAM.pack(*fields) + body
    else:
        plain = zstandard.ZstdDecompressor().decompressobj().decompress(body) if fields[4] == ZSTD else body
        inside = plain.find(blob.data[:2])
        mode = random.choice((fields[4], 0, ZSTD))
        match random.randrange(12):
            case 0:
                mode, body = ZSTD, packed(plain) + BOMB
            case 1 if inside >= 0:
                # A part of the stream is a stream again.
                body = plain[:inside] + STREAM.pack(*fields[:4], ZSTD, 0, STREAM.size + len(BOMB)) + BOMB
                mode, body = ZSTD, packed(body)
            case 2 | 3 | 4 | 5 | 6 | 7:
                # Where the fields are: SEAL's own, then the header and the count of an array.
                body = bytes(flipped(bytearray(plain[:120]), other, random)) + plain[120:]
                body = packed(body) if mode == ZSTD else body
            case _:
                body = bytes(flipped(bytearray(plain), other, random))
                body = packed(body) if mode == ZSTD else body
        data = STREAM.pack(*fields[:4], mode, fields[5], STREAM.size + len(body)) + body
    return with_blob(parts, number, replace(blob, data=data))


def packed(data: bytes) -> bytes:
    """As SEAL compresses."""
    return zstandard.ZstdCompressor(level=1).compress(data)


def bomb(megabytes: int) -> bytes:
    """A few kilobytes that unpack to zeros."""
    maker = zstandard.ZstdCompressor(level=1).compressobj()
    return b"".join(maker.compress(bytes(1 << 20)) for _ in range(megabytes)) + maker.flush()


BOMB = bomb(512)


def blob_table(parts: Parts, other: bytes, random: Random) -> Parts:
    """Blobs removed, repeated, renamed, exchanged, or of another file."""
    blobs = list(parts.blobs)
    strange = list(take_apart(other).blobs)
    match random.randrange(6):
        case 0 if blobs:
            del blobs[random.randrange(len(blobs))]
        case 1 if blobs:
            blobs.insert(random.randrange(len(blobs) + 1), random.choice(blobs))
        case 2 if blobs:
            at = random.randrange(len(blobs))
            name = random.choice((blobs[at].name + "0", "", "\x1b[2J", "0/0/0", "secret", random.choice(blobs).name))
            blobs[at] = replace(blobs[at], name=name)
        case 3 if len(blobs) > 1:
            first, second = random.sample(range(len(blobs)), 2)
            blobs[first], blobs[second] = blobs[second], blobs[first]
        case 4 if len(blobs) > 1:
            first, second = random.sample(range(len(blobs)), 2)
            blobs[first] = replace(blobs[second], name=blobs[first].name)
        case _ if strange:
            blob = random.choice(strange)
            at = random.randrange(len(blobs) + 1)
            blobs[at : at + 1] = [replace(blob, name=blobs[at].name) if at < len(blobs) else blob]
    return replace(parts, blobs=tuple(blobs))


def forged_table(parts: Parts, _: bytes, random: Random) -> bytes:
    """A blob table that says something else than what is there."""

    def forge(table: list[list[Any]]) -> None:
        if not table:
            table.append(["x", "bytes", [], 80, 0, "0" * 64])
        line = random.choice(table)
        field = random.randrange(6)
        match field:
            case 2:
                line[2] = random.choice(([], [random.choice(NUMBERS)], [*line[2], 1], [1 << 32, 1 << 32], [0] * 9))
            case 3 | 4:
                line[field] = random.choice((line[field] + random.choice((-64, -1, 1, 64)), *NUMBERS))
            case _:
                line[field] = copy.deepcopy(random.choice(VALUES))

    return put_together(parts, forge)


MUTATIONS: tuple[tuple[Callable[[Parts, bytes, Random], Parts | bytes], int], ...] = (
    (header_tree, 6),
    (circuit_tree, 6),
    (blob_numbers, 6),
    (blob_stream, 5),
    (blob_bytes, 3),
    (blob_table, 3),
    (blob_shape, 2),
    (forged_table, 2),
    (header_bytes, 1),
    (kind_number, 1),
)


def with_blob(parts: Parts, number: int, blob: Blob) -> Parts:
    """The parts with one blob in the place of another."""
    return replace(parts, blobs=(*parts.blobs[:number], blob, *parts.blobs[number + 1 :]))


# --- JSON -------------------------------------------------------------------------------------------------------------


def changed_json(data: bytes, random: Random) -> bytes:
    """JSON with one value changed, removed, repeated, or exchanged with another."""
    tree = json.loads(data)
    places = list(inner(tree))
    holder, key = random.choice(places)
    value = holder[key]
    match random.randrange(10):
        case 0 | 1 | 2:
            holder[key] = copy.deepcopy(random.choice(VALUES))
        case 3 | 4 if isinstance(value, int):
            holder[key] = random.choice((value + 1, value - 1, 2 * value, value // 2, -value))
        case 3 | 4 if isinstance(value, float):
            holder[key] = random.choice((-value, 2 * value, value / 2, value * 1e9))
        case 3 | 4 if isinstance(value, str) and "/" in value:
            upper, lower = value.split("/")
            holder[key] = random.choice((f"{lower}/{upper}", f"{int(upper) + 1}/{lower}", f"{upper}0/{lower}0"))
        case 5 | 6:
            # Another value of the same type, from anywhere.
            alike = [h[k] for h, k in places if type(h[k]) is type(value)]
            holder[key] = copy.deepcopy(random.choice(alike))
        case 7:
            del holder[key]
        case 8 if isinstance(holder, list):
            holder.insert(random.randrange(len(holder) + 1), value)
        case 8:
            holder[random.choice(("more", "", "x"))] = value
        case 9 if isinstance(holder, list):
            random.shuffle(holder)
        case _ if isinstance(value, list) and value:
            holder[key] = value * random.choice((2, 3, 40))
        case _:
            holder[key] = copy.deepcopy(random.choice(VALUES))
    return encode(tree)


def inner(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every value of a tree: what holds it, and its name or number there."""
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from inner(tree[key])

"""Files in memory: the bytes of the file, made and read without one."""

import msgspec
import numpy as np
import pytest

from hecc.runtime.errors import FileFormatError
from hecc.runtime.files.container import Container, ContainerWriter, Kind
from hecc.runtime.files.memory import MemoryFile


class Header(msgspec.Struct, frozen=True):
    """Anything."""

    number: int = 7


def write(target, error=None):
    with ContainerWriter(target, Kind.RESULT, Header()) as writer:
        writer.add("some", b"bytes")
        writer.add("more", np.arange(5.0))
        if error is not None:
            raise error


def test_the_bytes_are_those_of_the_file(tmp_path):
    memory = MemoryFile()
    write(memory)
    write(tmp_path / "file.bin")
    assert memory.content == (tmp_path / "file.bin").read_bytes()
    assert not list(tmp_path.glob("*tmp*"))


def test_what_is_interrupted_has_no_bytes():
    memory = MemoryFile()
    with pytest.raises(KeyboardInterrupt):
        write(memory, KeyboardInterrupt())
    assert not hasattr(memory, "content")


def test_nothing_of_bytes_is_copied_and_what_may_change_is():
    memory = MemoryFile()
    write(memory)
    content = memory.content
    container = Container(content, Kind.RESULT)
    assert container.source is content
    assert container.path is None
    array = container.array("more")
    assert not array.flags.writeable
    assert np.shares_memory(array, np.frombuffer(content, np.uint8))
    assert container.read("some") == b"bytes"
    changing = bytearray(content)
    kept = Container(changing, Kind.RESULT)
    changing[:] = bytes(len(changing))
    np.testing.assert_array_equal(kept.array("more"), np.arange(5.0))


def test_bytes_of_the_wrong_kind_say_what_was_expected():
    memory = MemoryFile()
    write(memory)
    with pytest.raises(
        FileFormatError, match=r"^the bytes of a ciphertext file: this is a result file; expected a ciph"
    ):
        Container(memory.content, Kind.CIPHERTEXT)

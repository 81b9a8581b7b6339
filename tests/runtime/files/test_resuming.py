"""A file of many parts goes on where its writing stopped, and ends as one that was made in one go."""

import contextlib
import os
import subprocess
import sys

import msgspec
import pytest

from hecc.runtime.errors import FileFormatError, InputError
from hecc.runtime.files.container import Container, ContainerWriter, Kind
from hecc.runtime.files.resuming import ResumableWriter, partial_size

KIND, PARTS = Kind.RESULT, 5
SOURCE, OTHER = "a" * 64, "b" * 64


class Header(msgspec.Struct):
    rows: int


HEADER = Header(PARTS)


def blobs(part: int) -> list[tuple[str, bytes]]:
    return [(f"{part}/{k}", bytes([part, k]) * (40 * part + 7 * k)) for k in range(3)]


def resumable(path, *, source=SOURCE, header=HEADER, resume=True) -> ResumableWriter:
    return ResumableWriter(path, KIND, header, source=source, parts=PARTS, unit="rows", resume=resume)


def write(path, stop=PARTS, error=None, **options) -> int:
    """Write parts up to one; which was the first."""
    with resumable(path, **options) as writer:
        first = writer.done
        for part in range(first, stop):
            for name, blob in blobs(part):
                writer.add(name, blob)
            writer.end_part()
        if error is not None:
            for name, blob in blobs(stop)[:2]:
                writer.add(name, blob)
            raise error
    return first


def interrupted(path, stop, error=KeyboardInterrupt) -> None:
    with contextlib.suppress(error):
        write(path, stop, error())


@pytest.fixture
def whole(tmp_path) -> bytes:
    with ContainerWriter(tmp_path / "whole", KIND, HEADER) as writer:
        for part in range(PARTS):
            for name, blob in blobs(part):
                writer.add(name, blob)
    return (tmp_path / "whole").read_bytes()


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"whole"}


def test_in_one_go_it_is_an_ordinary_file(tmp_path, whole):
    assert write(tmp_path / "f") == 0
    assert (tmp_path / "f").read_bytes() == whole
    assert names(tmp_path) == {"f"}


@pytest.mark.parametrize("stop", [1, 3, PARTS - 1])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_it_goes_on_after_the_last_whole_part(tmp_path, whole, stop, error, caplog):
    interrupted(tmp_path / "f", stop, error)
    assert names(tmp_path) == {"f.partial", "f.partial.index"}
    assert f"holds {stop} of 5 rows; the same command goes on from there" in caplog.text
    assert partial_size(tmp_path / "f") > 0
    with pytest.raises(FileFormatError, match="not a hecc file"):
        Container(tmp_path / "f.partial", KIND)
    assert write(tmp_path / "f") == stop
    assert f"going on after {stop} of 5 rows" in caplog.text
    assert (tmp_path / "f").read_bytes() == whole
    assert names(tmp_path) == {"f"}


def test_it_may_be_interrupted_any_number_of_times(tmp_path, whole):
    for stop in range(1, PARTS):
        interrupted(tmp_path / "f", stop)
    assert write(tmp_path / "f") == PARTS - 1
    assert (tmp_path / "f").read_bytes() == whole


def test_without_a_whole_part_nothing_stays(tmp_path):
    interrupted(tmp_path / "f", 0)
    assert names(tmp_path) == set()


def test_the_older_file_stays_until_the_new_one_is_complete(tmp_path, whole):
    with ContainerWriter(tmp_path / "f", KIND, HEADER):
        pass
    older = (tmp_path / "f").read_bytes()
    interrupted(tmp_path / "f", 2)
    assert (tmp_path / "f").read_bytes() == older
    write(tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == whole


@pytest.mark.parametrize("options", [{"source": OTHER}, {"header": Header(PARTS + 1)}])
def test_what_belongs_to_something_else_is_refused_and_stays(tmp_path, whole, options):
    interrupted(tmp_path / "f", 2)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    with pytest.raises(InputError, match=r"of another plan, key set or input; .* begin anew with --no-resume"):
        write(tmp_path / "f", **options)
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before
    assert write(tmp_path / "f") == 2
    interrupted(tmp_path / "f", 2)
    assert write(tmp_path / "f", resume=False, **options) == 0


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_the_fingerprint_of_private_inputs_is_its_owners(tmp_path):
    interrupted(tmp_path / "f", 1)
    assert (tmp_path / "f.partial.index").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["f", "f.partial", "f.partial.index"])
@pytest.mark.parametrize("resume", [True, False])
def test_a_file_that_no_command_left_is_not_touched(tmp_path, name, resume):
    (tmp_path / name).write_bytes(b"a thesis")
    with pytest.raises(InputError, match=f"{name}: there is a file of this name, and it stays"):
        write(tmp_path / "f", resume=resume)
    assert names(tmp_path) == {name}
    assert (tmp_path / name).read_bytes() == b"a thesis"


def damaged(path, where: float) -> None:
    """Change a byte at this share of a file."""
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("where", [0.0, 0.2, 0.4, 0.6])
@pytest.mark.parametrize("name", ["f.partial", "f.partial.index"])
def test_damage_costs_the_parts_behind_it_and_never_shows_in_the_file(tmp_path, whole, name, where):
    interrupted(tmp_path / "f", 4)
    damaged(tmp_path / name, where)
    first = write(tmp_path / "f")
    assert first < 4 or (name, where) == ("f.partial", 0.0)
    assert (tmp_path / "f").read_bytes() == whole


@pytest.mark.parametrize("name", ["f.partial", "f.partial.index"])
def test_a_torn_end_costs_the_last_part_only(tmp_path, whole, name):
    interrupted(tmp_path / "f", 4)
    size = (tmp_path / name).stat().st_size
    # The partial file holds two blobs of the next part.
    os.truncate(tmp_path / name, size - 1 if name.endswith("index") else size - 1000)
    assert write(tmp_path / "f") == 3
    assert (tmp_path / "f").read_bytes() == whole


@pytest.mark.parametrize("name", ["f.partial", "f.partial.index"])
def test_a_file_whose_other_half_is_lost_begins_anew(tmp_path, whole, name):
    interrupted(tmp_path / "f", 3)
    (tmp_path / name).unlink()
    assert write(tmp_path / "f") == 0
    assert (tmp_path / "f").read_bytes() == whole


@pytest.mark.skipif(os.name != "posix", reason="locks are POSIX")
def test_two_processes_do_not_write_one_file(tmp_path):
    with resumable(tmp_path / "f") as writer:
        for name, blob in blobs(0):
            writer.add(name, blob)
        writer.end_part()
        program = (
            "import sys\nsys.path.insert(0, sys.argv[1])\n"
            "from pathlib import Path\nfrom hecc.runtime.files.resuming import _Partial\n_Partial.open(Path('f'), 7)\n"
        )
        other = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert "f.partial: another command is writing it" in other.stderr
        for part in range(1, PARTS):
            for name, blob in blobs(part):
                writer.add(name, blob)
            writer.end_part()
    assert names(tmp_path) == {"f"}

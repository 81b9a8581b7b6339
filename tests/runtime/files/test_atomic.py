"""Files appear whole or not at all, whatever happens to the process that writes them."""

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from hecc.runtime.errors import InputError
from hecc.runtime.files.atomic import NewFile, check_target, replacing, temporary_folder, write_file

posix = pytest.mark.skipif(os.name != "posix", reason="locks and modes are POSIX")
LEFT = ".f.0123456789abcdef.tmp"
ANY = {"own": lambda path: True, "kind": "a file"}


def entries(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_appears_when_it_is_complete(tmp_path):
    (tmp_path / "f").write_bytes(b"older")
    with replacing(tmp_path / "f") as file:
        file.write(b"newer")
        file.flush()
        assert (tmp_path / "f").read_bytes() == b"older"
    assert (tmp_path / "f").read_bytes() == b"newer"
    assert entries(tmp_path) == {"f"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_exception_leaves_what_was_there(tmp_path, error):
    (tmp_path / "f").write_bytes(b"older")

    def interrupted() -> None:
        with replacing(tmp_path / "f") as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert (tmp_path / "f").read_bytes() == b"older"
    assert entries(tmp_path) == {"f"}


@posix
@pytest.mark.parametrize(("secret", "mode"), [(True, 0o600), (False, 0o640)])
def test_a_secret_is_its_owners_from_the_beginning(tmp_path, secret, mode):
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "f", secret=secret) as file:
            assert os.fstat(file.fileno()).st_mode & 0o777 == mode
        assert (tmp_path / "f").stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)


@posix
def test_the_next_file_of_the_name_sweeps_what_a_killed_process_left(tmp_path):
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from hecc.runtime.files.atomic import NewFile, temporary_folder\n"
        "with temporary_folder(Path('g')) as folder:\n"
        "    (folder / 'inside').write_bytes(b'half')\n"
        "    NewFile(Path('f')).open().write(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False).returncode == -9
    assert len(entries(tmp_path)) == 2
    write_file(tmp_path / "f", b"whole", **ANY)
    with temporary_folder(tmp_path / "g"):
        pass
    assert entries(tmp_path) == {"f"}


@posix
def test_only_files_of_the_name_that_nobody_writes_are_swept(tmp_path):
    others = {LEFT.replace("f", "other", 1), ".f.tmp", ".f.0123456789ABCDEF.tmp"}
    for name in (*others, LEFT):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".f.0000000000000000.tmp").symlink_to(tmp_path / "f")
    being_written = NewFile(tmp_path / "f")
    being_written.open()
    write_file(tmp_path / "f", b"another", **ANY)
    being_written.file.write(b"mine")
    being_written.commit()
    assert (tmp_path / "f").read_bytes() == b"mine"
    assert entries(tmp_path) == {"f", ".f.0000000000000000.tmp", *others}


def test_a_file_of_another_kind_is_replaced_by_force_only(tmp_path):
    own = {"own": lambda path: path.read_bytes().startswith(b"ours"), "kind": "one of ours"}
    write_file(tmp_path / "f", b"ours, the first", **own)
    write_file(tmp_path / "f", b"ours, the second", **own)
    (tmp_path / "f").write_bytes(b"theirs")
    (tmp_path / "link").symlink_to("f")
    (tmp_path / "gone").symlink_to("nowhere")
    for name in ("f", "link"):
        with pytest.raises(
            InputError, match="there is a file of this name, and it stays, as it is not one of ours; give"
        ):
            write_file(tmp_path / name, b"ours", **own)
    assert (tmp_path / "f").read_bytes() == b"theirs"
    write_file(tmp_path / "gone", b"ours", **own)
    write_file(tmp_path / "f", b"ours, by force", **own, force=True)
    assert (tmp_path / "f").read_bytes() == b"ours, by force"
    (tmp_path / "empty").write_bytes(b"")
    write_file(tmp_path / "empty", b"ours", **own)


def test_a_folder_is_gone_with_its_block(tmp_path):
    def interrupted() -> None:
        with temporary_folder(tmp_path / "keys") as folder:
            (folder / "secret").write_bytes(b"s")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert entries(tmp_path) == set()


def test_what_cannot_be_written_is_refused_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    for name, sentence in (
        ("nowhere/f", "cannot be written, as there is no such folder; make it first"),
        ("folder", r"cannot be written \(it is a folder\)"),
    ):
        for write in (check_target, lambda path: write_file(path, b"", **ANY)):
            with pytest.raises(InputError, match=sentence):
                write(tmp_path / name)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("usage", "total used free")(9, 8, 1_500_000))
    check_target(tmp_path / "f", 1_500_000)
    with pytest.raises(InputError, match=r"f: may take 1\.5 MB of disk, and 1\.5 MB are free there; free some, or"):
        check_target(tmp_path / "f", 1_500_001)
    with pytest.raises(InputError, match=r"may take 2\.0 GB of disk"):
        check_target(tmp_path / "f", 2_000_000_000)


@posix
def test_a_device_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="it is not a regular file"):
        write_file(tmp_path / "pipe", b"", **ANY)
    assert entries(tmp_path) == {"pipe"}


def test_a_folder_that_was_swept_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    # Another process takes it for one that a killed process left.
    opened, swept = os.open, []

    def open_late(path, *arguments, **options):
        if not swept:
            swept.append(path)
            shutil.rmtree(path)
        return opened(path, *arguments, **options)

    monkeypatch.setattr("os.open", open_late)
    with temporary_folder(tmp_path / "keys") as folder:
        assert folder.is_dir()
        assert folder not in swept
    assert len(swept) == 1
    assert not list(tmp_path.iterdir())

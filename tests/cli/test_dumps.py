"""Nothing secret is left on a disk by accident: no core dumps, and decrypted values for the owner's eyes only."""

import os
import stat
import subprocess
import sys

import numpy as np
import pytest

from hecc.runtime.dumps import exclude_from_dumps

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at Linux's own files")

COMMAND = """
import ctypes, os, resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
from hecc.cli import main
sys.argv = ["hecc", "--version"]
try:
    main()
except SystemExit:
    pass
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True)
os.abort()
"""

WORKER = """
import ctypes, io, os, resource, sys
import hecc.runtime.ckks.client.workers as workers
workers._read = lambda *_: (print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
                                  file=sys.stderr, flush=True), os.abort())
workers.main()
"""


@linux
@pytest.mark.parametrize("program", [COMMAND, WORKER])
def test_a_process_that_fails_leaves_no_core_dump(tmp_path, program):
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process.stdout:
        output = process.stdout.read().decode()
    _, status = os.waitpid(process.pid, 0)
    process.returncode = 0
    assert "(0, 0) 0" in output
    assert os.WTERMSIG(status) == 6
    assert not os.WCOREDUMP(status)
    assert list(tmp_path.iterdir()) == []


@linux
def test_a_program_that_imports_hecc_keeps_its_own_limits(made):
    program = (
        "import ctypes, resource\nbefore = resource.getrlimit(resource.RLIMIT_CORE)\nimport hecc\n"
        "hecc.Client('plan.client.bin', 'keys')\n"
        "print(before == resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    found = subprocess.run([sys.executable, "-c", program], cwd=made, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True", "1"]


@linux
def test_the_secret_key_of_a_client_is_left_out_of_dumps(made):
    program = """
import re, hecc
session = hecc.Client("plan.client.bin", "keys")._holder
address, inside = session._secret.ctypes.data, False
for line in open("/proc/self/smaps"):
    found = re.match("([0-9a-f]+)-([0-9a-f]+) ", line)
    if found:
        inside = int(found[1], 16) <= address < int(found[2], 16)
    elif inside and line.startswith("VmFlags"):
        print("dd" in line.split())
"""
    found = subprocess.run([sys.executable, "-c", program], cwd=made, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True"]


def test_arrays_of_all_sizes_can_be_left_out():
    for size in (0, 1, 5000, 1 << 20):
        array = np.arange(size)
        exclude_from_dumps(array)
        np.testing.assert_array_equal(array, np.arange(size))


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
@pytest.mark.parametrize("mask", [0, 0o022, 0o777])
@pytest.mark.parametrize("name", ["values.npy", "values.npz", "values.csv"])
def test_decrypted_values_are_their_owners_whatever_the_umask(cli, here, monkeypatch, name, mask):
    made_with = []
    opened = os.open

    def watched(path, flags, mode=0o777, **options):
        if f".{name}." in str(path):
            made_with.append(mode)
        return opened(path, flags, mode, **options)

    monkeypatch.setattr(os, "open", watched)
    before = os.umask(mask)
    try:
        # Also where others could read the file that is replaced.
        (here / name).touch()
        (here / name).chmod(0o644)
        cli.succeed("decrypt", "plan.client.bin", "result.bin", "--output", name)
        assert stat.S_IMODE((here / name).stat().st_mode) == 0o600 & ~mask
        cli.succeed("simulate", "plan.bin", "images.npy", "--output", name)
        assert stat.S_IMODE((here / name).stat().st_mode) == 0o600 & ~mask
    finally:
        os.umask(before)
    # From the beginning, and not by a change of its mode.
    assert made_with == [0o600, 0o600]

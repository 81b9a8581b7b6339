"""How much memory there is: of the machine, and of the containers around the process, in both versions of Linux's."""

from pathlib import Path

import pytest

import hecc
from hecc.measure.machine import available_memory, require_memory

GB = 1 << 30


@pytest.fixture
def machine(tmp_path):
    """A made-up machine with 8 GB, whose files a test adds."""

    def write(files: dict[str, str]) -> Path:
        for name, text in {"proc/meminfo": f"MemTotal: 1 kB\nMemAvailable: {8 * GB >> 10} kB\n", **files}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return write


def mount(kind: str, top: str, place: str, options: str = "rw") -> str:
    return f"31 23 0:28 {top} {place} rw,relatime shared:9 - {kind} {kind} {options}\n"


def version_2(folder: str, limit: object, used: int = 0, cache: int = 0) -> dict[str, str]:
    return {
        f"{folder}/memory.max": f"{limit}\n",
        f"{folder}/memory.current": f"{used}\n",
        f"{folder}/memory.stat": f"anon 1\ninactive_file {cache}\n",
    }


def version_1(folder: str, limit: int, used: int = 0, cache: int = 0) -> dict[str, str]:
    return {
        f"{folder}/memory.limit_in_bytes": f"{limit}\n",
        f"{folder}/memory.usage_in_bytes": f"{used}\n",
        f"{folder}/memory.stat": f"inactive_file 1\ntotal_inactive_file {cache}\n",
    }


def test_a_machine_without_containers_has_what_it_says(machine):
    assert available_memory(machine({})) == 8 * GB


def test_a_system_that_says_nothing_is_unknown_and_refuses_nothing(tmp_path, monkeypatch):
    assert available_memory(tmp_path) is None
    monkeypatch.setattr("hecc.measure.machine.available_memory", lambda: None)
    require_memory(1 << 60, "a test", "or not")


def test_a_container_sees_its_own_group_as_the_top(machine):
    files = {"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mount("cgroup2", "/", "/sys/fs/cgroup")}
    root = machine({**files, **version_2("sys/fs/cgroup", 2 * GB, GB, GB // 4)})
    assert available_memory(root) == 2 * GB - GB + GB // 4


def test_the_tightest_of_nested_groups_counts(machine):
    files = {"proc/self/cgroup": "0::/slice/job/step\n", "proc/self/mountinfo": mount("cgroup2", "/", "/sys/fs/cgroup")}
    groups = {
        **version_2("sys/fs/cgroup/slice", 6 * GB),
        **version_2("sys/fs/cgroup/slice/job", 3 * GB, GB),
        **version_2("sys/fs/cgroup/slice/job/step", "max", GB),
    }
    assert available_memory(machine({**files, **groups})) == 2 * GB


@pytest.mark.parametrize(
    ("top", "folder"),
    [
        ("/", "sys/fs/cgroup/memory/docker/abc"),  # the host
        ("/docker/abc", "sys/fs/cgroup/memory"),  # in a container that sees its own group as the top
        ("/elsewhere", "sys/fs/cgroup/memory"),
    ],
)
def test_the_first_version_of_control_groups_counts_too(machine, top, folder):
    files = {
        "proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/docker/abc\n0::/\n",
        "proc/self/mountinfo": mount("cgroup", top, "/sys/fs/cgroup/memory", "rw,memory"),
    }
    root = machine({**files, **version_1(folder, 4 * GB, 3 * GB, GB // 2)})
    assert available_memory(root) == GB + GB // 2


def test_a_group_without_a_limit_and_one_that_cannot_be_read_limit_nothing(machine):
    files = {
        "proc/self/cgroup": "4:memory:/job\n0::/job\n",
        "proc/self/mountinfo": mount("cgroup", "/", "/sys/fs/cgroup/memory", "rw,memory")
        + mount("cgroup2", "/", "/sys/fs/cgroup/unified"),
    }
    assert available_memory(machine({**files, **version_1("sys/fs/cgroup/memory/job", (1 << 63) - 4096)})) == 8 * GB


def test_a_full_container_has_nothing(machine):
    files = {"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mount("cgroup2", "/", "/sys/fs/cgroup")}
    root = machine({**files, **version_2("sys/fs/cgroup", GB, 2 * GB)})
    assert available_memory(root) == 0


def test_keygen_refuses_what_the_memory_cannot_hold_before_it_makes_anything(plan, tmp_path, monkeypatch):
    monkeypatch.setattr("hecc.measure.machine.available_memory", lambda: 10**6)
    with pytest.raises(
        hecc.InputError, match=r"making keys for this plan needs about [\d.]+ MB of memory, and 1 MB are"
    ):
        hecc.Client(plan).keygen(tmp_path / "keys")
    assert not (tmp_path / "keys").exists()

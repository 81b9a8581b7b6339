"""How much memory a run may use on this machine."""

from __future__ import annotations

from pathlib import Path

__all__ = ["available_memory"]


def available_memory() -> int | None:
    """Bytes that can be had without swapping, within the limits of a container; ``None`` where that is unknown."""
    bounds = [bound for bound in (_system(), _control_group()) if bound is not None]
    return min(bounds, default=None)


def _system() -> int | None:
    """What Linux says is available; other systems give no such number without another package."""
    for line in _text("/proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) << 10
    return None


def _control_group() -> int | None:
    """What is left of a container's limit: its own page cache is given back when needed, and does not count."""
    limit, used = _text("/sys/fs/cgroup/memory.max").strip(), _text("/sys/fs/cgroup/memory.current").strip()
    if not (limit.isdigit() and used.isdigit()):
        return None
    cache = dict(line.split() for line in _text("/sys/fs/cgroup/memory.stat").splitlines())
    return int(limit) - int(used) + int(cache.get("inactive_file", 0))


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError:
        return ""

"""How much memory a command may use on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hecc.runtime.errors import InputError
from hecc.runtime.figures import size_words

__all__ = ["available_memory", "require_memory"]

ROOT = Path("/")


def require_memory(needed: int, what: str, remedy: str) -> None:
    """Refuse what this machine, or the container that this process is in, cannot hold.

    Parameters
    ----------
    needed
        Bytes, as predicted.
    what
        What needs them, to begin the message with.
    remedy
        What to do besides freeing memory and using another machine.

    Raises
    ------
    InputError
        There is less, by what is known.
    """
    available = available_memory()
    if available is not None and needed > available:
        raise InputError(
            f"{what} needs about {size_words(needed)} of memory, and {size_words(available)} are available; free some, "
            f"use a larger machine, {remedy}"
        )


def available_memory(root: Path = ROOT) -> int | None:
    """Bytes that can be had without swapping, within the limits of a container; ``None`` where that is unknown.

    Parameters
    ----------
    root
        Where the system's files are.
    """
    bounds = [*_system(root), *_version_2(root), *_version_1(root)]
    return max(0, min(bounds)) if bounds else None


def _system(root: Path) -> Iterator[int]:
    """What Linux says is available; other systems give no such number without another package."""
    for line in _lines(root / "proc/meminfo"):
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            yield int(value.split()[0]) << 10


def _version_2(root: Path) -> Iterator[int]:
    """What is left of the limit of every control group around this process."""
    for folder in _groups(root, controller="", file_system="cgroup2"):
        yield from _left(folder, "memory.max", "memory.current", "inactive_file")


def _version_1(root: Path) -> Iterator[int]:
    """The same for systems, and containers on them, that still have the first version of control groups."""
    for folder in _groups(root, controller="memory", file_system="cgroup"):
        yield from _left(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _groups(root: Path, *, controller: str, file_system: str) -> Iterator[Path]:
    """The folders of this process's control group and of those around it, as far as they can be seen from here.

    A container may see its own group as the top of the hierarchy, while its name is still that from outside.
    """
    own = [
        path
        for line in _lines(root / "proc/self/cgroup")
        for _, controllers, path in [line.split(":", 2)]
        if controller in controllers.split(",")
    ]
    for line in _lines(root / "proc/self/mountinfo"):
        # See proc(5): optional fields end with a hyphen.
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(maxsplit=2)
        if kind != file_system or (controller and controller not in options.split(",")):
            continue
        top, place = fields.split()[3:5]
        mount = root / place.lstrip("/")
        for path in own:
            inside = Path(path).relative_to(top) if Path(path).is_relative_to(top) else Path()
            group = mount / inside
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(mount))


def _left(folder: Path, limit: str, usage: str, cache: str) -> Iterator[int]:
    """A group's limit less its use. Its own page cache is given back when needed, and does not count."""
    most, used = _lines(folder / limit), _lines(folder / usage)
    if not (most and used and most[0].isdigit() and used[0].isdigit()):
        return
    counters = dict(line.split() for line in _lines(folder / "memory.stat"))
    yield int(most[0]) - int(used[0]) + int(counters.get(cache, 0))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []

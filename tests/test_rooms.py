"""A room that holds more modules than one looks through is cut into rooms, and tests are where their sources are."""

from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MOST = 12
"""Modules loose in a folder: what one looks through at a glance."""

SOURCES = ("src/hecc", "passes", "compiler", "runtime", "tests")
UNCOUNTED = {"__init__.py", "conftest.py"}
"""What a folder has because it is a folder."""

MIRRORED = {
    "tests/cli": "src/hecc/cli",
    "tests/compiler": "compiler",
    "tests/face": "src/hecc",
    "tests/passes": "passes",
    "tests/runtime": "runtime",
}
"""Folders of tests, and of the sources whose rooms they repeat."""

OWN = {"tests/compiler/importer/exporters", "tests/face/disclosure"}
"""Folders of tests that are of no one room: what they test is a property of several."""


def find_loose(root: Path, folders: Iterable[str], most: int = MOST) -> list[str]:
    """Folders at and below those named that hold too many modules, each with how many it holds."""
    counts: dict[Path, int] = {}
    for folder in folders:
        for module in (root / folder).rglob("*.py"):
            counts[module.parent] = counts.get(module.parent, 0) + (module.name not in UNCOUNTED)
    return [
        f"{folder.relative_to(root).as_posix()} holds {count} modules: at most {most} are loose in a folder"
        for folder, count in sorted(counts.items())
        if count > most
    ]


def find_homeless(root: Path, mirrored: dict[str, str], own: Iterable[str] = ()) -> list[str]:
    """Folders of tests that have the name of no folder of sources."""
    modules = [(tests, module.parent) for tests in mirrored for module in (root / tests).rglob("*.py")]
    return [
        f"{folder.relative_to(root).as_posix()} tests no folder of {mirrored[tests]}"
        for tests, folder in sorted(set(modules))
        if not (root / mirrored[tests] / folder.relative_to(root / tests)).is_dir()
        and folder.relative_to(root).as_posix() not in set(own)
    ]


def test_no_folder_holds_more_modules_than_one_looks_through() -> None:
    assert all((ROOT / folder).is_dir() for folder in SOURCES)
    loose = find_loose(ROOT, SOURCES)
    assert not loose, "\n".join(loose)


def test_tests_are_in_the_rooms_of_their_sources() -> None:
    assert all((ROOT / folder).is_dir() for folder in [*MIRRORED, *MIRRORED.values(), *OWN])
    homeless = find_homeless(ROOT, MIRRORED, OWN)
    assert not homeless, "\n".join(homeless)


def written(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


@pytest.mark.parametrize("folder", ["passes", "passes/ckks"])
def test_a_module_too_many_is_found(tmp_path: Path, folder: str) -> None:
    written(tmp_path, *(f"{folder}/{number}.py" for number in range(MOST)))
    # Stubs of extensions and what is in rooms do not count, nor do folders that were not asked for.
    written(tmp_path, *(f"{folder}/{name}" for name in ("__init__.py", "conftest.py", "_native.pyi", "room/a.py")))
    written(tmp_path, *(f"elsewhere/{number}.py" for number in range(MOST + 1)))
    assert find_loose(tmp_path, ["passes"]) == []
    written(tmp_path, f"{folder}/another.py")
    assert find_loose(tmp_path, ["passes"]) == [f"{folder} holds 13 modules: at most 12 are loose in a folder"]


def test_tests_without_a_room_are_found(tmp_path: Path) -> None:
    written(tmp_path, "compiler/graph/affine.py", "tests/compiler/test_a.py", "tests/compiler/graph/test_affine.py")
    mirrored = {"tests/compiler": "compiler"}
    assert find_homeless(tmp_path, mirrored) == []
    written(tmp_path, "tests/compiler/graf/test_affine.py")
    assert find_homeless(tmp_path, mirrored) == ["tests/compiler/graf tests no folder of compiler"]
    assert find_homeless(tmp_path, mirrored, ["tests/compiler/graf"]) == []

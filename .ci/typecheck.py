#!/usr/bin/env python3
"""Run mypy --strict on hecc as it is installed, and make sure that it saw every source file.

The folders compiler/, passes/ and runtime/ become subpackages of hecc only on installation, which mypy cannot know. So
this lays out a package of links in a temporary folder as the wheel does, points mypy at it, and compares the number of
files that mypy says it checked with the number of files there are: a misconfiguration cannot pass in silence.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Check the types; 0 if mypy is content and saw every file."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages: dict[str, str] = settings["tool"]["scikit-build"]["wheel"]["packages"]
    sources = sorted(file for folder in packages.values() for file in python_sources(ROOT / folder))
    for folder in sorted({file.parent for file in sources}):
        if not (folder / "__init__.py").exists():  # mypy would count such a folder as one more file
            print(f"typecheck: {folder.relative_to(ROOT)} holds modules but no __init__.py", file=sys.stderr)
            return 1
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary).resolve()
        for target, folder in packages.items():
            link_tree(ROOT / folder, tree / target)
        command = [sys.executable, "-m", "mypy", "-p", "hecc", "--config-file", str(ROOT / "pyproject.toml")]
        command += ["--cache-dir", str(ROOT / ".mypy_cache"), "--show-absolute-path", "--no-color-output"]
        environment = {**os.environ, "MYPYPATH": str(tree)}
        result = subprocess.run(
            [*command, *sys.argv[1:]], cwd=tree, env=environment, stdout=subprocess.PIPE, text=True, check=False
        )
        output = result.stdout
        for target, folder in sorted(packages.items(), reverse=True):  # the longest first
            output = output.replace(f"{tree / target}{os.sep}", f"{folder}/")
    print(output, end="")
    seen = re.search(r"(?:no issues found in|checked) (\d+) source files?", output)
    if seen is None:
        print("typecheck: mypy did not say how many files it checked", file=sys.stderr)
        return 1
    if int(seen.group(1)) != len(sources):
        print(f"typecheck: mypy checked {seen.group(1)} files, but there are {len(sources)}", file=sys.stderr)
        return 1
    return result.returncode


def python_sources(folder: Path) -> Iterator[Path]:
    """Yield the modules in a folder: every .py file, and every .pyi stub of a module without a .py file."""
    for file in folder.rglob("*.py*"):
        if file.suffix == ".py" or (file.suffix == ".pyi" and not file.with_suffix(".py").exists()):
            yield file


def link_tree(source: Path, target: Path) -> None:
    """Link the Python files below `source` into the same places below `target`."""
    for file in source.rglob("*.py*"):
        if file.suffix in {".py", ".pyi"}:
            link = target / file.relative_to(source)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file)


if __name__ == "__main__":
    sys.exit(main())

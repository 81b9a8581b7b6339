"""The tree of rooms as ``docs/explanation/architecture.md`` shows it, made from the docstrings of packages.

Run it to write the tree: ``python tests/docs/rooms.py``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "architecture.md"
FLOORS = ("src/hecc", "passes", "compiler", "runtime")
BLOCK = re.compile(r"(?<=<!-- rooms -->\n\n```text\n).*?(?=```\n)", re.DOTALL)


def rooms(floor: str) -> Iterator[tuple[str, str]]:
    """Every package of a floor with the first sentence of its docstring, the floor itself first."""
    for file in sorted((ROOT / floor).rglob("__init__.py")):
        docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        yield file.parent.relative_to(ROOT).as_posix(), docstring.partition("\n")[0].replace("``", "")


def tree() -> str:
    """The tree, one line a room, indented as the folders are."""
    lines = []
    for floor in FLOORS:
        for path, sentence in rooms(floor):
            depth = path.count("/") - floor.count("/")
            name = path if depth == 0 else path.rpartition("/")[2]
            lines.append(f"{'  ' * depth + name + '/':<26} {sentence}")
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def main() -> None:
    """Write the tree into the page."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(BLOCK.sub(lambda _: tree(), text, count=1), encoding="utf-8")


if __name__ == "__main__":
    main()

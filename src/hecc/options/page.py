"""The options as their page of the reference shows them.

Run ``python -m hecc.options.page docs/reference/options.md`` after a change to the table.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

from hecc.compiler.options import GROUPS, Option, options_of
from hecc.options.table import DEFAULT_SCHEME, CompileOptions

__all__ = ["BEGIN", "END", "render", "updated"]

BEGIN, END = "<!-- options: begin -->", "<!-- options: end -->"
"""What the table stands between."""


def render(table: type) -> str:
    """The table of options as Markdown, one table a group."""
    lines = []
    for group in GROUPS:
        rows = [row for row in options_of(table) if row.group == group]
        if not rows:
            continue
        lines += ["", f"**{group}**", "", "| in Python | command line | default | |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
    return "\n".join([*lines, ""])


def updated(page: str, table: type = CompileOptions) -> str:
    """A page with the table as it is now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{render(table)}\n{END}{after}"


def _cells(row: Option) -> list[str]:
    own = f" Scheme {' and '.join(row.schemes)} only." if row.schemes and row.schemes != (DEFAULT_SCHEME,) else ""
    flags = ", ".join(f"`{_flag(row, number)}`" for number in range(len(row.flags)))
    default = "" if row.default is None else f"`{row.default}`"
    return [f"`{row.name}`", flags, default, f"{row.sentence} {row.more}".rstrip().replace("|", "\\|") + own]


def _flag(row: Option, number: int) -> str:
    flag = row.flags[number]
    name = flag.name.replace("_", "-")
    if flag.kind is bool:
        return f"--no-{name}" if row.default else f"--{name}"
    return f"--{name} {flag.metavar or ' or '.join(get_args(flag.kind)) or 'TEXT'}"


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(updated(path.read_text(encoding="utf-8")), encoding="utf-8")

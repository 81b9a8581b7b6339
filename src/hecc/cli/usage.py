"""How commands are used: help in groups, and the new names of flags for whoever uses old ones.

Help is plain text. typer's own groups, drawn with rich, leave a sentence nineteen of eighty columns.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup

from hecc.compiler.options import GROUPS
from hecc.options.renamed import renamed

__all__ = ["FILES", "INPUTS", "NETWORK", "OUTPUT", "SECURITY", "SPEED", "TRAINING", "Command", "Group"]

NETWORK, INPUTS, SECURITY, TRAINING, SPEED = GROUPS
FILES, OUTPUT = "Files", "Output"
"""The headings of options, in the order in which help shows them; what has none is an output."""

PANELS = (*GROUPS, FILES, OUTPUT)


class Command(TyperCommand):
    """A command of typer's; flags that it no longer has are not in its help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the flags."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            # Which of its exceptions typer raises depends on its version; the one for an unknown flag names it.
            old = str(getattr(error, "option_name", "")).removeprefix("--")
            told = renamed(old, {str(parameter.name) for parameter in self.params}, _flag)
            if told is not None:
                ctx.fail(told)
            raise

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, and options under their headings."""
        parameters = self.get_params(ctx)
        arguments = [each.get_help_record(ctx) for each in parameters if each.param_type_name == "argument"]
        # All of them are files, and newer versions of typer add that to every name.
        _write(formatter, "Arguments", [(record[0].partition(" ")[0], record[1]) for record in arguments if record])
        for panel in PANELS:
            shown = [
                each.get_help_record(ctx)
                for each in parameters
                if each.param_type_name == "option" and (getattr(each, "rich_help_panel", None) or OUTPUT) == panel
            ]
            _write(formatter, panel, shown)


class Group(TyperGroup):
    """All commands, under the headings of those who run them."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write commands, and then the few options."""
        self.format_commands(ctx, formatter)
        _write(formatter, "Options", [each.get_help_record(ctx) for each in self.get_params(ctx)])

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each command in a line, which is not cut."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            panels.setdefault(command.rich_help_panel, []).append((name, command.short_help))
        for panel, rows in panels.items():
            _write(formatter, panel, rows)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _write(formatter: Any, title: str, records: Iterable[tuple[str, str] | None]) -> None:
    """A section of help, if there is anything in it; what is hidden has no record."""
    shown = [record for record in records if record is not None]
    if shown:
        with formatter.section(title):
            formatter.write_dl(shown)

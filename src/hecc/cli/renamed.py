"""A command that tells the new name of a flag to whoever uses the old one."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from hecc.options.renamed import RENAMED

__all__ = ["Command"]


class Command(TyperCommand):
    """A command of typer's; flags that it no longer has are not in its help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the flags."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            # Which of its exceptions typer raises depends on its version; the one for an unknown flag names it.
            old = str(getattr(error, "option_name", ""))
            new = f"--{RENAMED.get(old.removeprefix('--'))}"
            if any(new in parameter.opts for parameter in self.params):
                ctx.fail(f"{old} is called {new} now")
            raise

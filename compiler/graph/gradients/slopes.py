"""What gradients are added up in while a graph is read backwards."""

from __future__ import annotations

from collections.abc import Collection

from hecc.compiler.graph.programs.builder import ProgramBuilder

__all__ = ["Slopes"]


class Slopes:
    """The gradients of values, a tensor for each row, and of parameters, the mean over rows.

    Parameters
    ----------
    wanted
        Parameters whose gradients are asked for.
    """

    def __init__(self, build: ProgramBuilder, wanted: Collection[str]) -> None:
        self.build = build
        self.wanted = frozenset(wanted)
        self._values: dict[str, list[int]] = {}
        self._parameters: dict[str, list[int]] = {}

    def add(self, value: str, slope: int) -> None:
        """One more summand of a value's gradient."""
        self._values.setdefault(value, []).append(slope)

    def add_parameter(self, name: str, slope: int) -> None:
        """One more summand of a parameter's gradient, of the parameter's shape and without rows."""
        self._parameters.setdefault(name, []).append(slope)

    def add_rows(self, name: str, slope: int, shape: tuple[int, ...]) -> None:
        """The same of one that has rows, and a shape to which the parameter's broadcasts."""
        self.add_parameter(name, self.build.mean_rows(self.build.reduced(slope, shape)))

    def of(self, value: str) -> int | None:
        """The gradient of a value; ``None`` if nothing depends on it."""
        return self.build.add(found) if (found := self._values.get(value)) else None

    def parameter(self, name: str) -> int | None:
        """The gradient of a parameter; ``None`` if nothing depends on it."""
        return self.build.add(found) if (found := self._parameters.get(name)) else None

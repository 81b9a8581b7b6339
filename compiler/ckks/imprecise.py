"""Refusals that less precision might lift: what they say once it is known whether it does."""

from __future__ import annotations

from hecc.runtime.errors import CompileError

__all__ = ["ImpreciseError"]


class ImpreciseError(CompileError):
    """The precision that was asked for cannot be had; less may.

    Parameters
    ----------
    reason
        Why not.
    remedy
        What else to do, as a clause; empty if there is nothing.
    remark
        What to know beside, behind the way out.
    precision
        Fewer bits, whole ones, for which there is a plan; ``None`` if there is none, or nobody has looked.
    deep
        Whether the network is deeper than there is room for, whatever makes it so.
    """

    def __init__(
        self, reason: str, remedy: str = "", remark: str = "", precision: int | None = None, *, deep: bool = False
    ) -> None:
        ways = [way for way in (remedy, "" if precision is None else f"ask for --precision {precision}") if way]
        super().__init__(f"{reason}{'; ' if ways else ''}{' or '.join(ways)}{remark}")
        self.precision, self.deep = precision, deep
        self._parts = reason, remedy, remark

    def offering(self, precision: int | None) -> ImpreciseError:
        """The same refusal with the precision for which there is a plan."""
        return ImpreciseError(*self._parts, precision, deep=self.deep)

    def remedied(self, remedy: str) -> ImpreciseError:
        """The same refusal with another thing to do."""
        reason, _, remark = self._parts
        return ImpreciseError(reason, remedy, remark, self.precision, deep=self.deep)

"""Refusals that less precision might lift: what they say once it is known whether it does."""

from __future__ import annotations

from hecc.runtime.errors import CompileError

__all__ = ["ImpreciseError"]


class ImpreciseError(CompileError):
    """The precision that was asked for cannot be had; less may, which whoever catches this finds out.

    Parameters
    ----------
    reason
        Why not.
    remedy
        What else to do, as a clause; empty if there is nothing.
    remark
        What to know beside, behind the way out.
    """

    def __init__(self, reason: str, remedy: str = "", remark: str = "") -> None:
        self._reason, self._remedy, self._remark = reason, remedy, remark
        super().__init__(self.sentence(None))

    def sentence(self, bits: int | None) -> str:
        """The refusal, with the whole bits of precision that the network does compile for, if there are any."""
        ways = [way for way in (self._remedy, "" if bits is None else f"ask for --precision {bits}") if way]
        return f"{self._reason}{'; ' if ways else ''}{' or '.join(ways)}{self._remark}"

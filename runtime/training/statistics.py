"""Running averages: what a training keeps of the statistics of its batches, as batch normalisation needs them."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

__all__ = ["Statistic"]


class Statistic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One parameter that is no gradient's, but an average over steps.

    Attributes
    ----------
    name
        Of the parameter.
    momentum
        The part of it that a step leaves: the rest comes from the batch. PyTorch's ``momentum`` is that rest.
    elements
        Of each row that are averaged together.
    unbiased
        Whether what comes from a batch is a variance, and is corrected for being around the batch's own mean.
    """

    OUTPUT: ClassVar[str] = "statistic of "
    """What a training program's outputs that hold statistics are called, with the parameter behind it."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    momentum: Annotated[float, msgspec.Meta(ge=0, le=1)]
    elements: Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]
    unbiased: bool

    def factor(self, rows: int) -> float:
        """By which the statistic of a batch of so many rows is multiplied; infinite for one element."""
        count = rows * self.elements
        if not self.unbiased:
            return 1.0
        return count / (count - 1) if count > 1 else float("inf")

"""What CKKS cannot evaluate, of that which the importer can import, and the sentences with which it is refused.

Run ``python -m hecc.compiler.ckks.limits docs/reference/operators.md`` after a change to the importer or to these.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import MappingProxyType

from hecc.compiler.importer.building.refusals import Limits

__all__ = ["LIMITS", "MAXIMUM"]

MAXIMUM = ("a maximum is not a polynomial", "use average pooling instead and train again")

_KINK = (
    "a polynomial in its place leaves a low precision",
    "replace it, too, by a square or a smooth activation such as SiLU, or ask for less with --precision",
)

LIMITS = Limits(
    refused=MappingProxyType(
        {
            "GlobalMaxPool": MAXIMUM,
            "MaxPool": MAXIMUM,
            "ReduceMax": MAXIMUM,
            "ReduceMin": ("a minimum is not a polynomial", "use a mean instead and train again"),
        }
    ),
    doubtful=MappingProxyType({"LeakyRelu": _KINK, "PRelu": _KINK, "Relu": _KINK}),
)
"""What the importer is told, so that it refuses these with all the rest that it cannot import."""

if __name__ == "__main__":
    from hecc.compiler.importer.tables.table import write_table

    write_table(Path(sys.argv[1]), LIMITS)

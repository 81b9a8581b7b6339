"""What CKKS cannot evaluate, of that which the importer can import: nothing, as functions become polynomials.

Run ``python -m hecc.compiler.ckks.limits docs/reference/operators.md tests/end_to_end/node_tests`` after
a change to the importer, to these, or to what official tests give encrypted.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hecc.compiler.importer.building.refusals import Limits

__all__ = ["LIMITS"]

LIMITS = Limits()
"""What the importer is told, so that it refuses these with all the rest that it cannot import."""

if __name__ == "__main__":
    from hecc.compiler.importer.tables.table import write_table

    write_table(Path(sys.argv[1]), LIMITS, Path(sys.argv[2]))

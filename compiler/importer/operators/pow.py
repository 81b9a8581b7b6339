"""Pow."""

from __future__ import annotations

import numpy as np

from hecc.compiler.importer.arithmetic import power
from hecc.compiler.importer.call import Call
from hecc.compiler.importer.converter import Converter
from hecc.compiler.ir.graph import Value

__all__ = ["Pow"]

LARGEST = 64
"""Exponent: of six products in a row."""


class Pow(Converter):
    """Powers with integer exponents: products, as few in a row as there can be."""

    notes = "the exponent must be a constant integer from 1 to 64, the same for all elements"

    @staticmethod
    def opset_7(call: Call) -> None:
        """The exponent is a tensor; it broadcasts by numpy's rules."""
        if isinstance(exponent := call.operand(1), Value):
            raise call.refuse(f"its exponent '{exponent.name}' is encrypted", "use a constant exponent of 2")
        base = call.value(0)
        exponents = np.unique(call.constant(1).array)
        if len(exponents) != 1 or exponents[0] not in range(1, LARGEST + 1):
            found = ", ".join(f"{number:g}" for number in exponents[:4]) or "none"
            raise call.refuse(
                f"only one integer from 1 to {LARGEST} is supported as its exponent, not {found}",
                "use such an exponent for all elements",
            )
        if call.broadcast(base.shape, call.constant(1).shape) != base.shape:
            raise call.refuse(
                f"its exponent '{call.constant(1).name}' repeats the base along new axes", "use a scalar exponent"
            )
        if exponents[0] == 1:
            call.rename(base)
        else:
            power(call, base, int(exponents[0]))

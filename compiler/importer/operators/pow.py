"""Pow."""

from __future__ import annotations

import numpy as np

from hecc.compiler.importer.call import Call
from hecc.compiler.importer.converter import Converter
from hecc.compiler.ir.graph import Value

__all__ = ["Pow"]


class Pow(Converter):
    """The square, or the tensor itself."""

    notes = "the exponent must be a constant 1 or 2"

    @staticmethod
    def opset_7(call: Call) -> None:
        """The exponent is a tensor; it broadcasts by numpy's rules."""
        if isinstance(exponent := call.operand(1), Value):
            raise call.refuse(f"its exponent '{exponent.name}' is encrypted", "use a constant exponent of 2")
        base = call.value(0)
        exponents = np.unique(call.constant(1).array)
        if len(exponents) != 1 or exponents[0] not in (1, 2):
            found = ", ".join(f"{number:g}" for number in exponents[:4]) or "none"
            raise call.refuse(
                f"only the exponents 1 and 2 are supported, not {found}", "write other powers as products, x * x * x"
            )
        if call.broadcast(base.shape, call.constant(1).shape) != base.shape:
            raise call.refuse(
                f"its exponent '{call.constant(1).name}' repeats the base along new axes", "use a scalar exponent"
            )
        if exponents[0] == 2:
            call.square(base)
        else:
            call.rename(base)

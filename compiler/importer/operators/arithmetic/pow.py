"""Pow."""

from __future__ import annotations

import numpy as np

from hecc.compiler.graph.affine import AffineMap, Scale
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.arithmetic import powers
from hecc.compiler.importer.definitions.functions import define_function

__all__ = ["Pow"]

LARGEST = 64
"""Integer exponent of products, six in a row."""


class Pow(Converter):
    """Powers: with integer exponents products, as few in a row as there can be, with others fitted polynomials."""

    notes = f"the exponents must be constant; integers from 0 to {LARGEST} are exact"

    @staticmethod
    def opset_7(call: Call) -> None:
        """The exponent is a tensor; it broadcasts by numpy's rules."""
        if isinstance(exponent := call.operand(1), Value):
            raise call.refuse(f"its exponent '{exponent.name}' is encrypted", "use a constant exponent")
        base, constant = call.value(0), call.constant(1)
        if call.broadcast(base.shape, constant.shape) != base.shape:
            raise call.refuse(
                f"its exponent '{constant.name}' repeats the base along new axes", "use a scalar exponent"
            )
        if not bool(np.isfinite(constant.array).all()):
            raise call.fault(f"its exponent '{constant.name}' holds infinity or NaN")
        exponents = [float(number) for number in np.unique(constant.array)]
        if exponents == [1.0]:
            call.rename(base)
        elif len(exponents) == 1 and exponents != [0.0]:
            _power(call, base, exponents[0])
        elif all(exponent in range(LARGEST + 1) for exponent in exponents):
            _elementwise(call, base, exponents)
        else:
            found = ", ".join(f"{number:g}" for number in exponents[:4])
            raise call.refuse(
                f"its exponents, {found} and so on, are not the same for all elements, nor integers up to {LARGEST}",
                "use one exponent for all elements",
            )


def _power(call: Call, base: Value, exponent: float, name: str | None = None) -> Value:
    if exponent == 1:
        return base
    if exponent in range(2, LARGEST + 1):
        return powers(call, base, int(exponent), name)
    return define_function(call, "power", base, name, exponent=exponent)


def _elementwise(call: Call, base: Value, exponents: list[float]) -> None:
    """Each power where it is asked for."""
    constant = call.constant(1)
    terms: list[tuple[Value, AffineMap]] = []
    ones: str | None = None
    for exponent in exponents:
        places = (constant.array == exponent).astype(np.float64)
        name = call.scope.parameter(f"{call.name}:where {exponent:g}", places)
        if exponent == 0:
            ones = name
        else:
            power = _power(call, base, exponent, f"{call.name}:{exponent:g}")
            terms.append((power, Scale.of(base.shape, name)))
    if not terms:
        raise call.refuse("its exponent is zero, and its result one whatever its base is", "use a constant of one")
    call.affine(Value(call.name, base.shape), *terms, bias=ones)

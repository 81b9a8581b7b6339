"""MatMul."""

from __future__ import annotations

import string

from hecc.compiler.graph.affine import MatrixProduct
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.building.scope import Constant
from hecc.compiler.importer.definitions.contraction import contract

__all__ = ["MatMul"]


class MatMul(Converter):
    """Matrix product, by a constant on either side or of two encrypted tensors."""

    notes = "any rank and broadcasting"

    @staticmethod
    def opset_7(call: Call) -> None:
        """By numpy's rules: leading axes broadcast, a vector is a row on the left and a column on the right."""
        a, b = call.operand(0), call.operand(1)
        shape = _shape(call, a.shape, b.shape)
        if isinstance(a, Value) and isinstance(b, Value):
            outer = string.ascii_letters[: max(len(a.shape), len(b.shape)) - 2] if shape else ""
            rows, columns = ("Y" if len(a.shape) > 1 else ""), ("Z" if len(b.shape) > 1 else "")
            first = outer[len(outer) - max(0, len(a.shape) - 2) :] + rows + "X"
            second = outer[len(outer) - max(0, len(b.shape) - 2) :] + "X" + columns
            contract(call, [(a, first), (b, second)], outer + rows + columns)
            return
        left = isinstance(a, Constant)
        value, weight = (call.value(1), call.constant(0)) if left else (call.value(0), call.constant(1))
        if len(weight.shape) > 1:
            name = call.parameter(weight)
        elif left:
            name = call.parameter(weight, ":row", weight.array.reshape(1, -1))
        else:
            name = call.parameter(weight, ":column", weight.array.reshape(-1, 1))
        call.affine(Value(call.name, shape), (value, MatrixProduct(value.shape, shape, name, left)))


def _shape(call: Call, a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    if not a or not b:
        raise call.fault("a factor is a scalar")
    inner_a, inner_b = a[-1], b[-2] if len(b) > 1 else b[0]
    if inner_a != inner_b:
        raise call.fault(f"its factors have inner extents {inner_a} and {inner_b}")
    rows = a[-2:-1]
    columns = b[-1:] if len(b) > 1 else ()
    return (*call.broadcast(a[:-2], b[:-2]), *rows, *columns)

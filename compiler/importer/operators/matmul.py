"""MatMul."""

from __future__ import annotations

from hecc.compiler.importer.call import Call
from hecc.compiler.importer.converter import Converter
from hecc.compiler.importer.scope import Constant
from hecc.compiler.ir.affine import MatrixProduct
from hecc.compiler.ir.graph import Value

__all__ = ["MatMul"]


class MatMul(Converter):
    """Matrix product by a constant on either side."""

    notes = "one factor must be constant; any rank and broadcasting"

    @staticmethod
    def opset_7(call: Call) -> None:
        """By numpy's rules: leading axes broadcast, a vector is a row on the left and a column on the right."""
        a, b = call.operand(0), call.operand(1)
        if isinstance(a, Value) and isinstance(b, Value):
            raise call.refuse("both its factors are encrypted", "make one of them a constant of the model")
        shape = _shape(call, a.shape, b.shape)
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

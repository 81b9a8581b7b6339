"""Gemm."""

from __future__ import annotations

import numpy as np

from hecc.compiler.graph.affine import AffineMap, MatrixProduct, Scale, compose
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.building.scope import Constant
from hecc.compiler.importer.definitions.contraction import contract
from hecc.compiler.importer.definitions.maps import broadcast, transpose

__all__ = ["Gemm"]


class Gemm(Converter):
    """Matrix product ``alpha A B + beta C``."""

    notes = "all attributes; A or B must be encrypted"

    @staticmethod
    def opset_7(call: Call) -> None:
        """C broadcasts; opset 11 made it optional."""
        a, b = call.operand(0), call.operand(1)
        flip_a, flip_b = bool(call.attribute("transA", 0)), bool(call.attribute("transB", 0))
        if len(a.shape) != 2 or len(b.shape) != 2:
            raise call.fault("its factors are not matrices")
        rows, inner = reversed(a.shape) if flip_a else a.shape
        other, columns = reversed(b.shape) if flip_b else b.shape
        if inner != other:
            raise call.fault(f"its factors have inner extents {inner} and {other}")
        output = Value(call.name, (rows, columns))
        terms: list[tuple[Value, AffineMap]]
        if isinstance(a, Value) and isinstance(b, Constant):
            terms = [(a, _product(call, a, b, output, left=False, flip_value=flip_a, flip_weight=flip_b))]
        elif isinstance(b, Value) and isinstance(a, Constant):
            terms = [(b, _product(call, b, a, output, left=True, flip_value=flip_b, flip_weight=flip_a))]
        elif isinstance(a, Value) and isinstance(b, Value):
            factors = [(a, "ki" if flip_a else "ik"), (b, "jk" if flip_b else "kj")]
            product = contract(call, factors, "ij", f"{call.name}:AB")
            terms = [(product, Scale.of(output.shape, call.number(call.attribute("alpha", 1.0))))]
        else:
            raise call.refuse("only its summand C is encrypted", "write it as an Add")
        bias = None
        beta = call.attribute("beta", 1.0)
        summand = call.optional(2)
        if summand is not None and call.broadcast(summand.shape, output.shape) != output.shape:
            raise call.fault("its summand C does not broadcast to the product's shape")
        if isinstance(summand, Value):
            spread = broadcast(summand.shape, output.shape)
            terms.append(
                (summand, compose(Scale.of(output.shape, call.number(beta)), spread) if beta != 1.0 else spread)
            )
        elif isinstance(summand, Constant) and beta != 0.0:
            bias = _scaled(call, summand, beta, "beta")
        call.affine(output, *terms, bias=bias)


def _product(
    call: Call, value: Value, weight: Constant, output: Value, *, left: bool, flip_value: bool, flip_weight: bool
) -> AffineMap:
    name = _scaled(call, weight, call.attribute("alpha", 1.0), "alpha")
    turned = transpose(value.shape, (1, 0)) if flip_value else None
    product = MatrixProduct(turned.out_shape if turned else value.shape, output.shape, name, left, flip_weight)
    return compose(product, turned) if turned else product


def _scaled(call: Call, constant: Constant, factor: float, what: str) -> str:
    if factor == 1.0:
        return call.parameter(constant)
    call.parameter(constant)
    scaled = (constant.array.astype(np.float64) * factor).astype(constant.array.dtype)
    return call.parameter(constant, f":{what}={factor:g}", scaled)

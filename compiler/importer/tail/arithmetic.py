"""Arithmetic of decrypted numbers: functions, comparisons and reductions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.scope import Decoded
from hecc.compiler.importer.tail.decoded import after, axes, number, operand, then
from hecc.runtime.tail import epilogue as steps

__all__ = ["ARITHMETIC", "FUNCTIONS", "REDUCTIONS"]

Rule = Callable[[Call], Decoded]


def elementwise(call: Call, operator: steps.Operator, *operands: Decoded) -> Decoded:
    """A function of some tensors, which broadcast together."""
    shape = call.broadcast(*(one.shape for one in operands))
    return after(call, shape, steps.Elementwise(operator=operator, values=tuple(range(len(operands)))), *operands)


def _all(call: Call) -> list[Decoded]:
    return [operand(call, index) for index in range(len(call.node.input))]


def _plain(operator: steps.Operator) -> Rule:
    return lambda call: elementwise(call, operator, *_all(call))


def _folded(operator: steps.Operator, *, mean: bool = False) -> Rule:
    """Of any number of tensors."""

    def fold(call: Call) -> Decoded:
        first, *others = _all(call)
        for other in others:
            first = elementwise(call, operator, first, other)
        return elementwise(call, "divide", first, number(call, 1.0 + len(others))) if mean else first

    return fold


def _equal(call: Call) -> Decoded:
    left, right = _all(call)
    if left.values.kind == "real":
        raise call.refuse(
            "decrypted numbers are approximate, and never exactly equal",
            "compare with Less or Greater, or choose by argmax",
        )
    return elementwise(call, "equal", left, right)


def _binarizer(call: Call) -> Decoded:
    """One above a threshold, and zero elsewhere."""
    larger = elementwise(call, "greater", operand(call, 0), number(call, call.attribute("threshold", 0.0)))
    return then(call, larger, steps.Real())


def _clip(call: Call) -> Decoded:
    """The bounds were attributes before opset 11."""
    clipped = operand(call, 0)
    for index, name, operator in ((1, "min", "maximum"), (2, "max", "minimum")):
        if call.source.opset >= 11:
            bound = operand(call, index) if index < len(call.node.input) and call.node.input[index] else None
        else:
            bound = number(call, call.attribute(name, 0.0)) if name in call.attributes else None
        if bound is not None:
            clipped = elementwise(call, "maximum" if operator == "maximum" else "minimum", clipped, bound)
    return clipped


def _relu(call: Call, slope: float = 0.0) -> Decoded:
    given, zero = operand(call, 0), number(call, 0.0)
    above = elementwise(call, "maximum", given, zero)
    if slope == 0:
        return above
    below = elementwise(call, "minimum", given, zero)
    return elementwise(call, "add", above, elementwise(call, "multiply", below, number(call, slope)))


def _hard_sigmoid(call: Call) -> Decoded:
    scaled = elementwise(call, "multiply", operand(call, 0), number(call, call.attribute("alpha", 0.2)))
    moved = elementwise(call, "add", scaled, number(call, call.attribute("beta", 0.5)))
    return elementwise(call, "minimum", elementwise(call, "maximum", moved, number(call, 0.0)), number(call, 1.0))


def _reduce(reduction: steps.Reduction, call: Call) -> Decoded:
    """The axes were attributes first, and are an input since opset 13 of ReduceSum and 18 of the others."""
    decoded = operand(call, 0)
    given = (
        call.attribute("axes", ()) or call.integers(1) or () if len(call.node.input) > 1 else call.attribute("axes", ())
    )
    rank = len(decoded.shape)
    if not given and call.attribute("noop_with_empty_axes", 0):
        # Over no axes: what is done to each element before they are summed is still done.
        if reduction in ("l1", "l2"):
            return elementwise(call, "absolute", decoded)
        return elementwise(call, "multiply", decoded, decoded) if reduction == "square_sum" else decoded
    counted = call.axes(given, rank) or tuple(range(rank))
    keep = bool(call.attribute("keepdims", 1))
    shape = tuple(
        1 if axis in counted else extent for axis, extent in enumerate(decoded.shape) if keep or axis not in counted
    )
    return after(call, shape, steps.Reduce(reduction=reduction, axes=axes(call, counted, decoded), keep=keep), decoded)


def _log_sum(call: Call) -> Decoded:
    return elementwise(call, "log", _reduce("sum", call))


FUNCTIONS: Mapping[str, Rule] = MappingProxyType(
    {
        "Abs": _plain("absolute"),
        "Binarizer": _binarizer,
        "Ceil": _plain("ceil"),
        "Clip": _clip,
        "Div": _plain("divide"),
        "Exp": _plain("exp"),
        "Floor": _plain("floor"),
        "Greater": _plain("greater"),
        "GreaterOrEqual": _plain("greater_equal"),
        "HardSigmoid": _hard_sigmoid,
        "LeakyRelu": lambda call: _relu(call, call.attribute("alpha", 0.01)),
        "Less": _plain("less"),
        "LessOrEqual": _plain("less_equal"),
        "Log": _plain("log"),
        "Max": _folded("maximum"),
        "Min": _folded("minimum"),
        "Reciprocal": _plain("reciprocal"),
        "Relu": _relu,
        "Round": _plain("round"),
        "Sign": _plain("sign"),
        "Sqrt": _plain("sqrt"),
        "Tanh": _plain("tanh"),
    }
)
"""Elementwise operators that are no polynomials."""

ARITHMETIC: Mapping[str, Rule] = MappingProxyType(
    {
        "Add": _plain("add"),
        "And": _plain("and"),
        "Equal": _equal,
        "Mean": _folded("add", mean=True),
        "Mul": _plain("multiply"),
        "Neg": _plain("negate"),
        "Not": _plain("not"),
        "Or": _plain("or"),
        "Pow": _plain("power"),
        "Sub": _plain("subtract"),
        "Sum": _folded("add"),
        "Where": _plain("where"),
        "Xor": _plain("xor"),
    }
)
"""Other elementwise operators, which a server computes unless they act on what the client computes."""

REDUCTIONS: Mapping[str, Rule] = MappingProxyType(
    {
        "ReduceL1": partial(_reduce, "l1"),
        "ReduceL2": partial(_reduce, "l2"),
        "ReduceLogSum": _log_sum,
        "ReduceLogSumExp": partial(_reduce, "log_sum_exp"),
        "ReduceMax": partial(_reduce, "maximum"),
        "ReduceMean": partial(_reduce, "mean"),
        "ReduceMin": partial(_reduce, "minimum"),
        "ReduceProd": partial(_reduce, "product"),
        "ReduceSum": partial(_reduce, "sum"),
        "ReduceSumSquare": partial(_reduce, "square_sum"),
    }
)
"""Operators over some axes."""

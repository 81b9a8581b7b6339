"""Einsum."""

from __future__ import annotations

import math
import string
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.importer.call import Call
from hecc.compiler.importer.converter import Converter
from hecc.compiler.ir.affine import Weighted
from hecc.compiler.ir.graph import Value

__all__ = ["Einsum"]


class Einsum(Converter):
    """A sum of products by Einstein's convention, linear in the one factor that is encrypted."""

    notes = "one encrypted factor; the others must be constant"

    @staticmethod
    def opset_12(call: Call) -> None:
        """All opsets agree."""
        operands = [call.operand(i) for i in range(len(call.node.input))]
        encrypted = [i for i, operand in enumerate(operands) if isinstance(operand, Value)]
        if len(encrypted) != 1:
            raise call.refuse("several of its factors are encrypted", "make all but one constants of the model")
        inputs, output = _labels(call, [operand.shape for operand in operands])
        extents: dict[str, int] = {}
        for labels, operand in zip(inputs, operands, strict=True):
            for label, extent in zip(labels, operand.shape, strict=True):
                if extents.setdefault(label, extent) != extent and 1 not in (extents[label], extent):
                    raise call.fault(f"index '{label}' has extents {extents[label]} and {extent}")
                extents[label] = max(extents[label], extent)
        order = list(extents)
        space = call.bounded(tuple(extents.values()))

        def spread(labels: str, array: NDArray[Any]) -> NDArray[Any]:
            """An operand over all indices; one that it repeats runs along its diagonal, one it lacks not at all."""
            grid = np.ogrid[tuple(slice(extent) for extent in space)]
            index = [
                grid[order.index(label)] if size > 1 else np.intp(0)
                for label, size in zip(labels, array.shape, strict=True)
            ]
            return np.broadcast_to(array[tuple(index)], space).reshape(-1)

        (place,) = encrypted
        value = call.value(place)
        weight = np.ones(math.prod(space))
        for i, labels in enumerate(inputs):
            if i != place:
                constant = call.constant(i)
                call.parameter(constant)
                weight = weight * spread(labels, constant.array.astype(np.float64))
        shape = tuple(extents[label] for label in output)
        rows = spread(output, np.arange(math.prod(shape)).reshape(shape))
        columns = spread(inputs[place], np.arange(math.prod(value.shape)).reshape(value.shape))
        kept = np.flatnonzero(weight)
        name = call.scope.parameter(f"{call.name}:weight", weight[kept])
        product = Weighted.of(value.shape, shape, rows[kept].astype(np.int64), columns[kept].astype(np.int64), name)
        call.affine(Value(call.name, shape), (value, product))


def _labels(call: Call, shapes: list[tuple[int, ...]]) -> tuple[list[str], str]:
    """The indices of each operand and of the result, one letter each; an ellipsis becomes capital letters."""
    equation = call.attribute("equation", "").replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes) or equation.count("->") > 1:
        raise call.fault(f"its equation '{equation}' does not fit {len(shapes)} operands")
    free = [letter for letter in string.ascii_uppercase[::-1] if letter not in equation]
    widths = [len(shape) - len(term.replace("...", "")) for term, shape in zip(terms, shapes, strict=True)]
    if any(width < 0 or (width and "..." not in term) for term, width in zip(terms, widths, strict=True)):
        raise call.fault(f"its equation '{equation}' does not fit the ranks of its operands")
    ellipsis = "".join(free[: max(widths)][::-1])
    inputs = [term.replace("...", ellipsis[len(ellipsis) - width :]) for term, width in zip(terms, widths, strict=True)]
    if arrow:
        output = right.replace("...", ellipsis)
    else:
        letters = [letter for letter in "".join(inputs) if letter not in ellipsis]
        output = ellipsis + "".join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))
    if not all(letter.isalpha() for letter in "".join([*inputs, output])) or not set(output) <= set("".join(inputs)):
        raise call.fault(f"its equation '{equation}' is malformed")
    return inputs, output

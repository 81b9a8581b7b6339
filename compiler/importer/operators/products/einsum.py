"""Einsum."""

from __future__ import annotations

import string

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.contraction import contract

__all__ = ["Einsum"]


class Einsum(Converter):
    """A sum of products by Einstein's convention."""

    notes = "at most two encrypted factors; the others must be constant"

    @staticmethod
    def opset_12(call: Call) -> None:
        """All opsets agree."""
        operands = [call.operand(i) for i in range(len(call.node.input))]
        inputs, output = _labels(call, [operand.shape for operand in operands])
        contract(call, list(zip(operands, inputs, strict=True)), output)


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

"""Operators backwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hecc.compiler.graph.affine import Parameters
from hecc.compiler.graph.function import ARGUMENT, Primitive
from hecc.compiler.graph.operators import (
    OPERATORS,
    Extremum,
    LogSoftmax,
    ReducedExtremum,
    Softmax,
    WindowExtremum,
)
from hecc.compiler.graph.programs.builder import ProgramBuilder
from hecc.compiler.graph.programs.operators import (
    Round,
    Shares,
    extremum_rounds,
    reduced_rounds,
    shares,
    window_rounds,
)
from hecc.runtime.reading import Reading

__all__ = ["operator_slopes"]

SIGN = Primitive("sign", (), ARGUMENT)


def operator_slopes(
    build: ProgramBuilder, operator: Any, operands: Sequence[int], slope: int, parameters: Parameters
) -> list[int]:
    """The gradient of each operand from that of the result."""
    return _OPERATORS.of(operator)(build, operator, operands, slope, parameters)


def _softmax(
    build: ProgramBuilder, operator: Softmax, operands: Sequence[int], slope: int, parameters: Parameters
) -> list[int]:
    parts = shares(build, operator, operands[0], parameters)
    slope = build.reshape(slope, build.shape(operands[0]))
    mean = build.total(build.multiply(slope, parts.shares), parts.reduced)
    return [build.multiply(parts.shares, build.add([slope, mean], [1.0, -1.0]))]


def _log_softmax(
    build: ProgramBuilder, operator: LogSoftmax, operands: Sequence[int], slope: int, _: Parameters
) -> list[int]:
    parts = Shares(build, operands[0], operator.axes)
    slope = build.reshape(slope, build.shape(operands[0]))
    sums = build.multiply(parts.shares, build.total(slope, parts.reduced))
    return [build.add([slope, sums], [1.0, -1.0])]


def _won(build: ProgramBuilder, rounds: Sequence[Round], slope: int, largest: bool) -> list[int]:
    """The gradients of what takes part in the first round: who wins takes all, and who meets an equal takes half."""
    sign = 1.0 if largest else -1.0
    found: list[int] = []
    for each in reversed(rounds):
        slope = build.reshape(slope, build.shape(each.first))
        ahead = build.function(SIGN, build.add([each.first, each.second], [1.0, -1.0]))
        one = build.multiply(slope, build.add([ahead], [0.5 * sign], 0.5))
        two = build.multiply(slope, build.add([ahead], [-0.5 * sign], 0.5))
        slope, *rest = each.back(build, one, two)
        found = [*rest, *found]
    return [slope, *found]


def _extremum(
    build: ProgramBuilder, operator: Extremum, operands: Sequence[int], slope: int, parameters: Parameters
) -> list[int]:
    rounds, _ = extremum_rounds(build, operator, operands, parameters)
    found = _won(build, rounds, slope, operator.largest)[: len(operands)]
    return [build.reduced(each, build.shape(x)) for each, x in zip(found, operands, strict=True)]


def _window_extremum(
    build: ProgramBuilder, operator: WindowExtremum, operands: Sequence[int], slope: int, _: Parameters
) -> list[int]:
    rounds, _found = window_rounds(build, operator, operands[0])
    return _won(build, rounds, slope, operator.largest)[:1]


def _reduced_extremum(
    build: ProgramBuilder, operator: ReducedExtremum, operands: Sequence[int], slope: int, _: Parameters
) -> list[int]:
    rounds, _found = reduced_rounds(build, operator, operands[0])
    return _won(build, rounds, slope, operator.largest)[:1]


_OPERATORS: Reading[Callable[[ProgramBuilder, Any, Sequence[int], int, Parameters], list[int]]] = Reading(
    "gradients of operators",
    OPERATORS,
    {
        Extremum: _extremum,
        LogSoftmax: _log_softmax,
        ReducedExtremum: _reduced_extremum,
        Softmax: _softmax,
        WindowExtremum: _window_extremum,
    },
)

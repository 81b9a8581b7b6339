"""The rule by which the client computes each operator, and where it may begin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.scope import Decoded
from hecc.compiler.importer.operators import CONVERTERS
from hecc.compiler.importer.tail.arithmetic import ARITHMETIC, FUNCTIONS, REDUCTIONS
from hecc.compiler.importer.tail.choices import extreme, normalise, over, sigmoid, zip_map
from hecc.compiler.importer.tail.movement import MOVING, RESHAPING, cast, cast_like
from hecc.runtime.tail import epilogue as steps

__all__ = ["FOLLOWING", "RULES", "STARTING"]

Rule = Callable[[Call], Decoded]

CHOICES: Mapping[str, Rule] = MappingProxyType(
    {
        "ArgMax": lambda call: extreme(call, largest=True),
        "ArgMin": lambda call: extreme(call, largest=False),
        "Hardmax": lambda call: over(call, steps.Hardmax),
        "LogSoftmax": lambda call: over(call, steps.LogSoftmax),
        "LpNormalization": normalise,
        "Normalizer": normalise,
        "Sigmoid": sigmoid,
        "Softmax": lambda call: over(call, steps.Softmax),
        "ZipMap": zip_map,
    }
)
"""The operators that end a network of classes."""

RULES: Mapping[str, Rule] = MappingProxyType(
    {**CHOICES, **FUNCTIONS, **ARITHMETIC, **REDUCTIONS, "Cast": cast, "CastLike": cast_like}
)

FOLLOWING = frozenset({*RULES, *RESHAPING, *MOVING, "TopK"})
"""Operators that the client computes where they act on what it computes."""

KINKED = frozenset(
    {"Abs", "Clip", "HardSigmoid", "LeakyRelu", "Max", "Min", "ReduceL1", "ReduceMax", "ReduceMin", "Relu"}
)
STEEP = frozenset({"Exp", "Log", "Reciprocal", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "Sqrt"})

STARTING = frozenset(
    {*CHOICES, *KINKED, *STEEP, "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Sign", "TopK"}
    | {name for name in {*FUNCTIONS, *REDUCTIONS} if name not in CONVERTERS and name != "Div"}
)
"""Operators that the client computes at the end of any network: no server could, or not as well."""

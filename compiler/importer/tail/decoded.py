"""Building what the client computes: encrypted values, constants, and steps that act on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.batch import LARGEST
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.scope import Constant, Decoded
from hecc.runtime.errors import ParameterError
from hecc.runtime.tail import epilogue as steps

__all__ = ["after", "axes", "constant", "decode", "inner", "number", "operand", "settled", "then"]


def decode(call: Call, value: Value) -> Decoded:
    """An encrypted value as the client holds it after decryption; the same object every time."""
    known = call.scope.decoded
    if value.name in call.scope.masked:
        raise call.refuse_mask(value)
    if value.name not in known:
        # A vector keeps its only axis in a plan.
        shape = value.shape if len(value.shape) < 2 else inner(call, value.shape)
        known[value.name] = settled(call, Decoded(value.shape, steps.Values(shape), call.source, value))
    return known[value.name]


def operand(call: Call, index: int) -> Decoded:
    """An input as the client holds it: decrypted, computed, or constant."""
    found = call.operands[index] if index < len(call.operands) else None
    if isinstance(found, Value):
        return decode(call, found)
    if isinstance(found, Constant):
        return constant(call, found.array, found.name)
    if not isinstance(found, Decoded):
        raise call.fault(f"its input {index} is missing")
    return found


def constant(call: Call, array: NDArray[Any], name: str = "") -> Decoded:
    """Numbers that are the same for every example."""
    kinds: dict[str, Literal["real", "integer", "boolean"]] = {"f": "real", "i": "integer", "b": "boolean"}
    kind = "real" if array.dtype.name == "bfloat16" else kinds.get(array.dtype.kind)
    if kind is None or not bool(np.isfinite(array.astype(np.float64)).all()):
        raise call.refuse(
            f"its constant '{name}' holds {array.dtype.name}, or infinity or NaN", "use finite real numbers"
        )
    # Leading axes of extent one broadcast anyway, and one of them would be the batch.
    shape = array.shape
    while shape[:1] == (1,):
        shape = shape[1:]
    step = steps.Constant(numbers=tuple(array.astype(np.float64).reshape(-1).tolist()), shape=shape, kind=kind)
    return Decoded(array.shape, _followed(call, step), call.source, step=step)


def number(call: Call, value: float) -> Decoded:
    """One real number."""
    return constant(call, np.asarray(value, dtype=np.float64))


def then(call: Call, decoded: Decoded, step: steps.Step, shape: tuple[int, ...] | None = None) -> Decoded:
    """What a step makes of one value; ``shape`` is the new one, with the batch axis, where it changes."""
    return after(call, decoded.shape if shape is None else shape, step, decoded)


def after(call: Call, shape: tuple[int, ...], step: steps.Step, *operands: Decoded) -> Decoded:
    """What a step makes of some values."""
    values = _followed(call, step, *operands)
    return settled(call, Decoded(call.bounded(shape), values, call.source, step=step, operands=operands))


def settled(call: Call, decoded: Decoded) -> Decoded:
    """The same numbers, in the shape that one example has without the batch axis."""
    shape = inner(call, decoded.shape)
    if decoded.values.shape == shape:
        return decoded
    if isinstance(decoded.step, steps.Reshape):
        # Of reshapes in a row only the last one matters.
        (before,) = decoded.operands
        return settled(call, replace(before, shape=decoded.shape))
    step = steps.Reshape(shape=shape)
    return Decoded(decoded.shape, _followed(call, step, decoded), call.source, step=step, operands=(decoded,))


def _followed(call: Call, step: steps.Step, *operands: Decoded) -> steps.Values:
    try:
        return steps.follow_step(step, [one.values for one in operands], LARGEST)
    except ParameterError as error:
        raise call.refuse(f"the client cannot compute it: {error}", "remove it from the end of the network") from None


def inner(call: Call, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the batch axis, which has extent one where it is in front."""
    return shape[1:] if call.scope.batch.axis and shape[:1] == (1,) else shape


def axes(call: Call, given: tuple[int, ...], decoded: Decoded) -> tuple[int, ...]:
    """Axes of one example, from those of the network."""
    counted = call.axes(given, len(decoded.shape))
    hidden = len(decoded.shape) - len(decoded.values.shape)
    if any(axis < hidden for axis in counted):
        raise call.refuse(
            "it combines the examples of a batch, which are encrypted apart", "use another axis than the first"
        )
    return tuple(axis - hidden for axis in counted)

"""Random uses of every ONNX operator that the importer converts, folds or leaves to the client.

A generator draws the inputs and attributes of one node, valid by ONNX's text at the opset asked for. What is invalid
after all is for onnxruntime to refuse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

Array = NDArray[Any]

FLOATS = ("float32", "float64", "float16")
INTEGERS = ("int32", "int64", "int8", "uint8")
ML = "ai.onnx.ml"
TYPES = onnx.TensorProto


class UnfitError(Exception):
    """An operator that cannot follow what a network has computed so far."""


@dataclass(frozen=True, eq=False)
class Input:
    """An input of a node: its numbers, and whether they may be encrypted."""

    array: Array
    encryptable: bool = False


@dataclass(frozen=True, eq=False)
class Use:
    """A node with its inputs; None where an optional one is left out."""

    operator: str
    inputs: Sequence[Input | None]
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1
    domain: str = ""


class Draw:
    """Everything random about one use of an operator.

    Attributes
    ----------
    opset
        Whose rules are in force.
    real
        The type of real numbers.
    leading
        The extent of axis 0 of the data, where that is the batch.
    given
        The tensor that the data has to be, where the node is a part of a network.
    """

    def __init__(
        self, random: np.random.Generator, opset: int, real: str, leading: int | None = None, given: Array | None = None
    ) -> None:
        self.random, self.opset, self.real, self.leading, self.given = random, opset, real, leading, given
        self.coarse = self.chance(0.3)
        self.folded = False
        self.infinite = self.chance(0.1)

    def chance(self, probability: float) -> bool:
        return bool(self.random.random() < probability)

    def pick(self, *choices: Any) -> Any:
        return choices[int(self.random.integers(len(choices)))]

    def integer(self, low: int, high: int) -> int:
        """Both ends may come."""
        return int(self.random.integers(low, high + 1))

    def ints(self, count: int, low: int, high: int) -> list[int]:
        return [self.integer(low, high) for _ in range(count)]

    def some(self, attributes: dict[str, Any], probability: float = 0.7) -> dict[str, Any]:
        """Attributes of which some are left to their defaults."""
        return {name: value for name, value in attributes.items() if self.chance(probability)}

    def shape(self, low: int = 1, high: int = 4, extent: int = 4) -> tuple[int, ...]:
        rank = self.integer(low, high)
        shape = [self.integer(1, extent) for _ in range(rank)]
        if self.leading is not None and rank:
            shape[0] = self.leading
        return tuple(shape)

    def numbers(self, shape: Sequence[int], kind: str | None = None, low: float = -3, high: float = 3) -> Array:
        """Uniform, or on a coarse grid, which has equal elements and halves."""
        kind = self.real if kind is None else kind
        if kind == "bool":
            return self.random.random(shape) < 0.5
        if np.dtype(kind).kind in "iu":
            first = max(int(np.iinfo(kind).min), -9)
            return self.random.integers(first, 10, shape).astype(kind)
        found = self.random.uniform(low, high, shape)
        if self.coarse and low <= -1 and high >= 1:
            found = np.clip(np.rint(found * 4) / 4, low, high)
        if self.folded and self.infinite and (low, high) == (-3, 3):
            # Masks hold infinity.
            found = np.where(self.random.random(shape) < 0.2, self.pick(np.inf, -np.inf), found)
        return np.asarray(found, dtype=kind)

    def data(
        self,
        low: int = 1,
        high: int = 4,
        kind: str | None = None,
        within: tuple[float, float] = (-3, 3),
        extent: int = 4,
    ) -> Input:
        """The tensor that the node is about; of a rank between two numbers."""
        if self.given is not None:
            array = self.given
            if not low <= array.ndim <= high or (kind not in (None, array.dtype.name)):
                raise UnfitError
            if array.size and (float(array.min()) < within[0] or float(array.max()) > within[1]) and within != (-3, 3):
                raise UnfitError
            return Input(array, encryptable=True)
        kind = kind or self.real
        return Input(self.numbers(self.shape(low, high, extent), kind, *within), np.dtype(kind).kind == "f")

    def axis(self, rank: int) -> int:
        """Counted from the front or from the back, where that is allowed."""
        axis = self.integer(0, rank - 1)
        return axis - rank if self.opset >= 11 and self.chance(0.4) else axis

    def axes(self, rank: int, least: int = 1) -> list[int]:
        count = self.integer(least, rank)
        chosen = sorted(self.random.permutation(rank)[:count].tolist())
        return [axis - rank if self.opset >= 11 and self.chance(0.3) else axis for axis in chosen]

    def broadcastable(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A shape that broadcasts to another one."""
        start = self.integer(0, len(shape))
        return tuple(1 if self.chance(0.3) else extent for extent in shape[start:])


def index(numbers: Any, kind: str = "int64") -> Input:
    """Integers: axes, shapes, indices."""
    return Input(np.asarray(numbers, dtype=kind))


# --- elementwise ------------------------------------------------------------------------------------------------------


def unary(
    name: str,
    within: tuple[float, float] = (-3, 3),
    attributes: dict[str, tuple[float, float]] | None = None,
    kinds: Sequence[str] = (),
) -> Callable[[Draw], Use]:
    def make(draw: Draw) -> Use:
        kind = draw.pick(*kinds) if kinds and draw.folded and draw.chance(0.3) else None
        ranges = attributes or {}
        values = {key: float(np.float32(draw.random.uniform(*ends))) for key, ends in ranges.items()}
        return Use(name, [draw.data(0, 4, kind, within)], draw.some(values))

    return make


def operands(draw: Draw, count: int, kinds: Sequence[str] = (), within: tuple[float, float] = (-3, 3)) -> list[Input]:
    """Tensors that broadcast together, the first of the largest rank more often than not."""
    kind = draw.pick(*kinds) if kinds and draw.folded and draw.chance(0.5) else None
    first = draw.data(0, 4, kind, within)
    found = [first]
    for _ in range(count - 1):
        shape = first.array.shape if draw.chance(0.5) else draw.broadcastable(first.array.shape)
        numbers = draw.numbers(shape, first.array.dtype.name, *within)
        found.append(Input(numbers, first.encryptable))
    if draw.given is None and draw.leading is None and draw.chance(0.2):
        found.reverse()
    return found


def binary(name: str, kinds: Sequence[str] = (), within: tuple[float, float] = (-3, 3)) -> Callable[[Draw], Use]:
    return lambda draw: Use(name, operands(draw, 2, kinds, within))


def variadic(name: str) -> Callable[[Draw], Use]:
    def make(draw: Draw) -> Use:
        kinds = INTEGERS if name in ("Max", "Min") and draw.opset >= 12 else ()
        count = draw.integer(1, 4)
        if draw.opset >= 8:
            return Use(name, operands(draw, count, kinds))
        first = draw.data()
        return Use(name, [first, *(Input(draw.numbers(first.array.shape), True) for _ in range(count - 1))])

    return make


def power(draw: Draw) -> Use:
    if draw.folded and draw.chance(0.3):
        kinds = ("int32", "int64", "float32") if draw.opset >= 12 else ("float32",)
        base = draw.numbers(draw.shape(), draw.pick(*kinds))
        exponent = np.abs(draw.numbers(draw.broadcastable(base.shape), draw.pick(*kinds) if draw.opset >= 12 else None))
        return Use("Pow", [Input(base), Input(np.minimum(exponent, 4))])
    if draw.chance(0.5):
        base = draw.data(0, 4)
        exponents = draw.random.integers(0, 5, draw.broadcastable(base.array.shape)).astype(base.array.dtype)
        if draw.chance(0.7):
            exponents = np.full_like(exponents, draw.integer(0, 5))
        return Use("Pow", [base, Input(exponents)])
    base = draw.data(0, 4, within=(0.25, 3))
    return Use("Pow", [base, Input(np.asarray(draw.pick(0.5, -0.5, -1, -2, 1.5, 0.3), base.array.dtype))])


def division(draw: Draw) -> Use:
    dividend, divisor = operands(draw, 2, INTEGERS)
    array = np.where(divisor.array == 0, np.ones_like(divisor.array), divisor.array)
    if array.dtype.kind == "f":
        array = np.where(np.abs(array) < 0.25, np.full_like(array, 0.25), array)
    return Use("Div", [dividend, Input(array, divisor.encryptable)])


def modulo(draw: Draw) -> Use:
    dividend, divisor = operands(draw, 2, INTEGERS)
    array = np.where(divisor.array == 0, np.ones_like(divisor.array), divisor.array)
    floating = array.dtype.kind == "f" or draw.chance(0.4)
    return Use("Mod", [dividend, Input(array)], {"fmod": 1} if floating else draw.some({"fmod": 0}))


def clip(draw: Draw) -> Use:
    kind = (
        draw.pick("int32", "int64", "int8", "uint8") if draw.folded and draw.opset >= 12 and draw.chance(0.3) else None
    )
    data = draw.data(0, 4, kind)
    low, high = sorted((draw.integer(-3, 2), draw.integer(-2, 3)))
    if data.array.dtype.kind == "u":
        low, high = abs(low), abs(low) + abs(high)
    if draw.opset < 11:
        return Use("Clip", [data], draw.some({"min": float(low), "max": float(high)}))
    bounds = [Input(np.asarray(n, data.array.dtype)) if draw.chance(0.7) else None for n in (low, high)]
    while bounds and bounds[-1] is None:
        bounds.pop()
    return Use("Clip", [data, *bounds])


def gelu(draw: Draw) -> Use:
    return Use("Gelu", [draw.data()], draw.some({"approximate": draw.pick("none", "tanh")}))


def prelu(draw: Draw) -> Use:
    data = draw.data()
    return Use("PRelu", [data, Input(draw.numbers(draw.broadcastable(data.array.shape)).astype(data.array.dtype))])


def dropout(draw: Draw) -> Use:
    data = draw.data()
    if draw.opset < 12:
        return Use("Dropout", [data], draw.some({"ratio": 0.3}))
    further = [Input(np.asarray(0.3, np.float32)), Input(np.asarray(False))][: draw.integer(0, 2)]
    return Use("Dropout", [data, *further])


CASTS = {"float32": TYPES.FLOAT, "float64": TYPES.DOUBLE, "float16": TYPES.FLOAT16, "int32": TYPES.INT32,
         "int64": TYPES.INT64, "int8": TYPES.INT8, "uint8": TYPES.UINT8, "int16": TYPES.INT16, "uint16": TYPES.UINT16,
         "uint32": TYPES.UINT32, "bool": TYPES.BOOL}  # fmt: skip


def cast(draw: Draw) -> Use:
    kinds = ("bool", *INTEGERS)
    kind = draw.pick(*kinds) if draw.folded and draw.chance(0.5) else None
    targets = list(CASTS) if draw.folded else [*FLOATS, "int32", "int64", "bool"]
    target = draw.pick(*targets)
    data = draw.data(0, 4, kind)
    if target.startswith("u") and data.array.dtype.kind in "fi":
        # What a negative number becomes is undefined.
        data = Input(np.abs(data.array), data.encryptable)
    return Use("Cast", [data], {"to": CASTS[target]})


def cast_like(draw: Draw) -> Use:
    kind = draw.pick("bool", *INTEGERS) if draw.folded and draw.chance(0.5) else None
    return Use(
        "CastLike", [draw.data(0, 4, kind), Input(draw.numbers((2,), draw.pick(*FLOATS, "int32", "int64", "bool")))]
    )


def compare(name: str) -> Callable[[Draw], Use]:
    kinds = ("int32", "int64") if name != "Equal" else ("int32", "int64", "bool")
    return lambda draw: Use(name, operands(draw, 2, kinds))


def logical(name: str) -> Callable[[Draw], Use]:
    def make(draw: Draw) -> Use:
        first = draw.numbers(draw.shape(), "bool")
        return Use(name, [Input(first), Input(draw.numbers(draw.broadcastable(first.shape), "bool"))])

    return make


def negation(draw: Draw) -> Use:
    return Use("Not", [Input(draw.numbers(draw.shape(), "bool"))])


def where(draw: Draw) -> Use:
    first, second = operands(draw, 2, ("int64", "int32"))
    shape = np.broadcast_shapes(first.array.shape, second.array.shape)
    return Use("Where", [Input(draw.numbers(draw.broadcastable(shape), "bool")), first, second])


def bitwise(name: str) -> Callable[[Draw], Use]:
    def make(draw: Draw) -> Use:
        first = draw.numbers(draw.shape(), draw.pick(*INTEGERS))
        return Use(name, [Input(first), Input(draw.numbers(draw.broadcastable(first.shape), first.dtype.name))])

    return make


def bit_not(draw: Draw) -> Use:
    return Use("BitwiseNot", [Input(draw.numbers(draw.shape(), draw.pick(*INTEGERS)))])


def bit_shift(draw: Draw) -> Use:
    first = draw.numbers(draw.shape(), draw.pick("uint8", "uint32", "uint64"))
    by = draw.random.integers(0, 8, draw.broadcastable(first.shape)).astype(first.dtype)
    return Use("BitShift", [Input(first), Input(by)], {"direction": draw.pick("LEFT", "RIGHT")})


def is_infinite(draw: Draw) -> Use:
    array = draw.numbers(draw.shape(), draw.pick("float32", "float64") if draw.opset < 20 else None)
    array = np.where(draw.random.random(array.shape) < 0.3, draw.pick(np.inf, -np.inf, np.nan), array).astype(
        array.dtype
    )
    return Use(
        "IsInf",
        [Input(array)],
        draw.some({"detect_negative": draw.integer(0, 1), "detect_positive": draw.integer(0, 1)}),
    )


def is_nan(draw: Draw) -> Use:
    array = draw.numbers(draw.shape())
    return Use("IsNaN", [Input(np.where(draw.random.random(array.shape) < 0.3, np.nan, array).astype(array.dtype))])


# --- reductions and choices -------------------------------------------------------------------------------------------


def reduction(name: str) -> Callable[[Draw], Use]:
    change = 13 if name == "ReduceSum" else 18
    positive = (0.25, 3.0) if name == "ReduceLogSum" else (-3.0, 3.0)

    def make(draw: Draw) -> Use:
        kind = draw.pick("int32", "int64") if draw.folded and draw.chance(0.25) else None
        data = draw.data(1, 4, kind, positive)
        rank = data.array.ndim
        attributes = draw.some({"keepdims": draw.integer(0, 1)})
        axes = draw.axes(rank) if draw.chance(0.8) else None
        if draw.opset < change:
            return Use(name, [data], attributes if axes is None else {**attributes, "axes": axes})
        if draw.chance(0.3):
            attributes["noop_with_empty_axes"] = draw.integer(0, 1)
        given: list[Input | None] = [data]
        if axes is not None:
            given.append(index(axes))
        elif draw.chance(0.3):
            given.append(index([]))
        return Use(name, given, attributes)

    return make


def extreme(name: str) -> Callable[[Draw], Use]:
    def make(draw: Draw) -> Use:
        kind = draw.pick("int32", "int64", "int8", "uint8") if draw.folded and draw.chance(0.25) else None
        data = draw.data(1, 4, kind)
        attributes = draw.some({"axis": draw.axis(data.array.ndim), "keepdims": draw.integer(0, 1)})
        if draw.opset >= 12:
            attributes |= draw.some({"select_last_index": draw.integer(0, 1)})
        return Use(name, [data], attributes)

    return make


def top(draw: Draw) -> Use:
    kind = draw.pick("int32", "int64") if draw.folded and draw.opset >= 11 and draw.chance(0.25) else None
    data = draw.data(1, 4, kind)
    axis = draw.axis(data.array.ndim)
    count = draw.integer(1, data.array.shape[axis])
    if draw.opset < 10:
        return Use("TopK", [data], {"k": count, "axis": axis}, 2)
    attributes: dict[str, Any] = {"axis": axis}
    if draw.opset >= 11:
        attributes |= draw.some({"largest": draw.integer(0, 1), "sorted": 1})
    return Use("TopK", [data, index([count])], attributes, 2)


def softmax(name: str) -> Callable[[Draw], Use]:
    def make(draw: Draw) -> Use:
        data = draw.data(2 if draw.opset < 13 else 1, 4)
        return Use(name, [data], draw.some({"axis": draw.axis(data.array.ndim)}))

    return make


def cumulative(name: str) -> Callable[[Draw], Use]:
    def make(draw: Draw) -> Use:
        kind = draw.pick("int32", "int64") if draw.folded and draw.chance(0.25) else None
        data = draw.data(1, 4, kind)
        axis = index(draw.axis(data.array.ndim), draw.pick("int32", "int64"))
        if draw.chance(0.3):
            axis = Input(axis.array.reshape(1))
        return Use(name, [data, axis], draw.some({"exclusive": draw.integer(0, 1), "reverse": draw.integer(0, 1)}))

    return make


# --- normalisation ----------------------------------------------------------------------------------------------------


def statistics(draw: Draw, shape: Sequence[int], like: Array, positive: bool = False) -> Input:
    return Input(draw.numbers(shape, like.dtype.name, *((0.25, 2) if positive else (-2, 2))))


def batch_normalization(draw: Draw) -> Use:
    data = draw.data(2, 4)
    shape: tuple[int, ...] = data.array.shape[1:2]
    attributes = draw.some({"epsilon": float(np.float32(draw.random.uniform(1e-5, 0.5)))})
    if draw.opset < 9:
        attributes |= draw.some({"spatial": draw.integer(0, 1)})
        if attributes.get("spatial", 1) == 0:
            shape = data.array.shape[1:]
    four = [statistics(draw, shape, data.array, positive=i == 3) for i in range(4)]
    return Use("BatchNormalization", [data, *four], attributes)


def instance_normalization(draw: Draw) -> Use:
    data = draw.data(3, 4)
    two = [statistics(draw, data.array.shape[1:2], data.array) for _ in range(2)]
    return Use("InstanceNormalization", [data, *two], draw.some({"epsilon": 0.1}))


def group_normalization(draw: Draw) -> Use:
    data = draw.data(3, 4)
    channels = data.array.shape[1]
    groups = draw.pick(*(n for n in range(1, channels + 1) if channels % n == 0))
    size = channels if draw.opset >= 21 else groups
    two = [statistics(draw, (size,), data.array) for _ in range(2)]
    return Use("GroupNormalization", [data, *two], {"num_groups": groups, **draw.some({"epsilon": 0.1})})


def layer_normalization(draw: Draw) -> Use:
    data = draw.data(1, 4)
    axis = draw.axis(data.array.ndim)
    shape = data.array.shape[axis:]
    further = [statistics(draw, shape, data.array) for _ in range(draw.integer(1, 2))]
    attributes = {"axis": axis, **draw.some({"epsilon": 0.1})}
    return Use("LayerNormalization", [data, *further], attributes, draw.pick(1, 1, 3))


def rms_normalization(draw: Draw) -> Use:
    data = draw.data(1, 4)
    axis = draw.axis(data.array.ndim)
    attributes = {"axis": axis, **draw.some({"epsilon": 0.1})}
    return Use("RMSNormalization", [data, statistics(draw, data.array.shape[axis:], data.array)], attributes)


def lp_normalization(draw: Draw) -> Use:
    data = draw.data(1, 4)
    return Use("LpNormalization", [data], draw.some({"axis": draw.axis(data.array.ndim), "p": draw.integer(1, 2)}))


def lrn(draw: Draw) -> Use:
    data = draw.data(4, 4, extent=5)
    attributes = {"alpha": 0.5, "beta": 0.6, "bias": 1.5}
    return Use("LRN", [data], {"size": draw.pick(1, 2, 3, 4, 5), **draw.some(attributes)})


def mean_variance(draw: Draw) -> Use:
    data = draw.data(4, 4) if draw.chance(0.3) else draw.data(2, 4)
    default = data.array.ndim == 4 and draw.chance(0.5)
    axes = [0, 2, 3] if default else draw.axes(data.array.ndim)
    if math.prod(data.array.shape[axis] for axis in axes) < 3:
        # Of a single number onnxruntime makes NaN, by the root of a variance that rounding has made negative.
        raise UnfitError
    return Use("MeanVarianceNormalization", [data], {} if default else {"axes": axes})


# --- movement ---------------------------------------------------------------------------------------------------------

MOVED = ("int64", "int32", "bool")


def moved(draw: Draw, low: int = 1, high: int = 4) -> Input:
    kind = draw.pick(*MOVED) if draw.folded and draw.chance(0.3) else None
    return draw.data(low, high, kind)


def concat(draw: Draw) -> Use:
    first = moved(draw)
    axis = draw.axis(first.array.ndim)
    inputs = [first]
    for _ in range(draw.integer(0, 2)):
        shape = list(first.array.shape)
        if not (draw.leading and axis % len(shape) == 0):
            shape[axis] = draw.integer(1, 3)
        inputs.append(Input(draw.numbers(shape, first.array.dtype.name), first.encryptable))
    return Use("Concat", inputs, {"axis": axis})


def split(draw: Draw) -> Use:
    data = moved(draw)
    axis = draw.axis(data.array.ndim)
    extent = data.array.shape[axis]
    if draw.chance(0.5):
        cuts = sorted(draw.ints(draw.integer(0, min(2, extent - 1)), 1, max(1, extent - 1)))
        parts = np.diff([0, *cuts, extent]).tolist()
        attributes: dict[str, Any] = {"axis": axis}
        if draw.opset < 13:
            return Use("Split", [data], {**attributes, "split": parts}, len(parts))
        return Use("Split", [data, index(parts)], attributes, len(parts))
    if draw.opset >= 18:
        count = draw.integer(1, extent)
        return Use("Split", [data], {"axis": axis, "num_outputs": count}, count)
    count = draw.pick(*(n for n in range(1, extent + 1) if extent % n == 0))
    return Use("Split", [data], {"axis": axis}, count)


def slicing(draw: Draw) -> Use:
    data = moved(draw)
    rank = data.array.ndim
    axes = draw.axes(rank)
    starts, ends, strides = [], [], []
    for axis in axes:
        extent = data.array.shape[axis]
        stride = draw.pick(1, 1, 2, -1, -2) if draw.opset >= 10 else 1
        start, end = sorted(draw.ints(2, 0, extent)) if draw.chance(0.8) else draw.ints(2, -extent - 2, extent + 2)
        if stride < 0 and draw.chance(0.7):
            start, end = end, start - 1 if start else -extent - 1
        starts.append(start)
        ends.append(end if draw.chance(0.9) or stride < 0 else 2**31 - 1)
        strides.append(stride)
    if draw.chance(0.2) and len(axes) == rank:
        order: list[int] = []
    else:
        order = axes
    if draw.opset < 10:
        return Use("Slice", [data], {"starts": starts, "ends": ends, **({"axes": order} if order else {})})
    kind = draw.pick("int32", "int64")
    inputs: list[Input | None] = [data, index(starts, kind), index(ends, kind)]
    inputs.append(index(order, kind) if order else None)
    if any(stride != 1 for stride in strides) or draw.chance(0.5):
        inputs.append(index(strides, kind))
    while inputs[-1] is None:
        inputs.pop()
    return Use("Slice", inputs)


def indices(draw: Draw, shape: Sequence[int], extent: int) -> Input:
    low = -extent if draw.opset >= 11 else 0
    found = draw.random.integers(low, extent, tuple(shape))
    return index(found, draw.pick("int32", "int64"))


def gather(draw: Draw) -> Use:
    data = moved(draw)
    axis = draw.axis(data.array.ndim)
    shape = tuple(draw.ints(draw.integer(0, 2), 1, 3))
    return Use(
        "Gather", [data, indices(draw, shape, data.array.shape[axis])], draw.some({"axis": axis}, 1 if axis else 0.5)
    )


def gather_elements(draw: Draw) -> Use:
    data = moved(draw)
    axis = draw.axis(data.array.ndim)
    whole = draw.leading is not None
    shape = [n if whole and a == 0 else draw.integer(1, n) for a, n in enumerate(data.array.shape)]
    return Use("GatherElements", [data, indices(draw, shape, data.array.shape[axis])], {"axis": axis})


def gather_nd(draw: Draw) -> Use:
    data = moved(draw, 1, 4)
    rank = data.array.ndim
    dims = draw.integer(0, rank - 1) if draw.opset >= 12 else 0
    length = draw.integer(1, rank - dims)
    shape = (*data.array.shape[:dims], *draw.ints(draw.integer(0, 2), 1, 3), length)
    low = [0 if draw.opset < 12 else -n for n in data.array.shape[dims : dims + length]]
    found = draw.random.integers(low, data.array.shape[dims : dims + length], shape)
    return Use("GatherND", [data, index(found)], {"batch_dims": dims} if dims else {})


def scatter_elements(name: str) -> Callable[[Draw], Use]:
    def make(draw: Draw) -> Use:
        data = moved(draw)
        axis = draw.axis(data.array.ndim)
        extent = data.array.shape[axis]
        shape = [draw.integer(1, n) for n in data.array.shape]
        if draw.leading:
            shape[0] = draw.leading
        # Without repetition along the axis: which of two comes last is not defined.
        picked = np.argsort(
            draw.random.random([extent if a == axis % len(shape) else n for a, n in enumerate(shape)]), axis
        )
        picked = picked.take(range(shape[axis]), axis)
        picked = np.where(draw.random.random(picked.shape) < (0.3 if draw.opset >= 11 else 0), picked - extent, picked)
        updates = Input(draw.numbers(shape, data.array.dtype.name), data.encryptable)
        return Use(name, [data, index(picked), updates], {"axis": axis})

    return make


def scatter_nd(draw: Draw) -> Use:
    data = moved(draw)
    rank = data.array.ndim
    length = draw.integer(1, rank)
    extents = data.array.shape[:length]
    count = draw.integer(1, math.prod(extents))
    flat = draw.random.permutation(math.prod(extents))[:count]
    picked = np.stack(np.unravel_index(flat, extents), -1)
    if draw.chance(0.3):
        picked = picked - np.asarray(extents)
    updates = Input(draw.numbers((count, *data.array.shape[length:]), data.array.dtype.name), data.encryptable)
    return Use("ScatterND", [data, index(picked), updates])


def transpose(draw: Draw) -> Use:
    data = moved(draw, 1, 4)
    rank = data.array.ndim
    order = draw.random.permutation(rank).tolist()
    if draw.leading and draw.chance(0.9):
        order = [0, *(axis for axis in order if axis)]
    return Use("Transpose", [data], draw.some({"perm": order}))


def reshape(draw: Draw) -> Use:
    data = moved(draw)
    shape, size = list(data.array.shape), data.array.size
    if draw.chance(0.5):
        position = draw.integer(0, len(shape))
        target = [*shape[:position], -1]
    else:
        target = [draw.pick(0, shape[0]), -1, *shape[draw.integer(1, len(shape)) :]]
        rest = math.prod(target[2:]) * shape[0]
        if size % rest:
            target = [shape[0], -1]
    attributes = draw.some({"allowzero": 0}) if draw.opset >= 14 else {}
    return Use("Reshape", [data, index(target)], attributes)


def flatten(draw: Draw) -> Use:
    data = moved(draw)
    rank = data.array.ndim
    axis = draw.integer(-rank if draw.opset >= 11 else 0, rank)
    return Use("Flatten", [data], {} if draw.chance(0.3) else {"axis": axis})


def squeeze(draw: Draw) -> Use:
    data = moved(draw)
    units = [axis for axis, extent in enumerate(data.array.shape) if extent == 1 and not (draw.leading and axis == 0)]
    if not units or draw.chance(0.2):
        return Use("Squeeze", [data])
    axes = [
        axis - (data.array.ndim if draw.opset >= 11 and draw.chance(0.3) else 0) for axis in units[: draw.integer(1, 3)]
    ]
    return Use("Squeeze", [data, index(axes)]) if draw.opset >= 13 else Use("Squeeze", [data], {"axes": axes})


def unsqueeze(draw: Draw) -> Use:
    data = moved(draw, 0 if draw.leading is None else 1, 3)
    count = draw.integer(1, 2)
    rank = data.array.ndim + count
    axes = draw.random.permutation(np.arange(1 if draw.leading else 0, rank))[:count].tolist()
    axes = [axis - rank if draw.opset >= 11 and draw.chance(0.3) else axis for axis in axes]
    return Use("Unsqueeze", [data, index(axes)]) if draw.opset >= 13 else Use("Unsqueeze", [data], {"axes": axes})


def expand(draw: Draw) -> Use:
    data = moved(draw, 1, 3)
    shape = [
        draw.integer(1, 3) if n == 1 and not (draw.leading and a == 0) else draw.pick(1, n)
        for a, n in enumerate(data.array.shape)
    ]
    if draw.leading is None and draw.chance(0.3):
        shape = [draw.integer(1, 3), *shape]
    elif draw.leading is None and draw.chance(0.3):
        shape = shape[1:]
    return Use("Expand", [data, index(shape)])


def tile(draw: Draw) -> Use:
    data = moved(draw, 1, 3)
    repeats = draw.ints(data.array.ndim, 1, 3)
    if draw.leading:
        repeats[0] = 1
    return Use("Tile", [data, index(repeats)])


def pad(draw: Draw) -> Use:
    data = draw.data(1, 4)
    rank = data.array.ndim
    modes = ["constant", "reflect", "edge"] + (["wrap"] if draw.opset >= 19 else [])
    mode = draw.pick(*modes)
    axes = list(range(rank))
    if draw.opset >= 18 and draw.chance(0.4):
        axes = draw.axes(rank)
    pads = []
    for _ in range(2):
        for axis in axes:
            extent = data.array.shape[axis]
            high = extent - 1 if mode in ("reflect", "wrap") else 2
            low = -((extent - 1) // 2) if draw.chance(0.2) else 0
            pads.append(0 if draw.leading and axis % rank == 0 else draw.integer(low, max(0, high)))
    attributes = draw.some({"mode": mode}, 1 if mode != "constant" else 0.5)
    value = draw.pick(0.0, 1.5, -2.0)
    if draw.opset < 11:
        return Use("Pad", [data], {**attributes, "pads": pads, **({"value": value} if value else {})})
    inputs: list[Input | None] = [data, index(pads)]
    filling = Input(np.asarray(value, data.array.dtype)) if value or draw.chance(0.3) else None
    inputs.append(filling)
    if axes != list(range(rank)):
        inputs.append(index(axes, draw.pick("int32", "int64")))
    while inputs[-1] is None:
        inputs.pop()
    return Use("Pad", inputs, attributes)


def compress(draw: Draw) -> Use:
    data = moved(draw)
    flat = draw.leading is None and draw.chance(0.3)
    axis = draw.axis(data.array.ndim)
    length = data.array.size if flat else data.array.shape[axis]
    condition = draw.numbers((draw.integer(1, length),), "bool")
    condition[0] = True
    return Use("Compress", [data, Input(condition)], {} if flat else {"axis": axis})


def trilu(draw: Draw) -> Use:
    data = moved(draw, 2, 4)
    inputs = [data, index(draw.integer(-3, 3))] if draw.chance(0.6) else [data]
    return Use("Trilu", inputs, draw.some({"upper": draw.integer(0, 1)}))


def reverse_sequence(draw: Draw) -> Use:
    data = draw.data(2, 4)
    batch = draw.integer(0, 1)
    lengths = draw.ints(data.array.shape[batch], 1, data.array.shape[1 - batch])
    if draw.leading and batch == 0:
        lengths = [lengths[0]] * len(lengths)
    return Use("ReverseSequence", [data, index(lengths)], {"batch_axis": batch, "time_axis": 1 - batch})


def depth_to_space(draw: Draw) -> Use:
    block = draw.integer(1, 3)
    shape = (
        draw.leading or draw.integer(1, 2),
        block * block * draw.integer(1, 3),
        draw.integer(1, 3),
        draw.integer(1, 3),
    )
    if draw.given is not None:
        raise UnfitError
    attributes = draw.some({"mode": draw.pick("DCR", "CRD")}) if draw.opset >= 11 else {}
    return Use("DepthToSpace", [Input(draw.numbers(shape), True)], {"blocksize": block, **attributes})


def space_to_depth(draw: Draw) -> Use:
    block = draw.integer(1, 3)
    shape = (
        draw.leading or draw.integer(1, 2),
        draw.integer(1, 3),
        block * draw.integer(1, 3),
        block * draw.integer(1, 3),
    )
    if draw.given is not None:
        raise UnfitError
    return Use("SpaceToDepth", [Input(draw.numbers(shape), True)], {"blocksize": block})


def center_crop_pad(draw: Draw) -> Use:
    data = moved(draw)
    rank = data.array.ndim
    axes = list(range(rank)) if draw.chance(0.4) and not draw.leading else draw.axes(rank)
    if draw.leading:
        axes = [axis for axis in axes if axis % rank] or [rank - 1]
    attributes = {} if axes == list(range(rank)) else {"axes": axes}
    return Use("CenterCropPad", [data, index(draw.ints(len(axes), 1, 6))], attributes)


def one_hot(draw: Draw) -> Use:
    depth = draw.integer(1, 5)
    shape = draw.shape(0, 3)
    found = draw.random.integers(-depth - 1, depth + 2, shape)
    values = draw.numbers((2,), draw.pick("float32", "int64"))
    rank = len(shape) + 1
    kind = draw.pick("int64", "float32")
    return Use(
        "OneHot",
        [index(found, kind), index(draw.pick(depth, [depth])), Input(values)],
        draw.some({"axis": draw.integer(-rank, rank - 1)}),
    )


def non_zero(draw: Draw) -> Use:
    return Use("NonZero", [Input(draw.numbers(draw.shape(), draw.pick("float32", "int64", "bool")))])


def unique(draw: Draw) -> Use:
    data = Input(np.rint(draw.numbers(draw.shape(1, 3), draw.pick("float32", "int64"))).astype("float32"))
    attributes = draw.some({"sorted": draw.integer(0, 1)})
    if draw.chance(0.4):
        attributes["axis"] = draw.axis(data.array.ndim)
    return Use("Unique", [data], attributes, draw.pick(1, 4))


def eye_like(draw: Draw) -> Use:
    data = Input(draw.numbers(draw.shape(2, 2), draw.pick("float32", "int64")))
    return Use("EyeLike", [data], draw.some({"k": draw.integer(-3, 3), "dtype": draw.pick(TYPES.FLOAT, TYPES.INT64)}))


def ranging(draw: Draw) -> Use:
    kind = draw.pick("float32", "float64", "int32", "int64")
    delta = draw.pick(1, 2, 3, -1, -2) if kind.startswith("int") else draw.pick(0.5, 0.3, -0.7, 1.0)
    start, limit = draw.ints(2, -5, 9)
    return Use("Range", [Input(np.asarray(x, kind)) for x in (start, limit, delta)])


def constant_of_shape(draw: Draw) -> Use:
    value = onnx.numpy_helper.from_array(draw.numbers((1,), draw.pick("float32", "int64", "bool", "float16")))
    return Use("ConstantOfShape", [index(draw.ints(draw.integer(0, 3), 1, 4))], draw.some({"value": value}))


def constant(draw: Draw) -> Use:
    forms: list[dict[str, Any]] = [{"value": onnx.numpy_helper.from_array(draw.numbers(draw.shape()))}]
    if draw.opset >= 12:
        forms += [{"value_int": 3}, {"value_float": 1.5}, {"value_ints": [1, 2]}, {"value_floats": [0.5, 2.0]}]
    return Use("Constant", [], draw.pick(*forms))


def shape_of(draw: Draw) -> Use:
    data = draw.data(1, 4)
    rank = data.array.ndim
    ends = {"start": draw.integer(-rank - 1, rank + 1), "end": draw.integer(-rank - 1, rank + 1)}
    return Use("Shape", [data], draw.some(ends, 0.5) if draw.opset >= 15 else {})


def size_of(draw: Draw) -> Use:
    return Use("Size", [draw.data(0, 4)])


# --- windows and images -----------------------------------------------------------------------------------------------


def image(draw: Draw, spatial: int | None = None, low: int = 1, high: int = 7, channels: int | None = None) -> Input:
    if draw.given is not None:
        if not 3 <= draw.given.ndim <= 4 or (channels and draw.given.shape[1] != channels):
            raise UnfitError
        return Input(draw.given, encryptable=True)
    rank = spatial or draw.pick(1, 2, 2, 2, 3)
    largest = high if rank < 3 else 4
    shape = (
        draw.leading or draw.integer(1, 2),
        channels or draw.integer(1, 3),
        *draw.ints(rank, low, max(low, largest)),
    )
    return Input(draw.numbers(shape), encryptable=True)


def window(draw: Draw, sizes: Sequence[int], *, dilated: bool, kernel: Sequence[int] | None = None) -> dict[str, Any]:
    """Attributes that conv and the pools share."""
    rank = len(sizes)
    kernel = kernel or [draw.integer(1, min(3, size)) for size in sizes]
    attributes: dict[str, Any] = {"kernel_shape": list(kernel), **draw.some({"strides": draw.ints(rank, 1, 3)})}
    if dilated:
        attributes |= draw.some({"dilations": draw.ints(rank, 1, 2)}, 0.4)
    mode = draw.pick("NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    if mode != "NOTSET":
        attributes["auto_pad"] = mode
    elif draw.chance(0.6):
        attributes["pads"] = [draw.integer(0, kernel[i % rank] - 1) for i in range(2 * rank)]
    return attributes


def pool(name: str) -> Callable[[Draw], Use]:
    first = {"AveragePool": (10, 19), "MaxPool": (10, 10), "LpPool": (18, 18)}[name]

    def make(draw: Draw) -> Use:
        data = image(draw)
        attributes = window(draw, data.array.shape[2:], dilated=draw.opset >= first[1])
        if draw.opset >= first[0]:
            attributes |= draw.some({"ceil_mode": draw.integer(0, 1)}, 0.6)
        if name == "AveragePool":
            attributes |= draw.some({"count_include_pad": draw.integer(0, 1)})
        if name == "LpPool":
            attributes |= draw.some({"p": draw.integer(1, 3)})
        if name == "MaxPool" and draw.opset >= 8 and draw.chance(0.2):
            return Use(name, [data], attributes, 2)
        return Use(name, [data], attributes)

    return make


def global_pool(name: str) -> Callable[[Draw], Use]:
    return lambda draw: Use(
        name, [image(draw)], {"p": draw.integer(1, 3)} if name == "GlobalLpPool" and draw.chance(0.5) else {}
    )


def conv(draw: Draw) -> Use:
    data = image(draw, low=2)
    channels = data.array.shape[1]
    group = draw.pick(*(n for n in (1, 1, channels) if channels % n == 0))
    sizes = data.array.shape[2:]
    attributes = window(draw, sizes, dilated=True)
    kernel = attributes["kernel_shape"]
    weight = draw.numbers((group * draw.integer(1, 2), channels // group, *kernel), data.array.dtype.name)
    inputs = [data, Input(weight)]
    if draw.chance(0.5):
        inputs.append(Input(draw.numbers((len(weight),), data.array.dtype.name)))
    if draw.chance(0.5):
        del attributes["kernel_shape"]
    return Use("Conv", inputs, {**attributes, **({"group": group} if group > 1 else {})})


def conv_transpose(draw: Draw) -> Use:
    data = image(draw, high=4)
    channels = data.array.shape[1]
    group = draw.pick(1, 1, channels)
    sizes = data.array.shape[2:]
    rank = len(sizes)
    attributes = window(draw, [3] * rank, dilated=True)
    kernel = attributes["kernel_shape"]
    strides = attributes.get("strides", [1] * rank)
    if draw.chance(0.4):
        attributes["output_padding"] = [draw.integer(0, stride - 1) for stride in strides]
    if draw.chance(0.25):
        attributes.pop("pads", None)
        dilations = attributes.get("dilations", [1] * rank)
        extra = attributes.get("output_padding", [0] * rank)
        full = [
            s * (n - 1) + e + (k - 1) * d + 1
            for n, s, e, k, d in zip(sizes, strides, extra, kernel, dilations, strict=True)
        ]
        attributes["output_shape"] = [max(1, size - draw.integer(0, 2)) for size in full]
    weight = draw.numbers((channels, draw.integer(1, 2), *kernel), data.array.dtype.name)
    inputs = [data, Input(weight)]
    if draw.chance(0.5):
        inputs.append(Input(draw.numbers((weight.shape[1] * group,), data.array.dtype.name)))
    return Use("ConvTranspose", inputs, {**attributes, **({"group": group} if group > 1 else {})})


def col2im(draw: Draw) -> Use:
    if draw.given is not None:
        raise UnfitError
    rank = draw.integer(1, 2)
    size, block = draw.ints(rank, 2, 5), draw.ints(rank, 1, 2)
    # With one axis and dilations onnxruntime 1.32 puts pixels of one channel into another; PyTorch does not.
    strides, dilations, pads = draw.ints(rank, 1, 2), draw.ints(rank, 1, rank), draw.ints(2 * rank, 0, 1)
    counts = [
        (n + pads[a] + pads[rank + a] - (b - 1) * d - 1) // s + 1
        for a, (n, b, d, s) in enumerate(zip(size, block, dilations, strides, strict=True))
    ]
    shape = (draw.leading or draw.integer(1, 2), draw.integer(1, 3) * math.prod(block), math.prod(counts))
    if min(counts) < 1:
        raise UnfitError
    attributes = {"strides": strides, "dilations": dilations, "pads": pads}
    return Use("Col2Im", [Input(draw.numbers(shape), True), index(size), index(block)], attributes)


def resize(draw: Draw) -> Use:
    ranks = draw.pick((3, 4), (3, 4), (3, 4), (3, 4), (3, 4), (1, 2), (5, 5))
    data = draw.data(*ranks, extent=6 if ranks[1] < 5 else 3)
    rank = data.array.ndim
    spatial = list(range(min(2, rank - 1) if rank > 2 else 0, rank))
    if draw.leading and rank <= 2:
        spatial = list(range(1, rank)) or [0]
    factors = [1.0] * rank
    for axis in spatial:
        factors[axis] = draw.pick(0.5, 0.6, 0.7, 0.8, 1.0, 1.5, 1.7, 2.0, 2.5, 3.0, 1.25)
    if any(math.floor(n * f) < 1 for n, f in zip(data.array.shape, factors, strict=True)):
        factors = [max(factor, 1.0) for factor in factors]
    mode = draw.pick("nearest", "linear", "linear", *(["cubic"] if draw.opset >= 11 and len(spatial) == 2 else []))
    if draw.opset == 10:
        return Use("Resize", [data, Input(np.asarray(factors, "float32"))], {"mode": mode})
    modes = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize"]
    if draw.opset >= 19:
        modes.append("half_pixel_symmetric")
    if draw.opset < 13:
        modes.append("tf_half_pixel_for_nn")
    attributes = {"mode": mode}
    coordinates = draw.pick(*modes)
    attributes |= draw.some({"coordinate_transformation_mode": coordinates})
    if mode == "nearest":
        attributes |= draw.some({"nearest_mode": draw.pick("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")})
    if mode == "cubic":
        attributes |= draw.some({"cubic_coeff_a": draw.pick(-0.75, -0.5), "exclude_outside": draw.integer(0, 1)})
    if draw.opset >= 18 and mode != "nearest":
        attributes |= draw.some({"antialias": draw.integer(0, 1)}, 0.4)
    axes = list(range(rank))
    if draw.opset >= 18 and draw.chance(0.4):
        axes = spatial if draw.chance(0.5) else [axis - rank for axis in spatial]
        attributes["axes"] = axes
    region: Input | None = None
    if attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        edges = [
            (0.0, 1.0) if a % rank not in spatial else draw.pick((0.0, 1.0), (0.2, 0.8), (-0.1, 0.6), (0.4, 1.3))
            for a in axes
        ]
        region = Input(np.asarray([edge[0] for edge in edges] + [edge[1] for edge in edges], data.array.dtype))
        attributes |= draw.some({"extrapolation_value": draw.pick(0.0, 2.5)})
    if region is None and draw.opset < 13:
        region = Input(np.zeros(0, data.array.dtype))
    chosen = [factors[axis] for axis in axes]
    if draw.chance(0.6):
        return Use("Resize", [data, region, Input(np.asarray(chosen, "float32"))], attributes)
    sizes = [
        max(1, math.floor(data.array.shape[a] * factors[a] + draw.pick(0, 0.5)))
        if a % rank in spatial
        else data.array.shape[a]
        for a in axes
    ]
    if draw.opset >= 18 and {a % rank for a in axes} == set(spatial):
        attributes |= draw.some({"keep_aspect_ratio_policy": draw.pick("stretch", "not_larger", "not_smaller")})
    scales = Input(np.zeros(0, "float32")) if draw.opset < 13 else None
    return Use("Resize", [data, region, scales, index(sizes)], attributes)


def upsample(draw: Draw) -> Use:
    data = draw.data(3, 4)
    rank = data.array.ndim
    factors = [1.0, 1.0, *(draw.pick(1.0, 1.5, 2.0, 2.6, 3.0) for _ in range(rank - 2))]
    attributes = draw.some({"mode": draw.pick("nearest", "linear")})
    if draw.opset < 9:
        return Use("Upsample", [data], {**attributes, "scales": factors})
    return Use("Upsample", [data, Input(np.asarray(factors, "float32"))], attributes)


def grid_sample(draw: Draw) -> Use:
    data = image(draw, spatial=2 if draw.opset < 20 else draw.pick(2, 2, 3))
    rank = data.array.ndim - 2
    grid = draw.random.uniform(-1.4, 1.4, (len(data.array), *draw.ints(rank, 1, 4), rank)).astype(data.array.dtype)
    if draw.leading:
        grid = np.repeat(grid[:1], draw.leading, axis=0)
    names = (
        ["bilinear", "nearest", "bicubic"]
        if draw.opset < 20
        else ["linear", "nearest", *(["cubic"] if rank == 2 else [])]
    )
    padding = draw.pick("zeros", "border", "reflection")
    attributes = {"mode": draw.pick(*names), "padding_mode": padding, "align_corners": draw.integer(0, 1)}
    return Use("GridSample", [data, Input(grid)], draw.some(attributes, 0.8))


def affine_grid(draw: Draw) -> Use:
    rank = draw.pick(2, 3)
    count = draw.integer(1, 2)
    theta = draw.numbers((count, rank, rank + 1), "float32")
    size = (count, draw.integer(1, 2), *draw.ints(rank, 1, 4))
    return Use("AffineGrid", [Input(theta), index(size)], draw.some({"align_corners": draw.integer(0, 1)}))


# --- linear -----------------------------------------------------------------------------------------------------------


def matmul(draw: Draw) -> Use:
    left = draw.data(1, 4)
    inner = left.array.shape[-1]
    rank = draw.integer(1, 3) if left.array.ndim > 1 else draw.pick(1, 2)
    outer = draw.broadcastable(left.array.shape[:-2])[-max(0, rank - 2) or len(left.array.shape) :]
    shape = (inner,) if rank == 1 else (*(outer if rank > 2 else ()), inner, draw.integer(1, 4))
    return Use("MatMul", [left, Input(draw.numbers(shape, left.array.dtype.name), left.encryptable)])


def gemm(draw: Draw) -> Use:
    a = draw.data(2, 2)
    flip_a, flip_b = draw.chance(0.2) and not draw.leading, draw.chance(0.5)
    rows, inner = reversed(a.array.shape) if flip_a else a.array.shape
    columns = draw.integer(1, 4)
    kind = a.array.dtype.name
    b = draw.numbers((columns, inner) if flip_b else (inner, columns), kind)
    inputs = [a, Input(b, True)]
    if draw.opset < 11 or draw.chance(0.6):
        inputs.append(
            Input(draw.numbers(draw.pick((columns,), (1, columns), (rows, columns), (1,)), kind), draw.chance(0.5))
        )
    flags = {"transA": int(flip_a), "transB": int(flip_b)}
    return Use("Gemm", inputs, {**flags, **draw.some({"alpha": 0.5, "beta": draw.pick(0.0, 1.5)}, 0.4)})


def einsum(draw: Draw) -> Use:
    if draw.given is not None:
        raise UnfitError
    i, j, k, b = draw.ints(4, 1, 4)
    if draw.leading:
        b = draw.leading
    forms: list[tuple[str, list[tuple[int, ...]]]] = [
        ("bij,bjk->bik", [(b, i, j), (b, j, k)]), ("bij->bji", [(b, i, j)]), ("bij,jk->bik", [(b, i, j), (j, k)]),
        ("bi,i->b", [(b, i), (i,)]), ("bij->b", [(b, i, j)]), ("b...j,jk->b...k", [(b, i, j), (j, k)]),
        ("bii->bi", [(b, i, i)]), ("bi,bj", [(b, i), (b, j)]), ("bi, bi -> b", [(b, i), (b, i)]),
        ("bij,bj->bi", [(b, i, j), (b, j)]), ("bi,ij,jk->bk", [(b, i), (i, j), (j, k)]),
    ]  # fmt: skip
    equation, shapes = draw.pick(*forms)
    return Use("Einsum", [Input(draw.numbers(shape), True) for shape in shapes], {"equation": equation})


def matmul_integer(draw: Draw) -> Use:
    rows, inner, columns = draw.ints(3, 1, 4)
    left, right = draw.pick("uint8", "int8"), draw.pick("uint8", "int8")
    inputs: list[Input | None] = [
        Input(draw.numbers((rows, inner), left)),
        Input(draw.numbers((inner, columns), right)),
    ]
    if draw.chance(0.6):
        inputs.append(Input(draw.numbers((), left)))
        inputs += [Input(draw.numbers(draw.pick((), (columns,)), right))] if draw.chance(0.6) else []
    return Use("MatMulInteger", inputs)


def det(draw: Draw) -> Use:
    extent = draw.integer(1, 4)
    return Use("Det", [Input(draw.numbers((*draw.shape(0, 1), extent, extent), draw.pick("float32")))])


# --- quantisation -----------------------------------------------------------------------------------------------------


def scale_and_zero(draw: Draw, data: Array, kind: str, real: str) -> tuple[list[Input], dict[str, Any]]:
    forms = (
        ["tensor"] + (["axis"] if draw.opset >= 13 else []) + (["blocks"] if draw.opset >= 21 and data.ndim > 1 else [])
    )
    form = draw.pick(*forms)
    attributes: dict[str, Any] = {}
    shape: tuple[int, ...] = ()
    if form == "axis":
        axis = draw.axis(data.ndim)
        shape, attributes = (data.shape[axis],), {"axis": axis}
    elif form == "blocks":
        axis = draw.axis(data.ndim)
        block = draw.pick(*(n for n in range(1, data.shape[axis] + 1) if data.shape[axis] % n == 0))
        extents = list(data.shape)
        extents[axis] //= block
        shape, attributes = tuple(extents), {"axis": axis, "block_size": block}
    scale = Input(draw.random.uniform(0.01, 1, shape).astype(real))
    low, high = (0, 0) if kind == "int32" else (0, 9) if kind.startswith("u") else (-5, 5)
    further = [Input(draw.random.integers(low, high + 1, shape).astype(kind))] if draw.chance(0.7) else []
    return [scale, *further], attributes


def quantize(draw: Draw) -> Use:
    kind = draw.pick("uint8", "int8", *(("uint16", "int16") if draw.opset >= 21 else ()))
    real = draw.pick("float32", "float16") if draw.opset >= 19 else "float32"
    data = draw.numbers(draw.shape(), real)
    further, attributes = scale_and_zero(draw, data, kind, real)
    return Use("QuantizeLinear", [Input(data), *further], attributes)


def dequantize(draw: Draw) -> Use:
    kind = draw.pick("uint8", "int8", "int32", *(("uint16", "int16") if draw.opset >= 21 else ()))
    real = draw.pick("float32", "float16") if draw.opset >= 19 else "float32"
    data = draw.numbers(draw.shape(), kind)
    further, attributes = scale_and_zero(draw, data, kind, real)
    return Use("DequantizeLinear", [Input(data, True), *further], attributes)


def dynamic_quantize(draw: Draw) -> Use:
    return Use("DynamicQuantizeLinear", [Input(draw.numbers(draw.shape(), "float32"))], {}, 3)


def recurrent(operator: str, gates: int) -> Callable[[Draw], Use]:
    """A layer over a few steps; onnxruntime has single precision, and sequences in front only."""

    def use(draw: Draw) -> Use:
        if draw.given is not None:
            raise UnfitError
        steps, batch, features, hidden = draw.ints(4, 1, 3)
        direction = draw.pick("forward", "reverse", "bidirectional")
        count = 2 if direction == "bidirectional" else 1

        def numbers(*shape: int) -> Input:
            return Input(draw.numbers(shape, "float32", -1, 1))

        state = count, batch, hidden
        data = Input(draw.numbers((steps, batch, features), "float32"), True)
        inputs: list[Input | None] = [
            data,
            numbers(count, gates * hidden, features),
            numbers(count, gates * hidden, hidden),
            numbers(count, 2 * gates * hidden) if draw.chance(0.6) else None,
            Input(np.asarray(draw.ints(batch, 1, steps), dtype=np.int32)) if draw.chance(0.2) else None,
            numbers(*state) if draw.chance(0.5) else None,
        ]
        if operator == "LSTM":
            inputs += [numbers(*state) if draw.chance(0.5) else None]
            inputs += [numbers(count, 3 * hidden) if draw.chance(0.3) else None]
        while inputs[-1] is None:
            inputs.pop()
        attributes: dict[str, Any] = {"hidden_size": hidden, "direction": direction}
        if operator == "GRU":
            attributes |= draw.some({"linear_before_reset": 1}, 0.5)
        return Use(operator, inputs, attributes, 3 if operator == "LSTM" else 2)

    return use


def windowing(name: str) -> Callable[[Draw], Use]:
    return lambda draw: Use(
        name, [index(draw.integer(1, 9), draw.pick("int32", "int64"))], draw.some({"periodic": draw.integer(0, 1)})
    )


def shrink(draw: Draw) -> Use:
    return Use("Shrink", [draw.data(1, 4)], draw.some({"lambd": 0.75, "bias": 0.25}))


# --- classical machine learning ---------------------------------------------------------------------------------------


def rows(draw: Draw) -> Input:
    return draw.data(2, 2, "float32")


def floats(draw: Draw, count: int) -> list[float]:
    return [float(x) for x in draw.numbers((count,), "float32")]


def scaler(draw: Draw) -> Use:
    data = rows(draw)
    count = draw.pick(1, data.array.shape[1])
    return Use("Scaler", [data], {"offset": floats(draw, count), "scale": floats(draw, count)}, domain=ML)


def linear_regressor(draw: Draw) -> Use:
    data = rows(draw)
    targets = draw.integer(1, 3)
    attributes: dict[str, Any] = {"coefficients": floats(draw, targets * data.array.shape[1]), "targets": targets}
    return Use("LinearRegressor", [data], {**attributes, **draw.some({"intercepts": floats(draw, targets)})}, domain=ML)


def linear_classifier(draw: Draw) -> Use:
    data = rows(draw)
    classes = draw.integer(2, 4)
    labels: dict[str, Any] = draw.pick(
        {"classlabels_ints": draw.ints(classes, -5, 9)}, {"classlabels_strings": list("abcd"[:classes])}
    )
    transform = draw.pick("NONE", "LOGISTIC", "SOFTMAX")
    count = 1 if classes == 2 and transform == "LOGISTIC" and draw.chance(0.5) else classes
    attributes = {"coefficients": floats(draw, count * data.array.shape[1]), "intercepts": floats(draw, count)}
    return Use("LinearClassifier", [data], {**attributes, **labels, "post_transform": transform}, 2, ML)


def kernel(draw: Draw) -> dict[str, Any]:
    kind = draw.pick("LINEAR", "POLY", "RBF", "SIGMOID")
    parameters = [draw.pick(0.1, 0.25), draw.pick(0.0, 0.5), float(draw.integer(1, 3))]
    return {"kernel_type": kind, "kernel_params": parameters}


def svm_regressor(draw: Draw) -> Use:
    data = rows(draw)
    supports, features = draw.integer(1, 3), data.array.shape[1]
    attributes = {"coefficients": floats(draw, supports), "support_vectors": floats(draw, supports * features),
                  "rho": floats(draw, 1), "n_supports": supports, **kernel(draw)}  # fmt: skip
    return Use("SVMRegressor", [data], attributes, domain=ML)


def svm_classifier(draw: Draw) -> Use:
    data = rows(draw)
    classes, features = draw.integer(2, 4), data.array.shape[1]
    counts = draw.ints(classes, 1, 3)
    pairs = classes * (classes - 1) // 2
    labels: dict[str, Any] = draw.pick(
        {"classlabels_ints": draw.ints(classes, -5, 9)}, {"classlabels_strings": list("abcd"[:classes])}
    )
    attributes = {"coefficients": [-0.5, *floats(draw, (classes - 1) * sum(counts) - 1)], "rho": floats(draw, pairs),
                  "support_vectors": floats(draw, sum(counts) * features), "vectors_per_class": counts,
                  "post_transform": "NONE", **kernel(draw)}  # fmt: skip
    if draw.chance(0.4):
        attributes |= {"prob_a": [-draw.pick(0.5, 1.5) for _ in range(pairs)], "prob_b": floats(draw, pairs)}
    return Use("SVMClassifier", [data], {**attributes, **labels}, 2, ML)


def vectorizer(draw: Draw) -> Use:
    first = rows(draw)
    others = [
        Input(draw.numbers((len(first.array), draw.integer(1, 3)), "float32"), True) for _ in draw.pick("", "a", "ab")
    ]
    widths = [one.array.shape[1] for one in (first, *others)]
    return Use("FeatureVectorizer", [first, *others], {"inputdimensions": widths}, domain=ML)


def extractor(draw: Draw) -> Use:
    data = rows(draw)
    return Use(
        "ArrayFeatureExtractor", [data, index(draw.ints(draw.integer(1, 3), 0, data.array.shape[1] - 1))], domain=ML
    )


def normalizer(draw: Draw) -> Use:
    return Use("Normalizer", [rows(draw)], {"norm": draw.pick("MAX", "L1", "L2")}, domain=ML)


def binarizer(draw: Draw) -> Use:
    return Use("Binarizer", [rows(draw)], draw.some({"threshold": 0.5}), domain=ML)


def imputer(draw: Draw) -> Use:
    return Use(
        "Imputer",
        [rows(draw)],
        {"imputed_value_floats": floats(draw, 1), "replaced_value_float": float("nan")},
        domain=ML,
    )


# --- all --------------------------------------------------------------------------------------------------------------

SIGNED = ("int32", "int64", "int8")

GENERATORS: dict[str, Callable[[Draw], Use]] = {
    **{
        name: unary(name)
        for name in ("Asinh", "Atan", "Cos", "Cosh", "Erf", "Exp", "HardSwish", "Mish", "Sigmoid", "Sin", "Sinh",
                     "Softplus", "Softsign", "Tanh")
    },
    **{name: unary(name, kinds=SIGNED) for name in ("Abs", "Neg", "Sign")},
    **{name: unary(name) for name in ("Ceil", "Floor", "Round")},
    "Relu": unary("Relu"),
    "Identity": unary("Identity", kinds=MOVED),
    "Acos": unary("Acos", (-0.95, 0.95)), "Asin": unary("Asin", (-0.95, 0.95)), "Atanh": unary("Atanh", (-0.95, 0.95)),
    "Acosh": unary("Acosh", (1.1, 4)), "Log": unary("Log", (0.1, 4)), "Sqrt": unary("Sqrt", (0.1, 4)),
    "Reciprocal": unary("Reciprocal", (0.2, 3)), "Tan": unary("Tan", (-1.2, 1.2)),
    "Celu": unary("Celu", attributes={"alpha": (0.3, 2)}), "Elu": unary("Elu", attributes={"alpha": (0.3, 2)}),
    "HardSigmoid": unary("HardSigmoid", attributes={"alpha": (0.1, 0.9), "beta": (0, 1)}),
    "LeakyRelu": unary("LeakyRelu", attributes={"alpha": (-0.5, 0.9)}),
    "Selu": unary("Selu", attributes={"alpha": (0.5, 2), "gamma": (0.5, 2)}),
    "Swish": unary("Swish", attributes={"alpha": (0.5, 2)}),
    "ThresholdedRelu": unary("ThresholdedRelu", attributes={"alpha": (0, 2)}),
    "Shrink": shrink, "Clip": clip, "Gelu": gelu, "PRelu": prelu, "Dropout": dropout,
    "Cast": cast, "CastLike": cast_like,
    **{name: binary(name, INTEGERS) for name in ("Add", "Sub", "Mul")},
    "Div": division, "Mod": modulo, "Pow": power,
    **{name: variadic(name) for name in ("Max", "Min", "Mean", "Sum")},
    **{name: compare(name) for name in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")},
    **{name: logical(name) for name in ("And", "Or", "Xor")},
    "Not": negation, "Where": where, "IsInf": is_infinite, "IsNaN": is_nan,
    **{name: bitwise(name) for name in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")},
    "BitwiseNot": bit_not, "BitShift": bit_shift,
    **{
        name: reduction(name)
        for name in ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin",
                     "ReduceProd", "ReduceSum", "ReduceSumSquare")
    },
    **{name: extreme(name) for name in ("ArgMax", "ArgMin")},
    "TopK": top,
    **{name: softmax(name) for name in ("Hardmax", "LogSoftmax", "Softmax")},
    "CumSum": cumulative("CumSum"), "CumProd": cumulative("CumProd"),
    "BatchNormalization": batch_normalization, "InstanceNormalization": instance_normalization,
    "GroupNormalization": group_normalization, "LayerNormalization": layer_normalization,
    "RMSNormalization": rms_normalization, "LpNormalization": lp_normalization, "LRN": lrn,
    "MeanVarianceNormalization": mean_variance,
    "Concat": concat, "Split": split, "Slice": slicing, "Gather": gather, "GatherElements": gather_elements,
    "GatherND": gather_nd, "ScatterElements": scatter_elements("ScatterElements"),
    "Scatter": scatter_elements("Scatter"),
    "ScatterND": scatter_nd, "Transpose": transpose, "Reshape": reshape, "Flatten": flatten, "Squeeze": squeeze,
    "Unsqueeze": unsqueeze, "Expand": expand, "Tile": tile, "Pad": pad, "Compress": compress, "Trilu": trilu,
    "ReverseSequence": reverse_sequence, "DepthToSpace": depth_to_space, "SpaceToDepth": space_to_depth,
    "CenterCropPad": center_crop_pad, "OneHot": one_hot, "NonZero": non_zero, "Unique": unique, "EyeLike": eye_like,
    "Range": ranging, "ConstantOfShape": constant_of_shape, "Constant": constant, "Shape": shape_of, "Size": size_of,
    **{name: pool(name) for name in ("AveragePool", "LpPool", "MaxPool")},
    **{name: global_pool(name) for name in ("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool")},
    "Conv": conv, "ConvTranspose": conv_transpose, "Col2Im": col2im, "Resize": resize, "Upsample": upsample,
    "GridSample": grid_sample, "AffineGrid": affine_grid,
    "MatMul": matmul, "Gemm": gemm, "Einsum": einsum, "MatMulInteger": matmul_integer, "Det": det,
    "QuantizeLinear": quantize, "DequantizeLinear": dequantize, "DynamicQuantizeLinear": dynamic_quantize,
    **{name: windowing(name) for name in ("BlackmanWindow", "HammingWindow", "HannWindow")},
    "GRU": recurrent("GRU", 3), "LSTM": recurrent("LSTM", 4), "RNN": recurrent("RNN", 1),
    "Scaler": scaler, "LinearRegressor": linear_regressor, "LinearClassifier": linear_classifier,
    "SVMRegressor": svm_regressor, "SVMClassifier": svm_classifier, "ArrayFeatureExtractor": extractor,
    "FeatureVectorizer": vectorizer,
    "Normalizer": normalizer, "Binarizer": binarizer, "Imputer": imputer,
}  # fmt: skip
"""By the operator's name; those of classical machine learning are in a domain of their own."""

"""Lowering: a graph of affine maps, lines and maxima becomes a sharing program of integers.

A value has a *unit*, the real number that one stands for. Weights are rounded to a number of bits for each layer, and
the argument of a gate to a number of bits of what it is on the calibration inputs; in between nothing is rounded. What
is added up has one unit: weights are rounded to units that make it so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.function import Expression
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import (
    NODES,
    AffineNode,
    BootstrapNode,
    ChebyshevNode,
    FunctionNode,
    InputNode,
    OperatorNode,
    ProductNode,
    QuadraticNode,
    WindowSumNode,
)
from hecc.compiler.graph.operators import (
    OPERATORS,
    Extremum,
    LogSoftmax,
    ReducedExtremum,
    Softmax,
    WindowExtremum,
)
from hecc.compiler.sharing.builder import Builder, Built, Integers, LargeRingError, LargeValueError, Tensor
from hecc.compiler.sharing.lines import lines_of
from hecc.compiler.sharing.options import Reveal
from hecc.compiler.sharing.splines import MOST_PIECES, fit_pieces
from hecc.compiler.sharing.steps import PrivateStep, PublicStep, Step, diagonal, steps_of
from hecc.runtime.errors import CompileError, UnsupportedError
from hecc.runtime.reading import Reading
from hecc.runtime.sharing.program.instructions import Holder, Line

__all__ = ["Accuracy", "Lowered", "lower"]

Floats: TypeAlias = NDArray[np.float64]

DEGREES = (1, 2, 3)
"""Of polynomials in the place of functions, that are tried."""

MOST_COEFFICIENT = 2.0**58
"""Larger coefficients of polynomials leave no room in a ring."""

NEARLY_ONE = 0.75
"""What the sum of a softmax is at the least: one, with room for the errors of all its parts."""

SAME = 1e-12
"""By how much the ratio of two units may miss an integer that it stands for."""


@dataclass(frozen=True)
class Accuracy:
    """How values are rounded.

    Attributes
    ----------
    value_bits, weight_bits
        Of the largest values and weights of a layer, without their sign.
    """

    value_bits: int
    weight_bits: int


@dataclass(frozen=True)
class Lowered:
    """A program, and what its inputs and outputs are.

    Attributes
    ----------
    inputs, outputs
        Units by name.
    """

    built: Built
    inputs: dict[str, float]
    outputs: dict[str, float]


def lower(
    graph: Graph,
    observed: Mapping[str, float],
    declared: Mapping[str, tuple[float, float]],
    accuracy: Accuracy,
    *,
    margin: float | None,
    reveal: Reveal = "scores",
) -> Lowered:
    """Lower a graph.

    Parameters
    ----------
    observed
        The largest magnitude of each value on the calibration inputs.
    declared
        Range of each input's elements.
    margin
        How many times what was observed a value may become, if less than that is not proved; ``None`` if only what is
        proved counts.
    reveal
        Of outputs, the numbers; or which of them is the largest, as a one among zeros.

    Raises
    ------
    UnsupportedError
        It has a node that cannot be shared.
    CompileError
        Values need more bits than there are.
    """
    try:
        return _lower_somehow(graph, observed, declared, accuracy, margin, reveal)
    except LargeValueError as error:
        if margin is not None:
            raise
        raise CompileError(
            f"{error}; or choose the option ranges=observed: this is proved of all inputs in the range, and those that "
            "calibrate may make far smaller values"
        ) from error


def _lower_somehow(
    graph: Graph,
    observed: Mapping[str, float],
    declared: Mapping[str, tuple[float, float]],
    accuracy: Accuracy,
    margin: float | None,
    reveal: Reveal,
) -> Lowered:
    try:
        return _lower(_Lowering(graph, observed, declared, accuracy, margin, extends=False), reveal)
    except LargeRingError:
        # Layers without a gate between them each make the rings before larger, unless values are extended.
        return _lower(_Lowering(graph, observed, declared, accuracy, margin, extends=True), reveal)


def _lower(lowering: _Lowering, reveal: Reveal) -> Lowered:
    graph, observed, margin = lowering.graph, lowering.observed, lowering.margin
    for node in graph.nodes:
        made = _NODES.of(node)(node, lowering)
        limit = math.inf if margin is None or isinstance(node, InputNode) else margin * observed[node.output.name]
        lowering.tensors[node.output.name] = made.narrowed(limit) if limit < math.inf else made
    inputs = {node.output.name: lowering.tensors[node.output.name].unit for node in graph.inputs()}
    outputs = {}
    for name in graph.outputs:
        source = f"output {name!r}"
        rounded = lowering.rounded(lowering.tensors[name], observed[name], source)
        released = lowering.released(rounded, source) if reveal == "scores" else _label(rounded, lowering, source)
        lowering.builder.output(name, released)
        outputs[name] = released.unit
    return Lowered(lowering.builder.finish(), inputs, outputs)


class _Lowering:
    """The program so far."""

    def __init__(
        self,
        graph: Graph,
        observed: Mapping[str, float],
        declared: Mapping[str, tuple[float, float]],
        accuracy: Accuracy,
        margin: float | None,
        *,
        extends: bool,
    ) -> None:
        self.graph, self.observed, self.declared = graph, observed, declared
        self.accuracy, self.margin, self.extends = accuracy, margin, extends
        self.builder = Builder()
        self.tensors: dict[str, Tensor] = {}

    def unit(self, magnitude: float) -> float:
        """The unit in which a magnitude has as many bits as values have."""
        return _power_above(magnitude) * 2.0**-self.accuracy.value_bits

    def rounded(self, x: Tensor, magnitude: float, source: str) -> Tensor:
        """A value in about the unit that its magnitude asks for, if its own is finer."""
        bits = math.floor(math.log2(self.unit(magnitude) / x.unit) + SAME) if magnitude > 0 else 0
        if bits <= 0:
            return x
        return self.builder.shift(self.hidden(x, source), bits, source=source)

    def hidden(self, x: Tensor, source: str) -> Tensor:
        """A value under a mask that the client does not know."""
        return x if x.holder is Holder.DEALER else self.builder.affine([], [(x, None, 1)], None, x.unit, source=source)

    def released(self, x: Tensor, source: str) -> Tensor:
        """A value under a mask that the client knows."""
        if x.holder is Holder.CLIENT:
            return x
        return self.builder.extend(x, source=source) if self.extends else self.builder.release(x, source=source)

    def weighted(self, x: Tensor, step: PrivateStep, magnitude: float, source: str) -> tuple[Tensor, float]:
        """What weights may be applied to, and the unit that they have there."""
        x = self.released(self.rounded(x, magnitude, source), source)
        largest = float(np.abs(step.weight).max(initial=0.0))
        return x, _power_above(largest or 1.0) * 2.0**-self.accuracy.weight_bits

    def sum(
        self,
        private: Sequence[tuple[Tensor, PrivateStep, float]],
        public: Sequence[tuple[Tensor, PublicStep | None]],
        bias: NDArray[np.float64] | None,
        source: str,
    ) -> Tensor:
        """The sum of products, public maps and a bias; weights come with the units that they would have alone."""
        units = [x.unit * unit for x, _, unit in private]
        units += [x.unit * (1.0 if step is None else step.factor) for x, step in public]
        unit = min(units)
        for own in units[len(private) :]:
            ratio = own / unit
            if abs(ratio - round(ratio)) > SAME * ratio:
                # As if it were a weight: the ratio gets as many bits.
                short = self.accuracy.weight_bits - math.floor(math.log2(ratio))
                unit *= 2.0 ** -max(short, 0)
        publics = [(x, step, round(own / unit)) for (x, step), own in zip(public, units[len(private) :], strict=True)]
        if not private and bias is None and len({x.holder for x, _, _ in publics}) == 1:
            return self.builder.combine(publics, source=source)
        privates = [(x, step, _integers(step.weight, unit / x.unit)) for x, step, _ in private]
        return self.builder.affine(
            privates, publics, None if bias is None else _integers(bias, unit), unit, source=source
        )


def _power_above(magnitude: float) -> float:
    """The smallest power of two above a number."""
    return 2.0 ** (math.floor(math.log2(magnitude)) + 1) if magnitude > 0 else 1.0


def _integers(values: NDArray[np.float64], unit: float) -> Integers:
    return np.rint(values / unit).astype(np.int64)


# Nodes ----------------------------------------------------------------------------------------------------------------


def _input(node: InputNode, lowering: _Lowering) -> Tensor:
    name, size = node.output.name, node.output.size
    low, high = lowering.declared[name]
    unit = lowering.unit(max(abs(low), abs(high)))
    ends = (np.full(size, math.floor(low / unit)), np.full(size, math.ceil(high / unit)))
    return lowering.builder.input(name, unit, *ends)


def _affine(node: AffineNode, lowering: _Lowering) -> Tensor:
    parameters, source = lowering.graph.parameters, str(node.source)
    bias = None
    if node.bias is not None:
        known = np.asarray(parameters[node.bias], dtype=np.float64)
        bias = np.broadcast_to(known, node.output.shape).reshape(-1)
        bias = bias if bool(np.any(bias)) else None
    private: list[tuple[Tensor, PrivateStep, float]] = []
    public: list[tuple[Tensor, PublicStep | None]] = []
    for term in node.terms:
        steps = steps_of(term.map, parameters)
        x = lowering.tensors[term.value]
        magnitude = lowering.observed[term.value]
        alone = len(node.terms) == 1
        back = steps[-1] if alone and len(steps) > 1 else None
        undone = _undone(back, steps, bias) if isinstance(back, PublicStep) else None
        if isinstance(back, PublicStep) and (bias is None or undone is not None):
            x = _walked(lowering, x, steps[:-1], magnitude, undone, source)
            return lowering.builder.combine([(x, back, 1)], source=source)
        *before, last = steps if steps else [None]
        x = _walked(lowering, x, before, magnitude, None, source)
        if isinstance(last, PrivateStep):
            x, unit = lowering.weighted(x, last, magnitude, source)
            private.append((x, last, unit))
        else:
            public.append((x, last))
    if len(public) == 1 and not private and bias is None and public[0][1] is None:
        return public[0][0]
    return lowering.sum(private, public, bias, source)


def _walked(
    lowering: _Lowering,
    x: Tensor,
    steps: Sequence[Step | None],
    magnitude: float,
    bias: NDArray[np.float64] | None,
    source: str,
) -> Tensor:
    """A value after steps, the last of which adds the bias."""
    for number, step in enumerate(steps):
        own = bias if number == len(steps) - 1 else None
        if isinstance(step, PrivateStep):
            x, unit = lowering.weighted(x, step, magnitude, source)
            x = lowering.sum([(x, step, unit)], [], own, source)
            # What is in between nobody has observed; its range is proved from that of the argument.
            magnitude = float(max(np.abs(x.low).max(), np.abs(x.high).max())) * x.unit
        else:
            x = lowering.sum([], [(x, step)], own, source)
    return x


def _undone(back: PublicStep, steps: Sequence[Step], bias: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """The bias ahead of a permutation instead of behind it, where weights are ahead of it."""
    if bias is None or back.starts is not None or back.in_size != back.out_size:
        return None
    if not isinstance(steps[-2], PrivateStep) or len(np.unique(back.columns)) < back.in_size:
        return None
    moved = np.empty_like(bias)
    moved[back.columns] = bias / back.factor
    return moved


def _function(node: FunctionNode, lowering: _Lowering) -> Tensor:
    source, lines = str(node.source), lines_of(node.function)
    if lines is None:
        return _smooth(node, lowering)
    x = lowering.rounded(lowering.tensors[node.value], lowering.observed[node.value], source)
    if not lines.bends:
        raise UnsupportedError(f"{source}: {node.function} is a line; write it as a layer")
    x = lowering.hidden(x, source)
    slopes = [lines.slope, *(bend.slope for bend in lines.bends)]
    whole = all(float(slope).is_integer() for slope in slopes)
    # Other slopes have as many bits as weights.
    factor = 1 if whole else 1 << lowering.accuracy.weight_bits
    unit = x.unit / factor
    made = []
    slope, constant = round(lines.slope * factor), round(lines.constant / unit)
    for number, bend in enumerate(lines.bends):
        threshold = round(bend.at / x.unit)
        left = Line(slope=slope, constant=constant) if number == 0 else Line()
        more = round(bend.slope * factor)
        # A bend that does not jump does not jump after rounding either.
        jump = bend.slope * bend.at + bend.constant
        step = round(jump / unit) - more * threshold
        right = Line(slope=left.slope + more, constant=left.constant + step)
        made.append(lowering.builder.knot(x, threshold, left, right, unit=unit, source=source))
    if len(made) == 1:
        return made[0]
    return lowering.builder.combine([(part, None, 1) for part in made], source=source)


def _smooth(node: FunctionNode, lowering: _Lowering) -> Tensor:
    source = str(node.source)
    x = _factor(node.value, lowering, source)
    return _spline(x, node.function, str(node.function), lowering.observed[node.output.name], lowering, source)


def _spline(
    x: Tensor, function: Callable[[Floats], Floats], name: str, magnitude: float, lowering: _Lowering, source: str
) -> Tensor:
    """A function as polynomials, in so small a unit that their coefficients can be rounded to integers."""
    low, high = float(x.low.min()) * x.unit, float(x.high.max()) * x.unit
    if isinstance(function, Expression) and not function.is_defined(low, high):
        raise UnsupportedError(
            f"{source}: {name} has no value, or a pole, somewhere between {low:.4g} and {high:.4g}, where its "
            "argument may be; compile for another scheme"
        )
    tolerance = lowering.unit(magnitude)
    most = max(abs(float(x.low.min())), abs(float(x.high.max())), 1.0)
    offers = []
    for degree in DEGREES:
        fitted = fit_pieces(function, low, high, degree, tolerance)
        # A coefficient's rounding counts as often as the power of the argument is large.
        unit = tolerance / _power_above(most) ** degree
        largest = max(abs(float(c)) for piece in fitted.polynomials for c in piece) if fitted is not None else 0.0
        if fitted is not None and largest / unit < MOST_COEFFICIENT:
            offers.append((len(fitted.polynomials) * (degree + 1), degree, unit, fitted))
    if not offers:
        raise UnsupportedError(
            f"{source}: no {MOST_PIECES} polynomials follow {name} from {low:.4g} to {high:.4g} as precisely "
            "as is asked for; ask for less precision, or compile for another scheme"
        )
    _, _, unit, fitted = min(offers, key=lambda offer: offer[:2])
    pieces = [[round(c * x.unit**power / unit) for power, c in enumerate(piece)] for piece in fitted.polynomials]
    knots = [math.ceil(knot / x.unit) for knot in fitted.knots]
    if not knots:
        # One polynomial is enough, and a spline has two pieces at least.
        knots, pieces = [0], pieces * 2
    # Of pieces that begin at one integer the last is left.
    kept = [n for n, knot in enumerate(knots) if n == len(knots) - 1 or knot < knots[n + 1]]
    knots, pieces = [knots[n] for n in kept], [pieces[0], *(pieces[n + 1] for n in kept)]
    return lowering.builder.spline(x, knots, pieces, unit=unit, source=source)


def _product(node: ProductNode, lowering: _Lowering) -> Tensor:
    x, y = (_factor(name, lowering, str(node.source)) for name in node.inputs)
    return lowering.builder.product(x, x if node.left == node.right else y, source=str(node.source))


def _factor(name: str, lowering: _Lowering, source: str) -> Tensor:
    return lowering.hidden(lowering.rounded(lowering.tensors[name], lowering.observed[name], source), source)


def _quadratic(node: QuadraticNode, lowering: _Lowering) -> Tensor:
    """A square, and a factor for each element of it and of the argument, which are weights."""
    source = str(node.source)
    constant, linear, leading = (
        np.broadcast_to(np.asarray(lowering.graph.parameters[name], dtype=np.float64), node.output.shape).reshape(-1)
        for name in node.coefficients
    )
    x = _factor(node.value, lowering, source)
    square = lowering.builder.product(x, x, source=source)
    if not linear.any() and not constant.any() and bool((leading == 1).all()):
        return square
    magnitude = lowering.observed[node.value]
    private = []
    for value, size, factors in ((square, magnitude**2, leading), (x, magnitude, linear)):
        if factors.any():
            step = diagonal(factors)
            private.append((*lowering.weighted(value, step, size, source), step))
    bias = constant if constant.any() else None
    return lowering.sum([(value, step, unit) for value, unit, step in private], [], bias, source)


def _operator(node: OperatorNode, lowering: _Lowering) -> Tensor:
    return _OPERATORS.of(node.operator)(node, node.operator, lowering)


# Maxima ---------------------------------------------------------------------------------------------------------------


def _window(node: OperatorNode, operator: WindowExtremum, lowering: _Lowering) -> Tensor:
    """Along one axis after the other: where windows overlap, rows of theirs are compared once."""
    (name,) = node.values
    x = _comparable(node, operator.largest, name, lowering)
    shape = list(operator.in_shapes[0])
    for axis in range(len(operator.kernel)):
        places = np.moveaxis(np.arange(math.prod(shape)).reshape(shape), 2 + axis, 0)
        taps, size = operator.kernel[axis], shape[2 + axis]
        shape[2 + axis] = operator.out_shape[2 + axis]
        starts = np.arange(shape[2 + axis]) * operator.strides[axis] - operator.pads[axis][0]
        rows = starts[:, np.newaxis] + np.arange(taps) * operator.dilations[axis]
        # What lies in the padding is no candidate.
        inside = (rows >= 0) & (rows < size)
        if not bool(inside.any(axis=1).all()):
            raise UnsupportedError(f"{node.source}: it has windows that lie in the padding as a whole; make it smaller")
        candidates = np.where(
            inside.reshape(*rows.shape, *(1,) * (places.ndim - 1)), places[np.clip(rows, 0, size - 1)], -1
        )
        sets = np.moveaxis(np.moveaxis(candidates, 1, -1), 0, 2 + axis).reshape(-1, taps)
        x = _largest(lowering, x, sets, str(node.source))
    return _finished(node, operator.largest, operator.least, x, lowering)


def _reduced(node: OperatorNode, operator: ReducedExtremum, lowering: _Lowering) -> Tensor:
    (name,) = node.values
    x = _comparable(node, operator.largest, name, lowering)
    shape = operator.in_shapes[0]
    kept = [axis for axis in range(len(shape)) if axis not in operator.axes]
    places = np.arange(math.prod(shape)).reshape(shape).transpose(*kept, *operator.axes)
    sets = places.reshape(math.prod(shape[axis] for axis in kept), -1)
    x = _largest(lowering, x, sets, str(node.source))
    return _finished(node, operator.largest, operator.least, x, lowering)


def _shares(
    node: OperatorNode, operator: Softmax | LogSoftmax, lowering: _Lowering
) -> tuple[Tensor, Tensor, Tensor, PublicStep]:
    """For a softmax: numbers below their largest, exponentials, the sums of these, and which sum each belongs to."""
    (name,) = node.values
    source, build = str(node.source), lowering.builder
    x = _comparable(node, True, name, lowering)
    shape = operator.in_shapes[0]
    kept = [axis for axis in range(len(shape)) if axis not in operator.axes]
    places = np.arange(x.size).reshape(shape).transpose(*kept, *operator.axes)
    places = places.reshape(math.prod(shape[axis] for axis in kept), -1)
    own = np.empty(x.size, dtype=np.int64)
    own[places.reshape(-1)] = np.repeat(np.arange(len(places)), places.shape[1])
    spread = PublicStep(own, None, len(places), x.size)
    most = _largest(lowering, x, places, source)
    below = build.combine([(x, None, 1), (most, spread, -1)], source=source)
    below = replace(below, high=np.zeros(x.size, dtype=np.int64))
    parts = _spline(below, np.exp, "exp(x)", 1.0, lowering, source)
    parts = lowering.rounded(replace(parts, low=np.maximum(parts.low, 0)), 1.0, source)
    starts = np.arange(len(places)) * places.shape[1]
    sums = build.combine([(parts, PublicStep(places.reshape(-1), starts, x.size, len(places)), 1)], source=source)
    # The largest number's part is one, but for its rounding.
    least = np.full(len(places), math.floor(NEARLY_ONE / sums.unit))
    sums = replace(sums, low=least, high=np.full(len(places), math.ceil((places.shape[1] + 1) / sums.unit)))
    return below, parts, sums, spread


def _softmax(node: OperatorNode, operator: Softmax, lowering: _Lowering) -> Tensor:
    if operator.mask is not None:
        raise UnsupportedError(
            f"{node.source}: a softmax that leaves elements out is not shared yet; compile for another scheme"
        )
    source = str(node.source)
    _, parts, sums, spread = _shares(node, operator, lowering)
    inverse = lowering.rounded(_spline(sums, np.reciprocal, "1/x", 1.0, lowering, source), 1.0, source)
    inverse = replace(inverse, low=np.maximum(inverse.low, 0))
    repeated = lowering.builder.combine([(inverse, spread, 1)], source=source)
    return lowering.builder.product(parts, repeated, source=source)


def _log_softmax(node: OperatorNode, operator: LogSoftmax, lowering: _Lowering) -> Tensor:
    source = str(node.source)
    below, _, sums, spread = _shares(node, operator, lowering)
    logarithm = _spline(sums, np.log, "log(x)", lowering.observed[node.output.name], lowering, source)
    bits = round(math.log2(below.unit / logarithm.unit))
    logarithm = lowering.builder.shift(logarithm, bits, source=source)
    return lowering.builder.combine([(below, None, 1), (logarithm, spread, -1)], source=source)


def _extremum(node: OperatorNode, operator: Extremum, lowering: _Lowering) -> Tensor:
    if any(name is not None for name in operator.constants):
        raise UnsupportedError(
            f"{node.source}: the maximum with constants of the network is not shared yet; use Clip where they are one "
            "number, or compile for another scheme"
        )
    source = str(node.source)
    shape = (1, *operator.out_shape)
    found: list[Tensor] = []
    units = []
    for name, in_shape in zip(node.values, operator.in_shapes, strict=True):
        x = _comparable(node, operator.largest, name, lowering)
        places = np.arange(x.size).reshape(in_shape)
        aligned = places.reshape((1,) * (len(shape) - len(in_shape)) + in_shape)
        index = np.broadcast_to(aligned, shape).reshape(-1)
        found.append(lowering.builder.combine([(x, PublicStep(index, None, x.size, index.size), 1)], source=source))
        units.append(found[-1].unit)
    unit = min(units)
    size = found[0].size
    placed = []
    for number, (x, own) in enumerate(zip(found, units, strict=True)):
        ratio = own / unit
        if abs(ratio - round(ratio)) > SAME * ratio:
            raise UnsupportedError(f"{node.source}: it compares values of units that do not fit; round them first")
        columns = np.arange(size)
        starts = np.clip(np.arange(len(found) * size) - number * size, 0, size)
        placed.append((x, PublicStep(columns, starts, size, len(found) * size), round(ratio)))
    x = lowering.builder.combine(placed, source=source)
    sets = np.arange(len(found) * size).reshape(len(found), size).T
    return _finished(node, operator.largest, None, _largest(lowering, x, sets, source), lowering)


def _comparable(node: OperatorNode, largest: bool, name: str, lowering: _Lowering) -> Tensor:
    """A value under the dealer's mask, in about its unit; negated if the smallest is looked for."""
    source = str(node.source)
    x = lowering.hidden(lowering.rounded(lowering.tensors[name], lowering.observed[name], source), source)
    if largest:
        return x
    turned = lowering.builder.combine([(x, None, -1)], source=source)
    return Tensor(turned.index, x.unit, turned.low, turned.high, turned.holder)


def _finished(node: OperatorNode, largest: bool, least: float | None, x: Tensor, lowering: _Lowering) -> Tensor:
    source = str(node.source)
    if least is not None:
        bound = round((least if largest else -least) / x.unit)
        line = Line(slope=0, constant=bound)
        x = lowering.builder.knot(x, bound, line, Line(slope=1), unit=x.unit, source=source)
    if largest:
        return x
    turned = lowering.builder.combine([(x, None, -1)], source=source)
    return Tensor(turned.index, x.unit, turned.low, turned.high, turned.holder)


def _largest(lowering: _Lowering, x: Tensor, sets: Integers, source: str) -> Tensor:
    """The largest element of each set: max(a, b) = b + ReLU(a - b), in rounds of pairs that are compared at once.

    Parameters
    ----------
    sets
        The numbers of the elements, shape (sets, candidates), and -1 for none. What is in several sets as a pair is
        compared once.
    """
    build = lowering.builder
    sets = _compact(sets)
    while sets.shape[1] > 1:
        sets = np.pad(sets, [(0, 0), (0, sets.shape[1] % 2)], constant_values=-1)
        one, other = sets[:, ::2], sets[:, 1::2]
        both, alone = other >= 0, (one >= 0) & (other < 0)
        pairs, which = np.unique(np.stack([one[both], other[both]], axis=1), axis=0, return_inverse=True)
        kept, where = np.unique(one[alone], return_inverse=True)
        first, second = pairs.T
        left, right = (PublicStep(side, None, x.size, len(pairs)) for side in (first, second))
        less = build.combine([(x, left, 1), (x, right, -1)], source=source)
        more = build.knot(less, 0, Line(), Line(slope=1), unit=x.unit, hidden=True, source=source)
        low, high = np.maximum(x.low[first], x.low[second]), np.maximum(x.high[first], x.high[second])
        if len(kept):
            columns = np.concatenate([second, kept])
            padded = _padded(len(pairs), len(columns))
            made = build.combine(
                [(x, PublicStep(columns, None, x.size, len(columns)), 1), (more, padded, 1)], source=source
            )
            low, high = np.concatenate([low, x.low[kept]]), np.concatenate([high, x.high[kept]])
        else:
            made = build.combine([(x, right, 1), (more, None, 1)], source=source)
        x = Tensor(made.index, x.unit, low, high, made.holder)
        winners = np.full(one.shape, -1)
        winners[both] = which.reshape(-1)
        winners[alone] = len(pairs) + where
        sets = _compact(winners)
    index = sets[:, 0]
    if np.array_equal(index, np.arange(x.size)):
        return x
    made = build.combine([(x, PublicStep(index, None, x.size, len(index)), 1)], source=source)
    return Tensor(made.index, x.unit, x.low[index], x.high[index], made.holder)


def _label(x: Tensor, lowering: _Lowering, source: str) -> Tensor:
    """A one where the largest element is, the first of equal ones, and zeros elsewhere.

    All pairs are compared at once. What is compared then is how often an element won, which nobody learns, with how
    often the largest does.
    """
    if x.size < 2:
        raise UnsupportedError(
            f"{source}: a single number has no label; choose the option reveal=scores, or a network with a score for "
            "each class"
        )
    build, classes, x = lowering.builder, np.arange(x.size), lowering.hidden(x, source)
    first, second = np.triu_indices(x.size, 1)
    pairs = len(first)
    left, right = (PublicStep(side, None, x.size, pairs) for side in (first, second))
    ahead = build.combine([(x, left, 1), (x, right, -1)], source=source)
    won = build.knot(ahead, 0, Line(), Line(constant=1), unit=1.0, hidden=True, source=source)
    order = np.argsort(second, kind="stable")
    gained = PublicStep(np.arange(pairs), np.searchsorted(first, classes), pairs, x.size)
    missed = PublicStep(order, np.searchsorted(second[order], classes), pairs, x.size)
    # Of its pairs an element is the second in as many as its number says, and it wins those that the first does not.
    behind = build.affine([], [(won, gained, 1), (won, missed, -1)], classes - (x.size - 1), 1.0, source=source)
    return build.knot(behind, 0, Line(), Line(constant=1), unit=1.0, source=source)


def _compact(sets: Integers) -> Integers:
    """With all candidates on the left, and no more columns than the largest set has."""
    order = np.argsort(sets < 0, axis=1, kind="stable")
    return np.take_along_axis(sets, order, axis=1)[:, : int((sets >= 0).sum(axis=1).max())]


def _padded(size: int, out_size: int) -> PublicStep:
    """Elements as they are, and zeros behind them."""
    return PublicStep(np.arange(size), np.minimum(np.arange(out_size), size), size, out_size)


_OPERATORS: Reading[Callable[[OperatorNode, Any, _Lowering], Tensor]] = Reading(
    "operators that are shared",
    OPERATORS,
    {
        Extremum: _extremum,
        WindowExtremum: _window,
        ReducedExtremum: _reduced,
        Softmax: _softmax,
        LogSoftmax: _log_softmax,
    },
)

_NODES: Reading[Callable[[Any, _Lowering], Tensor]] = Reading(
    "nodes that are shared",
    NODES,
    {
        InputNode: _input,
        AffineNode: _affine,
        FunctionNode: _function,
        OperatorNode: _operator,
        ProductNode: _product,
        QuadraticNode: _quadratic,
    },
    without={
        ChebyshevNode: "no polynomials are fitted for this scheme",
        BootstrapNode: "no bootstraps are placed for this scheme",
        WindowSumNode: "poolings stay what they are for this scheme",
    },
)

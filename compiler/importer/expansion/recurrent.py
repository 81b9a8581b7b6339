"""RNN, GRU and LSTM of a fixed length: a cell for every step, by the formulas of ONNX's text.

Every gate is written by itself, so that the gates of a cell lie alike and are multiplied without moving them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.scope import Constant
from hecc.compiler.importer.expansion.loops import check_steps
from hecc.compiler.importer.expansion.writing import Writer

__all__ = ["write_gru", "write_lstm", "write_rnn"]

Array = NDArray[Any]

ACTIVATIONS: Mapping[str, tuple[str, tuple[tuple[str, float | None], ...]]] = MappingProxyType(
    {
        "affine": ("", (("alpha", 1.0), ("beta", 0.0))),
        "elu": ("Elu", (("alpha", 1.0),)),
        "hardsigmoid": ("HardSigmoid", (("alpha", 0.2), ("beta", 0.5))),
        "leakyrelu": ("LeakyRelu", (("alpha", 0.01),)),
        "relu": ("Relu", ()),
        "scaledtanh": ("", (("alpha", None), ("beta", None))),
        "sigmoid": ("Sigmoid", ()),
        "softplus": ("Softplus", ()),
        "softsign": ("Softsign", ()),
        "tanh": ("Tanh", ()),
        "thresholdedrelu": ("ThresholdedRelu", (("alpha", 1.0),)),
    }
)
"""By name in small letters: the operator, if it is one, and the numbers that it takes with their defaults, if any."""

Activation: TypeAlias = Callable[[str], str]
State: TypeAlias = "str | None"
"""The name of a hidden or cell state; None for zeros."""


@dataclass(frozen=True)
class _Cell:
    """The weights of one direction, and how nodes are made of them.

    Attributes
    ----------
    writer
        What the nodes are written to.
    inputs, recurrent
        Transposed weights by gate, each (features, hidden).
    biases, recurrent_biases
        By gate, each (hidden,).
    peepholes
        By gate, if there are any.
    activations
        In the order of ONNX's text.
    """

    writer: Writer
    inputs: Sequence[Array]
    recurrent: Sequence[Array]
    biases: Sequence[Array]
    recurrent_biases: Sequence[Array]
    peepholes: Sequence[Array]
    activations: Sequence[Activation]

    def of_input(self, gate: int, x: str) -> str:
        """A gate's share of the input."""
        return self.writer.add("MatMul", x, self.writer.constant(self.inputs[gate]))

    def of_state(self, gate: int, hidden: str) -> str:
        """A gate's share of the hidden state."""
        return self.writer.add("MatMul", hidden, self.writer.constant(self.recurrent[gate]))

    def plus(self, name: str, *arrays: Array) -> str:
        """A value and constants."""
        return self.writer.add("Add", name, self.writer.constant(np.sum(arrays, axis=0)))

    def gate(self, gate: int, x: str, hidden: State, activation: Activation, cell: State = None) -> str:
        """An activation of the shares of the input and of the states."""
        total = self.of_input(gate, x)
        if hidden is not None:
            total = self.writer.add("Add", total, self.of_state(gate, hidden))
        if cell is not None and self.peepholes:
            # Peepholes are of the gates input, output and forget, in this order.
            seen = self.writer.add("Mul", cell, self.writer.constant(self.peepholes[gate]))
            total = self.writer.add("Add", total, seen)
        return activation(self.plus(total, self.biases[gate], self.recurrent_biases[gate]))


Step: TypeAlias = Callable[[_Cell, Call, str, "State", "State"], "tuple[str, State]"]
"""The hidden state and the cell state after a step, from the input and the states before."""


def write_rnn(writer: Writer) -> bool:
    """``h' = f(x W + h R + b)``."""
    return _write(writer, 1, ("Tanh",), _simple)


def write_gru(writer: Writer) -> bool:
    """``h' = (1 - z) g + z h`` with the gates update, reset and hidden."""
    return _write(writer, 3, ("Sigmoid", "Tanh"), _gru)


def write_lstm(writer: Writer) -> bool:
    """``c' = f c + i g`` and ``h' = o tanh(c')`` with the gates input, output, forget and cell."""
    return _write(writer, 4, ("Sigmoid", "Tanh", "Tanh"), _lstm)


def _simple(cell: _Cell, _: Call, x: str, hidden: State, __: State) -> tuple[str, State]:
    return cell.gate(0, x, hidden, cell.activations[0]), None


def _gru(cell: _Cell, call: Call, x: str, hidden: State, _: State) -> tuple[str, State]:
    writer, (first, second) = cell.writer, cell.activations
    update = cell.gate(0, x, hidden, first)
    total = cell.of_input(2, x)
    if call.attribute("linear_before_reset", 0):
        linear = cell.recurrent_biases[2]
        reset = cell.gate(1, x, hidden, first)
        share = writer.constant(linear) if hidden is None else cell.plus(cell.of_state(2, hidden), linear)
        total = cell.plus(writer.add("Add", total, writer.add("Mul", reset, share)), cell.biases[2])
    else:
        if hidden is not None:
            reset = cell.gate(1, x, hidden, first)
            total = writer.add("Add", total, cell.of_state(2, writer.add("Mul", reset, hidden)))
        total = cell.plus(total, cell.biases[2], cell.recurrent_biases[2])
    candidate = second(total)
    if hidden is None:
        return writer.add("Sub", candidate, writer.add("Mul", update, candidate)), None
    # One product instead of two: the candidate, and how far the old state is from it.
    kept = writer.add("Mul", update, writer.add("Sub", hidden, candidate))
    return writer.add("Add", candidate, kept), None


def _lstm(cell: _Cell, call: Call, x: str, hidden: State, before: State) -> tuple[str, State]:
    writer, (first, second, third) = cell.writer, cell.activations
    taken = cell.gate(0, x, hidden, first, before)
    after = writer.add("Mul", taken, cell.gate(3, x, hidden, second))
    if before is not None:
        if call.attribute("input_forget", 0):
            forget = writer.add("Sub", writer.constant(np.ones((), np.float32)), taken)
        else:
            forget = cell.gate(2, x, hidden, first, before)
        after = writer.add("Add", writer.add("Mul", forget, before), after)
    output = cell.gate(1, x, hidden, first, after)
    return writer.add("Mul", output, third(after)), after


def _write(writer: Writer, gates: int, defaults: tuple[str, ...], step: Step) -> bool:
    """Write a recurrent layer of some number of gates; ``defaults`` are its activations."""
    call = Call.of(writer.scope, writer.node)
    layout = call.attribute("layout", 0)
    data = call.optional(0)
    if data is None or len(data.shape) != 3 or layout not in (0, 1):
        raise call.fault("its input is no sequence of vectors")
    whole = data.shape if isinstance(data, Constant) else call.scope.batch.whole(data.shape)
    sequence = 1 if layout else 0
    steps, batch = whole[sequence], whole[1 - sequence]
    check_steps(writer, steps)
    directions = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}.get(
        call.attribute("direction", "forward")
    )
    weights, recurrent = _floats(call, 1), _floats(call, 2)
    hidden = recurrent.shape[-1] if recurrent.ndim == 3 else 0
    count = len(directions or ())
    if directions is None or not hidden or weights.shape != (count, gates * hidden, whole[2]):
        raise call.fault("its weights do not fit its input")
    if recurrent.shape != (count, gates * hidden, hidden):
        raise call.fault("its recurrent weights do not fit its weights")
    biases = np.zeros((count, 2 * gates * hidden), np.float32) if _lacks(call, 3) else _floats(call, 3)
    peepholes = np.zeros((count, 0), np.float32) if gates != 4 or _lacks(call, 7) else _floats(call, 7)
    if biases.shape != (count, 2 * gates * hidden) or peepholes.shape not in ((count, 0), (count, 3 * hidden)):
        raise call.fault("its biases or peepholes do not fit its weights")
    activations = _activations(writer, call, defaults, count)
    reached = _reached(writer, call, steps, batch)
    ends: list[tuple[str, State]] = []
    made: list[list[str]] = []
    for direction, backwards in enumerate(directions):
        both = biases[direction].reshape(2, gates, hidden)
        cell = _Cell(
            writer,
            [part.T for part in weights[direction].reshape(gates, hidden, -1)],
            [part.T for part in recurrent[direction].reshape(gates, hidden, hidden)],
            list(both[0]),
            list(both[1]),
            list(peepholes[direction].reshape(3, hidden)) if peepholes.size else [],
            activations[direction],
        )
        states = _initial(writer, call, 5, direction, layout), _initial(writer, call, 6, direction, layout)
        state: tuple[State, State] = states if gates == 4 else (states[0], None)
        rows: dict[int, str] = {}
        for place in range(steps)[:: -1 if backwards else 1]:
            x = writer.picked(writer.node.input[0], place, sequence)
            after = step(cell, call, x, *state)
            rows[place] = after[0]
            if reached[place] is not None:
                rows[place] = _where(writer, reached[place], after[0], None)
                after = (
                    _where(writer, reached[place], after[0], state[0]),
                    None if after[1] is None else _where(writer, reached[place], after[1], state[1]),
                )
            state = after
        assert state[0] is not None, "there is at least one step"
        ends.append((state[0], state[1]))
        made.append([rows[place] for place in range(steps)])
    _outputs(writer, made, ends, layout)
    return True


def _outputs(writer: Writer, made: Sequence[Sequence[str]], ends: Sequence[tuple[str, State]], layout: int) -> None:
    """Write the hidden states of all steps, and the last ones."""
    names = [*writer.node.output, "", "", ""]
    if names[0]:
        axes, across = ((1, 2), 2) if layout else ((0, 1), 1)
        rows = []
        for both in zip(*made, strict=True):
            parts = [writer.unsqueezed(name, *axes) for name in both]
            rows.append(writer.add("Concat", *parts, axis=across))
        writer.add("Concat", *rows, output=names[0], axis=1 if layout else 0)
    for index in (0, 1):
        if names[1 + index]:
            parts = [writer.unsqueezed(str(end[index]), 1 if layout else 0) for end in ends]
            writer.add("Concat", *parts, output=names[1 + index], axis=1 if layout else 0)


def _lacks(call: Call, index: int) -> bool:
    return call.optional(index) is None


def _floats(call: Call, index: int) -> Array:
    array = call.constant(index).array
    return array.astype(np.float32) if array.dtype.name in ("float16", "bfloat16") else array


def _initial(writer: Writer, call: Call, index: int, direction: int, layout: int) -> State:
    """The state before the first step: None where it is zero."""
    given = call.optional(index)
    if given is None or (isinstance(given, Constant) and not bool(given.array.any())):
        return None
    return writer.picked(writer.node.input[index], direction, 1 if layout else 0)


def _reached(writer: Writer, call: Call, steps: int, batch: int) -> list[str | None]:
    """For every step which sequences are that long: None where all are."""
    lengths = None if _lacks(call, 4) else call.integers(4)
    if lengths is None or min(lengths, default=0) >= steps:
        return [None] * steps
    if len(lengths) != batch or min(lengths) < 0:
        raise call.fault("its sequence lengths do not fit its input")
    reached = np.arange(steps)[:, np.newaxis] < np.asarray(lengths)
    return [None if row.all() else writer.constant(row[:, np.newaxis], "reached") for row in reached]


def _where(writer: Writer, condition: str | None, new: str, old: State) -> str:
    """The new state where a sequence is still going on, and the old one, or zero, where it has ended."""
    assert condition is not None
    zero = writer.constant(np.zeros((), np.float32)) if old is None else old
    return writer.add("Where", condition, new, zero)


def _activations(writer: Writer, call: Call, defaults: tuple[str, ...], directions: int) -> list[list[Activation]]:
    """The activations of each direction, of which the numbers are given in one list for all."""
    names: tuple[Any, ...] = call.attributes.get("activations", defaults * directions)
    if len(names) != len(defaults) * directions or any(str(name).lower() not in ACTIVATIONS for name in names):
        raise call.fault("its activations do not exist, or are too few")
    alphas, betas = iter(call.attributes.get("activation_alpha", ())), iter(call.attributes.get("activation_beta", ()))
    bound = call.attribute("clip", 0.0)
    made = []
    for name in map(str, names):
        numbers = {
            key: next({"alpha": alphas, "beta": betas}[key], default) for key, default in ACTIVATIONS[name.lower()][1]
        }
        if missing := next((key for key, number in numbers.items() if number is None), None):
            raise call.fault(f"its activation {name} needs an {missing}")
        given = {key: float(number) for key, number in numbers.items() if number is not None}
        made.append(_activation(writer, name.lower(), given, bound))
    return [made[start : start + len(defaults)] for start in range(0, len(made), len(defaults))]


def _activation(writer: Writer, name: str, given: Mapping[str, Any], bound: float) -> Activation:
    operator, _ = ACTIVATIONS[name]

    def scaled(x: str, factor: float) -> str:
        return x if factor == 1.0 else writer.add("Mul", x, writer.constant(np.asarray(factor, np.float32)))

    def activate(x: str) -> str:
        if bound:
            x = writer.clipped(x, -bound, bound)
        if name == "affine":
            return writer.add("Add", scaled(x, given["alpha"]), writer.constant(np.asarray(given["beta"], np.float32)))
        if name == "scaledtanh":
            return scaled(writer.add("Tanh", scaled(x, given["beta"])), given["alpha"])
        return writer.add(operator, x, **given)

    return activate

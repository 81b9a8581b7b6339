"""Loop and Scan: as many copies of the body as there are steps, where that number is known at compile time."""

from __future__ import annotations

import numpy as np
import onnx

from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.scope import Constant, Decoded, array
from hecc.compiler.importer.expansion.writing import Writer
from hecc.compiler.importer.reading.prepare import opset_of

__all__ = ["MAX_STEPS", "check_steps", "write_loop", "write_scan"]

MAX_STEPS = 1 << 10
"""Steps that are unrolled: many times as many as the deepest ring has levels."""


def check_steps(writer: Writer, steps: int) -> None:
    """Refuse a loop of absurdly many steps.

    Raises
    ------
    RefusedNodeError
        It has more than :data:`MAX_STEPS`, or none.
    """
    if steps > MAX_STEPS:
        raise Call.of(writer.scope, writer.node).refuse(
            f"it has {steps} steps, more than the {MAX_STEPS} that are unrolled", "use shorter sequences"
        )
    if steps < 1:
        raise Call.of(writer.scope, writer.node).refuse("it has no steps", "remove it from the network")


def write_loop(writer: Writer) -> bool:
    """Write the steps of a Loop; False where their number depends on encrypted data, or nothing says it."""
    node, scope = writer.node, writer.scope
    count = scope.operands.get(node.input[0]) if node.input[0] else None
    condition = scope.operands.get(node.input[1]) if len(node.input) > 1 and node.input[1] else None
    if not isinstance(count, Constant) or not isinstance(condition, Constant | None):
        return False
    if condition is not None and not bool(condition.array.all()):
        raise Call.of(scope, node).refuse("its condition does not hold at the start", "remove it from the network")
    body = next(attribute.g for attribute in node.attribute if attribute.name == "body")
    if not _goes_on(body):
        raise Call.of(scope, node).refuse(
            "whether it goes on is computed in its body", "give it a number of steps, and a condition that stays true"
        )
    steps = int(count.array.reshape(-1)[0])
    check_steps(writer, steps)
    weights = _weights(writer, body)
    states = list(node.input[2:])
    slices: list[list[str]] = [[] for _ in body.output[1 + len(states) :]]
    true = writer.constant(np.asarray(True), "condition")
    number, _, *carried = (item.name for item in body.input)
    for step in range(steps):
        given = {number: writer.constant(np.asarray(step, dtype=np.int64), "step"), body.input[1].name: true}
        called = writer.body(body.node, {**weights, **given, **dict(zip(carried, states, strict=True))}, f"{step}:")
        made = [called.get(item.name, item.name) for item in body.output[1:]]
        states, scanned = made[: len(states)], made[len(states) :]
        for rows, name in zip(slices, scanned, strict=True):
            rows.append(writer.unsqueezed(name, 0))
    _finish(writer, states, [(rows, 0) for rows in slices])
    return True


def write_scan(writer: Writer) -> bool:
    """Write the steps of a Scan; False before opset 9, where it went over batches, too."""
    node, scope = writer.node, writer.scope
    if opset_of(scope.model) < 9:
        return False
    call = Call.of(scope, node)
    body = next(attribute.g for attribute in node.attribute if attribute.name == "body")
    scanned = call.attribute("num_scan_inputs", 0)
    carried = len(node.input) - scanned
    made = len(body.output) - carried
    if scanned < 1 or carried < 0 or made < 0 or len(body.input) != len(node.input):
        raise call.fault("its body does not fit its inputs")
    sources = list(node.input[carried:])
    zeros = (0,) * max(scanned, made)
    axes_in = call.attribute("scan_input_axes", zeros[:scanned])
    back_in = call.attribute("scan_input_directions", zeros[:scanned])
    axes_out = call.attribute("scan_output_axes", zeros[:made])
    back_out = call.attribute("scan_output_directions", zeros[:made])
    extents = set()
    axes = []
    for name, axis in zip(sources, axes_in, strict=True):
        operand = scope.operands[name]
        assert isinstance(operand, Value | Constant | Decoded), "the unknown is not written out"
        shape = operand.shape if isinstance(operand, Constant) else scope.batch.whole(operand.shape)
        (counted,) = call.axes((axis,), len(shape))
        axes.append(counted)
        extents.add(shape[counted])
    if len(extents) != 1:
        raise call.fault("what it goes over has different lengths")
    (steps,) = extents
    check_steps(writer, steps)
    weights = _weights(writer, body)
    states = list(node.input[:carried])
    slices: list[list[str]] = [[] for _ in range(made)]
    for step in range(steps):
        picked = [
            writer.picked(name, steps - 1 - step if back else step, axis)
            for name, axis, back in zip(sources, axes, back_in, strict=True)
        ]
        given = dict(zip((item.name for item in body.input), [*states, *picked], strict=True))
        called = writer.body(body.node, {**weights, **given}, f"{step}:")
        results = [called.get(item.name, item.name) for item in body.output]
        states = results[:carried]
        for rows, name, axis in zip(slices, results[carried:], axes_out, strict=True):
            rows.append(writer.unsqueezed(name, axis))
    ordered = [rows[::-1] if back else rows for rows, back in zip(slices, back_out, strict=True)]
    _finish(writer, states, list(zip(ordered, axes_out, strict=True)))
    return True


def _weights(writer: Writer, body: onnx.GraphProto) -> dict[str, str]:
    """The body's own constants, once for all steps."""
    return {tensor.name: writer.constant(array(tensor), "weight") for tensor in body.initializer}


def _finish(writer: Writer, states: list[str], slices: list[tuple[list[str], int]]) -> None:
    """Write the outputs: the last states, and what each step made, in a row."""
    outputs = iter(writer.node.output)
    for state, output in zip(states, outputs, strict=False):
        if output:
            writer.add("Identity", state, output=output)
    for (rows, axis), output in zip(slices, writer.node.output[len(states) :], strict=False):
        if output:
            writer.add("Concat", *rows, output=output, axis=axis)


def _goes_on(body: onnx.GraphProto) -> bool:
    """Whether the condition that a body returns is the one it was given, or true."""
    makers = {name: node for node in body.node for name in node.output}
    name = body.output[0].name
    while name in makers and makers[name].op_type in ("Identity", "Cast"):
        name = makers[name].input[0]
    if name == body.input[1].name:
        return True
    tensors = [tensor for tensor in body.initializer if tensor.name == name]
    if name in makers and makers[name].op_type == "Constant":
        tensors = [attribute.t for attribute in makers[name].attribute if attribute.name == "value"]
    return bool(tensors) and bool(array(tensors[0]).all())

"""The importer: an ONNX model becomes a :class:`Graph` whose parameters are still named and separate.

The network is imported as it acts on *one example*: a batch axis, whatever its extent in the file, has extent one in
the graph. Nodes are converted one by one, in order; each is one of four things:

* all its inputs are constants: it is evaluated at once (:mod:`hecc.compiler.importer.folding`), so the arithmetic of
  shapes that exporters write around a Reshape disappears;
* it is at the end of the network, and the client computes it (:mod:`hecc.compiler.importer.tail.epilogue`);
* its operator has a converter (:mod:`hecc.compiler.importer.operators`), which adds nodes to the graph;
* it is refused. The import goes on behind it, so that one error names everything in the model that cannot be compiled.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np
import onnx

from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import Value
from hecc.compiler.graph.stages import IMPORTED, check_graph
from hecc.compiler.importer.building.batch import LARGEST, Batch
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.building.refusals import (
    TREES,
    UNFOLDABLE,
    WAYS_OUT,
    InvalidNodeError,
    Limits,
    RefusedNodeError,
    describe,
    is_threshold_of_tree,
)
from hecc.compiler.importer.building.rows import MADE_UP, Rows, TracedBatchError
from hecc.compiler.importer.building.scope import MAX_FOLDED, Constant, Decoded, Scope, Unknown
from hecc.compiler.importer.expansion.expand import expand
from hecc.compiler.importer.folding.fold import fold
from hecc.compiler.importer.operators import CONVERTERS
from hecc.compiler.importer.operators.ml import CONTRIBUTED_CONVERTERS, ML, ML_CONVERTERS
from hecc.compiler.importer.reading.distances import CONTRIBUTED
from hecc.compiler.importer.reading.inference import infer_constants, infer_shapes
from hecc.compiler.importer.reading.inlining import MAX_NODES, too_many_nodes
from hecc.compiler.importer.reading.load import load_model
from hecc.compiler.importer.reading.prepare import live, prepare, validate
from hecc.compiler.importer.tail.epilogue import convert_step, could_be_step, is_step
from hecc.compiler.importer.tail.program import encrypted_part, program
from hecc.compiler.importer.tail.tail import tail
from hecc.runtime.errors import InputError, ParameterError, UnsupportedError
from hecc.runtime.tail.epilogue import Labels, Step, result_shape

__all__ = ["import_model"]

TEXT = frozenset({"ImageDecoder", "RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit"})
"""Operators that are not folded: the time that a pattern takes, or the size of what is unpacked, has no bound."""

SLOW = frozenset(
    {"AffineGrid", "AveragePool", "Col2Im", "Conv", "ConvInteger", "ConvTranspose", "DFT", "DeformConv", "GRU"}
    | {"GatherND", "GridSample", "LSTM", "LpPool", "MaxPool", "MaxRoiPool", "MaxUnpool", "NonMaxSuppression"}
    | {"QLinearConv", "RNN", "Resize", "ReverseSequence", "RoiAlign", "STFT", "ScatterElements", "ScatterND"}
    | {"TfIdfVectorizer", "Unique", "Upsample"}
)
"""Operators that may be folded element by element."""

MAX_SLOW = 1 << 18
"""Elements for which that is a matter of seconds."""


def import_model(
    source: str | os.PathLike[str] | bytes | onnx.ModelProto, *, batch_axis: bool = True, limits: Limits | None = None
) -> Graph:
    """Import an ONNX model.

    Parameters
    ----------
    source
        A path, the bytes of a file, or a model in memory.
    batch_axis
        Whether axis 0 of every input (of rank two or more) is the batch: dynamic, one, or the fixed batch that the
        network was exported with. It has extent one in the graph. With ``False`` the whole tensor is one example.
    limits
        What the scheme that the network is for cannot evaluate. By default everything is imported that has a meaning.

    Returns
    -------
    Graph
        The imported graph; values and parameters have the names of the ONNX tensors that they come from.

    Raises
    ------
    InputError
        The file is missing, is not an ONNX model, or is not a valid one.
    UnsupportedError
        The network has operators, inputs or an opset that cannot be compiled; the message names all such nodes.
    """
    model = prepare(load_model(source))
    batch = Batch.of(model, batch_axis)
    named = [item.name for item in model.graph.output if item.type.tensor_type.elem_type == onnx.TensorProto.STRING]
    validate(model)
    try:
        graph = _import(model, batch, MADE_UP, limits)
    except TracedBatchError as traced:
        graph = _import(model, batch, [traced.extent], limits)
    for name in named:
        labels = [step for step in graph.epilogues.get(name, ()) if isinstance(step, Labels)]
        if not any(isinstance(step.labels[0], str) for step in labels):
            # As skl2onnx writes of a OneVsOneClassifier; onnxruntime does not load it either.
            raise InputError(
                f"output '{name}' is declared to hold names of classes, and what computes it gives numbers; the model "
                "is not valid ONNX: train it with integers 0, 1, 2 and so on as classes, and export it again"
            )
    return graph


def _import(model: onnx.ModelProto, batch: Batch, extents: Sequence[int], limits: Limits | None) -> Graph:
    """Import a prepared model, and see that it keeps the rows of batches of these extents apart.

    Nodes that stand for others are put in the model as these, and then the import starts again: what the client can
    compute at the end of a network, and which results are read, is seen in the nodes.
    """
    scope = Scope.of(model, batch, tail(model.graph), limits)
    rows = Rows.of(scope, _convert, extents)
    refusals: list[RefusedNodeError] = []
    waiting = list(reversed(model.graph.node))
    met: list[onnx.NodeProto] = []
    expanded = False
    while waiting:
        node = waiting.pop()
        before = len(scope.nodes)
        try:
            met.append(node)
            if made := expand(scope, node):
                rows.follow_expansion(node, made)
                met.pop()
                waiting += reversed(made)
                expanded = True
                if len(met) + len(waiting) > MAX_NODES:
                    raise too_many_nodes()
                continue
            _convert(Call.of(scope, node))
            if all(name in scope.operands for name in node.output if name):
                rows.follow(node, scope.nodes[before:])
        except RefusedNodeError as refusal:
            refusals.append(refusal)
        except InvalidNodeError:
            # Behind a refused node, the shape that is inferred for its result may be what does not fit.
            if not refusals:
                raise
        _stand_in(scope, node)
        rows.stand_in(node)
    if expanded:
        del model.graph.node[:]
        model.graph.node.extend(met)
        needed = live(model.graph)
        del model.graph.node[:]
        model.graph.node.extend(needed)
        return _import(model, batch, extents, limits)
    if not refusals:
        try:
            rows.finish([output.name for output in model.graph.output])
        except RefusedNodeError as refusal:
            refusals.append(refusal)
    if refusals:
        # What else is refused of trees would send users after its details.
        trees = next((node for node in model.graph.node if is_threshold_of_tree(node.op_type, node.name)), None)
        raise UnsupportedError(describe(refusals if trees is None else [Call.of(scope, trees).refuse(*TREES)]))
    return _finish(scope, [output.name for output in model.graph.output])


def _convert(call: Call) -> None:
    """Convert one node: fold it, or add what it means to the graph."""
    node, scope = call.node, call.scope
    operands = call.operands
    standard = node.domain == ""
    if standard and node.op_type in UNFOLDABLE:
        raise call.refuse(*WAYS_OUT[node.op_type])
    if any(operand is Unknown.UNKNOWN for operand in operands):
        # What is refused whatever its inputs are can be named; about the rest nothing is known.
        if not (_converter(call) or could_be_step(call)) and (not standard or call.limit or node.op_type in WAYS_OUT):
            raise call.refuse_operator()
        return
    if _known(call):
        if standard and node.op_type in TEXT:
            raise call.refuse("it computes with text", "do it before the network, or store its result")
        _check_size(call)
        constants = fold(call)
        scope.operands.update(constants)
        scope.folded += sum(constant.array.nbytes for constant in constants.values())
        if scope.folded > MAX_FOLDED:
            raise _too_much(call)
        return
    if is_step(call):
        convert_step(call)
        return
    converter = _converter(call)
    if converter is None:
        raise call.refuse_operator()
    if scope.batch.extent == 1:
        converter.convert(call)
        return
    try:
        converter.convert(call)
    except InvalidNodeError:
        if infer_shapes(scope, node):
            # For the whole batch the node is valid, so only one example does not fit it.
            raise call.refuse_mixing() from None
        raise


def _check_size(call: Call) -> None:
    """Refuse constants that would take too much memory, or minutes where they are computed element by element."""
    if call.node.op_type == "Constant":
        return
    made = sum(math.prod(call.bounded(shape)) for shape in infer_shapes(call.scope, call.node).values())
    if call.scope.folded + made > MAX_FOLDED:
        raise _too_much(call)
    size = made + sum(operand.array.size for operand in call.operands if isinstance(operand, Constant))
    if size > MAX_SLOW and call.node.op_type in SLOW:
        raise call.refuse(
            f"its operands and results are constants of {size} elements, of which each would be computed by itself",
            "fold the network's constants before importing, for instance with onnxsim",
        )


def _too_much(call: Call) -> RefusedNodeError:
    return call.refuse(
        f"with it, constants that are computed when the network is imported take more than {MAX_FOLDED} bytes",
        "store less of them, and compute less from them",
    )


def _converter(call: Call) -> type[Converter] | None:
    """The converter of a node's operator, if it has one, and the scheme has no objection."""
    if call.limit:
        return None
    known = {"": CONVERTERS, ML: ML_CONVERTERS, CONTRIBUTED: CONTRIBUTED_CONVERTERS}.get(call.node.domain, {})
    return known.get(call.node.op_type)


def _known(call: Call) -> bool:
    """Whether a node's result is known now: no input is encrypted, or only its shape or type matters."""
    operator = call.node.op_type if call.node.domain == "" else ""
    if operator == "CastLike":
        return isinstance(call.operands[0], Constant)
    return operator in {"Shape", "Size"} or not any(isinstance(operand, Value | Decoded) for operand in call.operands)


def _stand_in(scope: Scope, node: onnx.NodeProto) -> None:
    """Give every output that was not converted its inferred shape, so that the nodes behind it can be examined."""
    missing = [name for name in node.output if name and name not in scope.operands]
    if not missing:
        return
    if all(isinstance(scope.operands[name], Constant) for name in node.input if name):
        # Not computed, but a constant all the same: what reads it must not be told that it is encrypted.
        kinds = infer_constants(scope, node)
        for name in missing:
            kind, extents = kinds.get(name, (None, None))
            known = kind is not None and kind.kind == "f" and extents is not None and math.prod(extents) <= LARGEST
            ones = np.broadcast_to(np.ones((), kind), extents or ())
            scope.operands[name] = Constant(name, ones) if known else Unknown.UNKNOWN
        return
    shapes = infer_shapes(scope, node)
    for name in missing:
        shape = scope.batch.example(shapes[name]) if name in shapes else None
        usable = shape is not None and math.prod(shape) <= LARGEST
        scope.operands[name] = Value(name, shape or ()) if usable else Unknown.UNKNOWN


def _finish(scope: Scope, outputs: list[str]) -> Graph:
    """The graph, once its outputs are known to be what a client can decrypt."""
    epilogues = {}
    for name in outputs:
        operand = scope.operands[name]
        if isinstance(operand, Decoded):
            node = encrypted_part(name, operand, batch_axis=scope.batch.axis)
            scope.define(node)
            epilogues[name] = _checked(name, program(operand), scope.batch.axis, node.output.shape)
            operand = Value(name, operand.shape)
        if isinstance(operand, Constant):
            raise UnsupportedError(
                f"output '{name}' does not depend on any input; remove it from the model's outputs and read its value "
                "from the model"
            )
        assert isinstance(operand, Value), "refusals were reported before"
        if operand.name in scope.masked:
            raise UnsupportedError(
                f"output '{name}' is minus infinity in places; return it before the mask, or after the Softmax"
            )
        if scope.batch.axis and operand.shape[:1] != (1,):
            shape = "x".join(map(str, operand.shape)) or "scalar"
            raise UnsupportedError(
                f"output '{name}' of one example has shape {shape}, so its axis 0 is not the batch axis of the inputs; "
                "compile with --no-batch-axis (batch_axis=False) if the whole input is one example, or keep the batch "
                "axis in front"
            )
    defined = {node.output.name for node in scope.nodes}
    if missing := [name for name in outputs if name not in defined]:
        raise InputError(f"output '{missing[0]}' is not computed by any node; the model is not valid ONNX")
    graph = Graph((), tuple(outputs), {}, scope.batch.axis, {name: done for name, done in epilogues.items() if done})
    imported = graph.with_nodes(scope.nodes, scope.parameters)
    check_graph(imported, IMPORTED, "import")
    return imported


def _checked(name: str, steps: tuple[Step, ...], batch_axis: bool, shape: tuple[int, ...]) -> tuple[Step, ...]:
    """The client's steps for an output, unless there are more than a plan may hold."""
    try:
        result_shape(shape[1:] if batch_axis else shape, steps)
    except ParameterError as error:
        raise UnsupportedError(
            f"the end of output '{name}' cannot be left to the client: {error}; make it another output's, or cut it off"
        ) from None
    return steps

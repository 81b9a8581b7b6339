"""From a model as it was read to one that can be converted node by node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

import onnx

from hecc.compiler.importer.reading.distances import name_distances
from hecc.compiler.importer.reading.inlining import check_size, inline
from hecc.compiler.importer.reading.messages import parts
from hecc.compiler.importer.reading.older import OLDEST, renew
from hecc.runtime.errors import InputError, UnsupportedError

__all__ = ["FLOATS", "OLDEST_OPSET", "live", "newest_opset", "opset_of", "prepare", "reads", "type_name", "validate"]

FLOATS = frozenset(
    {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
)
"""Types of real numbers."""


NUMBERS = frozenset(
    {
        onnx.TensorProto.INT8,
        onnx.TensorProto.INT16,
        onnx.TensorProto.INT32,
        onnx.TensorProto.INT64,
        onnx.TensorProto.UINT8,
        onnx.TensorProto.UINT16,
        onnx.TensorProto.UINT32,
        onnx.TensorProto.UINT64,
        onnx.TensorProto.INT4,
        onnx.TensorProto.UINT4,
        onnx.TensorProto.FLOAT8E4M3FN,
        onnx.TensorProto.FLOAT8E4M3FNUZ,
        onnx.TensorProto.FLOAT8E5M2,
        onnx.TensorProto.FLOAT8E5M2FNUZ,
    }
)
"""Types of other numbers: encrypted as real ones where a network makes real ones of them at once."""

OLDEST_OPSET = OLDEST
"""Of the models that converters meet; older ones are written anew first."""


def type_name(element: int) -> str:
    """The name of a tensor's element type, which a file may claim to be anything."""
    kinds = onnx.TensorProto.DataType
    return kinds.Name(element).lower() if element in kinds.values() else f"type {element}"


def newest_opset() -> int:
    """The newest opset that the installed onnx package knows."""
    return onnx.defs.onnx_opset_version()


def opset_of(model: onnx.ModelProto, domain: str = "") -> int:
    """The version of a domain's operators that the model uses; one where it does not say."""
    return next((entry.version for entry in model.opset_import if entry.domain == domain), 1)


def prepare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Inline local functions, put nodes in order, and leave out what no output depends on.

    Raises
    ------
    InputError
        The model is not valid ONNX.
    UnsupportedError
        The opset is older than seven and not to be written anew, or newer than the installed onnx package.
    """
    _normalise_domains(model)
    check_size(model)
    renew(model)
    _check_opset(model)
    if model.functions:
        model = inline(model)
        _normalise_domains(model)
    name_distances(model)
    if not model.graph.output:
        raise InputError("the model has no outputs; export it again")
    if model.graph.sparse_initializer:
        name = model.graph.sparse_initializer[0].values.name
        raise UnsupportedError(
            f"the weight '{name}' is a sparse initializer; store it densely: hecc finds the zeros by itself"
        )
    nodes = live(model.graph)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _declare_real(model.graph)
    return model


def _declare_real(graph: onnx.GraphProto) -> None:
    """Declare inputs of integers real where the network begins by casting or scaling them: it means the same numbers.

    Images of bytes are an example: ``x.float() / 255``.
    """
    for item in graph.input:
        readers = [node for node in graph.node if item.name in reads(node)]
        cast = all(_takes_numbers(node, item.name) for node in readers)
        if readers and cast and item.type.tensor_type.elem_type in NUMBERS:
            item.type.tensor_type.elem_type = onnx.TensorProto.FLOAT


QUANTISED = frozenset({"ConvInteger", "DequantizeLinear", "MatMulInteger", "QLinearConv", "QLinearMatMul"})
"""Operators to which integers are numbers with a scale."""


def _takes_numbers(node: onnx.NodeProto, name: str) -> bool:
    """Whether a node makes real numbers of integers before it does anything else with them."""
    if node.op_type in QUANTISED and not node.domain:
        return name == node.input[0] and name not in node.input[1:]
    return node.op_type == "Cast" and any(a.name == "to" and a.i in FLOATS for a in node.attribute)


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """The tensors that a node reads, also those that branches of an If or the body of a Loop take from outside."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for graph in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
            own = {item.name for item in [*graph.input, *graph.initializer]}
            own.update(name for inner in graph.node for name in inner.output)
            yield from (name for inner in graph.node for name in reads(inner) if name not in own)
            yield from (output.name for output in graph.output if output.name not in own)


def _normalise_domains(model: onnx.ModelProto) -> None:
    """Write the standard domain in one way: ``ai.onnx`` and the empty string are the same."""
    for item in [*model.opset_import, *model.graph.node, *(n for f in model.functions for n in f.node)]:
        if item.domain == "ai.onnx":
            item.domain = ""


def _check_opset(model: onnx.ModelProto) -> None:
    opset, newest = opset_of(model), newest_opset()
    if all(entry.domain for entry in model.opset_import) and all(node.domain for node in model.graph.node):
        # Of other domains only, whose operators have versions of their own.
        return
    if opset < OLDEST_OPSET:
        raise UnsupportedError(
            f"the model uses opset {opset}, older than {OLDEST_OPSET}, and is not written anew; export the network "
            "again with opset 13 or newer, and without functions of its own"
        )
    if opset > newest:
        raise UnsupportedError(
            f"the model uses opset {opset}, newer than {newest}, the newest that the installed onnx {onnx.__version__} "
            f"knows; upgrade onnx, export with opset_version={newest}, or convert it with onnx.version_converter"
        )


def live(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes that the outputs depend on, in topological order: the file's, where it is one."""
    producers = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
    given = {item.name for item in [*graph.input, *graph.initializer]}
    defined = Counter(
        [*(item.name for item in graph.input), *(name for node in graph.node for name in node.output if name)]
    )
    for name, times in defined.items():
        if times > 1:
            raise InputError(f"'{name}' is defined {times} times; the model is not valid ONNX: export it again")
    needed: set[int] = set()
    stack = [(output.name, "the model's outputs") for output in graph.output]
    while stack:
        name, reader = stack.pop()
        if name in producers:
            index = producers[name]
            if index not in needed:
                needed.add(index)
                node = graph.node[index]
                stack.extend((source, f"{node.op_type} '{node.name or node.output[0]}'") for source in reads(node))
        elif name not in given:
            raise InputError(
                f"{reader} needs '{name}', which nothing defines; the model is not valid ONNX: export it again"
            )
    order = {i: [producers[name] for name in reads(graph.node[i]) if name in producers] for i in sorted(needed)}
    if any(before >= i for i, sources in order.items() for before in sources):
        try:
            return [graph.node[i] for i in TopologicalSorter(order).static_order()]
        except CycleError as error:
            node = graph.node[error.args[1][0]]
            raise InputError(
                f"{node.op_type} '{node.name or node.output[0]}' depends on its own output; the model is not valid ONNX"
            ) from None
    return [graph.node[i] for i in order]


def _check_known(model: onnx.ModelProto) -> None:
    """Check those nodes whose operator onnx knows."""
    context = onnx.checker.C.CheckerContext()
    context.ir_version = model.ir_version
    context.opset_imports = {entry.domain: entry.version for entry in model.opset_import}
    for node in model.graph.node:
        if onnx.defs.has(node.op_type, opset_of(model, node.domain), node.domain):
            onnx.checker.check_node(node, context)


def validate(model: onnx.ModelProto) -> None:
    """Refuse what the checker of onnx refuses, so that the converters meet only valid nodes.

    A node whose operator onnx does not know is left for the importer to refuse, by name and with the others.

    Raises
    ------
    InputError
        The model is not valid ONNX.
    """
    for output in model.graph.output:
        # What is declared of an output is documentation that exporters leave incomplete; the nodes say it all.
        output.type.CopyFrom(onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, ()))
    for attribute in parts(model.graph, onnx.AttributeProto):
        if attribute.ref_attr_name:
            raise InputError(
                f"the model is not valid ONNX: an attribute '{attribute.name}' refers to '{attribute.ref_attr_name}', "
                "as only those in functions may; export the network again"
            )
    unknown = any(not onnx.defs.has(node.op_type, opset_of(model), node.domain) for node in model.graph.node)
    try:
        if unknown:
            _check_known(model)
        else:
            onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        reason = " ".join(str(error).split("==>")[0].split()).rstrip(".")
        raise InputError(f"the model is not valid ONNX: {reason}; export the network again") from None
    except UnicodeDecodeError:
        raise InputError("the model is not valid ONNX: it holds text that is not UTF-8; export it again") from None
    except ValueError as error:
        # Protocol buffers end at two gigabytes, and so does the checker.
        if "2GiB" not in str(error) and "2GB" not in str(error):
            raise

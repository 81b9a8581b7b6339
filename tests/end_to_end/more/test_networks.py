"""Networks that nobody here wrote, encoded: against ONNX's reference in double precision, and onnxruntime in single."""

import os
from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import hecc
from hecc.compiler.importer import import_model
from hecc.runtime.more.keys import SecretKey

RNG = np.random.default_rng(8)
SHARED = Path(os.environ.get("HECC_SHARED", "nowhere")) / "models"
LARGE = 3_000_000
"""Bytes of a network that takes seconds."""
OTHERS = [
    pytest.param(path, id=path.stem, marks=pytest.mark.slow if path.stat().st_size > LARGE else ())
    for path in sorted((*SHARED.glob("*.onnx"), *(SHARED / "peers").glob("*.onnx")))
]
ROWS = 3


def in_double_precision(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network with doubles in place of floats, as ONNX's reference evaluates it.

    Operators that are older than the reference's, or that it has for training only (BatchNormalization before 14), are
    converted to later ones; nodes stand in the order of evaluation; and a ZipMap, which makes dictionaries, hands on
    what it was given.
    """
    version = next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    if version < 7 or (version < 14 and any(node.op_type == "BatchNormalization" for node in model.graph.node)):
        if version < 7:
            _whole_sums(model.graph)
        model = onnx.version_converter.convert_version(model, 15)
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    _widen(wide.graph)
    nodes, known = list(wide.graph.node), {each.name for each in (*wide.graph.input, *wide.graph.initializer)} | {""}
    del wide.graph.node[:]
    while nodes:
        ready = next(node for node in nodes if known.issuperset(node.input))
        nodes.remove(ready)
        known.update(ready.output)
        if ready.op_type == "ZipMap":
            ready = helper.make_node("Identity", ready.input, ready.output)
        wide.graph.node.append(ready)
    return wide


def _whole_sums(graph: onnx.GraphProto) -> None:
    """Constants that old sums repeat along the axes behind 1 get these axes; the converter misplaces them."""
    constants = {node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"}
    for node in graph.node:
        if node.op_type == "Add" and len(node.attribute):
            given = {each.name: each.i for each in node.attribute}
            if given.get("axis") == 1:
                name, tensor = node.input[1], constants[node.input[1]]
                tensor.dims.extend((1, 1))
                known = next(each for each in graph.value_info if each.name == name)
                known.CopyFrom(helper.make_tensor_value_info(name, tensor.data_type, tensor.dims))
            del node.attribute[:]


def _widen(graph: onnx.GraphProto) -> None:
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                _widen_tensor(attribute.t)
            elif attribute.type == AttributeProto.GRAPH:
                _widen(attribute.g)
            elif node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.DOUBLE


def _widen_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))


def read(path: Path) -> tuple[bool, dict[str, np.ndarray]]:
    """Whether a network has a batch axis, and rows for it that single precision holds."""
    batch = True
    try:
        graph = import_model(path)
    except hecc.HeccError:
        batch = False
        graph = import_model(path, batch_axis=False)
    shapes = {node.output.name: graph.example_shape(node.output.shape) for node in graph.inputs()}
    rows = {name: RNG.uniform(0, 1, (ROWS, *shape)).astype(np.float32) for name, shape in shapes.items()}
    return batch, {name: values.astype(np.float64) for name, values in rows.items()}


def inputs_of(sources, rows, row, batch, dtype):
    """One row by the names that a network takes, as often as a batch of a fixed size has it."""
    given = {}
    for name, length in sources:
        values = rows[name] if name in rows else next(iter(rows.values()))
        values = np.repeat(values[row : row + 1], length or 1, axis=0) if batch else values[row]
        given[name] = values.astype(dtype)
    return given


def answers(run, names, sources, rows, batch, dtype):
    """The outputs by name, shape (rows, elements); without those that are lists."""
    theirs = [run(inputs_of(sources, rows, row, batch, dtype)) for row in range(ROWS)]
    found = {}
    for place, name in enumerate(names):
        if isinstance(theirs[0][place], np.ndarray):
            each = [one[place][0] if batch else one[place] for one in theirs]
            found[name] = np.stack([np.asarray(answer).reshape(-1) for answer in each])
    return found


def before_tail(graph, name):
    """The value that an output's activation is applied to, or the output itself."""
    makers = {output: node for node in graph.node for output in node.output}
    while (maker := makers[name]).op_type in ("Identity", "Softmax", "LogSoftmax", "Sigmoid"):
        name = maker.input[0]
    return name


def reference_answers(path, rows, batch, names=None):
    """What ONNX's reference says in double precision; of given values, or of the outputs."""
    wide = in_double_precision(onnx.load(path))
    initial = {each.name for each in wide.graph.initializer}
    sources = [
        (each.name, each.type.tensor_type.shape.dim[0].dim_value if batch else 0)
        for each in wide.graph.input
        if each.name not in initial
    ]
    evaluator = ReferenceEvaluator(wide)
    names = names or [each.name for each in wide.graph.output]
    return answers(lambda given: evaluator.run(names, given), names, sources, rows, batch, np.float64)


def onnxruntime_answers(path, rows, batch):
    """What onnxruntime says; nothing if it does not run such old operators any more."""
    onnxruntime = pytest.importorskip("onnxruntime")
    try:
        session = onnxruntime.InferenceSession(path.read_bytes())
    except Exception as error:
        if "NOT_IMPLEMENTED" not in str(error):
            raise
        return {}
    sources = [
        (each.name, each.shape[0] if batch and isinstance(each.shape[0], int) else 0) for each in session.get_inputs()
    ]
    names = [each.name for each in session.get_outputs()]
    return answers(lambda given: session.run(None, given), names, sources, rows, batch, np.float32)


def differences(found, theirs):
    """The largest error of each output in what others say, as a part of its largest number; shape (rows, elements)."""
    errors = {}
    for name in found.keys() & theirs.keys():
        own, expected = np.asarray(found[name]).reshape(ROWS, -1), theirs[name]
        if expected.dtype.kind != "f":
            np.testing.assert_array_equal(own, expected, err_msg=name)
            errors[name] = 0.0
        else:
            errors[name] = float(np.abs(own.astype(float) - expected).max() / np.abs(expected).max())
    return errors


@pytest.mark.skipif(not OTHERS, reason="networks of others are not here (HECC_SHARED)")
@pytest.mark.parametrize("path", OTHERS)
def test_networks_of_others_are_exact(path, tmp_path, record_property):
    batch, rows = read(path)
    plan = hecc.compile(path, scheme="more", batch_axis=batch, input_range=(-3, 3))
    client = hecc.Client(plan, min_security="none")
    keys = client.keygen(tmp_path / "keys")
    with hecc.Server(plan, keys.evaluation) as server:
        request = client.encrypt(rows)
        result = server.run(request)
    found = client.decrypt(result, request=request)
    exact = differences(found, reference_answers(path, rows, batch))
    # A softmax or sigmoid may hide errors; so what it is applied to has to be right as well.
    graph, key = onnx.load(path).graph, SecretKey.load(keys.secret)
    inner = {
        output.name: before_tail(graph, output.name)
        for output in plan.header.outputs
        if len(output.epilogue) == 1 and not output.of and output.name in {each.name for each in graph.output}
    }
    inner = {name: value for name, value in inner.items() if name != value}
    if inner:
        theirs = reference_answers(path, rows, batch, list(inner.values()))
        decoded = {inner[name]: key.decode(result.tensors[name]) for name in inner}
        exact |= differences(decoded, theirs)
    assert exact
    record_property("error", max(exact.values()))
    assert max(exact.values()) <= 1e-9, exact
    single = differences(found, onnxruntime_answers(path, rows, batch))
    assert max(single.values(), default=0.0) <= 1e-5, single

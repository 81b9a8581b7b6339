"""Networks as programs: computed by parties who hide everything, they are what onnxruntime computes."""

import threading
from dataclasses import replace

import msgspec
import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from hecc.compiler.importer import import_model
from hecc.compiler.sharing.lowering import Accuracy, lower
from hecc.compiler.sharing.simulation import simulated
from hecc.passes.sharing.order import functions_behind_maxima
from hecc.runtime.errors import CompileError, UnsupportedError
from hecc.runtime.sharing.arithmetic.rings import signed
from hecc.runtime.sharing.material.streams import stream
from hecc.runtime.sharing.material.tapes import BlockTape, StreamTape
from hecc.runtime.sharing.parties.memory import memory_channels
from hecc.runtime.sharing.parties.rounds import (
    as_elements,
    client_results,
    dealt_blocks,
    differences,
    serve,
    uploads,
    weight_masks,
)
from hecc.runtime.sharing.parties.walk import Checked, program_cost, weight_shapes
from hecc.runtime.sharing.program.instructions import Knot, Output, Spline

ort = pytest.importorskip("onnxruntime")

ROWS = 6
RANGE = (-1.0, 1.0)

NETWORKS = {
    "dense": (
        "float[N,8] x",
        "a = Gemm(x, w0, b0) r = Relu(a) y = Gemm(r, w1, b1)",
        {"w0": (8, 9), "b0": (9,), "w1": (9, 3), "b1": (3,)},
    ),
    "convolutions": (
        "float[N,2,9,8] x",
        (
            "a = Conv<pads=[1,1,1,1]>(x, w0, b0) n = BatchNormalization(a, scale, shift, mean, variance) r = Relu(n) "
            "m = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,0,0]>(r) f = Flatten(m) y = Gemm(f, w1)"
        ),
        {
            "w0": (4, 2, 3, 3),
            "b0": (4,),
            "scale": (4,),
            "shift": (4,),
            "mean": (4,),
            "variance": "positive",
            "w1": (64, 3),
        },
    ),
    "residual": (
        "float[N,3,6,6] x",
        (
            "a = Conv<pads=[1,1,1,1]>(x, w0, b0) r = Relu(a) c = Conv<pads=[1,1,1,1]>(r, w1, b1) s = Add(c, r) "
            "t = Relu(s) d = Conv<strides=[2,2]>(t, w2) e = Conv<strides=[2,2]>(t, w3) u = Add(d, e) v = Relu(u) "
            "g = GlobalAveragePool(v) y = Flatten(g)"
        ),
        {"w0": (4, 3, 3, 3), "b0": (4,), "w1": (4, 4, 3, 3), "b1": (4,), "w2": (5, 4, 1, 1), "w3": (5, 4, 1, 1)},
    ),
    "activations": (
        "float[N,8] x",
        (
            "a = Gemm(x, w0) l = LeakyRelu<alpha=0.1>(a) b = Gemm(l, w1) h = HardSigmoid<alpha=0.3, beta=0.5>(b) "
            "c = Gemm(h, w2) t = Abs(c) d = Gemm(t, w3) low = Constant<value_float=-0.5>() "
            "high = Constant<value_float=0.75>() y = Clip(d, low, high)"
        ),
        {f"w{i}": (8, 8) for i in range(4)},
    ),
    "pooled input": (
        "float[N,2,6,6] x",
        (
            "r = Relu(x) p = AveragePool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(r) "
            "q = ReduceMax<keepdims=0>(p, axes) y = Gemm(q, w)"
        ),
        {"w": (3, 4), "axes": np.array([1, 2])},
    ),
    "two branches": (
        "float[N,6] x",
        "a = Gemm(x, w0) b = Gemm(x, w1) m = Max(a, b) n = Min(a, b) c = Concat<axis=1>(m, n) y = Gemm(c, w2)",
        {"w0": (6, 6), "w1": (6, 6), "w2": (12, 4)},
    ),
    "products": (
        "float[N,6] x",
        (
            "a = Gemm(x, w0) s = Mul(a, a) b = Gemm(s, w1, b1) c = Gemm(x, w2) r = Relu(c) p = Mul(b, r) "
            "q = Mul(p, p) h = Mul(q, half) l = Sub(h, p) t = Add(l, shift) y = Gemm(t, w3)"
        ),
        {
            "w0": (6, 6),
            "w1": (6, 6),
            "b1": (6,),
            "w2": (6, 6),
            "w3": (6, 3),
            "half": np.array(0.5, dtype=np.float32),
            "shift": (6,),
        },
    ),
    "smooth": (
        "float[N,8] x",
        (
            "a = Gemm(x, w0) s = Sigmoid(a) b = Gemm(s, w1) t = Tanh(b) c = Gemm(t, w2) e = Elu(c) d = Gemm(e, w3) "
            "g = Gelu(d) h = Gemm(g, w4) p = Softplus(h) y = Gemm(p, w5)"
        ),
        {f"w{i}": (8, 8) for i in range(6)},
    ),
    "attention": (
        "float[N,4,6] x",
        (
            "q = MatMul(x, w0) k = MatMul(x, w1) t = Transpose<perm=[0,2,1]>(k) s = MatMul(q, t) a = Softmax(s) "
            "v = MatMul(x, w2) z = MatMul(a, v) f = Flatten(z) l = MatMul(f, w3) o = LogSoftmax(l) y = MatMul(o, w4)"
        ),
        {"w0": (6, 5), "w1": (6, 5), "w2": (6, 5), "w3": (20, 5), "w4": (5, 3)},
    ),
    "layers in a row": (
        "float[N,2,3,4] x",
        "t = Transpose<perm=[0,1,3,2]>(x) a = MatMul(t, w0) b = MatMul(w1, a) f = Flatten(b) y = MatMul(f, w2)",
        {"w0": (3, 5), "w1": (6, 4), "w2": (60, 4)},
    ),
}


def model(name):
    given, body, shapes = NETWORKS[name]
    rng = np.random.default_rng(len(name))
    text = f"g ({given}) => (float[N,K] y) {{ {body} }}"
    graph = onnx.parser.parse_graph(text)
    for parameter, shape in shapes.items():
        if isinstance(shape, np.ndarray):
            values = shape
        elif shape == "positive":
            values = rng.uniform(0.5, 2, 4).astype(np.float32)
        else:
            fan_in = int(np.prod(shape[1:])) if len(shape) > 2 else shape[0]
            values = (rng.normal(size=shape) / np.sqrt(fan_in)).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(values, parameter))
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)


def prepared(name, bits=12, margin=4.0):
    network = model(name)
    graph = import_model(network)
    (source,) = graph.inputs()
    x = np.random.default_rng(5).uniform(*RANGE, (ROWS, *graph.example_shape(source.output.shape)))
    observed = {value: float(np.abs(each).max()) for value, each in graph.evaluate({"x": x}).items()}
    lowered = lower(graph, observed, {"x": RANGE}, Accuracy(bits, bits), margin=margin)
    session = ort.InferenceSession(network.SerializeToString())
    (expected,) = session.run(None, {"x": x.astype(np.float32)})
    return lowered, Checked.of(lowered.built.program), x, expected.reshape(ROWS, -1)


def by_parties(lowered, checked, x):
    """The dealer, the client and the server, each with what is its own."""
    shapes, program = weight_shapes(checked.program), lowered.built

    def tape(seed):
        return StreamTape([stream(bytes([seed]) * 32, "test", bytes([row])) for row in range(len(x))])

    masks = weight_masks(shapes, StreamTape([stream(bytes([9]) * 32, "weights", b"")]))
    block = dealt_blocks(checked, len(x), masks=tape(1), shares=tape(2), secrets=tape(3), weights=masks)
    difference = differences(shapes, as_elements(program.weights), masks)
    upload = uploads(checked, len(x), masks=tape(1), weights=difference)
    ours, theirs = memory_channels()
    server = threading.Thread(
        target=serve,
        args=(checked, len(x)),
        kwargs={
            "shares": BlockTape(block),
            "upload": BlockTape(upload),
            "channel": theirs,
            "weights": program.weights,
            "biases": program.biases,
        },
    )
    server.start()
    integers = np.rint(x.reshape(len(x), -1) / lowered.inputs["x"]).astype(np.int64)
    found = client_results(checked, {"x": integers}, masks=tape(1), shares=tape(2), channel=ours)
    server.join()
    ((index, ins),) = checked.program.outputs()
    return signed(found[ins.name], checked.types[index].result.ring) * lowered.outputs[ins.name]


@pytest.mark.parametrize("name", NETWORKS)
def test_parties_compute_what_onnxruntime_does(name):
    lowered, checked, x, expected = prepared(name)
    found = by_parties(lowered, checked, x)
    assert np.abs(found - expected).max() < 2.0**-7 * np.abs(expected).max()
    in_clear = simulated(lowered, checked, {"x": x}, seed=3)["y"]
    assert np.abs(in_clear - expected).max() < 2.0**-7 * np.abs(expected).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_more_bits_are_more_precise(name):
    errors = []
    for bits in (7, 11, 15):
        lowered, checked, x, expected = prepared(name, bits)
        errors.append(np.abs(simulated(lowered, checked, {"x": x}, seed=3)["y"] - expected).max())
    assert errors[0] > 4 * errors[1] > 16 * errors[2]


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_proved_holds_at_the_corners_of_the_range(name):
    """No value of any input leaves its ring: every gate gets what it would get from integers without end."""
    lowered, checked, x, _ = prepared(name, 8, margin=None)
    corners = np.sign(np.random.default_rng(1).normal(size=(50, *x.shape[1:])))
    exact = simulated(lowered, checked, {"x": corners}, seed=3)["y"]
    wide = Checked.of(widened(checked.program))
    np.testing.assert_array_equal(simulated(lowered, wide, {"x": corners}, seed=3)["y"], exact)


def widened(program):
    """The program with four bits more in every ring, or as many as there are."""
    rings = [ins.ring for ins in program.instructions if not isinstance(ins, Output)]
    extra = min(4, 64 - max(rings))
    assert extra > 0

    def more(ins):
        if isinstance(ins, Output):
            return ins
        fields = {"ring": ins.ring + extra}
        if isinstance(ins, Knot | Spline):
            fields["digits"] = ((extra,), *ins.digits)
        return msgspec.structs.replace(ins, **fields)

    return replace(program, instructions=tuple(map(more, program.instructions)))


def test_of_a_label_nothing_but_a_one_among_zeros_is_sent():
    """As both parties compute it, ties included: of equal scores the first is the largest."""
    graph = onnx.parser.parse_graph("g (float[N,5] x) => (float[N,7] y) { y = Gemm<transB=1>(x, w) }")
    weight = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    weight[4] = weight[1]
    graph.initializer.append(numpy_helper.from_array(weight, "w"))
    network = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    imported = import_model(network)
    x = np.random.default_rng(1).uniform(*RANGE, (200, 5))
    x[0] = 0.0
    scores = imported.evaluate({"x": x})["y"]
    observed = {"x": 1.0, "y": float(np.abs(scores).max())}
    lowered = lower(imported, observed, {"x": RANGE}, Accuracy(16, 12), margin=4.0, reveal="label")
    checked = Checked.of(lowered.built.program)
    found = by_parties(lowered, checked, x)
    assert set(np.unique(found)) == {0, 1}
    assert (found.sum(axis=1) == 1).all()
    ordered = np.sort(np.delete(scores, 4, axis=1), axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 0.01
    assert clear.sum() > 150
    # Of the two classes that are equal, coins decide how each is rounded.
    decided, wanted = (np.where(each == 4, 1, each) for each in (found.argmax(axis=1), scores.argmax(axis=1)))
    assert (decided == wanted)[clear].all()
    assert found[0].tolist() == [1, 0, 0, 0, 0, 0, 0]
    # The bits that only the client can open are those of the one among zeros.
    ((index, ins),) = checked.program.outputs()
    released = checked.program.instructions[ins.x]
    assert isinstance(released, Knot)
    assert released.right.slope == 0
    assert checked.types[index].result.ring <= 8


def test_a_single_number_has_no_label():
    graph = onnx.parser.parse_graph("g (float[N,5] x) => (float[N,1] y) { y = MatMul(x, w) }")
    graph.initializer.append(numpy_helper.from_array(np.ones((5, 1), np.float32), "w"))
    network = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    with pytest.raises(UnsupportedError, match="a single number has no label; choose the option reveal=scores"):
        lower(import_model(network), {"x": 1.0, "y": 5.0}, {"x": RANGE}, Accuracy(9, 9), margin=4.0, reveal="label")


def test_many_layers_without_a_gate_are_extended_in_between():
    """Ten layers of twelve bits would need rings of 150 bits, if each made those before it larger."""
    graph = onnx.parser.parse_graph(
        "g (float[N,4,4] x) => (float[N,4,4] y) { "
        + " ".join(f"v{i} = MatMul({'x' if i == 0 else f'v{i - 1}'}, w)" for i in range(9))
        + " y = MatMul(v8, w) }"
    )
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))
    graph.initializer.append(numpy_helper.from_array(rotation.astype(np.float32), "w"))
    network = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    imported = import_model(network)
    x = np.random.default_rng(1).uniform(*RANGE, (ROWS, 4, 4))
    observed = {name: float(np.abs(each).max()) for name, each in imported.evaluate({"x": x}).items()}
    lowered = lower(imported, observed, {"x": RANGE}, Accuracy(12, 12), margin=4.0)
    checked = Checked.of(lowered.built.program)
    assert max(types.result.ring for types in checked.types) < 40
    found = by_parties(lowered, checked, x)
    expected = x @ np.linalg.matrix_power(rotation, 10)
    assert np.abs(found - expected.reshape(ROWS, -1)).max() < 2.0**-7 * np.abs(expected).max()


def per_output(body, shapes, outputs):
    """Messages of the gates, and bytes online for each output, of a network that ends in a layer."""
    graph = onnx.parser.parse_graph(f"g (float[N,3,16,16] x) => (float[N,4] y) {{ {body} }}")
    for parameter, shape in shapes.items():
        values = np.random.default_rng(0).normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), parameter))
    network = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    imported = functions_behind_maxima(import_model(network))
    x = np.random.default_rng(1).uniform(*RANGE, (ROWS, 3, 16, 16))
    observed = {name: float(np.abs(each).max()) for name, each in imported.evaluate({"x": x}).items()}
    checked = Checked.of(lower(imported, observed, {"x": RANGE}, Accuracy(13, 13), margin=4.0).built.program)
    costs = zip(checked.program.instructions, program_cost(checked).instructions, strict=True)
    gates = [message for ins, cost in costs if isinstance(ins, Knot) for message in cost.messages]
    rings = [types.result.ring for types in checked.types]
    assert 28 <= max(rings) <= 32
    return len(gates), sum(message.bytes(1) for message in gates) / outputs


def test_a_relu_takes_ten_bytes_and_four_messages():
    body = "a = Conv<pads=[1,1,1,1]>(x, c) r = Relu(a) f = Flatten(r) y = MatMul(f, w)"
    messages, size = per_output(body, {"c": (8, 3, 3, 3), "w": (2048, 4)}, 2048)
    assert messages == 4
    assert size <= 10


def test_a_relu_of_a_pooling_takes_45_bytes_and_twelve_messages():
    """The ReLU is written before the pooling, and evaluated behind it."""
    body = (
        "a = Conv<pads=[1,1,1,1]>(x, c) r = Relu(a) p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r) f = Flatten(p) "
        "y = MatMul(f, w)"
    )
    messages, size = per_output(body, {"c": (8, 3, 3, 3), "w": (512, 4)}, 512)
    assert messages == 12
    assert size <= 45


def test_rings_of_observed_ranges_are_smaller():
    sizes = {}
    for margin in (2.0, 16.0, None):
        _, checked, *_ = prepared("residual", margin=margin)
        sizes[margin] = sum(types.result.ring * types.result.size for types in checked.types)
    assert sizes[2.0] < sizes[16.0] < sizes[None]


def test_what_is_not_shared_is_refused_with_a_way_out():
    network = onnx.helper.make_model(
        onnx.parser.parse_graph("g (float[N,4] x) => (float[N,4] y) { s = Reciprocal(x) y = MatMul(s, w) }"),
        opset_imports=[onnx.helper.make_opsetid("", 18)],
        ir_version=9,
    )
    network.graph.initializer.append(numpy_helper.from_array(np.eye(4, dtype=np.float32), "w"))
    graph = import_model(network)
    observed = dict.fromkeys(graph.by_output(), 1.0)
    with pytest.raises(UnsupportedError, match=r"Reciprocal.*has no value, or a pole.*compile for another scheme"):
        lower(graph, observed, {"x": RANGE}, Accuracy(8, 8), margin=4.0)


def test_values_that_no_ring_holds_are_refused():
    with pytest.raises(CompileError, match=r"ask for less precision.*choose the option ranges=observed"):
        prepared("activations", 30, margin=None)

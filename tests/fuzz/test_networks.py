"""Random small networks: onnxruntime, the plan in clear and the decrypted result agree.

A network grows layer by layer from its input. Each entry of :data:`LAYERS` is a function that takes what hypothesis
draws, the network so far and the name of a tensor, and returns the name of a new tensor, or the same where it does not
apply. A new operator is one more entry.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import hecc
from hecc.runtime.ckks.circuit.security import InsecureLevel

Draw = Callable[[st.SearchStrategy[Any]], Any]
Array = np.ndarray[Any, Any]

INSECURE = InsecureLevel.INSECURE_FOR_TESTS_ONLY
PRECISION = 10.0
SLACK = 2.0
"""Bits by which a result may miss its precision, which is promised for the ring of the compilation, whose larger number
of slots averages over more copies, and after one random draw. A fault misses it by all bits."""
ROWS = 24
LARGEST = 300
"""Most elements of a tensor: more make nothing new, and a batch plan has a ciphertext for each."""
FITTED = ("Tanh", "Sigmoid")
"""Functions that the compiler replaces by polynomials."""
DEPTH = 3
"""Most activations in a row."""


class Network:
    """An ONNX graph that grows, with the shape of every tensor and the number of activations above it.

    Parameters
    ----------
    shape
        Of one example; the batch axis is in front of it.
    batch
        Extent of the batch axis.
    seed
        Of the weights: they are no part of what is shrunk.
    """

    def __init__(self, shape: tuple[int, ...], batch: str | int, seed: int) -> None:
        self.batch = batch
        self.shapes = {"x": shape}
        self.depths = {"x": 0}
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(seed)

    def uniform(self, *shape: int, spread: float = 1.0) -> str:
        """A constant with numbers between minus and plus ``spread``."""
        return self.constant(self._random.uniform(-spread, spread, shape).astype(np.float32))

    def constant(self, value: Any) -> str:
        """A constant, single precision unless it is integers."""
        array = np.asarray(value)
        name = f"c{len(self.constants)}"
        array = array if array.dtype == np.int64 else array.astype(np.float32)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, *inputs: str, depth: int = 0, **attributes: Any) -> str:
        """A node, and the name of its result; ``depth`` activations are in it."""
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=f"{operator}_{name}", **attributes))
        self.depths[name] = depth + max(self.depths.get(tensor, 0) for tensor in inputs)
        self.shapes[name] = self._infer(name)
        return name

    def model(self, outputs: list[str]) -> onnx.ModelProto:
        """The model with these results."""
        result = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        source = helper.make_tensor_value_info("x", TensorProto.FLOAT, (self.batch, *self.shapes["x"]))
        graph = helper.make_graph(self.nodes, "random", [source], result, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def _infer(self, name: str) -> tuple[int, ...]:
        inferred = onnx.shape_inference.infer_shapes(self.model([name]), strict_mode=True, data_prop=True)
        dims = inferred.graph.output[0].type.tensor_type.shape.dim
        return tuple(dim.dim_value for dim in dims[1:])

    def __repr__(self) -> str:
        """What hypothesis shows of a network that fails."""
        lines = [f"x: {self.batch} x {self.shapes['x']}"]
        for node in self.nodes:
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            lines.append(f"{node.output[0]}: {self.shapes[node.output[0]]} = {node.op_type}{node.input} {attributes}")
        return "\n".join(lines)


# --- layers -----------------------------------------------------------------------------------------------------------


def convolution(draw: Draw, net: Network, x: str) -> str:
    """Any rank, stride, padding, dilation and number of groups."""
    channels, *extents = net.shapes[x]
    if not extents:
        return x
    group = draw(st.sampled_from([g for g in (1, 2, 3, 4) if channels % g == 0]))
    kernel = [draw(st.integers(1, min(3, n))) for n in extents]
    dilations = [draw(st.integers(1, 2)) if (k - 1) * 2 < n else 1 for k, n in zip(kernel, extents, strict=True)]
    pads = [draw(st.integers(0, 1)) for _ in range(2 * len(extents))]
    strides = [draw(st.integers(1, 2)) for _ in extents]
    maps = group * draw(st.integers(1, 3 if group < 3 else 1))
    taps = channels // group * int(np.prod(kernel))
    weights = [net.uniform(maps, channels // group, *kernel, spread=(3 / taps) ** 0.5)]
    weights += [net.uniform(maps, spread=0.5)] if draw(st.booleans()) else []
    return net.add("Conv", x, *weights, group=group, dilations=dilations, pads=pads, strides=strides)


def dense(draw: Draw, net: Network, x: str) -> str:
    """A product with a matrix, of vectors or of all values."""
    if len(net.shapes[x]) > 1 and draw(st.integers(0, 2)):
        x = net.add("Flatten", x)
    size, width = net.shapes[x][-1], draw(st.integers(1, 12))
    weights = net.uniform(size, width, spread=(3 / size) ** 0.5)
    if len(net.shapes[x]) > 1 or draw(st.booleans()):
        return net.add("MatMul", x, weights)
    return net.add("Gemm", x, weights, net.uniform(width, spread=0.5), alpha=draw(st.sampled_from([1.0, 0.5])))


def pooling(draw: Draw, net: Network, x: str) -> str:
    """An average over windows, or over everything."""
    extents = net.shapes[x][1:]
    if not extents:
        return x
    if draw(st.integers(0, 3)) == 0:
        return net.add("GlobalAveragePool", x)
    kernel = [draw(st.integers(1, min(3, n))) for n in extents]
    pads = [draw(st.integers(0, 1)) if k > 1 else 0 for k in kernel] * 2
    strides = [draw(st.integers(1, 2)) for _ in extents]
    return net.add(
        "AveragePool", x, kernel_shape=kernel, pads=pads, strides=strides, count_include_pad=draw(st.integers(0, 1))
    )


def normalization(draw: Draw, net: Network, x: str) -> str:
    """A batch normalization as a node of its own."""
    channels = net.shapes[x][0]
    variance = net.constant(np.abs(net._random.uniform(0.5, 2, channels)))
    rest = [net.uniform(channels, spread=spread) for spread in (1.5, 0.5, 0.5)]
    return net.add("BatchNormalization", x, *rest, variance)


def square(draw: Draw, net: Network, x: str) -> str:
    """``x * x``, in one of its spellings."""
    if draw(st.booleans()):
        return net.add("Mul", x, x, depth=1)
    return net.add("Pow", x, net.constant(2.0), depth=1)


def quadratic(draw: Draw, net: Network, x: str) -> str:
    """``a x^2 + b x + c`` with coefficients for all values, or for each channel."""
    shape = [net.shapes[x][0]] + [1] * (len(net.shapes[x]) - 1) if draw(st.booleans()) else []
    scaled = net.add("Mul", net.add("Mul", x, x, depth=1), net.uniform(*shape))
    linear = net.add("Mul", x, net.uniform(*shape))
    return net.add("Add", net.add("Add", scaled, linear), net.uniform(*shape, spread=0.5))


def power(draw: Draw, net: Network, x: str) -> str:
    """A power above two."""
    exponent = draw(st.integers(3, 4))
    return net.add("Pow", x, net.constant(float(exponent)), depth=2)


def gate(draw: Draw, net: Network, x: str) -> str:
    """A product with another tensor, of the same shape or with one value for each channel."""
    shape = net.shapes[x]
    per_channel = (shape[0], *(1 for _ in shape[1:]))
    others = [name for name, other in net.shapes.items() if other in (shape, per_channel) and name != x]
    if others:
        other = draw(st.sampled_from(others))
    elif len(shape) > 1:
        other = net.add("GlobalAveragePool", x)
    else:
        other = net.add("MatMul", x, net.uniform(shape[0], shape[0], spread=(3 / shape[0]) ** 0.5))
    if draw(st.booleans()):
        other = net.add("Sigmoid", other, depth=2)
    return net.add("Mul", *((x, other) if draw(st.booleans()) else (other, x)), depth=1)


def smooth(draw: Draw, net: Network, x: str) -> str:
    """A function that the compiler replaces by a polynomial."""
    return net.add(draw(st.sampled_from(FITTED)), x, depth=2)


def arithmetic(draw: Draw, net: Network, x: str) -> str:
    """A constant added, subtracted or multiplied, or the sign changed."""
    operator = draw(st.sampled_from(["Add", "Sub", "Mul", "Neg"]))
    if operator == "Neg":
        return net.add("Neg", x)
    constant = net.uniform(*(net.shapes[x] if draw(st.booleans()) else ()))
    return net.add(operator, *((x, constant) if draw(st.booleans()) else (constant, x)))


def branches(draw: Draw, net: Network, x: str) -> str:
    """A sum with an earlier tensor of the same shape: a shortcut, or the end of two branches."""
    others = [name for name, shape in net.shapes.items() if shape == net.shapes[x] and name != x]
    if not others:
        return x
    return net.add(draw(st.sampled_from(["Add", "Sub"])), x, draw(st.sampled_from(others)))


def reshaping(draw: Draw, net: Network, x: str) -> str:
    """Axes exchanged, or merged."""
    shape = net.shapes[x]
    if len(shape) == 1:
        return x
    if draw(st.booleans()):
        return net.add("Transpose", x, perm=[0, *(1 + axis for axis in draw(st.permutations(range(len(shape)))))])
    return net.add("Reshape", x, net.constant(np.array([0, shape[0], -1], np.int64)))


LAYERS: tuple[Callable[[Draw, Network, str], str], ...] = (
    convolution,
    dense,
    pooling,
    normalization,
    square,
    quadratic,
    power,
    gate,
    smooth,
    arithmetic,
    branches,
    reshaping,
)

SHAPES = st.one_of(
    st.tuples(st.integers(1, 20)),
    st.tuples(st.integers(1, 3), st.integers(2, 10)),
    st.tuples(st.integers(1, 3), st.integers(2, 7), st.integers(2, 7)),
)


@st.composite
def networks(draw: Draw) -> tuple[Network, list[str]]:
    """A network of one to six layers, and the names of its outputs."""
    net = Network(draw(SHAPES), draw(st.sampled_from(["N", 1])), draw(st.integers(0, 2**32 - 1)))
    x = "x"
    for _ in range(draw(st.integers(1, 6))):
        layer = draw(st.sampled_from(LAYERS))
        mark = len(net.nodes), len(net.constants)
        new = layer(draw, net, x)
        if net.depths[new] > DEPTH or np.prod(net.shapes[new]) > LARGEST:
            for node in net.nodes[mark[0] :]:
                del net.shapes[node.output[0]], net.depths[node.output[0]]
            del net.nodes[mark[0] :], net.constants[mark[1] :]
            continue
        # Another tensor may go on instead, so that there are branches to meet.
        x = new if draw(st.integers(0, 4)) else draw(st.sampled_from([new, *net.shapes]))
    if x == "x":
        x = dense(draw, net, x)
    used = {tensor for node in net.nodes for tensor in node.input}
    loose = [node.output[0] for node in net.nodes if node.output[0] not in used]
    return net, sorted({x, *(name for name in loose if draw(st.booleans()))})


# --- the comparison ---------------------------------------------------------------------------------------------------


def reference(model: onnx.ModelProto, inputs: Array) -> dict[str, Array]:
    """What onnxruntime computes, row by row."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    names = [output.name for output in session.get_outputs()]
    rows = [session.run(None, {"x": inputs[i : i + 1]}) for i in range(len(inputs))]
    return {name: np.concatenate([row[k] for row in rows]).astype(np.float64) for k, name in enumerate(names)}


def check(
    drawn: tuple[Network, list[str]],
    options: dict[str, Any],
    seed: int,
    folder: Path,
    smaller_ring: Callable[[Any], Any],
) -> None:
    """Compile, compute in all three ways, compare."""
    net, outputs = drawn
    model = net.model(outputs)
    inputs = np.random.default_rng(seed).uniform(-1, 1, (ROWS, *net.shapes["x"])).astype(np.float32)
    expected = reference(model, inputs)
    # Errors are relative to the largest output; of outputs that are all tiny next to what they are made of there is
    # nothing to promise.
    largest = {name: float(np.abs(values).max()) for name, values in expected.items()}
    if min(largest.values()) < 1e-2:
        return
    whole = options.get("batch_axis") is False
    given = inputs[:, None] if whole else inputs
    precision = PRECISION
    try:
        plan = hecc.compile(model, calibration=given, precision=precision, **options)
    except hecc.CompileError as refusal:
        # Some networks amplify the noise; then the message is honest, and with less precision there is a plan.
        if "bits of precision" not in str(refusal):
            raise
        precision -= 5
        plan = hecc.compile(model, calibration=given, precision=precision, **options)

    clear = hecc.simulate(plan, given, noise=False)
    small = smaller_ring(plan)
    client = hecc.Client(small, min_security=INSECURE)
    keys = client.keygen(folder / small.header.keys.fingerprint, force=True)
    rows = 2 if small.header.batch == 1 else small.header.batch + 1
    with hecc.Server(small, keys.evaluation, threads=1) as server:
        decrypted = client.decrypt(server.run(client.encrypt(given[:rows])))

    # A polynomial in the place of a function is as close as the precision asks for.
    fitted = any(node.op_type in FITTED for node in net.nodes)
    close = 2**-precision if fitted else 2**-15
    assert set(clear) == set(decrypted) == set(expected)
    for name, exact in expected.items():
        np.testing.assert_allclose(clear[name].reshape(exact.shape), exact, rtol=0, atol=close * largest[name])
        found = decrypted[name].reshape(exact[:rows].shape)
        np.testing.assert_allclose(found, exact[:rows], rtol=0, atol=2 ** (SLACK - precision) * largest[name])


@st.composite
def choices(draw: Draw) -> dict[str, Any]:
    """Options of the compilation."""
    if draw(st.integers(0, 3)) == 0:
        return {"batch": draw(st.integers(1, 5))}
    return {}


def compiled_as(drawn: tuple[Network, list[str]], options: dict[str, Any]) -> dict[str, Any]:
    """The options, with the batch axis as part of the example for half of the networks where it is fixed."""
    fixed = drawn[0].batch == 1 and len(drawn[0].nodes) % 2 == 0
    return {**options, "batch_axis": False} if fixed and not options else options


RULES: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "print_blob": True,
}


@given(drawn=networks(), options=choices(), seed=st.integers(0, 1000))
@settings(max_examples=50, derandomize=True, phases=[Phase.generate], **RULES)
def test_a_random_network_computes_the_same_in_clear_and_encrypted(
    drawn: Any, options: Any, seed: int, smaller_ring: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check(drawn, compiled_as(drawn, options), seed, tmp_path_factory.mktemp("keys"), smaller_ring)


@pytest.mark.slow
@given(drawn=networks(), options=choices(), seed=st.integers(0, 1000))
@settings(max_examples=1500, **RULES)
def test_many_random_networks_compute_the_same_in_clear_and_encrypted(
    drawn: Any, options: Any, seed: int, smaller_ring: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check(drawn, compiled_as(drawn, options), seed, tmp_path_factory.mktemp("keys"), smaller_ring)

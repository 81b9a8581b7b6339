"""Gradients of graphs: every kind of node, map and operator against PyTorch or differences."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from hecc.compiler.graph.affine import (
    Composition,
    Convolution,
    MatrixProduct,
    Pool,
    Reshape,
    Scale,
    Select,
    SumOfMaps,
    Weighted,
)
from hecc.compiler.graph.function import ARGUMENT, Primitive
from hecc.compiler.graph.gradients.nodes import GRADIENTS
from hecc.compiler.graph.gradients.training import LOSSES, training_program
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
    Source,
    Term,
    Value,
    WindowSumNode,
)
from hecc.compiler.graph.operators import Extremum, LogSoftmax, ReducedExtremum, Softmax, WindowExtremum
from hecc.runtime.network.evaluation import PlainArithmetic, evaluate
from hecc.runtime.training.names import GRADIENT, LOSS, TARGET

RNG = np.random.default_rng(6)
SOURCE = Source("layer", "Layer", 20)
ROWS = 3
STEP = 1e-6


def affine(linear, **parameters):
    return AffineNode(Value("y", linear.out_shape), SOURCE, (Term("h", linear),)), parameters


def graph_of(make, shape):
    """A trained scale and bias, the node in question, and what it makes."""
    node, parameters = make(shape)
    first = AffineNode(Value("h", shape), SOURCE, (Term("x", Scale.of(shape, "scale")),), "shift")
    parameters = {"scale": RNG.uniform(0.5, 1.5, shape), "shift": RNG.normal(size=shape[-1:]), **parameters}
    return Graph((InputNode(Value("x", shape), SOURCE), first, node), ("y",), parameters, batch_axis=True)


def conv(shape):
    linear = Convolution(shape, (1, 4, 3, 3), (3, 2), (2, 1), ((1, 1), (0, 0)), (1, 2), "w", 2)
    return affine(linear, w=RNG.normal(size=(4, 1, 3, 2)))


def pool(shape):
    return affine(Pool(shape, (1, 2, 3, 3), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)))


def product(shape, left=False, transpose=False, weight=None):
    inner, outer = (shape[-2] if left else shape[-1]), 4
    own = (outer, inner) if left != transpose else (inner, outer)
    out = (*shape[:-2], outer, shape[-1]) if left else (*shape[:-1], outer)
    return affine(MatrixProduct(shape, out, "w", left, transpose), w=RNG.normal(size=own if weight is None else weight))


def batched(shape):
    return affine(MatrixProduct(shape, (*shape[:-1], 4), "w"), w=RNG.normal(size=(shape[1], shape[-1], 4)))


def weighted(shape):
    rows, columns = np.array([0, 1, 1, 2, 4]), np.array([3, 0, 3, 5, 1])
    return affine(Weighted.of(shape, (1, 5), rows, columns, "w"), w=RNG.normal(size=5))


def select(shape):
    return affine(Select.of(shape, (1, 5), np.array([3, -1, 0, 3, 5])))


def composed(shape):
    size = int(np.prod(shape))
    steps = (Reshape(shape, (1, size)), Scale.of((1, size), "s"), MatrixProduct((1, size), (1, 3), "w"))
    return affine(Composition(shape, (1, 3), steps), s=RNG.normal(size=size), w=RNG.normal(size=(size, 3)))


def summed(shape):
    maps = (Scale.of(shape, "s"), Scale.of(shape, "t"))
    return affine(SumOfMaps(shape, shape, maps), s=RNG.normal(size=shape), t=RNG.normal(size=(1,)))


def quadratic(shape):
    node = QuadraticNode(Value("y", shape), SOURCE, "h", ("c0", "c1", "c2"))
    return node, {"c0": RNG.normal(size=(1,)), "c1": RNG.normal(size=shape), "c2": RNG.normal(size=shape[-1:])}


def function(shape):
    return FunctionNode(Value("y", shape), SOURCE, "h", Primitive("tanh", (), ARGUMENT)), {}


def chebyshev(shape):
    node = ChebyshevNode(Value("y", shape), SOURCE, "h", "c", (-1.0, 1.0))
    return node, {"c": RNG.normal(size=5)}


def window_sum(shape):
    window = Pool(shape, (1, 2, 3, 4), (3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1))
    return WindowSumNode(Value("y", window.out_shape), SOURCE, "h", window), {}


def squared(shape):
    return ProductNode(Value("y", shape), SOURCE, "h", "h"), {}


def operator(kind, out, **fields):
    def make(shape):
        made = kind((shape,), out, **fields)
        return OperatorNode(Value("y", out), SOURCE, ("h",), made), {}

    return make


def extremum(shape):
    made = Extremum((shape, shape), shape, (None, "k", None), True)
    return OperatorNode(Value("y", shape), SOURCE, ("h", "x"), made), {"k": RNG.normal(size=shape)}


IMAGE, ROW, MATRIX = (1, 2, 5, 5), (1, 6), (1, 3, 6)
WINDOW = {"kernel": (3, 2), "strides": (2, 2), "dilations": (1, 1), "pads": ((1, 1), (0, 1))}
CASES = {
    "convolution": (conv, IMAGE),
    "pool": (pool, IMAGE),
    "vector times matrix": (product, ROW),
    "matrices": (product, MATRIX),
    "transposed": (lambda shape: product(shape, transpose=True), MATRIX),
    "from the left": (lambda shape: product(shape, left=True), MATRIX),
    "from the left, transposed": (lambda shape: product(shape, left=True, transpose=True), MATRIX),
    "batches of weights": (batched, (1, 2, 3, 6)),
    "weighted": (weighted, ROW),
    "select": (select, ROW),
    "composition": (composed, MATRIX),
    "sum of maps": (summed, MATRIX),
    "quadratic": (quadratic, MATRIX),
    "function": (function, MATRIX),
    "chebyshev": (chebyshev, MATRIX),
    "window sum": (window_sum, IMAGE),
    "product": (squared, MATRIX),
    "softmax": (operator(Softmax, MATRIX, axes=(2,)), MATRIX),
    "softmax over all": (operator(Softmax, MATRIX, axes=(1, 2)), MATRIX),
    "log softmax": (operator(LogSoftmax, MATRIX, axes=(1,)), MATRIX),
    "maximum of windows": (operator(WindowExtremum, (1, 2, 3, 3), least=0.1, **WINDOW), IMAGE),
    "minimum of windows": (operator(WindowExtremum, (1, 2, 3, 3), largest=False, **WINDOW), IMAGE),
    "maximum along axes": (operator(ReducedExtremum, (1, 6), axes=(1,), largest=True), MATRIX),
    "maximum of tensors": (extremum, MATRIX),
}


def loss_of(program, given, parameters):
    return float(evaluate(program, PlainArithmetic(), given, parameters)[LOSS])


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_differences_of_the_loss(case):
    make, shape = CASES[case]
    graph = graph_of(make, shape)
    trained = sorted(graph.parameters.keys() - {"k"})
    program = training_program(graph, "y", "mse", trained)
    out = graph.example_shape(graph.node("y").output.shape)
    given = {"x": RNG.normal(size=(ROWS, *shape[1:])), TARGET: RNG.normal(size=(ROWS, *out))}
    np.testing.assert_allclose(
        loss_of(program, given, {}),
        ((graph.evaluate({"x": given["x"]})["y"].reshape(ROWS, *out) - given[TARGET]) ** 2).mean(),
        rtol=1e-12,
    )
    found = evaluate(program, PlainArithmetic(), given, {})
    for name in trained:
        slope = found[f"{GRADIENT}{name}"]
        assert slope.shape == graph.parameters[name].shape
        direction = RNG.normal(size=slope.shape)
        ahead, behind = (
            loss_of(program, given, {name: graph.parameters[name] + sign * STEP * direction}) for sign in (1, -1)
        )
        assert (slope * direction).sum() == pytest.approx((ahead - behind) / (2 * STEP), rel=1e-5, abs=1e-8), name


@pytest.mark.parametrize("degree", [0, 1, 2, 27])
def test_an_activation_can_be_tuned(degree):
    """A polynomial's coefficients are fitted to a function by gradients, whatever the degree is."""
    shape = (1, 6)
    node = ChebyshevNode(Value("y", shape), SOURCE, "x", "c", (-1.0, 1.0))
    start = RNG.normal(size=degree + 1)
    graph = Graph((InputNode(Value("x", shape), SOURCE), node), ("y",), {"c": start}, batch_axis=True)
    program = training_program(graph, "y", "mse", ["c"])
    x = RNG.uniform(-1, 1, (50, 6))
    target = np.exp(x)
    found = evaluate(program, PlainArithmetic(), {"x": x, TARGET: target}, {})
    basis = np.polynomial.chebyshev.chebvander(x, degree)
    error = basis @ start - target
    assert float(found[LOSS]) == pytest.approx((error**2).mean(), rel=1e-12)
    expected = 2 * np.einsum("ij,ijk->k", error, basis) / x.size
    np.testing.assert_allclose(found[f"{GRADIENT}c"], expected, rtol=1e-9, atol=1e-12)


def test_there_is_a_case_for_every_kind_of_node():
    kinds = {type(node) for make, shape in CASES.values() for node in graph_of(make, shape).nodes}
    # No bootstraps are placed where gradients are taken.
    assert kinds == {kind for kind in NODES if kind in GRADIENTS} == set(NODES) - {BootstrapNode}


def onnx_network(weights):
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["a"], strides=[2, 2]),
        helper.make_node("Elu", ["a"], ["b"]),
        helper.make_node("Flatten", ["b"], ["c"]),
        helper.make_node("Gemm", ["c", "w", "v"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 3])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_pytorchs(loss):
    torch = pytest.importorskip("torch")
    from hecc.compiler.importer import import_model

    weights = {
        "k": RNG.normal(size=(4, 2, 3, 3)).astype(np.float32),
        "w": RNG.normal(size=(3, 16)).astype(np.float32) / 4,
        "v": RNG.normal(size=3).astype(np.float32),
    }
    graph = import_model(onnx_network(weights))
    program = training_program(graph, "y", loss, list(weights))
    x, target = RNG.normal(size=(5, 2, 6, 6)), np.eye(3)[RNG.integers(0, 3, 5)]
    found = evaluate(program, PlainArithmetic(), {"x": x, TARGET: target}, {})
    k, w, v = (torch.tensor(weights[name], dtype=torch.float64, requires_grad=True) for name in "kwv")
    hidden = torch.nn.functional.elu(torch.nn.functional.conv2d(torch.tensor(x), k, stride=2)).flatten(1)
    logits = hidden @ w.T + v
    functions = {"mse": torch.nn.functional.mse_loss, "cross-entropy": torch.nn.functional.cross_entropy}
    value = functions[loss](logits, torch.tensor(target))
    value.backward()
    assert float(found[LOSS]) == pytest.approx(value.item(), rel=1e-13)
    for name, tensor in zip("kwv", (k, w, v), strict=True):
        np.testing.assert_allclose(found[f"{GRADIENT}{name}"], tensor.grad.numpy(), rtol=1e-12, atol=1e-14)

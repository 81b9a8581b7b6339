"""Model-local functions mean what onnxruntime takes them to mean, and expand to a bounded network or none at all."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from hecc.compiler.importer import import_model
from hecc.compiler.importer.reading.inlining import DEEPEST, MAX_NODES
from hecc.runtime.errors import HeccError, InputError, UnsupportedError
from hecc.runtime.tail.epilogue import apply_steps

LEAKY = "F<a: float = 0.3>(u) => (v) { v = LeakyRelu<alpha: float = @a>(u) }"

TRUE = "c = Constant<value = bool[1] {1}>()"
THEN = "then_branch = t () => (r) { r = LeakyRelu<alpha: float = @a>(u) }"
ELSE = "else_branch = e () => (q) { q = Neg(u) }"


def _model(body: str, *functions: str, opset: int = 17, own: int = 17) -> onnx.ModelProto:
    head = f'<ir_version: 10, opset_import: ["" : {opset}, "l" : 1]>'
    parts = [f'<opset_import: ["" : {own}, "l" : 1], domain: "l"> {function}' for function in functions]
    return onnx.parser.parse_model(f"{head} main (float[N,4] x) => (float[N,4] y) {{ {body} }} {' '.join(parts)}")


@pytest.mark.parametrize(
    ("body", "functions"),
    [
        ("y = l.F(x)", [LEAKY]),
        ("y = l.F<a = 0.7>(x)", [LEAKY]),
        # An attribute that is neither given nor has a default: the operator's own.
        ("y = l.F(x)", ["F<a>(u) => (v) { v = LeakyRelu<alpha: float = @a>(u) }"]),
        ("y = l.F<a = 0.7>(x)", ["F<a>(u) => (v) { v = LeakyRelu<alpha: float = @a>(u) }"]),
        # Nested: an attribute that is not there leaves the inner default in force.
        ("y = l.G(x)", [LEAKY, "G<b>(u) => (v) { v = l.F<a: float = @b>(u) }"]),
        ("y = l.G(x)", [LEAKY, "G<b: float = 0.8>(u) => (v) { v = l.F<a: float = @b>(u) }"]),
        ("y = l.G<b = 0.6>(x)", [LEAKY, "G<b: float = 0.8>(u) => (v) { w = l.F<a: float = @b>(u)  v = l.F(w) }"]),
        ("p = l.F(x)  q = l.F<a = 0.9>(x)  y = Add(p, q)", [LEAKY]),
        # Attributes of all types.
        ("y = l.F(x)", ["F<p: ints = [1]>(u) => (v) { m = ReduceMean<axes: ints = @p>(u)  v = Sub(u, m) }"]),
        (
            "y = l.F(x)",
            ["F<p: floats = [1., 2., 3., 4.]>(u) => (v) { c = Constant<value_floats: floats = @p>()  v = Add(u, c) }"],
        ),
        ("y = l.F(x)", ["F<k: int = 1>(u) => (v) { s = ReduceSum<keepdims: int = @k>(u, a)  v = Add(u, s) }"]),
        (
            "y = l.F(x)",
            ['F<e: string = "ij,ij->ij">(u) => (v) { v = Einsum<equation: string = @e>(u, u) }'],
        ),
        (
            "y = l.F(x)",
            ["F<t: tensor = float[4] {1, 2, 3, 4}>(u) => (v) { c = Constant<value: tensor = @t>()  v = Add(u, c) }"],
        ),
        # Names that meet.
        (
            "v = Neg(x)  u = l.F(v)  w = l.F(u)  v_1 = Add(w, v)  y = Identity(v_1)",
            ["F<a: float = 0.3>(u) => (v) { w = LeakyRelu<alpha: float = @a>(u)  v_1 = Add(w, u)  v = Neg(v_1) }"],
        ),
        (
            "w = Neg(x)  w__1 = Mul(w, w)  v__1 = l.F(w)  w__2 = l.F(w__1)  p = Add(w__2, v__1)  y = Add(p, w)",
            ["F(u) => (v) { w = Neg(u)  v = Mul(w, u) }"],
        ),
        # Inputs that are left out.
        ("z = Constant<value_float = 0.5>()  y = l.F(x, , z)", ["F(u, a, b) => (v) { c = Clip(u, a, b)  v = Neg(c) }"]),
        ("y = l.F(x)", ["F(u, a, b) => (v) { c = Clip(u, a, b)  v = Neg(c) }"]),
        # In branches, and branches in them.
        (
            f"{TRUE}  u = Neg(x)  y = If(c) <then_branch = t () => (r) {{ r = l.F(x) }}, {ELSE}>",
            [LEAKY],
        ),
        (
            "y = l.F(x)",
            [
                f"F<a: float = 0.3>(u) => (v) {{ {TRUE}  v = If(c) <{THEN}, {ELSE}> }}",
            ],
        ),
    ],
)
def test_a_call_is_what_onnxruntime_takes_it_for(body: str, functions: list[str], runtime: Callable[..., Any]) -> None:
    built = _model(body, *(function.replace("(u, a)", "(u, k)").replace(" s = Red", _AXES) for function in functions))
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    np.testing.assert_allclose(_evaluated(built, x), runtime(built, {"x": x}), rtol=1e-5, atol=1e-6)


_AXES = " k = Constant<value_ints = [1]>()  s = Red"


def _evaluated(built: onnx.ModelProto, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the network computes, with what is left to the client."""
    graph = import_model(built)
    values = graph.evaluate({"x": x})["y"].reshape(len(x), *graph.node("y").output.shape[1:])
    return np.asarray(apply_steps(values, graph.epilogues.get("y", ())))


def test_overloads_are_functions_of_their_own(runtime: Callable[..., Any]) -> None:
    built = _model(
        "p = l.F(x)  q = l.F(x)  y = Add(p, q)", "F(u) => (v) { v = Neg(u) }", "G(u) => (v) { v = Mul(u, u) }"
    )
    built.functions[1].name, built.functions[1].overload = "F", "square"
    built.graph.node[1].overload = "square"
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    np.testing.assert_allclose(import_model(built).evaluate({"x": x})["y"], runtime(built, {"x": x}), rtol=1e-5)


def test_a_default_that_is_a_graph_is_put_in_place() -> None:
    branch = onnx.parser.parse_graph("t () => (float[1] r) { r = Constant<value_floats = [2.0]>() }")
    choice = helper.make_node("If", ["c"], ["w"])
    for name, reference in (("then_branch", "g"), ("else_branch", "g")):
        choice.attribute.add(name=name, ref_attr_name=reference, type=onnx.AttributeProto.GRAPH)
    truth = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("c", TensorProto.BOOL, [1], [True]))
    nodes = [truth, choice, helper.make_node("Mul", ["u", "w"], ["v"])]
    built = _model("y = l.F(x)", "F(u) => (v) { v = Neg(u) }")
    default = [helper.make_attribute("g", branch)]
    built.functions[0].CopyFrom(
        helper.make_function("l", "F", ["u"], ["v"], nodes, [helper.make_opsetid("", 17)], [], default)
    )
    np.testing.assert_array_equal(import_model(built).evaluate({"x": np.ones((1, 4))})["y"], np.full((1, 4), 2.0))
    del built.functions[0].attribute_proto[:]
    reading = onnx.parser.parse_graph("t () => (float[N,4] r) { r = Neg(x) }")
    built.graph.node[0].attribute.append(helper.make_attribute("g", reading))
    with pytest.raises(UnsupportedError, match=r"the call 'y' of the function 'l\.F' hands it a graph that re"):
        import_model(built)


@pytest.mark.parametrize(
    ("own", "node", "same"),
    [
        (13, "v = Add(u, u)", True),
        (16, "v = Relu(u)", True),
        (11, "v = Softmax(u)", False),
        (10, "v = Clip<min = -0.5, max = 0.5>(u)", False),
        (18, "k = Constant<value_ints = [1]>()  m = ReduceMean(u, k)  v = Sub(u, m)", False),
    ],
)
def test_a_function_in_another_opset_means_the_same_or_is_refused(own: int, node: str, same: bool) -> None:
    built = _model("y = l.F(x)", f"F(u) => (v) {{ {node} }}", own=own)
    if same:
        import_model(built)
        return
    with pytest.raises(UnsupportedError, match=f"is written in opset {own}, where .* is another than in opset 17"):
        import_model(built)


@pytest.mark.parametrize(
    ("body", "functions", "kind", "reason"),
    [
        ("y = l.F(x)", ["F(u) => (v) { v = l.F(u) }"], InputError, "the function 'l.F' calls itself"),
        (
            "y = l.F(x)",
            ["F(u) => (v) { v = l.G(u) }", "G(u) => (v) { v = l.F(u) }"],
            InputError,
            "the function 'l.F' calls itself",
        ),
        ("y = l.F(x)", ["F(u) => (v) { v = Neg(u) }"] * 2, InputError, "the model has two functions 'l.F'"),
        ("y = l.F(x, x)", ["F(u) => (v) { v = Neg(u) }"], InputError, "takes 1 inputs and is called with 2"),
        (
            f"y = l.F{DEEPEST + 1}(x)",
            [
                "F0(u) => (v) { v = Neg(u) }",
                *(f"F{i + 1}(u) => (v) {{ v = l.F{i}(u) }}" for i in range(DEEPEST + 1)),
            ],
            UnsupportedError,
            f"functions call one another more than {DEEPEST} deep",
        ),
    ],
)
def test_functions_that_make_no_network_are_refused(
    body: str, functions: list[str], kind: type[HeccError], reason: str
) -> None:
    with pytest.raises(kind, match=reason):
        import_model(_model(body, *functions))


def test_a_function_in_place_of_a_standard_operator_is_refused() -> None:
    built = _model("y = Neg(x)", "Neg(u) => (v) { v = Abs(u) }")
    built.functions[0].domain = ""
    with pytest.raises(InputError, match=r"the model has a function '\.Neg', which is a standard operator's name"):
        import_model(built)


@pytest.mark.parametrize("attribute", ["", "<a = 0.5>"])
def test_functions_that_double_are_counted_and_not_expanded(attribute: str) -> None:
    doubling = [f"F{i + 1}<a: float = 0.1>(u) => (v) {{ w = l.F{i}(u)  v = l.F{i}{attribute}(w) }}" for i in range(40)]
    built = _model("y = l.F40(x)", "F0<a: float = 0.1>(u) => (v) { v = LeakyRelu<alpha: float = @a>(u) }", *doubling)
    began = time.monotonic()
    with pytest.raises(UnsupportedError, match=f"the network has more than {MAX_NODES} nodes, with its functions exp"):
        import_model(built)
    assert time.monotonic() - began < 5

"""What a small file can unfold to is bounded, and the time that a network takes is linear in its nodes."""

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hecc.compiler.importer import import_model
from hecc.compiler.importer.reading.inlining import MAX_NODES
from hecc.passes.ckks.pipeline import canonicalise
from hecc.runtime.errors import UnsupportedError

Model = Callable[..., onnx.ModelProto]
TEXT = "it computes with text"


def _sum_of_constants(number: int) -> str:
    each = [f"c{i} = ConstantOfShape(s)  m{i} = ReduceMax<keepdims = 0>(c{i})" for i in range(number)]
    return "  ".join([*each, f"y = Sum(x, {', '.join(f'm{i}' for i in range(number))})"])


@pytest.mark.parametrize(
    ("body", "constants", "reason"),
    [
        (_sum_of_constants(18), {"s": np.array([1 << 22])}, "'[cm]1.' .*: with it, constants that are computed when"),
        ("c = ConstantOfShape(s)  m = ReduceMax(c)  y = Add(x, m)", {"s": np.array([1 << 40])}, f"have {1 << 40} elem"),
        (
            "c = Tile(b, s)  m = ReduceMax(c)  y = Add(x, m)",
            {"b": np.ones(4), "s": np.array([1 << 40])},
            "elements; stay",
        ),
        (
            "c = Range(a, b, a)  m = ReduceMax(c)  f = Cast<to = 1>(m)  y = Add(x, f)",
            {"a": np.array(1), "b": np.array(1 << 40)},
            f"have {(1 << 40) - 1} elements",
        ),
        (
            "c = OneHot(i, d, v)  m = ReduceMax(c)  y = Add(x, m)",
            {"i": np.arange(9), "d": np.array(1 << 40), "v": np.array([0, 1], np.float32)},
            "elements; stay",
        ),
        (
            'c = Resize<mode = "linear">(b, , s)  m = ReduceMean<keepdims = 0>(c)  y = Add(x, m)',
            {"b": np.ones((1, 1, 4, 4), np.float32), "s": np.array([1, 1, 250, 250], np.float32)},
            "of which each would be computed by itself",
        ),
        ('c = RegexFullMatch<pattern = "(a+)+b">(t)  f = Cast<to = 1>(c)  y = Mul(x, f)', {"t": ["a" * 40]}, TEXT),
        ('c, n = StringSplit<delimiter = "a">(t)  f = Cast<to = 1>(n)  y = Mul(x, f)', {"t": ["a" * 1000000]}, TEXT),
        ("c = StringConcat(t, t)  d = StringConcat(c, c)  n = Size(d)  y = Identity(x)", {"t": ["a"]}, ""),
        (
            "e = Unsqueeze(x, u)  c = Expand(e, s)  y = ReduceMean(c, u)",
            {"u": np.array([1]), "s": np.array([1, 1 << 24, 4])},
            "elements; stay below",
        ),
        ("p = Pad(x, s)  y = ReduceMean(p, u)", {"s": np.array([0, 0, 0, 1 << 20]), "u": np.array([1])}, "it combines"),
    ],
)
def test_what_unfolds_is_refused_soon(body: str, constants: Any, reason: str, model: Model) -> None:
    texts = {name: np.array(value, object) for name, value in constants.items() if isinstance(value, list)}
    built = model(f"g (float[N,4] x) => (float[?,?] y) {{ {body} }}", 20, **{**constants, **texts})
    began = time.process_time()
    if reason:
        with pytest.raises(UnsupportedError, match=reason):
            import_model(built)
    else:
        import_model(built)
    assert time.process_time() - began < 10


def test_large_and_many_inputs_are_refused(model: Model) -> None:
    with pytest.raises(UnsupportedError, match=f"input 'x' has {1 << 26} elements, more than {1 << 22}"):
        import_model(model(f"g (float[N,{1 << 26}] x) => (float[N,{1 << 26}] y) {{ y = Neg(x) }}"))
    inputs = ", ".join(f"float[N,1] x{i}" for i in range(257))
    with pytest.raises(UnsupportedError, match="the network has 257 inputs, more than 256; join them in one"):
        import_model(model(f"g ({inputs}) => (float[N,1] y) {{ y = Neg(x0) }}"))


def test_many_values_are_refused_in_sum(model: Model) -> None:
    body = "  ".join(f"r{i} = Expand(e, s)  m{i} = ReduceMean(r{i}, u)" for i in range(9))
    total = ", ".join(f"m{i}" for i in range(9))
    constants = {"u": np.array([1]), "s": np.array([1, 1 << 16, 64])}
    built = model(
        f"g (float[1,64] x) => (float[1,64] y) {{ e = Unsqueeze(x, u)  {body}  y = Sum({total}) }}", 18, **constants
    )
    with pytest.raises(UnsupportedError, match=f"the values in the network have more than {1 << 25} elements together"):
        import_model(built)


def test_many_nodes_are_refused(model: Model) -> None:
    built = model("g (float[N,4] x) => (float[N,4] y) { y = Neg(x) }")
    built.graph.node.extend(built.graph.node[0] for _ in range(MAX_NODES))
    with pytest.raises(UnsupportedError, match=f"the network has more than {MAX_NODES} nodes"):
        import_model(built)


def _chain(length: int) -> onnx.ModelProto:
    names = ["x", *(f"t{i}" for i in range(length - 1)), "y"]
    nodes = [helper.make_node("Add", [one, f"w{i}"], [other]) for i, (one, other) in enumerate(pairwise(names))]
    weights = [numpy_helper.from_array(np.full(4, i, np.float32), f"w{i}") for i in range(length)]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in "xy")
    return helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], weights), opset_imports=[helper.make_opsetid("", 17)]
    )


def test_time_is_linear_in_the_nodes() -> None:
    seconds = []
    for length in (300, 1200):
        built = _chain(length)
        began = time.process_time()
        canonicalise(import_model(built))
        seconds.append(time.process_time() - began)
    assert seconds[1] < 10 * seconds[0]

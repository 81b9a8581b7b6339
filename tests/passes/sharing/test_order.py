"""Functions behind maxima: fewer numbers, and the same result, where the function does not decrease."""

import numpy as np
import onnx
import onnx.parser
import pytest

from hecc.compiler.graph.nodes import FunctionNode, OperatorNode
from hecc.compiler.graph.stages import IMPORTED, check_graph
from hecc.compiler.importer import import_model
from hecc.passes.sharing.order import functions_behind_maxima


def graph(body, outputs="float[N,K,L,M] y"):
    text = f"g (float[N,2,6,6] x) => ({outputs}) {{ {body} }}"
    model = onnx.helper.make_model(
        onnx.parser.parse_graph(text), opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9
    )
    return import_model(model)


POOL = "MaxPool<kernel_shape=[2,2], strides=[2,2]>"
END = "y = AveragePool<kernel_shape=[1,1]>(p) "


@pytest.mark.parametrize("function", ["Relu", "Sigmoid", "LeakyRelu<alpha=0.5>"])
def test_what_does_not_decrease_goes_behind(function):
    before = graph(f"r = {function}(x) p = {POOL}(r) z = Neg(p) w = Relu(z) {END.replace('(p)', '(w)')}")
    after = functions_behind_maxima(before)
    check_graph(after, IMPORTED)
    kinds = [type(node) for node in after.nodes if isinstance(node, FunctionNode | OperatorNode)]
    assert kinds == [OperatorNode, FunctionNode, FunctionNode]
    x = {"x": np.random.default_rng(0).normal(size=(4, 2, 6, 6))}
    np.testing.assert_array_equal(after.evaluate(x)[after.outputs[0]], before.evaluate(x)[before.outputs[0]])


@pytest.mark.parametrize(
    "body",
    [
        f"r = Abs(x) p = {POOL}(r) q = Relu(p) {END.replace('(p)', '(q)')}",
        (
            f"r = Relu(x) p = {POOL}(r) s = AveragePool<kernel_shape=[2,2], strides=[2,2]>(r) q = Add(p, s) "
            f"t = Relu(q) {END.replace('(p)', '(t)')}"
        ),
    ],
    ids=["it decreases", "others read it"],
)
def test_what_must_stay_stays(body):
    before = graph(body)
    assert functions_behind_maxima(before).nodes == before.nodes

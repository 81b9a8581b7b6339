"""If with a known condition, and inputs of integers: what exporters write around shapes and images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from hecc.compiler.importer import import_model
from hecc.runtime.errors import UnsupportedError

Model = Callable[..., onnx.ModelProto]

BRANCHES = """g (float[N,1,3] x) => (float[N,3] y) {
    s = Shape(x)  i = Constant<value_int = 1>()  n = Gather(s, i)  one = Constant<value_int = EXTENT>()
    c = Equal(n, one)  w = Constant<value_floats = [1.0, 2.0, 3.0]>()  h = Mul(x, w)
    z = If(c) <
        then_branch = a () => (float[N,3] t) { k = Constant<value_ints = [1]>()  t = Squeeze(h, k) },
        else_branch = b () => (float[N,3] e) { r = Constant<value_ints = [0, 3]>()  d = Neg(h)  e = Reshape(d, r) }
    >
    y = Mul(z, z)
}"""


@pytest.mark.parametrize("extent", [1, 2])
def test_the_branch_that_a_shape_chooses_is_taken(extent: int, model: Model) -> None:
    graph = import_model(model(BRANCHES.replace("EXTENT", str(extent))))
    values = graph.evaluate({"x": np.array([[[1.0, -1.0, 2.0]]])})
    np.testing.assert_array_equal(values["y"], [[1.0, 4.0, 36.0]])
    np.testing.assert_array_equal(values["z"], [[1.0, -2.0, 6.0]] if extent == 1 else [[-1.0, 2.0, -6.0]])


def test_an_output_may_come_from_a_branch(model: Model) -> None:
    built = model(
        """g (float[N,3] x) => (float[N,3] y) {
            y = If(c) <
                then_branch = a () => (float[N,3] t) { t = Neg(x) },
                else_branch = b () => (float[N,3] e) { e = Identity(x) }
            >
        }""",
        c=np.array(True),
    )
    np.testing.assert_array_equal(import_model(built).evaluate({"x": np.array([[1.0, 2.0, 3.0]])})["y"], [[-1, -2, -3]])


@pytest.mark.parametrize("kind", ["uint8", "int64"])
def test_integers_that_are_cast_at_once_are_real_numbers(kind: str, model: Model) -> None:
    built = model(f"g ({kind}[N,3] x) => (float[N,3] y) {{ r = Cast<to = 1>(x)  y = Div(r, w) }}", w=np.float32(255))
    found = import_model(built).evaluate({"x": np.array([[0, 51, 255]])})["y"]
    np.testing.assert_allclose(found, [[0, 0.2, 1]])


def test_integers_that_are_used_as_such_are_refused(model: Model) -> None:
    built = model("g (int64[N,3] x) => (float[N,3] y) { r = Cast<to = 1>(x)  s = Add(x, x)  y = Cast<to = 1>(s) }")
    with pytest.raises(UnsupportedError, match="input 'x' holds int64; only real numbers can be encrypted"):
        import_model(built)

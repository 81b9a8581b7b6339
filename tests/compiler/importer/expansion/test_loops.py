"""Loop and Scan written out, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from hecc.compiler.importer import import_model
from hecc.runtime.errors import UnsupportedError

Model = Callable[..., onnx.ModelProto]

LOOP = """g (float[1,3] x) => (float[1,3] y, float[4,1,3] z) {
    n = Constant<value_int = 4>()
    c = Constant<value = bool {1}>()
    y, z = Loop(n, c, x) <body = b (int64 i, bool on, float[1,3] s) => (bool go, float[1,3] t, float[1,3] r)
        <float[3] w = {1, 2, 3}> {
            go = GOES
            f = Cast<to = 1>(i)  d = Mul(s, w)  t = Add(d, f)  r = Neg(t)
        }>
}"""

SCAN = """g (float[4,2] x, float[2] s) => (float[2] y, float[2,4] z) {
    y, z = Scan<num_scan_inputs = 1, scan_input_directions = [1], scan_output_axes = [1],
        scan_output_directions = [BACK],
        body = b (float[2] h, float[2] e) => (float[2] t, float[2] r) { t = Add(h, e)  r = Mul(t, e) }>(s, x)
}"""


@pytest.mark.parametrize("goes", ["Identity(on)", "Constant<value = bool {1}>()"])
def test_a_loop_is_as_many_bodies_as_it_has_steps(goes: str, model: Model, compare: Callable[..., None]) -> None:
    compare(model(LOOP.replace("GOES", goes)), x=np.asarray([[1, -2, 0.5]], np.float32))


@pytest.mark.parametrize("back", ["0", "1"])
def test_a_scan_goes_over_its_inputs(back: str, model: Model, compare: Callable[..., None]) -> None:
    x = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    compare(model(SCAN.replace("BACK", back)), x=x, s=np.asarray([1, 2], np.float32))


def test_a_loop_that_nothing_bounds_is_refused(model: Model) -> None:
    with pytest.raises(UnsupportedError, match="whether it goes on is computed in its body; give it a number of steps"):
        import_model(model(LOOP.replace("GOES", "Less(i, n)")), batch_axis=False)
    many = LOOP.replace("GOES", "Identity(on)").replace("value_int = 4", "value_int = 5000")
    with pytest.raises(UnsupportedError, match="it has 5000 steps, more than the 1024 that are unrolled"):
        import_model(model(many), batch_axis=False)
    counted = LOOP.replace("GOES", "Identity(on)").replace(
        "n = Constant<value_int = 4>()", "a = ReduceSum(x)  n = Cast<to = 7>(a)"
    )
    with pytest.raises(UnsupportedError, match=r"Loop 'y' \(opset 13\): control flow cannot depend on encrypted data"):
        import_model(model(counted), batch_axis=False)

"""The loop: what it refuses, and that it keeps what was there before."""

import numpy as np
import onnx.parser
import pytest
from onnx import numpy_helper

import hecc
from hecc.runtime.network.evaluation import PlainArithmetic
from hecc.runtime.training.settings import TrainingSettings
from hecc.runtime.training.trainer import Checkpoint, DivergedError, Trainer

NETWORK = """<ir_version: 8, opset_import: ["" : 17]> network (float[N,4] x) => (float[N,3] y) {
    [first] h = Gemm (x, w1, b1)
    a = Tanh (h)
    [last] y = Gemm (a, w2, b2)
}"""


@pytest.fixture(scope="module")
def training():
    random = np.random.default_rng(2)
    model = onnx.parser.parse_model(NETWORK)
    for name, shape in {"w1": (4, 5), "b1": (5,), "w2": (5, 3), "b2": (3,)}.items():
        model.graph.initializer.append(numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name))
    return hecc.compile(model, scheme="more", train="mse", input_range=(-1, 1)).training


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("place", range(4))
def test_any_parameter_that_leaves_its_range_is_refused_and_the_rest_kept(training, bad, place):
    """Whichever parameter it is, although the loss is finite and all others are in range."""
    name = list(training.parameters)[place]
    shapes = {each: values.shape for each, values in training.parameters.items()}
    memories = {each: {"velocity": np.full(shapes[each], bad if each == name else 0.0)} for each in shapes}
    start = Checkpoint(3, dict(training.parameters), memories)
    trainer = Trainer(training.step, PlainArithmetic(), TrainingSettings(optimizer="momentum"), start)
    given = {"x": np.ones((2, 4)), "target": np.zeros((2, 3))}
    layer = "last" if name.endswith("2") else "first"
    words = (
        rf"left the range of 1e\+09 in the parameter '{name}' of Gemm '{layer}', by a step of momentum. Train with a"
    )
    with pytest.raises(DivergedError, match=rf"^step 4 \(epoch 2\): a value \(.*\) {words} smaller learning rate"):
        trainer.step(given, 10, epoch=2)
    assert trainer.checkpoint is start


def test_a_loss_out_of_range_is_said_where(training):
    start = Checkpoint(0, dict(training.parameters))
    trainer = Trainer(training.step, PlainArithmetic(), TrainingSettings(optimizer="sgd"), start)
    with pytest.raises(DivergedError, match=r"step 1 \(epoch 1\): .* at \S+"):
        trainer.step({"x": np.ones((2, 4)), "target": np.full((2, 3), 1e6)}, 10)
    assert trainer.checkpoint is start


def test_a_gradient_out_of_range_is_said_where_although_adam_would_hide_it(training):
    """Adam takes a step of the usual size whatever a gradient is; few digits of another channel's would be left."""
    weights = {name: np.zeros(values.shape) for name, values in training.parameters.items()}
    start = Checkpoint(0, {**weights, "w2": np.full((5, 3), 1e6)})
    trainer = Trainer(training.step, PlainArithmetic(), TrainingSettings(optimizer="adam"), start)
    words = (
        r"a value \([0-9.e+]+\) left the range of 1e\+09 at gradient of Gemm 'last'\. Train with .* smaller weights$"
    )
    with pytest.raises(DivergedError, match=rf"^step 1 \(epoch 1\): {words}"):
        trainer.step({"x": np.ones((2, 4)), "target": np.full((2, 3), 1e4)}, 10)
    assert trainer.checkpoint is start

"""Rounding in training: what is no matrix of the key is taken away after every step, or it grows."""

import numpy as np
import onnx.parser
import pytest
from onnx import numpy_helper

import hecc
from hecc.runtime.more.arithmetic import EncodedArithmetic, commuting_basis, identity
from hecc.runtime.more.keys import SecretKey
from hecc.runtime.network.evaluation import PlainArithmetic
from hecc.runtime.training.settings import TrainingSettings
from hecc.runtime.training.trainer import Checkpoint, DivergedError, Trainer

NETWORK = """<ir_version: 8, opset_import: ["" : 17]> network (float[N,3] x) => (float[N,1] y) {
    h = Gemm (x, w1, b1)
    a = Tanh (h)
    y = Gemm (a, w2, b2)
}"""
ROWS, STEPS = 32, 200
KEY = SecretKey("0" * 64, np.array([[2.0, 1.0], [-0.5, 1.5]]))


@pytest.fixture(scope="module")
def training():
    random = np.random.default_rng(2)
    model = onnx.parser.parse_model(NETWORK)
    for name, shape in {"w1": (3, 4), "b1": (4,), "w2": (4, 1), "b2": (1,)}.items():
        weights = (random.normal(size=shape) / 2).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weights, name))
    return hecc.compile(model, scheme="more", train="mse", input_range=(-3, 3)).training


def losses(training, arithmetic, given, start):
    settings = TrainingSettings(epochs=STEPS, batch_size=ROWS, optimizer="adam", learning_rate=0.01, seed=None)
    return Trainer(training.step, arithmetic, settings, Checkpoint(0, start)).run(given, ROWS).losses


def test_what_mixes_the_channels_grows_unless_it_is_taken_away(training):
    """Both channels learn well, and the decoy's is the easier problem.

    Adam divides a gradient by the square root of its spread. What rounding mixes has the gradient of one channel and is
    divided by the spread of the other, so its steps are far too long as soon as that one has learned: within 200 steps
    what began at 1e-16 is everything.
    """
    random = np.random.default_rng(3)
    x = random.uniform(-1, 1, (ROWS, 3))
    target = np.sin(2 * x[:, :1]) * x[:, 1:2]
    given = {"x": x, "target": target}
    clear = np.array(losses(training, PlainArithmetic(), given, dict(training.parameters)))
    assert clear[-1] < 0.2 * clear[0]
    easier = {"x": 0.05 * random.normal(size=x.shape), "target": np.full_like(target, 0.1)}
    encoded = {name: KEY.encode([values, easier[name]]) for name, values in given.items()}
    start = {name: identity(values, 2) for name, values in training.parameters.items()}
    settled = losses(training, EncodedArithmetic(commuting_basis(encoded.values())), encoded, start)
    np.testing.assert_allclose([float(KEY.decode(loss)) for loss in settled], clear, rtol=0, atol=1e-11)
    with pytest.raises(DivergedError, match=r"^step 1\d\d .* left the range of 1e\+09"):
        losses(training, EncodedArithmetic(), encoded, start)

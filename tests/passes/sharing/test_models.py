"""Networks of others, as they were published, against onnxruntime."""

import numpy as np
import onnx
import pytest

from hecc.compiler.graph.passes import run_passes
from hecc.compiler.importer import import_model
from hecc.compiler.sharing.simulation import simulated
from hecc.passes.sharing.accuracy import choose_accuracy
from hecc.passes.sharing.pipeline import PASSES
from hecc.runtime.sharing.parties.walk import program_cost

ort = pytest.importorskip("onnxruntime")

PRECISION = 7.0
MODELS = {
    "diabetes_coquism": 1_000,
    "emclab_har_cnn": 500_000,
    "ezkl_lenet5": 250_000,
    "heman_cryptonets_square": 30_000,
    "heman_lenet5": 300_000,
    "marabou_cnn_max_mnist2": 300_000,
    "marabou_selfattention_mnist": 150_000,
    "onnxzoo_mnist_8": 300_000,
    "vnn2020_mnist_logsig_200_100_50": 200_000,
    "vnn_cifar10_resnet_2b": 300_000,
    "vnn_mnist_256x2": 30_000,
    "vnn_verivital_convnet_maxpool": 700_000,
}
"""And bytes that an inference takes at the most, online and ahead of the input together."""


@pytest.mark.parametrize("name", MODELS)
def test_networks_of_others_are_what_onnxruntime_computes(shared_models, name):
    path = shared_models / f"{name}.onnx"
    graph = run_passes(PASSES, import_model(onnx.load(path)), None)
    (source,) = graph.inputs()
    shape = graph.example_shape(source.output.shape)
    generator = np.random.default_rng(0)
    calibration = {source.output.name: generator.uniform(0, 1, (48, *shape))}
    found = choose_accuracy(graph, calibration, {source.output.name: (0.0, 1.0)}, PRECISION, margin=4.0)
    x = generator.uniform(0, 1, (8, *shape))
    results = simulated(found.lowered, found.checked, {source.output.name: x}, seed=9)
    # What is behind the last layer is the client's; the graph in clear, which onnxruntime agrees with, ends there too.
    exact = graph.evaluate({source.output.name: x})
    for output in graph.outputs:
        scale = np.abs(graph.evaluate(calibration)[output]).max()
        assert np.abs(results[output] - exact[output]).max() < 2.0 ** (1 - PRECISION) * scale
    cost = program_cost(found.checked)
    assert cost.online() + cost.block_bytes + cost.upload_bytes < MODELS[name]
    if not graph.epilogues:
        session = ort.InferenceSession(path.read_bytes())
        feed = session.get_inputs()[0]
        rows = [session.run(None, {feed.name: row[np.newaxis].astype(np.float32)})[0] for row in x]
        (output,) = graph.outputs
        np.testing.assert_allclose(exact[output], np.reshape(rows, (8, -1)), rtol=1e-3, atol=1e-3 * scale)

"""Real networks on real digits: the encrypted answer is onnxruntime's."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import hecc
from hecc.compiler.importer import import_model

pytestmark = pytest.mark.slow

IMAGES = 3
EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "mnist"

SHARED = {
    "heman_cryptonets_square": 1.0,
    "heman_mnist_demo": 1.0,
    "ezkl_lenet5": 255.0,
    "peers/orion_lola": 1.0,
    "peers/orion_mlp": 1.0,
    "peers/orion_lenet": 1.0,
}
"""What a white pixel is in the networks' inputs."""


SMOOTH = {
    # Sigmoids of values up to 100.
    "marabou_mnist_sigmoid_2x5": lambda pixels: pixels / 256,
    # Sigmoids of values up to 250, two polynomials in a row.
    "vnn2020_mnist_logsig_200_100_50": lambda pixels: pixels.reshape(-1, 1, 1, 784),
    # LeNets with tanh and average pooling, the first with random weights.
    "debjyoti_lenet5": lambda pixels: np.pad(pixels / 255, ((0, 0), (0, 0), (2, 2), (2, 2))),
    "zkp_lenet_2_4_8": lambda pixels: (pixels / 255 - 0.1307) / 0.3081,
}
"""What the networks' inputs are made from pixels by."""


@pytest.fixture(scope="session")
def digits(shared_data: Path) -> dict[str, np.ndarray[Any, Any]]:
    """MNIST's images as 0..255, shape (rows, 1, 28, 28), for calibration and to be encrypted."""
    folder = shared_data / "mnist"
    images = {}
    for split, rows in (("train", 256), ("t10k", IMAGES)):
        path = folder / f"{split}-images-idx3-ubyte.gz"
        if not path.exists():
            pytest.skip(f"no MNIST images in {folder}")
        with gzip.open(path) as stream:
            raw = np.frombuffer(stream.read(16 + rows * 784), np.uint8, offset=16)
        images[split] = raw.reshape(rows, 1, 28, 28).astype(np.float32)
    return images


def check(three_way: Any, path: Path, digits: dict[str, np.ndarray[Any, Any]], white: float) -> None:
    """Same digit, and errors below a hundredth of the range of the logits."""
    (source,) = import_model(path).inputs()
    border = (source.output.shape[-1] - 28) // 2
    pad = ((0, 0), (0, 0), (border, border), (border, border))
    calibration, images = (np.pad(digits[split] / 255 * white, pad) for split in ("train", "t10k"))
    plan = hecc.compile(path, calibration=calibration, input_range=(0.0, white))
    ((name, expected),) = three_way.reference(path, {source.output.name: images}).items()
    logits = expected.reshape(IMAGES, -1)
    decrypted = three_way.encrypted(plan, {source.output.name: images})[name].reshape(IMAGES, -1)
    simulated = hecc.simulate(plan, images)[name].reshape(IMAGES, -1)
    for found in (decrypted, simulated):
        np.testing.assert_array_equal(found.argmax(axis=1), logits.argmax(axis=1))
        assert np.abs(found - logits).max() < 0.01 * np.ptp(logits)
    # The promise, too: twelve bits of the largest logit of the calibration inputs.
    largest = np.abs(three_way.reference(path, {source.output.name: calibration})[name]).max()
    assert np.abs(decrypted - logits).max() <= 2.0**-12 * largest


@pytest.mark.parametrize("name", SMOOTH)
def test_networks_with_smooth_activations_answer_as_in_clear(
    name: str, three_way: Any, shared_models: Path, digits: dict[str, np.ndarray[Any, Any]]
) -> None:
    model = onnx.load(shared_models / f"{name}.onnx")
    if model.graph.node[-1].op_type == "Softmax":
        model.graph.output[0].name = model.graph.node.pop().input[0]
    calibration, images = (SMOOTH[name](digits[split]).astype(np.float32) for split in ("train", "t10k"))
    lowest, highest = float(calibration.min()), float(calibration.max())
    plan = hecc.compile(model, calibration=calibration, input_range=(lowest, highest), precision=7.0)
    (source,) = import_model(model).inputs()
    batch = max(1, model.graph.input[0].type.tensor_type.shape.dim[0].dim_value)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    rows = [session.run(None, {source.output.name: np.repeat(row[np.newaxis], batch, 0)})[0][0] for row in images]
    logits = np.stack(rows).reshape(IMAGES, -1)
    (decrypted,) = three_way.encrypted(plan, {source.output.name: images}).values()
    decrypted = decrypted.reshape(IMAGES, -1)
    np.testing.assert_array_equal(decrypted.argmax(axis=1), logits.argmax(axis=1))
    assert np.abs(decrypted - logits).max() < 0.01 * np.ptp(logits)


@pytest.mark.parametrize("name", ["lola", "mlp", "lenet"])
def test_our_examples_answer_as_in_clear(name: str, three_way: Any, digits: dict[str, np.ndarray[Any, Any]]) -> None:
    check(three_way, EXAMPLES / f"{name}.onnx", digits, 1.0)


@pytest.mark.parametrize("name", SHARED)
def test_networks_of_others_answer_as_in_clear(
    name: str, three_way: Any, shared_models: Path, digits: dict[str, np.ndarray[Any, Any]]
) -> None:
    check(three_way, shared_models / f"{name}.onnx", digits, SHARED[name])


SENTENCE = re.compile(
    r"[\w.]+ '[^']+' \(opset \d+\)[:, ].+; .+|the model uses opset \d+, .+; .+|no parameters give .+; .+"
)


def test_every_network_of_others_compiles_or_is_refused_in_a_sentence(shared_models: Path) -> None:
    """That names the node; nothing in between, and no other error."""
    refusals: dict[str, str] = {}
    compiled = []
    for path in sorted(shared_models.rglob("*.onnx")):
        name = str(path.relative_to(shared_models).with_suffix(""))
        try:
            plan = hecc.compile(path, input_range=(0.0, 1.0), precision=8)
        except (hecc.UnsupportedError, hecc.CompileError) as refusal:
            refusals[name] = str(refusal).splitlines()[0]
        else:
            compiled.append(name)
            assert plan.header.estimate.precision_bits >= 8
    assert {*SHARED, "heart_logreg"} <= {*compiled}
    assert not {name: said for name, said in refusals.items() if not SENTENCE.fullmatch(said)}

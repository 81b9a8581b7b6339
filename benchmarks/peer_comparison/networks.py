"""The networks that both sides run: architectures, random weights, inputs, and the same as ONNX.

The peers' processes read the architecture and the ``.npz`` of weights, hecc reads the ONNX file. That all of them hold
the same network is checked in every run: their cleartext outputs must agree.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

__all__ = [
    "CALIBRATION",
    "IMAGES",
    "MODEL",
    "NETWORKS",
    "WEIGHTS",
    "Convolution",
    "Dense",
    "Network",
    "read_weights",
    "write_network",
]

MODEL, WEIGHTS, IMAGES, CALIBRATION = "model.onnx", "weights.npz", "images.npy", "calibration.npy"
"""Files of a network's folder."""

IMAGE = (1, 28, 28)
SEED = 42
CALIBRATION_ROWS = 256

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Convolution:
    """A convolution with square kernels, as PyTorch's Conv2d; batch normalisation may follow."""

    inputs: int
    outputs: int
    kernel: int
    stride: int
    padding: int = 0
    normalised: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weights."""
        return self.outputs, self.inputs, self.kernel, self.kernel


@dataclass(frozen=True)
class Dense:
    """A dense layer, as PyTorch's Linear; batch normalisation may follow."""

    inputs: int
    outputs: int
    normalised: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weights."""
        return self.outputs, self.inputs


@dataclass(frozen=True)
class Network:
    """Layers with a square after each but the last, on images of 1x28x28.

    Attributes
    ----------
    title
        What the page calls it.
    layers
        Convolutions first.
    """

    title: str
    layers: tuple[Convolution | Dense, ...]


NETWORKS = {
    "lola": Network(
        "LoLA: conv 2x2 s2 5 - BN - square - fc 100 - BN - square - fc 10",
        (Convolution(1, 5, 2, 2, normalised=True), Dense(980, 100, normalised=True), Dense(100, 10)),
    ),
    "mlp": Network(
        "MLP: fc 128 - BN - square - fc 128 - BN - square - fc 10",
        (Dense(784, 128, normalised=True), Dense(128, 128, normalised=True), Dense(128, 10)),
    ),
    "lenet": Network(
        "LeNet: conv 5x5 s2 32 - BN - square - conv 5x5 s2 64 - BN - square - fc 512 - BN - square - fc 10",
        (
            Convolution(1, 32, 5, 2, 2, normalised=True),
            Convolution(32, 64, 5, 2, 2, normalised=True),
            Dense(3136, 512, normalised=True),
            Dense(512, 10),
        ),
    ),
    "tutorial": Network(
        "TenSEAL's tutorial: conv 7x7 s3 4 - square - fc 64 - square - fc 10",
        (Convolution(1, 4, 7, 3), Dense(256, 64), Dense(64, 10)),
    ),
}


def write_network(name: str, folder: Path, images: int) -> None:
    """Write a network's weights, its ONNX file, images, and other images to calibrate with.

    Pixels are uniform in [0, 1]. Weights and biases are uniform in ±1/sqrt(fan-in), and batch normalisation is the
    identity but for its epsilon: so PyTorch initialises them.
    """
    import onnx

    generator = np.random.default_rng(SEED)
    weights: dict[str, NDArray[np.float32]] = {}
    for index, layer in enumerate(NETWORKS[name].layers):
        bound = 1 / np.sqrt(np.prod(layer.shape[1:]))
        for part, shape in (("weight", layer.shape), ("bias", layer.shape[:1])):
            weights[f"{index}.{part}"] = generator.uniform(-bound, bound, shape).astype(np.float32)
    np.savez(folder / WEIGHTS, **weights)  # type: ignore[arg-type]  # numpy's stub takes a name for allow_pickle
    np.save(folder / IMAGES, generator.random((images, *IMAGE)).astype(np.float32))
    np.save(folder / CALIBRATION, generator.random((CALIBRATION_ROWS, *IMAGE)).astype(np.float32))
    onnx.save(_onnx_model(NETWORKS[name], weights), folder / MODEL)


def read_weights(folder: Path, layers: int) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Weights and bias of every layer."""
    with np.load(folder / WEIGHTS) as weights:
        return [(weights[f"{index}.weight"], weights[f"{index}.bias"]) for index in range(layers)]


def _onnx_model(network: Network, weights: Weights) -> onnx.ModelProto:
    from onnx import TensorProto, helper, numpy_helper

    constants = dict(weights)
    nodes: list[onnx.NodeProto] = []
    count = itertools.count()
    value = "image"

    def apply(operator: str, *inputs: str, **attributes: Any) -> None:
        nonlocal value
        source, value = value, f"value{next(count)}"
        nodes.append(helper.make_node(operator, [source, *inputs], [value], **attributes))

    for index, layer in enumerate(network.layers):
        parameters = f"{index}.weight", f"{index}.bias"
        if isinstance(layer, Convolution):
            strides, pads = [layer.stride] * 2, [layer.padding] * 4
            apply("Conv", *parameters, strides=strides, pads=pads)
        else:
            if index == 0 or isinstance(network.layers[index - 1], Convolution):
                apply("Flatten")
            apply("Gemm", *parameters, transB=1)
        if layer.normalised:
            statistics = {"scale": 1.0, "shift": 0.0, "mean": 0.0, "variance": 1.0}
            names = {f"{index}.{part}": number for part, number in statistics.items()}
            constants |= {name: np.full(layer.outputs, number, np.float32) for name, number in names.items()}
            apply("BatchNormalization", *names)
        if layer is not network.layers[-1]:
            apply("Mul", value)
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", *IMAGE])],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, ["batch", network.layers[-1].outputs])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

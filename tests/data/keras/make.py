"""Export small Keras networks with Keras's own exporter, and write what Keras computes next to each.

The files are committed, so that the tests need neither package. To make them again, in an environment with ``keras``,
``tensorflow`` and ``tf2onnx`` (written with 3.15.1, 2.21.0 and 1.17.0)::

    python tests/data/keras/make.py

A file ``NAME.onnx`` has the inputs and outputs of the network in ``NAME.npz``, as ``input 0``, ``output 0`` and so on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

HERE = Path(__file__).parent
ROWS = 5


def vision() -> Any:
    """Channels last: a strided, padded and a depthwise convolution, batch normalization, pooling, a softmax."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Rescaling(1 / 255, offset=-0.5),
            layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("swish"),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.BatchNormalization(),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(3, "softmax"),
        ]
    )


def perceptron() -> Any:
    """Dense layers with smooth activations, and one score with a logistic function."""
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, "gelu"),
            layers.Dense(8, "softplus"),
            layers.Dense(4, "tanh"),
            layers.Dense(1, "sigmoid"),
        ]
    )


def residual() -> Any:
    """Two inputs and two outputs, a sum of branches, channels last at the end."""
    image, table = keras.Input((6, 6, 2), name="image"), keras.Input((4,), name="table")
    inside = layers.Conv2D(2, 3, padding="same", activation="elu")(image)
    summed = layers.Add()([image, inside])
    pooled = layers.GlobalAveragePooling2D()(summed)
    joined = layers.Concatenate()([pooled, layers.Dense(3)(table)])
    return keras.Model([image, table], [layers.Dense(3, "softmax")(joined), layers.UpSampling2D(2)(summed)])


def series() -> Any:
    """A convolution over time that sees no future, a layer for every time, an average."""
    return keras.Sequential(
        [
            keras.Input((16, 2)),
            layers.Conv1D(4, 3, padding="causal", activation="mish"),
            layers.AveragePooling1D(2),
            layers.TimeDistributed(layers.Dense(3)),
            layers.GlobalAveragePooling1D(),
            layers.Dense(2),
        ]
    )


NETWORKS: dict[str, Callable[[], Any]] = {
    "perceptron": perceptron,
    "residual": residual,
    "series": series,
    "vision": vision,
}


def main() -> None:
    """Write every network."""
    for seed, (name, build) in enumerate(NETWORKS.items()):
        keras.utils.set_random_seed(seed)
        model = build()
        generator = np.random.default_rng(seed)
        for layer in model.layers:
            if isinstance(layer, layers.BatchNormalization):
                # Statistics that are not the initial ones, as training would leave.
                layer.set_weights([generator.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
        scale = 255 if name == "vision" else 1
        inputs = [(scale * generator.random((ROWS, *one.shape[1:]))).astype(np.float32) for one in model.inputs]
        outputs = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        model.export(HERE / f"{name}.onnx", format="onnx", verbose=False)
        arrays = {f"input {number}": array for number, array in enumerate(inputs)}
        arrays |= {f"output {number}": array for number, array in enumerate(outputs)}
        np.savez_compressed(HERE / f"{name}.npz", **arrays)


if __name__ == "__main__":
    main()

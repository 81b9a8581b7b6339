"""The networks: files that others published, and how the inputs of each are scaled.

The files are not part of this repository. Where they come from, and the accuracies, are said in the README beside them;
the scaling is an observation: the one that gives that accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["NETWORKS", "SMOOTH", "Bytes", "Network", "Numbers", "Scaling"]

Shape = tuple[int, ...]
Range = tuple[float, float] | tuple[NDArray[np.float64], NDArray[np.float64]]

CIFAR_MEAN = (0.4914, 0.4822, 0.4465)
PATIENTS = np.array([[0, 0, 0, 0, 0, 0, 0, 18], [20, 250, 150, 110, 900, 80, 3, 100]], dtype=np.float64)
"""What columns of the table of patients can be."""

HEARTS = np.array(
    [[0, 0, 1, 80, 100, 0, 0, 60, 0, 0, 1, 0, 3], [100, 1, 4, 220, 600, 1, 2, 220, 1, 7, 3, 3, 7]], dtype=np.float64
)
"""What columns of the table of hearts can be."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)


class Scaling(Protocol):
    """From rows as they lie in files to rows that a network takes."""

    @property
    def range(self) -> Range:
        """The least and the largest number of an input, or of each column."""

    def __call__(self, rows: NDArray[Any], shape: Shape) -> NDArray[np.float32]:
        """Rows of the shape that the network takes, but for the first axis."""


@dataclass(frozen=True)
class Bytes:
    """Bytes of pixels, over a unit, less a mean, over a standard deviation.

    Attributes
    ----------
    unit, mean, std
        A number, or of photographs one for each channel.
    size
        Of the image that the network takes; 0 for the image's own.
    padded
        Whether it is made of that size with a border of zeros, and not resized.
    transposed
        Whether rows and columns change places.
    channels_first
        Of photographs.
    """

    unit: float = 255.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    size: int = 0
    padded: bool = False
    transposed: bool = False
    channels_first: bool = True

    @property
    def range(self) -> tuple[float, float]:
        pixels = np.array([[0.0], [255 / self.unit]])
        ends = (pixels - np.array(self.mean)) / np.array(self.std)
        return float(ends.min()), float(ends.max())

    def __call__(self, rows: NDArray[Any], shape: Shape) -> NDArray[np.float32]:
        images = self._sized(rows) if self.size else rows
        scaled = (images / self.unit - self._channels(self.mean, rows)) / self._channels(self.std, rows)
        if self.transposed:
            scaled = scaled.swapaxes(1, 2)
        if rows.ndim == 4 and self.channels_first:
            scaled = scaled.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(scaled, dtype=np.float32).reshape(len(rows), *shape)

    @staticmethod
    def _channels(numbers: tuple[float, ...], rows: NDArray[Any]) -> NDArray[np.float64]:
        return np.array(numbers if rows.ndim == 4 else numbers[:1])

    def _sized(self, rows: NDArray[Any]) -> NDArray[np.uint8]:
        if self.padded:
            border = (self.size - rows.shape[1]) // 2
            return np.pad(rows, ((0, 0), (border, border), (border, border)))
        sizes = (self.size, self.size)
        return np.stack([np.asarray(Image.fromarray(row).resize(sizes, Image.Resampling.BILINEAR)) for row in rows])


@dataclass(frozen=True)
class Numbers:
    """Numbers as they are.

    Attributes
    ----------
    range
        As :attr:`Scaling.range`.
    """

    range: Range

    def __call__(self, rows: NDArray[Any], shape: Shape) -> NDArray[np.float32]:
        return rows.astype(np.float32).reshape(len(rows), *shape)


@dataclass(frozen=True)
class Network:
    """A network.

    Attributes
    ----------
    name
        Of the file, without its suffix; with the folder, where it lies in one.
    data
        A key of :data:`other_networks.data.SOURCES`.
    scaling
        Of the data.
    accuracy
        Percent of the test set, as the README beside the file has it; ``None`` without labels.
    smallest
        Whether the network decides for the smallest score, not for the largest.
    opset
        To convert the file to, where onnxruntime refuses it as it is.
    """

    name: str
    data: str
    scaling: Scaling
    accuracy: float | None = None
    smallest: bool = False
    opset: int | None = None

    @property
    def key(self) -> str:
        """The name without a folder, for files of its own."""
        return self.name.rpartition("/")[2]


def _mean(values: tuple[float, ...], std: tuple[float, ...], *, channels_first: bool = True) -> Bytes:
    return Bytes(mean=values, std=std, channels_first=channels_first)


NETWORKS: tuple[Network, ...] = (
    Network("verifiable_nn_mnist", "MNIST", Bytes(size=14), 91.29),
    Network("ppml_slp", "MNIST", Bytes(), 97.32),
    Network("diabetes_coquism", "Pima", Numbers((PATIENTS[0], PATIENTS[1])), 86.07),
    Network("ezkl_accuracy", "features", Numbers((-5.0, 5.0))),
    Network("marabou_mnist_2x10", "MNIST", Bytes(256), 92.27),
    Network("marabou_softmax_last", "MNIST", Bytes(1), 89.20),
    Network("vnn_mnist_256x2", "MNIST", Bytes(), 98.08),
    Network("ezkl_4l_relu_conv_fc", "MNIST", Bytes(127.5, mean=(1.0,), transposed=True), 14.10),
    Network("vnn2020_mnist_conv_0.1", "MNIST", _mean((0.2860,), (0.3530,)), 99.07),
    Network("vnn_oval21_cifar_base", "CIFAR-10", _mean(IMAGENET_MEAN, (0.225,) * 3), 58.53),
    Network("heman_lenet5", "MNIST", Bytes(size=32), 99.07),
    Network("vnn_marabou_cifar10_small", "CIFAR-10", Bytes(channels_first=False), 63.14),
    Network("vnn_oval21_cifar_deep", "CIFAR-10", _mean(IMAGENET_MEAN, (0.229, 0.224, 0.225)), 55.31),
    Network("marabou_mnist_leaky_relu_5x20", "MNIST", Bytes(), 94.51),
    Network("marabou_selfattention_mnist", "MNIST", Bytes(), 97.41),
    Network("vnn_acasxu_1_1", "ACAS Xu", Numbers((-0.5, 0.6799)), smallest=True),
    Network("vnn_mnist_256x6", "MNIST", Bytes(), 96.89),
    Network("vnn_cifar10_resnet_2b", "CIFAR-10", _mean(CIFAR_MEAN, (0.2470, 0.2435, 0.2616)), 69.24),
    Network("vnn_marabou_cifar10_large", "CIFAR-10", Bytes(channels_first=False), 74.16),
    Network("wuhan_mnist_sm", "MNIST", Bytes(), 83.21),
    Network("marabou_cnn_max_mnist2", "MNIST", Bytes(1), 98.20),
    Network("vnn_verivital_convnet_maxpool", "MNIST", Bytes(), 97.92),
    Network("emclab_har_cnn", "activity", Numbers((-5.0, 5.0))),
    Network("onnxzoo_mnist_8", "MNIST", Bytes(1), 98.91),
    Network("pytorch2caffe2_mnist_cnn", "MNIST", Bytes(1), 98.40, opset=9),
    Network("ccoltong_lenet_mnist", "MNIST", Bytes(1), 99.11),
    Network("fashion_edwin", "Fashion-MNIST", Bytes(), 90.15),
    Network("vnn_eran_mnist_relu_9x200", "MNIST", Bytes(), 94.95),
    Network("ace_resnet20_cifar10", "CIFAR-10", _mean(CIFAR_MEAN, (0.2023, 0.1994, 0.2010)), 91.61),
)
"""Those with ReLU or MaxPool, the shallowest first."""

SMOOTH: tuple[Network, ...] = (
    Network("heart_logreg", "Cleveland", Numbers((HEARTS[0], HEARTS[1])), 84.85),
    Network("heman_mnist_demo", "MNIST", Bytes(), 97.76),
    Network("heman_cryptonets_square", "MNIST", Bytes(size=32), 97.48),
    Network("marabou_mnist_sigmoid_2x5", "MNIST", Bytes(256), 85.18),
    Network("vnn2020_mnist_logsig_200_100_50", "MNIST", Bytes(1), 96.01),
    Network("zkp_lenet_2_4_8", "MNIST", _mean((0.1307,), (0.3081,)), 97.27),
    Network("ezkl_lenet5", "MNIST", Bytes(1, size=32, padded=True), 11.57),
    Network("debjyoti_lenet5", "MNIST", Bytes(size=32, padded=True), 13.58),
    Network("peers/orion_mlp", "MNIST", Bytes()),
    Network("peers/orion_lola", "MNIST", Bytes()),
    Network("peers/orion_lenet", "MNIST", Bytes()),
    Network("peers/lesion_lenet_128", "photographs", Numbers((0.0, 1.0))),
)
"""Those of squares, sigmoids and tangents, or of a single layer."""

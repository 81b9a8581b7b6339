"""The networks that papers on two-party inference measure, and what this project wants to stay under."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["NETWORKS", "Network", "Rows"]


@dataclass(frozen=True)
class Network:
    """A network, with one activation or another.

    Attributes
    ----------
    name
        Of files, without the activation: ``NAME-ACTIVATION.onnx`` and ``NAME-ACTIVATION.npz``.
    title, data
        For readers.
    target
        Bytes of a row, all of them, that the ReLU variant is to stay under.
    table
        Whether its rows are patients of a table, of which every one has to be decided as in clear.
    activations
        Of the files that there are.
    """

    name: str
    title: str
    data: str
    target: float
    table: bool = False
    activations: tuple[str, ...] = ("relu", "silu")


@dataclass(frozen=True)
class Rows:
    """What a network is calibrated with and measured on; arrays of shape (rows, ...), and the range of inputs."""

    calibration: NDArray[np.float32]
    test: NDArray[np.float32]
    labels: NDArray[np.int64]
    range: tuple[float, float]

    @classmethod
    def of(cls, path: Path) -> Rows:
        """Read a file that ``examples/two_parties/train.py`` wrote."""
        with np.load(path, allow_pickle=False) as found:
            low, high = found["range"].tolist()
            return cls(found["calibration"], found["test"], found["labels"], (low, high))


NETWORKS: tuple[Network, ...] = (
    Network("breast", "30-16-16-2", "breast cancer", 4e3, table=True),
    Network("diabetes", "8-20-20-2", "diabetes", 4e3, table=True),
    Network("liver", "10-32-32-2", "liver disease", 4e3, table=True),
    Network("malaria", "malaria, XONN's", "malaria cells, grey", 1.5e6),
    Network("secureml", "784-128-128-10, SecureML's", "MNIST", 20e3),
    Network("minionn_mnist", "convolutions, MiniONN's", "MNIST", 0.5e6),
    Network("minionn_cifar10", "convolutions, MiniONN's", "CIFAR-10", 9e6),
    Network("resnet20", "ResNet-20, of others", "CIFAR-10", 10e6, activations=("relu",)),
)
"""The shallowest first. ResNet-20 is not trained here: ``two_party.py others`` takes a file that others published."""

"""The architectures of the example, as PyTorch modules, with any activation."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import nn  # type: ignore[import-not-found, unused-ignore]

__all__ = ["ACTIVATIONS", "ARCHITECTURES", "SMOOTH", "Architecture"]

ACTIVATIONS: Mapping[str, type[nn.Module]] = MappingProxyType(
    {
        "relu": nn.ReLU,
        "sigmoid": nn.Sigmoid,
        "tanh": nn.Tanh,
        "softplus": nn.Softplus,
        "silu": nn.SiLU,
        "gelu": nn.GELU,
        "mish": nn.Mish,
        "elu": nn.ELU,
    }
)

SMOOTH = tuple(name for name in ACTIVATIONS if name != "relu")


@dataclass(frozen=True)
class Architecture:
    """A network without weights.

    Attributes
    ----------
    data
        A key of :data:`data.SOURCES`.
    made
        Of an activation, the network with random weights.
    epochs, batch, rate, decay
        How it is trained: passes over the training rows, rows a step, the highest learning rate, weight decay.
    """

    data: str
    made: Callable[[type[nn.Module]], nn.Module]
    epochs: int
    batch: int
    rate: float
    decay: float = 1e-3


def dense(*sizes: int) -> Callable[[type[nn.Module]], nn.Module]:
    """Dense layers of these sizes, from the input to the output, with the activation between them."""

    def made(activation: type[nn.Module]) -> nn.Module:
        layers: list[nn.Module] = [nn.Flatten()]
        for size, then in itertools.pairwise(sizes):
            layers += [nn.Linear(size, then), activation()]
        return nn.Sequential(*layers[:-1])

    return made


def minionn_mnist(activation: type[nn.Module]) -> nn.Module:
    """The convolutional network for MNIST of MiniONN (Liu, Juuti, Lu, Asokan; CCS 2017)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 5), activation(), nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 5), activation(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(256, 100), activation(), nn.Linear(100, 10),
    )  # fmt: skip


def minionn_cifar10(activation: type[nn.Module]) -> nn.Module:
    """The network for CIFAR-10 of MiniONN: seven convolutions, two average poolings and a dense layer."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), activation(),
        nn.Conv2d(64, 64, 3, padding=1), activation(), nn.AvgPool2d(2),
        nn.Conv2d(64, 64, 3, padding=1), activation(),
        nn.Conv2d(64, 64, 3, padding=1), activation(), nn.AvgPool2d(2),
        nn.Conv2d(64, 64, 3, padding=1), activation(),
        nn.Conv2d(64, 64, 1), activation(),
        nn.Conv2d(64, 16, 1), activation(),
        nn.Flatten(), nn.Linear(1024, 10),
    )  # fmt: skip


def malaria(activation: type[nn.Module]) -> nn.Module:
    """The network for cells of XONN (Riazi et al.; USENIX Security 2019), for grey images of 32x32 pixels."""
    return nn.Sequential(
        nn.Conv2d(1, 36, 5), activation(), nn.MaxPool2d(2),
        nn.Conv2d(36, 36, 5), activation(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(900, 72), activation(), nn.Linear(72, 2),
    )  # fmt: skip


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "breast": Architecture("breast", dense(30, 16, 16, 2), epochs=40, batch=64, rate=5e-3, decay=3.0),
        "diabetes": Architecture("diabetes", dense(8, 20, 20, 2), epochs=40, batch=64, rate=5e-3, decay=3.0),
        "liver": Architecture("liver", dense(10, 32, 32, 2), epochs=40, batch=64, rate=5e-3, decay=3.0),
        "malaria": Architecture("malaria", malaria, epochs=15, batch=64, rate=2e-3, decay=0.05),
        "secureml": Architecture("mnist", dense(784, 128, 128, 10), epochs=8, batch=250, rate=3e-3, decay=1e-2),
        "minionn_mnist": Architecture("mnist", minionn_mnist, epochs=4, batch=250, rate=5e-3, decay=1e-2),
        "minionn_cifar10": Architecture("cifar10", minionn_cifar10, epochs=3, batch=100, rate=3e-3, decay=1e-2),
    }
)
"""By name; the sizes of the tables' networks are XONN's, the dense one for MNIST is SecureML's."""

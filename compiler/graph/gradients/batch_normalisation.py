"""Batch normalisation as it is trained: by statistics of the batch (Ioffe and Szegedy 2015, algorithm 1).

Everywhere else it is a scaling and a shift by running averages. A training step computes the statistics of its rows,
differentiates through them, and returns them, so that whoever trains keeps the averages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.function import ARGUMENT, PolynomialOf, Primitive
from hecc.compiler.graph.gradients.slopes import Slopes
from hecc.compiler.graph.programs.builder import ProgramBuilder
from hecc.runtime.training.statistics import Statistic

__all__ = ["BatchNormalisation"]


@dataclass(frozen=True)
class BatchNormalisation:
    """One of a network's.

    Attributes
    ----------
    value
        What is normalised, shape (images, channels, ...).
    shape
        Of that.
    scale, shift, mean, variance
        Names of parameters, one number for each channel.
    values
        Of these.
    epsilon
        Added to variances.
    momentum
        The part of a running average that a step leaves.
    """

    value: str
    shape: tuple[int, ...]
    scale: str
    shift: str
    mean: str
    variance: str
    values: Mapping[str, NDArray[np.float64]]
    epsilon: float
    momentum: float

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        """The running averages that a step goes on with; a variance is kept without bias, as PyTorch does."""
        each = math.prod(self.shape) // self.shape[1]
        return (
            Statistic(name=self.mean, momentum=self.momentum, elements=each, unbiased=False),
            Statistic(name=self.variance, momentum=self.momentum, elements=each, unbiased=True),
        )

    @property
    def _reduced(self) -> tuple[int, ...]:
        return (1, self.shape[1], *(1,) * (len(self.shape) - 2))

    def _parameter(self, build: ProgramBuilder, name: str) -> int:
        return build.reshape(build.parameter(name, self.values[name]), self._reduced)

    def _mean(self, build: ProgramBuilder, x: int) -> int:
        """Over the rows and all elements of a channel."""
        summed = build.mean_rows(build.total(x, self._reduced))
        return build.add([summed], [self.shape[1] / math.prod(self.shape)])

    def _normal(self, build: ProgramBuilder, x: int) -> tuple[int, int, int, int]:
        """The normalised value, its factor, and mean and variance; what is there already is not made again."""
        mean = self._mean(build, x)
        centred = build.add([x, mean], [1.0, -1.0])
        variance = self._mean(build, build.multiply(centred, centred))
        root = Primitive("sqrt", (), PolynomialOf((self.epsilon, 1.0), ARGUMENT))
        factor = build.function(Primitive("reciprocal", (), root), variance)
        return build.multiply(centred, factor), factor, mean, variance

    def forward(self, build: ProgramBuilder, x: int) -> int:
        """The value of shape ``shape`` from what is normalised; the statistics become outputs."""
        normal, _, mean, variance = self._normal(build, build.reshape(x, self.shape))
        for name, found in ((self.mean, mean), (self.variance, variance)):
            build.output(build.reshape(found, (self.shape[1],)), f"{Statistic.OUTPUT}{name}")
        scaled = build.multiply(normal, self._parameter(build, self.scale))
        return build.add([scaled, self._parameter(build, self.shift)])

    def backward(self, slopes: Slopes, x: int, slope: int) -> None:
        """Gradients of what is normalised, which is a row's by way of all rows, and of scale and shift."""
        build = slopes.build
        normal, factor, _, _ = self._normal(build, build.reshape(x, self.shape))
        for name, each in ((self.shift, slope), (self.scale, build.multiply(slope, normal))):
            if name in slopes.wanted:
                summed = build.mean_rows(build.total(each, self._reduced))
                slopes.add_parameter(name, build.reshape(summed, (self.shape[1],)))
        steep = build.multiply(slope, self._parameter(build, self.scale))
        along = build.multiply(normal, self._mean(build, build.multiply(steep, normal)))
        left = build.add([steep, self._mean(build, steep), along], [1.0, -1.0, -1.0])
        slopes.add(self.value, build.reshape(build.multiply(left, factor), build.shape(x)))

"""Optimisers: from gradients to the next parameters, by an arithmetic's sums, products and functions.

Definitions are PyTorch's (``torch.optim.SGD``, ``torch.optim.Adam``), so that training elsewhere goes the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, TypeVar

from hecc.runtime.network.evaluation import Arithmetic
from hecc.runtime.network.functions import POLYNOMIAL, FunctionStep

__all__ = ["OPTIMISERS", "Optimiser", "Update"]

T = TypeVar("T")

State = dict[str, T]

MOMENTUM = 0.9
BETAS = (0.9, 0.999)
EPSILON = 1e-8


@dataclass(frozen=True)
class Update(Generic[T]):
    """One parameter's step.

    Attributes
    ----------
    arithmetic
        Of the values.
    rate
        The learning rate.
    number
        Of the step, from 1.
    """

    arithmetic: Arithmetic[T]
    rate: float
    number: int

    def sum(self, *terms: tuple[float, T]) -> T:
        """A weighted sum."""
        return self.arithmetic.add([term for _, term in terms], tuple(factor for factor, _ in terms), 0.0)


@dataclass(frozen=True)
class Optimiser:
    """A name, what it remembers of every parameter, and its step.

    Attributes
    ----------
    memories
        Names of what it keeps for each parameter.
    rate
        The learning rate that is usual.
    step
        Takes the update, a parameter, its gradient and what is remembered, empty in the beginning; returns the
        parameter and what to remember.
    """

    name: str
    memories: tuple[str, ...]
    rate: float
    step: Callable[..., tuple[object, dict[str, object]]]


def _sgd(update: Update[T], parameter: T, gradient: T, state: State[T]) -> tuple[T, State[T]]:
    return update.sum((1.0, parameter), (-update.rate, gradient)), {}


def _momentum(update: Update[T], parameter: T, gradient: T, state: State[T]) -> tuple[T, State[T]]:
    velocity = update.sum((MOMENTUM, state["velocity"]), (1.0, gradient)) if state else gradient
    return update.sum((1.0, parameter), (-update.rate, velocity)), {"velocity": velocity}


def _adam(update: Update[T], parameter: T, gradient: T, state: State[T]) -> tuple[T, State[T]]:
    first, second = BETAS
    arithmetic, n = update.arithmetic, update.number
    square = arithmetic.multiply(gradient, gradient)
    mean = update.sum((1 - first, gradient), *([(first, state["mean"])] if state else []))
    spread = update.sum((1 - second, square), *([(second, state["spread"])] if state else []))
    # Rounding can leave a square a little below zero where the other channel's is large.
    steps = (
        FunctionStep("relu", (0,)),
        FunctionStep("sqrt", (1,)),
        FunctionStep(POLYNOMIAL, (2,), (EPSILON, (1 - second**n) ** -0.5)),
        FunctionStep("reciprocal", (3,)),
    )
    direction = arithmetic.multiply(mean, arithmetic.function(steps, spread))
    moved = update.sum((1.0, parameter), (-update.rate / (1 - first**n), direction))
    return moved, {"mean": mean, "spread": spread}


OPTIMISERS: Mapping[str, Optimiser] = MappingProxyType(
    {
        each.name: each
        for each in (
            Optimiser("sgd", (), 0.1, _sgd),
            Optimiser("momentum", ("velocity",), 0.01, _momentum),
            Optimiser("adam", ("mean", "spread"), 0.001, _adam),
        )
    }
)
"""By name."""

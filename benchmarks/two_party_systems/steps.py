"""A network as the peers are given it: a list of steps and the shapes of weights, which both parties know, and weights.

Neither peer's environment has a converter that takes all networks here, so the steps are written out of ONNX once, and
each peer computes them with its own functions: :class:`Functions` is what it needs to have.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["PROGRAM", "ROWS", "WEIGHTS", "Functions", "Program", "evaluate"]

PROGRAM, WEIGHTS, ROWS = "program.json", "weights.npz", "rows.npy"
"""Files: the first is for both parties, then the server's, then the client's."""


class Functions(Protocol):
    """What a system computes with; tensors are its own, with channels in the second axis."""

    def conv(self, x: Any, weight: Any, bias: Any, strides: Sequence[int], pads: Sequence[int]) -> Any:
        """A convolution; pads are those before and after the rows, and then the columns."""

    def dense(self, x: Any, weight: Any, bias: Any) -> Any:
        """The weight's shape is (inputs, outputs)."""

    def relu(self, x: Any) -> Any:
        """The larger of each number and zero."""

    def add(self, x: Any, y: Any) -> Any:
        """The sum of two tensors."""

    def max_pool(self, x: Any, kernel: Sequence[int], strides: Sequence[int]) -> Any:
        """The largest number of each window."""

    def average_pool(self, x: Any, kernel: Sequence[int], strides: Sequence[int]) -> Any:
        """The mean of each window."""

    def reshape(self, x: Any, shape: Sequence[int]) -> Any:
        """The same numbers."""


@dataclass(frozen=True)
class Program:
    """What both parties know of a network.

    Attributes
    ----------
    steps
        Each with ``operator``, ``inputs``, ``output`` and ``attributes``, in order; the last one's is the result.
    input
        Its name.
    shapes
        Of weights, by name.
    """

    steps: Sequence[Mapping[str, Any]]
    input: str
    shapes: Mapping[str, tuple[int, ...]]

    def save(self, folder: Path) -> None:
        """Write it."""
        text = json.dumps({"steps": list(self.steps), "input": self.input, "shapes": dict(self.shapes)})
        (folder / PROGRAM).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Program:
        """Read it."""
        found = json.loads((folder / PROGRAM).read_text(encoding="utf-8"))
        return cls(found["steps"], found["input"], {name: tuple(shape) for name, shape in found["shapes"].items()})

    def weights(self, folder: Path, *, known: bool) -> dict[str, NDArray[np.float32]]:
        """The weights, or, for who does not know them, zeros of their shapes."""
        if not known:
            return {name: np.zeros(shape, np.float32) for name, shape in self.shapes.items()}
        with np.load(folder / WEIGHTS, allow_pickle=False) as found:
            return {name: found[name] for name in self.shapes}


OPERATORS: Mapping[str, Callable[[Functions, Sequence[Any], Mapping[str, Any]], Any]] = MappingProxyType(
    {
        "Conv": lambda use, given, of: use.conv(given[0], given[1], given[2], of["strides"], of["pads"]),
        "Gemm": lambda use, given, of: use.dense(given[0], given[1], given[2]),
        "Relu": lambda use, given, of: use.relu(given[0]),
        "Add": lambda use, given, of: use.add(given[0], given[1]),
        "MaxPool": lambda use, given, of: use.max_pool(given[0], of["kernel_shape"], of["strides"]),
        "AveragePool": lambda use, given, of: use.average_pool(given[0], of["kernel_shape"], of["strides"]),
        "Reshape": lambda use, given, of: use.reshape(given[0], of["shape"]),
    }
)
"""What each operator is in a system's functions."""


def evaluate(program: Program, use: Functions, row: Any, weights: Mapping[str, Any]) -> Any:
    """The result for one row, whose shape is (1, ...)."""
    values = {program.input: row, **weights}
    result = row
    for step in program.steps:
        given = [values[name] for name in step["inputs"]]
        result = values[step["output"]] = OPERATORS[step["operator"]](use, given, step["attributes"])
    return result

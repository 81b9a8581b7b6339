"""The compiler's half of each scheme: from an imported graph to a plan. A runtime's half knows nothing of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.graph import Graph
from hecc.runtime.plan.plan import Plan

__all__ = ["COMPILERS", "Compiler", "load_compiler"]

COMPILERS: Mapping[str, str] = MappingProxyType(
    {
        "ckks": "hecc.passes.ckks.driving.network:build_plan",
        "sharing": "hecc.passes.sharing.pipeline:build_plan",
        "more": "hecc.passes.more.pipeline:build_plan",
    }
)
"""Where each scheme's compiler is, by the scheme's name; its module is imported only when it is asked for."""

O = TypeVar("O", contravariant=True)  # noqa: E741 - a scheme's options


class Compiler(Protocol[O]):
    """What compiles for a scheme."""

    def __call__(
        self,
        imported: Graph,
        model: bytes,
        calibration: Mapping[str, NDArray[np.float64]],
        declared: Mapping[str, tuple[float, float]],
        options: O,
        progress: Callable[[str], None],
    ) -> Plan:
        """Compile an imported graph.

        Parameters
        ----------
        model
            The ONNX file's bytes, for the fingerprint.
        calibration
            Inputs by name, shape (rows, *shape of one example).
        declared
            Range of each input's elements.
        options
            What was asked for, in the scheme's own terms.
        progress
            Called with the name of each stage as it starts.

        Raises
        ------
        UnsupportedError
            The scheme cannot evaluate the network.
        CompileError
            Nothing satisfies the options.
        """


def load_compiler(scheme: str) -> Compiler[Any]:
    """The compiler of a scheme, a key of :data:`COMPILERS`."""
    module, _, name = COMPILERS[scheme].partition(":")
    compiler: Compiler[Any] = getattr(importlib.import_module(module), name)
    return compiler

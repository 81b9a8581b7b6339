"""Who makes evaluation keys of each shape. It loads SEAL; :mod:`hecc.runtime.ckks.client.keygen` imports it late."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.parameters import KeyShape, KeySpecification
from hecc.runtime.ckks.client.keybuilder import KeyBuilder
from hecc.runtime.ckks.client.seal_bridge import KeyMaker

__all__ = ["KEY_MAKERS"]

_Maker: TypeAlias = KeyMaker | KeyBuilder


def _builder(
    seal: KeyMaker, spec: KeySpecification, secret: NDArray[np.uint64], enforce: bool
) -> AbstractContextManager[_Maker]:
    return KeyBuilder(spec, secret, enforce_128=enforce)


def _seal(
    seal: KeyMaker, spec: KeySpecification, secret: NDArray[np.uint64], enforce: bool
) -> AbstractContextManager[_Maker]:
    return nullcontext(seal)


KEY_MAKERS: Mapping[
    KeyShape, Callable[[KeyMaker, KeySpecification, NDArray[np.uint64], bool], AbstractContextManager[_Maker]]
] = MappingProxyType({"native": _builder, "seal": _seal})
"""By shape: takes SEAL, which made the secret, the specification, the secret, and whether 128 bits are enforced."""

if set(KEY_MAKERS) != set(get_args(KeyShape)):
    raise TypeError(f"key shapes that nobody makes: {set(get_args(KeyShape)) ^ set(KEY_MAKERS)}")

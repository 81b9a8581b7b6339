"""Devices: what runs a Circuit on ciphertexts, and how to find one by name.

A device makes an engine of a circuit, once for all clients, and the engine a session of each client's keys
(:mod:`hecc.runtime.plan.interfaces`). What a device costs is known to the compiler
(:mod:`hecc.compiler.ckks.prediction.devices`), which knows the same names.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.instructions import Circuit, Input
from hecc.runtime.ckks.circuit.parameters import KeyShape, KeySpecification
from hecc.runtime.ckks.devices.names import DeviceName
from hecc.runtime.errors import FileFormatError, InputError
from hecc.runtime.plan.interfaces import Buffer, Engine

__all__ = [
    "DEFAULT_MEMORY",
    "DEVICES",
    "SCALE_TOLERANCE",
    "CircuitDevice",
    "KeySource",
    "SwitchingKey",
    "default_threads",
    "device_for",
    "input_streams",
    "load_device",
]

DEFAULT_MEMORY = 1 << 31
"""Bytes that an engine may spend on intermediate rotations and encoded weights, unless told otherwise."""

SCALE_TOLERANCE = 1e-9
"""How far the double of a ciphertext's scale may stray from the exact scale by rounding alone."""

SwitchingKey: TypeAlias = Buffer | NDArray[np.uint8]
"""In the shape "seal" a SEAL stream; in the shape "native" an array (``docs/reference/file-formats.md``)."""


class KeySource(Protocol):
    """Evaluation keys in the device's own shape, each read when it is first needed."""

    def relinearization(self) -> SwitchingKey:
        """The relinearisation key."""

    def galois(self, element: int) -> SwitchingKey:
        """The key of one Galois element."""

    def dense_to_sparse(self) -> SwitchingKey:
        """The key to the sparse secret under which ciphertexts are raised."""

    def sparse_to_dense(self) -> SwitchingKey:
        """The key back from it."""


class _EngineType(Protocol):
    """The class of an engine, which takes what :meth:`CircuitDevice.prepare` takes."""

    def __call__(
        self, circuit: Circuit, keys: KeySpecification, *, memory: int, threads: int | None
    ) -> Engine[KeySource]: ...


@dataclass(frozen=True)
class CircuitDevice:
    """A device for circuits: what must be known of it before it is loaded, and where its engine is.

    Attributes
    ----------
    name, words
        As :class:`hecc.runtime.plan.interfaces.Device` has them.
    key_shape
        The one shape of evaluation keys that it can use.
    threaded
        Whether it computes with several threads.
    engine
        Module and class of its engine, which are imported only when a circuit is made ready.
    """

    name: DeviceName
    words: str
    key_shape: KeyShape
    threaded: bool
    engine: str

    def prepare(
        self, circuit: Circuit, keys: KeySpecification, *, memory: int = DEFAULT_MEMORY, threads: int | None = None
    ) -> Engine[KeySource]:
        """Verify a circuit and make it ready to run.

        Parameters
        ----------
        circuit, keys
            What to run, and the parameters of the keys that it will run with.
        memory
            Bytes of caches. Encoded weights take up to half of them, once for all sessions; the other half is for the
            rotations that a session makes while it runs.
        threads
            Threads to compute with, one per processor by default; of no effect on a device that is not threaded.

        Raises
        ------
        CircuitError
            When the circuit does not fit the keys.
        ParameterError
            When the device cannot work with the parameters.
        """
        module, _, attribute = self.engine.partition(":")
        make = cast(_EngineType, getattr(importlib.import_module(module), attribute))
        return make(circuit, keys, memory=memory, threads=threads)


DEVICES: Mapping[DeviceName, CircuitDevice] = MappingProxyType(
    {
        device.name: device
        for device in (
            CircuitDevice(
                name="native",
                words="the native evaluator",
                key_shape="native",
                threaded=True,
                engine="hecc.runtime.ckks.devices.native.engine:NativeEngine",
            ),
            CircuitDevice(
                name="seal",
                words="SEAL's evaluator",
                key_shape="seal",
                threaded=False,
                engine="hecc.runtime.ckks.devices.seal.engine:SealEngine",
            ),
        )
    }
)
"""All devices, by name; of several that take keys of one shape, the first is taken unless one is named."""

if set(DEVICES) != set(get_args(DeviceName)):
    raise TypeError(f"devices without a name, or names without a device: {set(DEVICES) ^ set(get_args(DeviceName))}")


def default_threads() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def input_streams(instruction: Input, inputs: Mapping[str, Sequence[Buffer]]) -> Sequence[Buffer]:
    """The client's ciphertexts for one input of a circuit.

    Raises
    ------
    FileFormatError
        When there are not as many as the circuit needs.
    """
    streams = inputs.get(instruction.name, ())
    if len(streams) != instruction.ciphertexts:
        raise FileFormatError(
            f"input {instruction.name!r}: {len(streams)} ciphertexts found, {instruction.ciphertexts} needed"
        )
    return streams


def load_device(name: str) -> CircuitDevice:
    """The device called ``name``.

    Raises
    ------
    InputError
        When there is none of that name.
    """
    device = next((device for device in DEVICES.values() if device.name == name), None)
    if device is None:
        raise InputError(f"there is no device {name!r}; choose one of {', '.join(sorted(DEVICES))}")
    return device


def device_for(shape: KeyShape) -> CircuitDevice:
    """The device that takes keys of a shape."""
    return next(device for device in DEVICES.values() if device.key_shape == shape)

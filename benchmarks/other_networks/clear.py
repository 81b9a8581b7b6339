"""A network in clear: as onnxruntime computes it, and what it decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from other_networks.catalogue import Network

__all__ = ["decisions", "input_shape", "model_of", "scores"]

CLOSE = 1 / 32
"""A single number agrees with another one that is so far from it, as a part of the range of all of them."""


def model_of(network: Network, folder: Path) -> bytes:
    """The file, with its first output only, converted where onnxruntime refuses it as it is."""
    model = onnx.load(folder / f"{network.name}.onnx")
    if network.opset is not None:
        model = onnx.version_converter.convert_version(model, network.opset)
    del model.graph.output[1:]
    return bytes(model.SerializeToString())


def input_shape(model: bytes) -> tuple[int, ...]:
    """Of one row."""
    (given,) = _session(model).get_inputs()
    return tuple(given.shape[1:])


def scores(model: bytes, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """The output, shape (rows, ...) flattened to two axes; in batches of the size that the network insists on."""
    session = _session(model)
    (given,) = session.get_inputs()
    size = given.shape[0] if isinstance(given.shape[0], int) else len(rows)
    missing = -len(rows) % size
    padded = np.concatenate([rows, np.zeros((missing, *rows.shape[1:]), rows.dtype)])
    parts = [session.run(None, {given.name: padded[at : at + size]})[0] for at in range(0, len(padded), size)]
    return np.concatenate(parts)[: len(rows)].reshape(len(rows), -1).astype(np.float64)


def decisions(network: Network, found: NDArray[Any], exact: NDArray[Any]) -> NDArray[np.int64]:
    """What is decided by the scores of the first rows; -1 where they are not numbers.

    A single number decides whether it is close to the exact one, 0 or 1, as a part of the range on all rows.
    """
    if exact.shape[1] == 1:
        decided = (np.abs(found - exact[: len(found)])[:, 0] > CLOSE * np.ptp(exact)).astype(np.int64)
    else:
        decided = found.argmin(axis=1) if network.smallest else found.argmax(axis=1)
    return np.where(np.isfinite(found).all(axis=1), decided, -1)


def _session(model: bytes) -> onnxruntime.InferenceSession:
    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options)

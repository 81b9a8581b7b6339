"""An ONNX model with other values of its initializers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

from hecc.runtime.errors import FileFormatError

__all__ = ["with_weights"]


def with_weights(model: bytes, weights: Mapping[str, NDArray[np.float64]]) -> bytes:
    """The model with some initializers replaced, each of its own type and shape.

    Parameters
    ----------
    weights
        By the name of the initializer; as many elements as it has.

    Raises
    ------
    FileFormatError
        The bytes are no model, it has no such initializer, or the values are too large for its type.
    """
    try:
        proto = onnx.load_model_from_string(model)
    except Exception:  # protobuf's own error, by whichever of its implementations
        raise FileFormatError("the network is no ONNX model; get the trained file again") from None
    known = {each.name: each for each in proto.graph.initializer}
    for name, values in weights.items():
        initializer = known.get(name)
        if initializer is None or int(np.prod(initializer.dims)) != values.size:
            raise FileFormatError(f"the network has no initializer {name!r} of {values.size} elements")
        kind = onnx.helper.tensor_dtype_to_np_dtype(initializer.data_type)
        with np.errstate(over="ignore", invalid="ignore"):
            array = values.reshape(tuple(initializer.dims)).astype(kind)
        if not bool(np.isfinite(array).all()):
            raise FileFormatError(
                f"what was trained of {name!r} is not finite as {kind}; train with a smaller learning rate"
            )
        initializer.CopyFrom(onnx.numpy_helper.from_array(array, name))
    return bytes(proto.SerializeToString())

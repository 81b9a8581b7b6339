"""A network as a user gives it, and as what the compiler takes: ONNX."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from hecc.inputs.pytorch import export_module, is_module
from hecc.runtime.errors import InputError
from hecc.runtime.files.atomic import read_regular, reading

if TYPE_CHECKING:
    import onnx
    import torch

__all__ = ["Model", "OnnxModel", "is_model", "model_bytes", "onnx_model"]

OnnxModel: TypeAlias = "str | os.PathLike[str] | bytes | onnx.ModelProto"
Model: TypeAlias = "OnnxModel | torch.nn.Module"


def onnx_model(model: Model, example_input: Any, batch_axis: bool) -> OnnxModel:
    """The model as ONNX: a PyTorch module is exported.

    Raises
    ------
    InputError, UnsupportedError
        As :func:`hecc.inputs.pytorch.export_module`; or an example input for what is no module.
    """
    if is_module(model):
        return export_module(model, example_input, batch_axis=batch_axis)
    if example_input is not None:
        raise InputError("example_input is for PyTorch modules; an ONNX model says itself what its inputs are")
    return cast("OnnxModel", model)


def model_bytes(model: OnnxModel) -> bytes:
    """What the fingerprint of the model is taken of."""
    if isinstance(model, bytes):
        return model
    if isinstance(model, str | os.PathLike):
        from hecc.compiler.importer.reading.load import MAX_BYTES

        with reading(model):
            return read_regular(model, MAX_BYTES)
    return bytes(model.SerializeToString(deterministic=True))


def is_model(path: Path) -> bool:
    """Whether a file looks like an ONNX model: its first field is the version of the format."""
    with path.open("rb") as file:
        return bytes(file.read(1)) == b"\x08"

"""Weights that a model keeps in other files: read by hecc itself, from regular files in the model's folder only.

A model says which file, and where in it. It may come from a stranger, so it must not get at other files: neither by the
name, nor by a link, nor by what is opened. What is read ends up in a plan, which goes to others.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx
from onnx import helper

from hecc.runtime.errors import InputError
from hecc.runtime.files.atomic import open_regular, reading

__all__ = ["is_external", "load_external", "location_of"]

HALVES = frozenset({onnx.TensorProto.INT4, onnx.TensorProto.UINT4, onnx.TensorProto.FLOAT4E2M1})
"""Types of which two elements share a byte."""

MAX_BYTES = 1 << 32
"""Of all weights together, as several may name one place of a file. Networks that can be encrypted have far less."""


def is_external(tensor: onnx.TensorProto) -> bool:
    """Whether a tensor's numbers are in another file."""
    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


def location_of(tensor: onnx.TensorProto) -> str:
    """The file that a tensor names."""
    return next((str(entry.value) for entry in tensor.external_data if entry.key == "location"), "")


def load_external(tensors: Sequence[onnx.TensorProto], model: Path) -> None:
    """Read the numbers of tensors, so that the model needs no other file.

    Raises
    ------
    InputError
        A file is missing, no regular file, or not in the model's folder; or a tensor's place in it is not in it, or
        does not fit its shape.
    """
    paths = [_path(tensor, model) for tensor in tensors]
    if sum(_size(tensor, model) for tensor in tensors) > MAX_BYTES:
        raise InputError(
            f"'{model}' keeps more than {MAX_BYTES / 1e9:.1f} GB of weights in other files; use a smaller network"
        )
    for tensor, path in zip(tensors, paths, strict=True):
        offset, length = (_number(tensor, key, model) for key in ("offset", "length"))
        with reading(path), open_regular(path) as file:
            whole = os.fstat(file.fileno()).st_size
            offset = offset or 0
            length = whole - offset if length is None else length
            if offset + length > whole or length != _size(tensor, model):
                raise InputError(
                    f"'{model}' keeps the weight '{tensor.name}' in bytes {offset} to {offset + length} of "
                    f"'{location_of(tensor)}', which has {whole}, and the weight takes {_size(tensor, model)}; export "
                    "the network again, or save the model with its weights inside"
                )
            file.seek(offset)
            data = file.read(length)
        tensor.raw_data = data
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _path(tensor: onnx.TensorProto, model: Path) -> Path:
    """The file that a tensor names, which is in the model's folder even where a link leads to it."""
    location, folder = location_of(tensor), model.parent
    names = PurePosixPath(location), PureWindowsPath(location)
    if not location or any(name.anchor or ".." in name.parts for name in names) or "\0" in location:
        raise InputError(
            f"'{model}' keeps the weight '{tensor.name}' in '{location}', which is no file in the model's folder, and "
            "no other is read; save the model with its weights inside"
        )
    real = Path(os.path.realpath(folder / location))
    if not real.is_relative_to(os.path.realpath(folder)):
        raise InputError(
            f"'{model}' keeps the weight '{tensor.name}' in '{location}', a link out of the model's folder, and no "
            "file elsewhere is read; put the file itself next to the model, or save the model with its weights inside"
        )
    if not real.exists():
        raise InputError(
            f"'{model}' keeps the weight '{tensor.name}' in '{location}', which is missing; put that file next to "
            "the model, or save the model with its weights inside"
        )
    return real


def _number(tensor: onnx.TensorProto, key: str, model: Path) -> int | None:
    """The offset or the length that a tensor gives, if it does."""
    text = next((str(entry.value) for entry in tensor.external_data if entry.key == key), None)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(1 << 63))):
        raise InputError(
            f"'{model}' gives the weight '{tensor.name}' the {key} {text[:40]!r} in '{location_of(tensor)}', which is "
            "no number of bytes; export the network again, or save the model with its weights inside"
        )
    return int(text)


def _size(tensor: onnx.TensorProto, model: Path) -> int:
    """Bytes that a tensor's numbers take."""
    try:
        bits = 8 * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (KeyError, TypeError, ValueError):
        bits = 0
    if bits == 0 or tensor.data_type == onnx.TensorProto.STRING or min(tensor.dims, default=0) < 0:
        raise InputError(
            f"'{model}' keeps the weight '{tensor.name}' in another file, which is no tensor of numbers with a shape; "
            "export the network again"
        )
    return -int(-math.prod(tensor.dims) * (4 if tensor.data_type in HALVES else bits) // 8)

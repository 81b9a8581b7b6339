"""Reading a model: every way in which that can fail is a sentence."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from hecc.compiler.importer.reading.external import is_external, load_external, location_of
from hecc.compiler.importer.reading.messages import parts
from hecc.runtime.errors import InputError
from hecc.runtime.files.atomic import read_regular
from hecc.runtime.files.container import MAGIC
from hecc.runtime.plan.header import MAX_NAME

__all__ = ["MAX_BYTES", "load_model"]

MAX_BYTES = (1 << 31) - 1
"""Of a file: protocol buffers hold no more."""

LONGEST = 512
"""Most characters of the name of a node or a tensor inside the network: a plan adds to them, and has a limit, too."""

NPY = b"\x93NUMPY"
VERSIONED = b"\x08"
"""How ONNX models begin: with the field of their version."""


def load_model(source: str | os.PathLike[str] | bytes | onnx.ModelProto) -> onnx.ModelProto:
    """Read a model from a path, bytes, or memory; a copy, so that the caller's model stays as it is.

    Raises
    ------
    InputError
        The file cannot be read, is not an ONNX model, refers to data that is missing, or has names that no plan can
        have.
    """
    model = _read(source)
    _refuse_names(model)
    return model


def _read(source: str | os.PathLike[str] | bytes | onnx.ModelProto) -> onnx.ModelProto:
    if isinstance(source, onnx.ModelProto):
        model = onnx.ModelProto()
        model.CopyFrom(source)
        _refuse_external(model, "the model in memory")
        return model
    if isinstance(source, bytes):
        model = _parse(source, "the bytes given")
        _refuse_external(model, "the bytes given")
        return model
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            f"a model of type {type(source).__name__!r}; give the path or the bytes of an ONNX model, or the model"
        )
    path = Path(source)
    try:
        data = read_regular(path, MAX_BYTES)
    except FileNotFoundError:
        raise InputError(f"there is no file '{path}'; give the path of an ONNX model") from None
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}; give the path of an ONNX model") from None
    model = _parse(data, f"'{path}'")
    load_external([tensor for tensor in parts(model, onnx.TensorProto) if is_external(tensor)], path)
    return model


def _refuse_external(model: onnx.ModelProto, what: str) -> None:
    """Nothing is read from disk for a model that does not come from there."""
    for tensor in parts(model, onnx.TensorProto):
        if is_external(tensor):
            raise InputError(
                f"{what} keeps the weight '{tensor.name}' in another file, '{location_of(tensor)}'; give the path of "
                "the model, next to which that file lies"
            )


def _parse(data: bytes, what: str) -> onnx.ModelProto:
    way_out = "export the network in ONNX's binary format, for instance with torch.onnx.export"
    if data.startswith(MAGIC):
        raise InputError(
            f"{what} is a file of hecc, not an ONNX model; give the network's ONNX file (`hecc inspect` says what "
            "files of hecc hold)"
        )
    if data.startswith(NPY):
        raise InputError(f"{what} is a NumPy array (.npy), not an ONNX model; {way_out}")
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:
        if data.startswith(VERSIONED):
            raise InputError(
                f"{what} is an ONNX model that is truncated or damaged, or none at all; copy it again, or {way_out}"
            ) from None
        raise InputError(f"{what} is not an ONNX model; {way_out}") from None
    # Protocol buffers accept much that was never meant: a model has a version and a graph.
    if not model.ir_version or not model.HasField("graph"):
        raise InputError(f"{what} is not an ONNX model; {way_out}")
    if not all(isinstance(text, str) for text in _texts(model)):
        raise InputError(f"{what} is damaged: it holds a name that is not text; {way_out}")
    return model


def _texts(model: onnx.ModelProto) -> Iterator[object]:
    """Every name by which the importer looks something up; protocol buffers give bytes for what is not UTF-8."""
    for entry in model.opset_import:
        yield entry.domain
    for part in parts(model, *_NAMES):
        yield from _NAMES[type(part)](part)


_NAMES: Mapping[type[Any], Callable[[Any], Iterable[object]]] = {
    onnx.AttributeProto: lambda attribute: (attribute.name, attribute.ref_attr_name),
    onnx.FunctionProto: lambda own: (own.name, own.domain, own.overload, *own.input, *own.output, *own.attribute),
    onnx.NodeProto: lambda node: (node.name, node.op_type, node.domain, node.overload, *node.input, *node.output),
    onnx.TensorProto: lambda tensor: (tensor.name,),
    onnx.ValueInfoProto: lambda item: (item.name, *(dim.dim_param for dim in item.type.tensor_type.shape.dim)),
}


def _refuse_names(model: onnx.ModelProto) -> None:
    """Messages and plans are full of names, so a terminal has to show them; a plan's reader refuses others, too."""
    interface = {item.name for item in [*model.graph.input, *model.graph.output]}
    for text in _texts(model):
        limit = MAX_NAME if text in interface else LONGEST
        if not str(text).isprintable() or len(str(text)) > limit:
            shown = str(text) if len(str(text)) <= limit else f"{str(text)[:40]}..."
            raise InputError(
                f"the model names something {shown!r}, which cannot be printed or has more than {limit} characters; "
                "give it another name in the network, or rename it in the ONNX file"
            )

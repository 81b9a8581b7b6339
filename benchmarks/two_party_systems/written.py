"""Writes ONNX networks out as steps for the peers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from two_party_systems.steps import ROWS, WEIGHTS, Program

__all__ = ["write"]

Attributes = Mapping[str, Any]
Shape = tuple[int, ...]


def write(model: Path, rows: NDArray[np.float32], folder: Path) -> None:
    """Write a network and rows for both parties.

    Raises
    ------
    ValueError
        The network has an operator, or a form of one, that the peers are not given.
    """
    loaded = onnx.load(model)
    for given in loaded.graph.input:
        given.type.tensor_type.shape.dim[0].dim_value = 1
    graph = shape_inference.infer_shapes(loaded, data_prop=True).graph
    arrays = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    shapes = {
        each.name: tuple(axis.dim_value for axis in each.type.tensor_type.shape.dim)
        for each in (*graph.input, *graph.value_info, *graph.output)
    }
    steps, weights = [], {}
    for node in graph.node:
        of = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        if node.op_type == "Constant":
            arrays[node.output[0]] = numpy_helper.to_array(of["value"])
            continue
        if node.op_type not in WRITTEN:
            raise ValueError(f"{model.name}: the peers are not given the operator {node.op_type}")
        operator, attributes = WRITTEN[node.op_type](of, shapes[node.input[0]], shapes[node.output[0]])
        inputs = list(node.input)
        if operator == "Reshape":
            del inputs[1:]
        if operator in ("Conv", "Gemm") and len(inputs) != 3:
            raise ValueError(f"{model.name}: the peers are not given the operator {node.op_type} without a bias")
        if operator == "Gemm" and of.get("transB", 0):
            arrays[f"{inputs[1]} transposed"] = arrays[inputs[1]].T
            inputs[1] = f"{inputs[1]} transposed"
        weights |= {name: arrays[name] for name in inputs if name in arrays}
        steps.append({"operator": operator, "inputs": inputs, "output": node.output[0], "attributes": dict(attributes)})
    Program(steps, graph.input[0].name, {name: array.shape for name, array in weights.items()}).save(folder)
    np.savez(folder / WEIGHTS, **{name: np.ascontiguousarray(array, np.float32) for name, array in weights.items()})
    np.save(folder / ROWS, rows)


def _conv(of: Attributes, given: Shape, made: Shape) -> tuple[str, Attributes]:
    if of.get("group", 1) != 1 or set(of.get("dilations", [1])) != {1}:
        raise ValueError("the peers are not given convolutions with groups or dilations")
    top, left, bottom, right = of.get("pads", [0] * 4)
    return "Conv", {"strides": list(of.get("strides", [1, 1])), "pads": [top, bottom, left, right]}


def _gemm(of: Attributes, given: Shape, made: Shape) -> tuple[str, Attributes]:
    if of.get("transA", 0) or {of.get("alpha", 1.0), of.get("beta", 1.0)} != {1.0}:
        raise ValueError("the peers are not given products of matrices with a factor, or of a transposed row")
    return "Gemm", {}


def _pool(name: str) -> Callable[[Attributes, Shape, Shape], tuple[str, Attributes]]:
    def written(of: Attributes, given: Shape, made: Shape) -> tuple[str, Attributes]:
        if any(of.get("pads", [])) or of.get("ceil_mode", 0):
            raise ValueError("the peers are not given pooling with a border")
        return name, {"kernel_shape": list(of["kernel_shape"]), "strides": list(of["strides"])}

    return written


def _global_pool(of: Attributes, given: Shape, made: Shape) -> tuple[str, Attributes]:
    return "AveragePool", {"kernel_shape": list(given[2:]), "strides": list(given[2:])}


def _plain(name: str) -> Callable[[Attributes, Shape, Shape], tuple[str, Attributes]]:
    return lambda of, given, made: (name, {})


def _reshape(of: Attributes, given: Shape, made: Shape) -> tuple[str, Attributes]:
    # The first axis is that of rows, and there is one; the others may hold a size that follows from the rest.
    size = int(np.prod(given))
    return "Reshape", {"shape": list(made) if all(made) and made[0] == 1 else [1, size]}


WRITTEN: Mapping[str, Callable[[Attributes, Shape, Shape], tuple[str, Attributes]]] = MappingProxyType(
    {
        "Conv": _conv,
        "Gemm": _gemm,
        "Relu": _plain("Relu"),
        "Add": _plain("Add"),
        "MaxPool": _pool("MaxPool"),
        "AveragePool": _pool("AveragePool"),
        "GlobalAveragePool": _global_pool,
        "Flatten": _reshape,
        "Reshape": _reshape,
    }
)
"""Of an operator's attributes and the shapes of its first input and its output, the step and its attributes."""

"""Support vector machines: weighted sums of kernels, each of a row and a support vector."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import AffineMap, MatrixProduct
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.definitions.arithmetic import powers
from hecc.compiler.importer.definitions.functions import define_function
from hecc.compiler.importer.operators.arithmetic.pow import LARGEST
from hecc.compiler.importer.operators.ml.attributes import floats

__all__ = ["KERNELS", "machines", "support_vectors"]

Array: TypeAlias = NDArray[np.float64]

KERNELS = "`kernel_type` LINEAR, POLY, RBF or SIGMOID, without `post_transform`"
"""What the operator table says of both operators."""


def support_vectors(call: Call, value: Value, count: int) -> Array:
    """The support vectors, shape (count, features).

    Raises
    ------
    InputError
        Their number does not fit the features.
    """
    vectors = np.asarray(floats(call, "support_vectors"))
    features = value.shape[-1] if len(value.shape) == 2 else 0
    if not features or vectors.size != count * features:
        raise call.fault(f"its {vectors.size} numbers of support vectors do not fit {count} vectors of '{value.name}'")
    return vectors.reshape(count, features)


def machines(call: Call, output: str, vectors: Array, weights: Array, rho: Array) -> Value:
    """Define a value as ``weights k(x, vectors) + rho``, where k is the kernel that the node names.

    Parameters
    ----------
    vectors
        Shape (vectors, features).
    weights
        Shape (machines, vectors).
    rho
        Shape (machines,).
    """
    value = call.value(0)
    kernel, parameters = call.attribute("kernel_type", "LINEAR"), floats(call, "kernel_params")
    gamma, shift, exponent = parameters if len(parameters) == 3 else (0.0, 0.0, 0.0)
    if kernel not in ("LINEAR", "POLY", "RBF", "SIGMOID"):
        raise call.refuse(f"its kernel_type '{kernel}' is not supported", "use LINEAR, POLY, RBF or SIGMOID")
    if kernel != "LINEAR" and len(parameters) != 3:
        raise call.fault(f"it has {len(parameters)} kernel_params in place of three")
    if kernel == "POLY" and exponent not in range(1, LARGEST + 1):
        raise call.refuse(f"the degree of its kernel is {exponent:g}", f"use a whole degree from 1 to {LARGEST}")
    if kernel == "LINEAR":
        return _affine(call, output, [(value, weights @ vectors)], rho)
    name = call.scope.fresh(f"{output}:kernels")
    if kernel == "RBF":
        # -gamma |x - v|^2 = -gamma x.x + 2 gamma v.x - gamma v.v
        squares = call.square(value, f"{output}:squares")
        products = [(squares, np.full(vectors.shape, -gamma)), (value, 2 * gamma * vectors)]
        arguments = _affine(call, f"{output}:distances", products, -gamma * np.square(vectors).sum(axis=1))
        kernels = define_function(call, "exp", arguments, name)
    else:
        arguments = _affine(call, f"{output}:products", [(value, gamma * vectors)], np.full(len(vectors), shift))
        if kernel == "POLY":
            kernels = powers(call, arguments, int(exponent), name)
        else:
            kernels = define_function(call, "tanh", arguments, name)
    return _affine(call, output, [(kernels, weights)], rho)


def _affine(call: Call, name: str, products: list[tuple[Value, Array]], constants: Array) -> Value:
    """Define a value as a sum of products with matrices, and constants."""
    name = name if name in call.node.output else call.scope.fresh(name)
    result = Value(name, (products[0][0].shape[0], len(constants)))
    terms: list[tuple[Value, AffineMap]] = []
    for number, (value, matrix) in enumerate(products):
        parameter = call.scope.parameter(f"{name}:weights{number or ''}", matrix)
        terms.append((value, MatrixProduct(value.shape, result.shape, parameter, transpose=True)))
    call.affine(result, *terms, bias=call.scope.parameter(f"{name}:constants", constants))
    return result

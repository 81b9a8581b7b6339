"""SVMRegressor."""

from __future__ import annotations

import numpy as np

from hecc.compiler.graph.affine import MatrixProduct
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.operators.ml.attributes import floats

__all__ = ["SVMRegressor"]


class SVMRegressor(Converter):
    """A support vector machine whose kernel is the scalar product: a weighted sum of the features."""

    notes = "`kernel_type` LINEAR, without `post_transform`"

    @staticmethod
    def opset_1(call: Call) -> None:
        """All opsets agree."""
        kernel, transform = call.attribute("kernel_type", "LINEAR"), call.attribute("post_transform", "NONE")
        if kernel != "LINEAR" or transform != "NONE" or call.attribute("one_class", 0):
            raise call.refuse(
                "only linear support vector machines are supported", "use the linear kernel, or a neural network"
            )
        value = call.value(0)
        weights, vectors, rho = (np.asarray(floats(call, name)) for name in ("coefficients", "support_vectors", "rho"))
        features = value.shape[-1] if len(value.shape) == 2 else 0
        count = call.attribute("n_supports", 0)
        # Without support vectors the coefficients are the features' own.
        if len(weights) != (count or features) or vectors.size != count * features or len(rho) != 1 or not features:
            raise call.fault(
                f"its {len(weights)} coefficients and {vectors.size} numbers of support vectors do not fit "
                f"'{value.name}'"
            )
        row = weights @ vectors.reshape(count, features) if count else weights
        output = Value(call.name, (value.shape[0], 1))
        name = call.scope.parameter(f"{call.name}:coefficients", row.reshape(1, -1))
        product = MatrixProduct(value.shape, output.shape, name, transpose=True)
        call.affine(output, (value, product), bias=call.scope.parameter(f"{call.name}:intercepts", rho))

"""SVMRegressor."""

from __future__ import annotations

import numpy as np

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.operators.ml.attributes import floats
from hecc.compiler.importer.operators.ml.kernels import KERNELS, machines, support_vectors

__all__ = ["SVMRegressor"]


class SVMRegressor(Converter):
    """A support vector machine: a weighted sum of kernels of the row and each support vector."""

    notes = KERNELS

    @staticmethod
    def opset_1(call: Call) -> None:
        """All opsets agree."""
        transform = call.attribute("post_transform", "NONE")
        if transform != "NONE":
            raise call.refuse(f"its post_transform '{transform}' is not supported", "use NONE")
        if call.attribute("one_class", 0):
            raise call.refuse(
                "its one_class is the sign of a score", "export the score, and take its sign after decryption"
            )
        value = call.value(0)
        weights, rho = np.asarray(floats(call, "coefficients")), np.asarray(floats(call, "rho"))
        count = call.attribute("n_supports", 0)
        if not count and call.attribute("kernel_type", "LINEAR") == "LINEAR":
            # Without support vectors the coefficients are the features' own.
            vectors = np.eye(value.shape[-1] if len(value.shape) == 2 else 0)
        else:
            vectors = support_vectors(call, value, count)
        if len(weights) != len(vectors) or len(rho) != 1 or not len(vectors):
            raise call.fault(
                f"its {len(weights)} coefficients and {len(rho)} constants do not fit {len(vectors)} vectors of "
                f"'{value.name}'"
            )
        machines(call, call.name, vectors, weights[np.newaxis], rho)

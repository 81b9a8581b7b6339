"""CDist, of onnxruntime's own operators."""

from __future__ import annotations

import numpy as np

from hecc.compiler.graph.affine import MatrixProduct
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.functions import define_function

__all__ = ["CDist"]


class CDist(Converter):
    """Distances of rows to constant rows: ``x.x - 2 x.v + v.v``, and their roots."""

    notes = "constant rows; `metric` sqeuclidean, or euclidean by a polynomial fitted on the calibration inputs"

    @staticmethod
    def opset_1(call: Call) -> None:
        """All opsets agree."""
        value, constant = call.value(0), call.constant(1)
        metric = call.attribute("metric", "euclidean")
        if metric not in ("euclidean", "sqeuclidean"):
            raise call.refuse(f"its metric '{metric}' is not supported", "use the Euclidean one")
        rows = constant.array.astype(np.float64)
        if len(value.shape) != 2 or rows.ndim != 2 or rows.shape[1] != value.shape[1]:
            raise call.fault(f"'{value.name}' and '{constant.name}' do not have as many columns")
        shape = call.bounded((value.shape[0], len(rows)))
        squares = call.square(value, f"{call.name}:squares")
        ones = call.parameter(constant, ":ones", np.ones(rows.shape))
        twice = call.parameter(constant, ":twice", -2 * rows)
        norms = call.parameter(constant, ":norms", np.square(rows).sum(axis=1))
        name = call.name if metric == "sqeuclidean" else call.scope.fresh(f"{call.name}:squared")
        distances = Value(name, shape)
        call.affine(
            distances,
            (squares, MatrixProduct(squares.shape, shape, ones, transpose=True)),
            (value, MatrixProduct(value.shape, shape, twice, transpose=True)),
            bias=norms,
        )
        if metric == "euclidean":
            define_function(call, "sqrt", distances)

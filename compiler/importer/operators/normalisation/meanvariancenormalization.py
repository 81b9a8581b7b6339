"""MeanVarianceNormalization."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.functions import FITTED
from hecc.compiler.importer.definitions.normalisation import normalised

__all__ = ["MeanVarianceNormalization"]


EPSILON = 1e-9
"""That ONNX adds to the standard deviation. It is added to the variance here, where it changes as little."""


class MeanVarianceNormalization(Converter):
    """A value less its mean, over its standard deviation."""

    notes = f"the standard deviation's reciprocal {FITTED}; not over the batch"

    @staticmethod
    def opset_9(call: Call) -> None:
        """Over the batch axis, too, unless ``axes`` says otherwise."""
        value = call.value(0)
        axes = call.axes(call.attribute("axes", (0, 2, 3)), len(value.shape))
        normalised(call, value, tuple(sorted(axes)), EPSILON**2, centred=True)

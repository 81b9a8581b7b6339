"""BatchNormalization."""

from __future__ import annotations

import numpy as np

from hecc.compiler.graph.affine import Scale
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter

__all__ = ["BatchNormalization"]


class BatchNormalization(Converter):
    """Normalisation by statistics from training: a scaling and a shift of every channel."""

    notes = "inference only, not `training_mode`"

    @staticmethod
    def opset_7(call: Call) -> None:
        """With ``spatial=0`` every element has its own statistics, not every channel."""
        _normalise(call, spatial=bool(call.attribute("spatial", 1)))

    @staticmethod
    def opset_9(call: Call) -> None:
        """The statistics are per channel."""
        _normalise(call)

    @staticmethod
    def opset_14(call: Call) -> None:
        """Training is an attribute; before, it was said by more outputs."""
        if call.attribute("training_mode", 0):
            raise call.refuse(
                "it is in training mode, where it divides by the standard deviation of encrypted data",
                "export the network in inference mode: call model.eval() first",
            )
        _normalise(call)


def _normalise(call: Call, *, spatial: bool = True) -> None:
    value = call.value(0)
    # A vector is one channel.
    full = value.shape[1:] if len(value.shape) > 1 else (1,)
    expected = full[:1] if spatial else full
    weight, shift, mean, variance = (call.constant(i) for i in range(1, 5))
    for constant in (weight, shift, mean, variance):
        call.parameter(constant)
        if constant.shape != expected:
            shape, wanted = ("x".join(map(str, s)) for s in (constant.shape, expected))
            raise call.fault(f"its '{constant.name}' has shape {shape}, not {wanted}")
    column = (*expected, *(1,) * (len(full) - 1)) if spatial else expected
    spread = variance.array.astype(np.float64) + call.attribute("epsilon", 1e-5)
    if bool((spread <= 0).any()):
        raise call.fault(f"its variance '{variance.name}' is not positive")
    factor = weight.array.astype(np.float64) / np.sqrt(spread)
    offset = shift.array.astype(np.float64) - mean.array.astype(np.float64) * factor
    # In double precision: the network's own numbers are exact, and what is made of them is not rounded to theirs.
    scale = call.scope.parameter(f"{weight.name}/{variance.name}:scale", factor.reshape(column))
    bias = call.scope.parameter(f"{shift.name}-{mean.name}:shift", offset.reshape(column))
    call.affine(Value(call.name, value.shape), (value, Scale.of(value.shape, scale)), bias=bias)

"""Dropout."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter

__all__ = ["Dropout"]


class Dropout(Converter):
    """The tensor itself: nothing is dropped in inference."""

    notes = "inference only, not `training_mode`; no mask"

    @staticmethod
    def opset_7(call: Call) -> None:
        """Training cannot be said."""
        call.rename(call.value(0))

    @staticmethod
    def opset_12(call: Call) -> None:
        """Training is an input."""
        if call.optional(2) is not None and bool(call.constant(2).array.any()):
            raise call.refuse(
                "it is in training mode, where its result is random",
                "export the network in inference mode: call model.eval() first",
            )
        call.rename(call.value(0))

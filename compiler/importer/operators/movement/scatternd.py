"""ScatterND."""

from __future__ import annotations

from hecc.compiler.importer.operators.movement.scatterelements import ScatterElements

__all__ = ["ScatterND"]


class ScatterND(ScatterElements):
    """The same with other indices: what moves where is ONNX's reference's to say."""

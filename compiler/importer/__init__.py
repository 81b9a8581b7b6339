"""From an ONNX model to the tensor IR: one converter per operator."""

from hecc.compiler.importer.building.importer import import_model

__all__ = ["import_model"]

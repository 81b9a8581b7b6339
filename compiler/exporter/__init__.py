"""Back to ONNX: models with other weights."""

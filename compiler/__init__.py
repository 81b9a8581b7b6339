"""Everything between an ONNX file and a Circuit: importer, tensor IR, lowering, cost model."""

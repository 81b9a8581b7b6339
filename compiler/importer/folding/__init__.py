"""Constants that a network computes, by rules that are checked against onnxruntime at every opset."""

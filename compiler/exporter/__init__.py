"""Back to ONNX: models with other weights."""

from hecc.runtime.extras import require

require("onnx")

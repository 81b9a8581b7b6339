"""Building the Graph: one node of the model at a time."""

from hecc.runtime.extras import require

require("networkx", "onnx", "scipy", "sympy")

"""The tensor IR: graphs, affine maps, polynomials."""

from hecc.runtime.extras import require

require("networkx", "onnx", "scipy", "sympy")

"""Write ``encoder.onnx``: one encoder layer of PyTorch, with weights drawn at random, as its exporter writes it.

    python make.py             # needs PyTorch, onnx and onnxscript; the test needs none of them but onnx

The layer is ``nn.TransformerEncoderLayer(16, 2, 32, activation="gelu", batch_first=True)`` in inference mode: for eight
tokens of sixteen numbers two heads of attention with a softmax, two layer normalizations, and GELU between two dense
layers.
"""

from __future__ import annotations

import sys
from pathlib import Path

try:
    import onnx
    import torch  # type: ignore[import-not-found, unused-ignore]
    from torch import nn  # type: ignore[import-not-found, unused-ignore]
except ImportError as error:
    sys.exit(f"make.py needs the package '{error.name}': pip install torch onnx onnxscript")

HERE = Path(__file__).resolve().parent
TOKENS, WIDTH = 8, 16


def main() -> None:
    """Write the file."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(WIDTH, 2, 2 * WIDTH, activation="gelu", batch_first=True).eval()
    path = HERE / "encoder.onnx"
    # What PyTorch evaluates in one step in inference mode is exported as it is written.
    torch.backends.mha.set_fastpath_enabled(False)
    torch.onnx.export(
        layer,
        (torch.zeros(1, TOKENS, WIDTH),),
        str(path),
        input_names=["tokens"],
        output_names=["encoded"],
        opset_version=18,
        dynamo=True,
        external_data=False,
    )
    model = onnx.load(path)
    for node in model.graph.node:
        # Where it was written, by the paths of the machine that wrote it.
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    onnx.save(model, path)


if __name__ == "__main__":
    main()

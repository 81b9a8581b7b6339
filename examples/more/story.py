"""What the three tasks have in common: a client encodes, a server trains, and the same is done in clear."""

from __future__ import annotations

import json
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

try:
    import numpy as np
    import onnxruntime
    import torch  # type: ignore[import-not-found, unused-ignore]
    from torch import nn  # type: ignore[import-not-found, unused-ignore]
except ImportError as error:
    sys.exit(f"this example needs the package '{error.name}': pip install torch onnxruntime matplotlib")

import hecc

HERE = Path(__file__).resolve().parent
FIGURES = HERE / "figures"
PICTURES = HERE.parents[1] / "docs" / "figures"


def export(network: nn.Module, example: Any) -> bytes:
    """A PyTorch network with its first weights as ONNX."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "network.onnx"
        torch.onnx.export(
            network.eval(),
            (torch.tensor(example, dtype=torch.float32),),
            path,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: "rows"}, "y": {0: "rows"}},
            dynamo=False,
        )
        return path.read_bytes()


def predict(model: bytes, rows: Any) -> Any:
    """What onnxruntime makes of rows."""
    session = onnxruntime.InferenceSession(model)
    return session.run(None, {"x": np.asarray(rows, dtype=np.float32)})[0]


def train_twice(model: bytes, loss: str, rows: Any, labels: Any, **settings: Any) -> dict[str, Any]:
    """Train on encoded rows, as two parties would, and on the same rows in clear."""
    plan = hecc.compile(model, scheme="more", train=loss, calibration=rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        client = hecc.Client(plan.client(), min_security="none")
        client.keygen(folder / "keys")
        client.encrypt_to(folder / "encrypted.bin", rows, labels=labels)
        start = time.perf_counter()
        # The server has the plan and encoded rows, no key.
        hecc.train(plan, folder / "encrypted.bin", folder / "trained.bin", **settings)
        encoded_seconds = time.perf_counter() - start
        encoded, encoded_losses = hecc.trained_model(client, folder / "trained.bin")
    start = time.perf_counter()
    clear, clear_losses = hecc.train_in_clear(plan, rows, labels, **settings)
    clear_seconds = time.perf_counter() - start
    return {
        "encoded": encoded,
        "clear": clear,
        "encoded_losses": encoded_losses,
        "clear_losses": clear_losses,
        "largest_difference": float(np.abs(encoded_losses - clear_losses).max()),
        "encoded_seconds": encoded_seconds,
        "clear_seconds": clear_seconds,
    }


def write_figures(name: str, measured: dict[str, Any]) -> None:
    """What was measured, beside this script."""
    FIGURES.mkdir(exist_ok=True)
    (FIGURES / f"{name}.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(measured, indent=1))


def save_picture(figure: Any, name: str) -> None:
    """A picture for the documentation."""
    figure.tight_layout()
    figure.savefig(PICTURES / f"more-{name}.png", dpi=110)

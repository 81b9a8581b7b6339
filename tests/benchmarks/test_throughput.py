"""The throughput benchmark, on a network that takes seconds."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper, parser

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "throughput.py"


def test_a_batch_is_measured_from_file_to_file(tmp_path: Path) -> None:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 13]>
        g (float[N,30] x) => (float[N,3] y) { h = MatMul (x, w1)  s = Mul (h, h)  y = MatMul (s, w2) }"""
    )
    rng = np.random.default_rng(0)
    for name, shape in (("w1", (30, 8)), ("w2", (8, 3))):
        weights = rng.uniform(-1, 1, shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weights, name))
    onnx.save(model, tmp_path / "model.onnx")
    command = [sys.executable, SCRIPT, tmp_path / "model.onnx", "--runs", "2", "--batch", "20", "--folder", tmp_path]
    report = json.loads(subprocess.check_output(command))
    assert report["batch"] == 20
    assert report["precision"] >= 12
    assert 0 < report["loading_seconds"] < report["run_seconds"]
    whole = report["encrypt_seconds"] + report["run_seconds"] + report["decrypt_seconds"]
    assert report["end_to_end_images_per_hour"] == round(20 / whole * 3600)
    assert report["server_images_per_hour"] > report["end_to_end_images_per_hour"]
    # Nothing is left behind.
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]

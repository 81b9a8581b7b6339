"""Makes the golden files: for each evaluator one of each format, which every later version has to read.

    python tests/data/golden/make.py

Run it only when a format changes on purpose, together with its version number and a migration note in CHANGELOG.md. The
secret key among them is public, like everything else here: never use it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import numpy_helper, parser

import hecc
from hecc.runtime.ckks.devices.names import DeviceName
from hecc.runtime.plan.plan import Plan

FOLDER = Path(__file__).parent
NETWORK = '<ir_version: 8, opset_import: ["" : 17]> golden (float[1,3] x) => (float[1,2] y) { y = MatMul (x, w) }'


def main() -> None:
    """Write all files."""
    model = parser.parse_model(NETWORK)
    weights = np.array([[1.0, -0.5], [0.25, 2.0], [-1.0, 0.125]], np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    x = np.array([[0.5, -0.25, 1.0], [0.0, 1.0, -1.0]])
    np.save(FOLDER / "output.npy", x @ weights)
    calibration = np.random.default_rng(0).uniform(-1, 1, (64, 3))
    devices: tuple[DeviceName, ...] = ("native", "seal")
    for device in devices:
        folder = FOLDER / device
        folder.mkdir(exist_ok=True)
        try:
            # A plan that can be read stays, so that it goes on being read.
            plan = Plan.load(folder / "plan.bin")
        except hecc.HeccError:
            plan = hecc.compile(model, calibration=calibration, input_range=(-1.0, 1.0), device=device)
            plan.save(folder / "plan.bin", force=True)
            plan.client().save(folder / "plan.client.bin", force=True)
        for path in (*folder.glob("*.bin"), *folder.glob("requests/*.json")):
            if not path.name.startswith("plan."):
                path.unlink()
        client = hecc.Client(plan)
        keys = client.keygen(folder)
        request = client.encrypt(x)
        request.save(folder / "encrypted.bin")
        with hecc.Server(plan, keys.evaluation) as server:
            server.run(request).save(folder / "result.bin")


if __name__ == "__main__":
    main()

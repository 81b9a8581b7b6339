"""Run the network of this example on encrypted measurements of all held-out patients, and compare with onnxruntime.

    python run.py            # one patient after another
    python run.py --batch    # all of them at once, one in each slot

``train.py`` makes the files that this needs; they are here.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

import hecc

HERE = Path(__file__).resolve().parent
RANGE = (-5.0, 5.0)
"""Of the standardised measurements, as ``train.py`` clips them."""

T = TypeVar("T")


def main() -> None:
    """Compile, encrypt, run, decrypt, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", action="store_true", help="all patients at once, one in each slot")
    parser.add_argument("--patients", type=int, help="only the first so many (default: all)")
    parser.add_argument("--folder", type=Path, default=HERE, help="of network.onnx and patients.npz (this script's)")
    arguments = parser.parse_args()
    model = arguments.folder / "network.onnx"
    with np.load(arguments.folder / "patients.npz") as data:
        patients, malignant = data["patients"][: arguments.patients], data["malignant"][: arguments.patients]
        calibration = data["calibration"]
    rows = len(patients)
    batch = rows if arguments.batch else None

    plan = timed("compile", lambda: hecc.compile(model, calibration=calibration, input_range=RANGE, batch=batch))
    keys, cost = plan.header.keys, plan.header.estimate
    print(f"  N = {keys.ring_degree}, log2 QP = {keys.log2_qp:.1f} of at most {keys.security.log2_limit}, ", end="")
    print(f"depth {cost.depth}, {cost.rotations} rotations, {cost.precision_bits:.1f} bits of precision")
    with tempfile.TemporaryDirectory() as folder:
        client = hecc.Client(plan.client())
        key_set = timed("keygen", lambda: client.keygen(Path(folder) / "keys"))
        print(f"  evaluation keys {key_set.evaluation.stat().st_size / 1e6:.1f} MB")
        encrypted = timed("encrypt", lambda: client.encrypt(patients))
        with hecc.Server(plan, key_set.evaluation) as server:
            result = timed("run", lambda: server.run(encrypted))
        decrypted = timed("decrypt", lambda: client.decrypt(result)["logits"])

    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    clear = np.asarray(session.run(None, {"measurements": patients})[0])
    predicted = decrypted.argmax(axis=1)
    print(f"same prediction as onnxruntime   {(predicted == clear.argmax(axis=1)).sum()} of {rows}")
    print(f"right                            {(predicted == malignant).sum()} of {rows}")
    error, largest = np.abs(decrypted - clear).max(), np.abs(clear).max()
    print(f"largest logit error              {error:.2g}, logits up to {largest:.2g}")


def timed(stage: str, work: Callable[[], T]) -> T:
    """Do some work, and print how long it took."""
    start = time.perf_counter()
    result = work()
    print(f"{stage:8} {time.perf_counter() - start:8.2f} s")
    return result


if __name__ == "__main__":
    try:
        main()
    except hecc.HeccError as error:
        sys.exit(f"error: {error}")

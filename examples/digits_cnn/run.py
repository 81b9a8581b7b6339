"""Compile the ReLU and MaxPool network of this example as it is, and run it on encrypted digits.

    python run.py                      # some images encrypted, all simulated
    python run.py --accuracy-loss 5    # smaller and faster, with more predictions changed

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
RANGE = (0.0, 1.0)
"""Of grey values."""

T = TypeVar("T")


def main() -> None:
    """Compile, encrypt, run, decrypt, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accuracy-loss", type=float, help="points that may be lost (default: what hecc chooses, 1)")
    parser.add_argument("--images", type=int, default=8, help="encrypted ones (default: 8)")
    parser.add_argument("--folder", type=Path, default=HERE, help="of network.onnx and digits.npz (this script's)")
    arguments = parser.parse_args()
    model, loss = arguments.folder / "network.onnx", arguments.accuracy_loss
    with np.load(arguments.folder / "digits.npz") as data:
        images, labels, calibration = data["images"], data["labels"], data["calibration"]

    plan = timed("compile", lambda: hecc.compile(model, calibration=calibration, input_range=RANGE, accuracy_loss=loss))
    keys, cost = plan.header.keys, plan.header.estimate
    print(f"  N = {keys.ring_degree}, log2 QP = {keys.log2_qp:.1f} of at most {keys.security.log2_limit}, ", end="")
    print(f"depth {cost.depth}, {cost.agreement.kept:.1%} of {cost.agreement.rows} rows held back decided as in clear")

    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    clear = np.asarray(session.run(None, {"image": images})[0]).argmax(axis=1)
    scores = timed("simulate", lambda: hecc.simulate(plan, images)["logits"]).argmax(axis=1)
    print(f"same prediction as onnxruntime   {(scores == clear).sum()} of {len(images)}")
    print(f"right, in clear and simulated    {(clear == labels).sum()} and {(scores == labels).sum()} of {len(images)}")

    some = images[: arguments.images]
    with tempfile.TemporaryDirectory() as folder:
        client = hecc.Client(plan.client())
        key_set = timed("keygen", lambda: client.keygen(Path(folder) / "keys"))
        print(f"  evaluation keys {key_set.evaluation.stat().st_size / 1e6:.1f} MB")
        encrypted = timed("encrypt", lambda: client.encrypt(some))
        with hecc.Server(plan, key_set.evaluation) as server:
            result = timed("run", lambda: server.run(encrypted))
        decrypted = timed("decrypt", lambda: client.decrypt(result)["logits"]).argmax(axis=1)
    print(f"encrypted as simulated           {(decrypted == scores[: len(some)]).sum()} of {len(some)}")


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

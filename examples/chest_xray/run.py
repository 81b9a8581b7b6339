"""Run the chest X-ray network on encrypted test images, and compare with onnxruntime.

    python run.py --data DIR --images 50
    python run.py --data DIR --images 50 --simulate   # and the accuracy on all test images, in clear
    python run.py --data DIR --images 5 --arrays      # only write arrays for the command line

``DIR`` is the folder that README.md describes.
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
from data import Array, load

import hecc

MODEL = Path(__file__).resolve().parent / "xray.onnx"
CALIBRATION = 300
"""Images of the training set from which the compiler learns how large the values inside the network become."""

T = TypeVar("T")


def main() -> None:
    """Compile, encrypt, run, decrypt, compare."""
    arguments = parse()
    images, labels = load(arguments.data, "test")
    training, _ = load(arguments.data, "train")
    draw = np.random.default_rng(0)
    calibration = training[draw.permutation(len(training))[:CALIBRATION]]
    # The table has all normal X-rays first, so some of either kind are drawn.
    chosen = np.sort(draw.permutation(len(images))[: arguments.images])
    if arguments.arrays:
        for name, array in (("xrays", images[chosen]), ("labels", labels[chosen]), ("calibration", calibration)):
            np.save(f"{name}.npy", array)
        return
    expected = in_clear(images)

    plan = timed("compile", lambda: hecc.compile(MODEL, calibration=calibration))
    keys, cost = plan.header.keys, plan.header.estimate
    print(f"  N = {keys.ring_degree}, log2 QP = {keys.log2_qp:.1f} of at most {keys.security.log2_limit}, ", end="")
    print(f"depth {cost.depth}, {cost.rotations} rotations, {cost.precision_bits:.1f} bits of precision")
    with tempfile.TemporaryDirectory() as folder:
        client = hecc.Client(plan.client())
        key_set = timed("keygen", lambda: client.keygen(Path(folder) / "keys"))
        print(f"  evaluation keys {key_set.evaluation.stat().st_size / 1e6:.0f} MB")
        encrypted = timed("encrypt", lambda: client.encrypt(images[chosen]))
        with hecc.Server(plan, key_set.evaluation) as server:
            server.run(client.encrypt(images[chosen[0]]))  # maps the keys and encodes the weights, once
            result = timed("run", lambda: server.run(encrypted), len(chosen))
        decrypted = timed("decrypt", lambda: client.decrypt(result, request=encrypted)["logits"])

    clear = expected[chosen]
    same = decrypted.argmax(axis=1) == clear.argmax(axis=1)
    error, span = np.abs(decrypted - clear).max(), np.ptp(expected)
    print(f"same prediction as onnxruntime   {same.sum()} of {len(chosen)}")
    print(f"right                            {(decrypted.argmax(axis=1) == labels[chosen]).sum()} of {len(chosen)}")
    print(f"largest logit error              {error:.2g}, {100 * error / span:.2g}% of the range of the logits")
    if arguments.simulate:
        simulated = timed("simulate", lambda: hecc.simulate(plan, images)["logits"])
        for name, logits in (("onnxruntime", expected), ("simulated", simulated)):
            print(f"{name} on all {len(images)} images: {quality(logits, labels)}")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that README.md describes")
    parser.add_argument("--images", type=int, default=10, help="test images to encrypt (10)")
    parser.add_argument("--simulate", action="store_true", help="simulate the plan on all test images, too")
    parser.add_argument("--arrays", action="store_true", help="only write xrays.npy, labels.npy and calibration.npy")
    arguments = parser.parse_args()
    if arguments.images < 1:
        parser.error("--images: at least one is needed")
    return arguments


def in_clear(images: Array) -> Array:
    """The logits that onnxruntime computes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    logits: Array = session.run(None, {"xray": images})[0]
    return logits


def quality(logits: Array, labels: Array) -> str:
    """How good a classifier is, in words."""
    score, ill = logits[:, 1] - logits[:, 0], labels == 1
    # The area under the curve is how often an ill child's score is above a healthy one's.
    pairs = np.sign(score[ill][:, None] - score[~ill][None, :])
    return (
        f"accuracy {np.mean((score > 0) == ill):.2%}, sensitivity {np.mean(score[ill] > 0):.1%}, "
        f"specificity {np.mean(score[~ill] <= 0):.1%}, AUC {(1 + pairs.mean()) / 2:.4f}"
    )


def timed(stage: str, work: Callable[[], T], images: int = 1) -> T:
    """Do some work, and print how long it took."""
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    print(f"{stage:8} {seconds:8.2f} s" + (f", {seconds / images:.3f} s per image" if images > 1 else ""))
    return result


if __name__ == "__main__":
    try:
        main()
    except hecc.HeccError as error:
        sys.exit(f"error: {error}")

"""Run one of the three MNIST networks on encrypted test images, and compare with onnxruntime.

    python run.py --data DIR --network lola --images 10
    python run.py --data DIR --network lenet --images 2 --simulate   # and the accuracy on all test images, in clear
    python run.py --data DIR --images 10 --arrays                    # only write arrays for the command line

``DIR`` holds the four files of MNIST under their usual names (``train-images-idx3-ubyte.gz`` and so on).
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import hecc

HERE = Path(__file__).resolve().parent
NETWORKS = ("lola", "lenet", "mlp")
CALIBRATION = 500
"""Images of the training set from which the compiler learns how large the values inside the network become."""

Array = np.ndarray[Any, Any]
T = TypeVar("T")


def main() -> None:
    """Compile, encrypt, run, decrypt, compare."""
    arguments = parse()
    images, labels = load(arguments.data, "t10k")
    calibration = load(arguments.data, "train")[0][:CALIBRATION]
    chosen = images[: arguments.images]
    if arguments.arrays:
        for name, array in (("images", chosen), ("labels", labels[: len(chosen)]), ("calibration", calibration)):
            np.save(f"{name}.npy", array)
        return
    model = HERE / f"{arguments.network}.onnx"
    expected = in_clear(model, chosen)

    plan = timed("compile", lambda: hecc.compile(model, security=arguments.security, calibration=calibration))
    keys, cost = plan.header.keys, plan.header.estimate
    print(f"  N = {keys.ring_degree}, log2 QP = {keys.log2_qp:.1f} of at most {keys.security.log2_limit}, ", end="")
    print(f"depth {cost.depth}, {cost.rotations} rotations, {cost.precision_bits:.1f} bits of precision")
    with tempfile.TemporaryDirectory() as folder:
        client = hecc.Client(plan.client())
        key_set = timed("keygen", lambda: client.keygen(Path(folder) / "keys"))
        print(f"  evaluation keys {key_set.evaluation.stat().st_size / 1e6:.0f} MB")
        encrypted = timed("encrypt", lambda: client.encrypt(chosen))
        with hecc.Server(plan, key_set.evaluation) as server:
            result = timed("run", lambda: server.run(encrypted), len(chosen))
        (decrypted,) = timed("decrypt", lambda: client.decrypt(result)).values()

    predictions, reference = decrypted.argmax(axis=1), expected.argmax(axis=1)
    (simulated,) = hecc.simulate(plan, chosen).values()
    error, span = np.abs(decrypted - expected).max(), expected.max() - expected.min()
    print(f"same prediction as onnxruntime   {(predictions == reference).sum()} of {len(chosen)}")
    print(f"same prediction as simulate      {(predictions == simulated.argmax(axis=1)).sum()} of {len(chosen)}")
    print(f"right                            {(predictions == labels[: len(chosen)]).sum()} of {len(chosen)}")
    print(f"largest logit error              {error:.2g}, {100 * error / span:.2g}% of the range of the logits")
    if arguments.simulate:
        (scores,) = timed("simulate", lambda: hecc.simulate(plan, images)).values()
        clear = in_clear(model, images).argmax(axis=1)
        print(f"accuracy, simulated, all images  {100 * np.mean(scores.argmax(axis=1) == labels):.2f}%")
        print(f"accuracy, onnxruntime            {100 * np.mean(clear == labels):.2f}%")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the four files of MNIST")
    parser.add_argument("--network", choices=NETWORKS, default="lola")
    parser.add_argument("--images", type=int, default=10, help="test images to encrypt (10)")
    parser.add_argument("--security", type=int, default=128, help="bits (128)")
    parser.add_argument("--simulate", action="store_true", help="simulate the plan on all test images, too")
    parser.add_argument("--arrays", action="store_true", help="only write images.npy, labels.npy and calibration.npy")
    arguments = parser.parse_args()
    if arguments.images < 1:
        parser.error("--images: at least one is needed")
    return arguments


def load(folder: Path, part: str) -> tuple[Array, Array]:
    """Images, float32 of shape (n, 1, 28, 28) from 0 to 1, and labels."""
    try:
        with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
            images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
        with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
            labels = np.frombuffer(file.read(), np.uint8, offset=8).astype(np.int64)
    except OSError as error:
        sys.exit(
            f"{error.filename or folder}: {error.strerror or error}; --data needs a folder with MNIST's four files"
        )
    return images.astype(np.float32) / 255, labels


def in_clear(model: Path, images: Array) -> Array:
    """The logits that onnxruntime computes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    logits: Array = session.run(None, {session.get_inputs()[0].name: images})[0]
    return logits


def timed(stage: str, work: Callable[[], T], images: int = 1) -> T:
    """Do some work, and print how long it took."""
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    print(f"{stage:8} {seconds:8.2f} s" + (f", {seconds / images:.2f} s per image" if images > 1 else ""))
    return result


if __name__ == "__main__":
    try:
        main()
    except hecc.HeccError as error:
        sys.exit(f"error: {error}")

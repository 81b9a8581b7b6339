"""Does the encrypted answer equal the clear one? Compiles a network, evaluates test images encrypted, and compares.

For every network: onnxruntime, the encrypted evaluation and the simulated one must name the same digit for each of the
first images; the largest error of a logit is put in relation to the range of the logits; and the accuracy simulated
over the whole test set stands beside the one of onnxruntime.

    python benchmarks/accuracy.py MNIST_FOLDER MODEL.onnx ... [--images 50] [--range 0 1] [--device seal]

``MNIST_FOLDER`` holds the four idx .gz files. Networks that take 32x32 images get the 28x28 ones with a border of 0.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

import hecc
from hecc.runtime.ckks.circuit.instructions import LinearTransform
from hecc.runtime.ckks.devices.names import DeviceName


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--range", type=float, nargs=2, default=(0.0, 1.0), help="what a pixel's 0 and 255 become")
    parser.add_argument("--precision", type=float, default=12.0)
    parser.add_argument("--device", choices=("native", "seal"), default="native")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    reports = []
    for model in arguments.models:
        pixels = tuple(arguments.range)
        report = measure(model, arguments.mnist, arguments.images, pixels, arguments.precision, arguments.device)
        reports.append(report)
        print(json.dumps(report), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(reports, indent=1) + "\n")


def measure(
    model: Path, mnist: Path, images: int, pixels: tuple[float, float], precision: float, device: DeviceName
) -> dict[str, Any]:
    """Compile, encrypt, run, decrypt, simulate; all figures of one network."""
    session = onnxruntime.InferenceSession(model)
    size = session.get_inputs()[0].shape[-1]
    test, labels = read(mnist, "t10k", size, pixels)
    train, _ = read(mnist, "train", size, pixels)
    report: dict[str, Any] = {"model": model.name, "device": device, "images": images}

    start = time.perf_counter()
    plan = hecc.compile(model, calibration=train[:256], input_range=pixels, precision=precision, device=device)
    report["compile_seconds"] = time.perf_counter() - start
    keys, estimate = plan.header.keys, plan.header.estimate
    assert plan.circuit is not None
    transforms = [ins for ins in plan.circuit.instructions if isinstance(ins, LinearTransform)]
    report |= {
        "ring_degree": keys.ring_degree,
        "digit_limbs": keys.digit_limbs,
        "special_primes": len(keys.special_primes),
        "log2_qp": keys.log2_qp,
        "log2_limit": keys.security.log2_limit,
        "primes": [round(float(np.log2(q)), 1) for q in (*keys.data_primes, *keys.special_primes)],
        "depth": estimate.depth,
        "rotations": estimate.rotations,
        "rotation_keys": len(keys.galois),
        "diagonals": sum(len(plan.circuit.diagonals(ins)) for ins in transforms),
        "predicted_seconds": estimate.seconds,
        "predicted_peak_mb": estimate.peak_memory / 2**20,
        "predicted_bits": estimate.precision_bits,
    }

    exact = classify(session, test[:images])
    with tempfile.TemporaryDirectory() as folder:
        client = hecc.Client(plan)
        start = time.perf_counter()
        paths = client.keygen(folder)
        report["keygen_seconds"] = time.perf_counter() - start
        report["evaluation_key_file_mb"] = paths.evaluation.stat().st_size / 2**20
        start = time.perf_counter()
        encrypted = client.encrypt(test[:images])
        report["encrypt_seconds_per_image"] = (time.perf_counter() - start) / images
        with hecc.Server(plan, paths.evaluation) as server:
            server.run(client.encrypt(test[:1]))
            start = time.perf_counter()
            result = server.run(encrypted)
            report["run_seconds_per_image"] = (time.perf_counter() - start) / images
        start = time.perf_counter()
        (decrypted,) = client.decrypt(result, request=encrypted).values()
        report["decrypt_seconds_per_image"] = (time.perf_counter() - start) / images
    report["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

    decrypted = decrypted.reshape(images, -1)
    error = float(np.abs(decrypted - exact).max())
    report |= {
        "argmax_equal": int((decrypted.argmax(axis=1) == exact.argmax(axis=1)).sum()),
        "largest_error": error,
        "error_over_range": error / float(np.ptp(exact)),
        "bits": -float(np.log2(error / np.abs(exact).max())),
    }

    start = time.perf_counter()
    (simulated,) = hecc.simulate(plan, test).values()
    report["simulate_seconds"] = time.perf_counter() - start
    simulated = simulated.reshape(len(test), -1)
    clear = classify(session, test)
    report |= {
        "simulated_argmax_equal": int((simulated[:images].argmax(axis=1) == decrypted.argmax(axis=1)).sum()),
        "accuracy_clear": float((clear.argmax(axis=1) == labels).mean()),
        "accuracy_simulated": float((simulated.argmax(axis=1) == labels).mean()),
    }
    return report


def classify(session: onnxruntime.InferenceSession, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits of every image, one at a time where the network has no batch axis."""
    given = session.get_inputs()[0]
    rows = 1 if given.shape[0] == 1 else len(images)
    parts = [session.run(None, {given.name: images[i : i + rows]})[0] for i in range(0, len(images), rows)]
    return np.concatenate(parts).reshape(len(images), -1)


def read(
    folder: Path, split: str, size: int, pixels: tuple[float, float]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Images of shape (rows, 1, size, size), and labels."""
    raw = np.frombuffer(gzip.decompress((folder / f"{split}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((folder / f"{split}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    border = (size - 28) // 2
    images = np.pad(raw.reshape(-1, 1, 28, 28), ((0, 0), (0, 0), (border, border), (border, border)))
    return (pixels[0] + (pixels[1] - pixels[0]) * images / 255).astype(np.float32), labels


if __name__ == "__main__":
    main()

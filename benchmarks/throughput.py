"""How many images an hour? Compiles networks for throughput, and measures a batch from file to file.

    python benchmarks/throughput.py MODEL.onnx ... [--range 0 1] [--runs 3] [--threads 2] [--folder DIR]

For every network a batch of random images, as many as its ciphertexts have slots for, is encrypted to a file,
evaluated from there to another, and decrypted; the answers are compared with onnxruntime's. Every ciphertext is read
from its file in every run. The server's seconds are those of a run without *loading*, which is the time that it waits
for ciphertexts to be read, verified and unpacked; "end to end" is encryption, the whole run and decryption. Encryption
and runs are processes of their own, so that their peak memory is theirs. ``DIR`` needs room for the encrypted batch.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

import hecc
from hecc.runtime.ckks.ciphertexts import CiphertextFile
from hecc.runtime.ckks.devices.device import default_threads

EVALUATOR_LOG = "hecc.runtime.ckks.devices.native.evaluator"


def main() -> None:
    """Measure every network, and print one JSON object for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--range", type=float, nargs=2, default=(0.0, 1.0), help="lowest and highest pixel")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--batch", type=int, help="rows; by default as many as ciphertexts have slots")
    parser.add_argument("--folder", type=Path, help="for the files; by default a temporary one")
    arguments = parser.parse_args()
    for model in arguments.models:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            pixels = tuple(arguments.range)
            report = measure(model, Path(folder), pixels, arguments.runs, arguments.threads, arguments.batch)
            print(json.dumps(report), flush=True)


def measure(
    model: Path, folder: Path, pixels: tuple[float, float], runs: int, threads: int, batch: int | None
) -> dict[str, Any]:
    """Compile, encrypt, run, decrypt and compare; all figures of one network."""
    size = {"optimize": "throughput"} if batch is None else {"batch": batch}
    start = time.perf_counter()
    plan = hecc.compile(model, input_range=pixels, **size)
    compiled = time.perf_counter() - start
    plan.save(folder / "plan.bin")
    client = hecc.Client(plan)
    client.keygen(folder / "keys")
    (signature,) = plan.header.inputs
    shape = (plan.header.batch, *signature.shape)
    images = np.random.default_rng(0).uniform(*pixels, shape).astype(np.float32)
    np.save(folder / "images.npy", images)

    encryption = stage("encrypt", folder, threads)
    computation = stage("run", folder, threads, runs)
    start = time.perf_counter()
    (found,) = client.decrypt(folder / "result.bin").values()
    decryption = time.perf_counter() - start
    exact = in_clear(model, images)
    server = min(computation["seconds"]) - min(computation["loading"])
    whole = encryption["seconds"] + min(computation["seconds"]) + decryption
    keys = plan.header.keys
    return {
        "model": model.name,
        "batch": plan.header.batch,
        "threads": threads,
        "ring_degree": keys.ring_degree,
        "log2_qp": round(keys.log2_qp, 1),
        "limbs": len(keys.data_primes),
        "precision_promised": round(plan.header.estimate.precision_bits, 1),
        "precision": round(-math.log2(np.abs(found - exact).max() / np.abs(exact).max()), 1),
        "compile_seconds": compiled,
        "encrypt_seconds": encryption["seconds"],
        "encrypt_memory": encryption["memory"],
        "request_bytes": (folder / "request.bin").stat().st_size,
        "run_seconds": min(computation["seconds"]),
        "loading_seconds": min(computation["loading"]),
        "processor_seconds": min(computation["processor"]),
        "predicted_processor_seconds": plan.header.estimate.seconds,
        "run_memory": computation["memory"],
        "predicted_memory": plan.header.estimate.peak_memory,
        "decrypt_seconds": decryption,
        "server_images_per_hour": round(plan.header.batch / server * 3600),
        "end_to_end_images_per_hour": round(plan.header.batch / whole * 3600),
    }


def stage(name: str, folder: Path, threads: int, runs: int = 1) -> dict[str, Any]:
    """What a stage measures in a process of its own."""
    command = [sys.executable, __file__, "--stage", name, str(folder), str(threads), str(runs)]
    answer: dict[str, Any] = json.loads(subprocess.check_output(command))
    return answer


def encrypt(folder: Path, processes: int) -> dict[str, Any]:
    """The stage "encrypt"."""
    images = np.load(folder / "images.npy")
    start = time.perf_counter()
    hecc.Client(folder / "plan.bin", folder / "keys").encrypt_to(folder / "request.bin", images, processes=processes)
    return {"seconds": time.perf_counter() - start, "memory": peak()}


def run(folder: Path, threads: int, runs: int) -> dict[str, Any]:
    """The stage "run"."""
    waits = _Waits()
    logger = logging.getLogger(EVALUATOR_LOG)
    logger.addHandler(waits)
    logger.setLevel(logging.DEBUG)
    seconds, loading, processor = [], [], []
    with hecc.Server(folder / "plan.bin", folder / "keys" / "evaluation.bin", threads=threads) as server:
        for _ in range(runs):
            waits.milliseconds = 0.0
            start, used = time.perf_counter(), time.process_time()
            # Loaded anew, so that everything is verified anew.
            server.run_to(folder / "result.bin", CiphertextFile.load(folder / "request.bin"))
            seconds.append(time.perf_counter() - start)
            processor.append(time.process_time() - used)
            loading.append(waits.milliseconds / 1e3)
    return {"seconds": seconds, "loading": loading, "processor": processor, "memory": peak()}


class _Waits(logging.Handler):
    """Sums up how long the evaluator waited for ciphertexts, by what its log says."""

    milliseconds = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Look at the arguments of one message: what was done, and milliseconds."""
        if isinstance(record.args, tuple) and record.args[:1] == ("waited",):
            self.milliseconds += float(str(record.args[1]))


def in_clear(model: Path, images: NDArray[np.float32]) -> NDArray[Any]:
    """What onnxruntime answers, one image at a time, as some networks have a batch of one."""
    session = onnxruntime.InferenceSession(model)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: image[np.newaxis]})[0] for image in images])


def peak() -> int:
    """Bytes of memory that this process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stage"]:
        stages = {"encrypt": lambda folder, threads, _: encrypt(folder, threads), "run": run}
        print(json.dumps(stages[sys.argv[2]](Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))))
    else:
        main()

"""hecc: the same networks as ONNX files."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from onnx.reference import ReferenceEvaluator

import hecc
from hecc.runtime.ckks.ciphertexts import CiphertextFile, ResultFile
from peer_comparison.networks import CALIBRATION, MODEL
from peer_comparison.worker import Image, serve, timed


class Hecc:
    """Client and server in one process, as the peers are.

    Parameters
    ----------
    precision
        Bits to ask of the compiler.
    """

    def __init__(self, precision: float) -> None:
        self._precision = precision

    def setup(self, folder: Path, network: str, threads: int) -> dict[str, Any]:
        del network  # is all in the file
        calibration = np.load(folder / CALIBRATION)
        compilation, plan = timed(
            lambda: hecc.compile(
                folder / MODEL, calibration=calibration, input_range=(0.0, 1.0), precision=self._precision
            )
        )
        self._client = hecc.Client(plan)
        # Another process may have keys of its own there; whoever made the folder removes it.
        key_folder = tempfile.mkdtemp(prefix="keys-", dir=folder)
        key_generation, keys = timed(lambda: self._client.keygen(key_folder))
        loading, self._server = timed(lambda: hecc.Server(plan, keys.evaluation, threads=threads))
        self._reference = ReferenceEvaluator(str(folder / MODEL))
        specification = plan.header.keys
        return {
            "preparation": compilation + loading,
            "key_generation": key_generation,
            "key_bytes": keys.evaluation.stat().st_size,
            "ring_degree": specification.ring_degree,
            "log2_qp": specification.log2_qp,
            "secret": specification.secret,
        }

    def encrypt(self, image: Image) -> CiphertextFile:
        return self._client.encrypt(image)

    def compute(self, encrypted: CiphertextFile) -> ResultFile:
        return self._server.run(encrypted)

    def decrypt(self, result: ResultFile) -> list[float]:
        (output,) = self._client.decrypt(result).values()
        return [float(value) for value in output.ravel()]

    def cleartext(self, image: Image) -> list[float]:
        (output,) = self._reference.run(None, {"image": image[None]})
        return [float(value) for value in np.ravel(output)]

    def sizes(self, encrypted: CiphertextFile, result: ResultFile) -> tuple[int, int]:
        first, last = (
            sum(len(stream) for group in file.header.groups for stream in file.row(group.name, 0))
            for file in (encrypted, result)
        )
        return first, last


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--precision", type=float, required=True)
    serve(Hecc(parser.parse_args().precision), ["hecc"])

"""As ``worker.py``, with the files of MORE: opens and uses mutated ones in a process of its own.

python more_worker.py SPECIMENS FORMAT FIRST COUNT
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import worker

import hecc
from hecc.runtime.files.container import Kind
from hecc.runtime.more.client import Holder
from hecc.runtime.more.keyfiles import load_evaluation
from hecc.runtime.more.keys import SecretKey
from hecc.runtime.more.plan import MorePlan
from hecc.runtime.more.rows import EncodedFile
from hecc.runtime.more.server import Engine, Server
from hecc.runtime.more.training.file import TrainedFile
from hecc.runtime.more.training.loop import train
from hecc.runtime.plan.plan import Plan
from hecc.runtime.training.settings import TrainingSettings

SETTINGS = TrainingSettings(epochs=2, batch_size=4)
"""Those of the specimens' checkpoint."""

LARGEST = 1 << 16
"""Elements of a row: nobody who is given a plan for larger ones has rows that fit it."""

FORMATS = {
    "server plan": "plan.bin",
    "client plan": "plan.client.bin",
    "secret key": "secret.bin",
    "evaluation keys": "evaluation.bin",
    "encoded rows": "encrypted.bin",
    "results": "result.bin",
    "checkpoint": "checkpoint.bin",
    "trained network": "trained.bin",
}


class Specimen:
    """The good files of one plan, and for each format what a user does with a file of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bytes = {name: (folder / name).read_bytes() for name in FORMATS.values()}
        self.plan = more_plan(folder / "plan.bin")
        self.key = SecretKey.load(folder / "secret.bin")
        self.request = EncodedFile.load(folder / "encrypted.bin", Kind.CIPHERTEXT)
        self.result = EncodedFile.load(folder / "result.bin", Kind.RESULT)
        self.keys = load_evaluation(folder / "evaluation.bin")

    def server_plan(self, file: Path | bytes) -> Any:
        plan = more_plan(file)
        Server(Engine(plan), self.keys, owns=True).run(self.request)
        train(plan, self.request, SETTINGS)
        return plan

    def client_plan(self, file: Path | bytes) -> Any:
        plan = more_plan(file)
        holder = Holder(plan, self.key, None)
        shapes = [each.shape for each in (*plan.header.inputs, *plan.header.outputs)]
        if max(map(math.prod, shapes)) > LARGEST:
            return plan
        targets = None if plan.header.targets is None else np.zeros((2, *plan.header.targets.shape))
        rows = {source.name: np.zeros((2, *source.shape)) for source in plan.header.inputs}
        holder.encrypt(rows, note=False, targets=targets)
        holder.decrypt(self.result, request=self.request.fingerprint)
        return plan

    def secret_key(self, file: Path | bytes) -> None:
        if isinstance(file, Path):
            file.chmod(0o600)
        Holder(self.plan, SecretKey.load(file), None).decrypt(self.result, request=self.request.fingerprint)

    def evaluation_keys(self, file: Path | bytes) -> None:
        Server(Engine(self.plan), load_evaluation(file), owns=True).run(self.request)

    def encoded_rows(self, file: Path | bytes) -> Any:
        rows = EncodedFile.load(file, Kind.CIPHERTEXT)
        Server(Engine(self.plan), self.keys, owns=True).run(rows)
        train(self.plan, rows, SETTINGS)
        return rows

    def results(self, file: Path | bytes) -> Any:
        result = EncodedFile.load(file, Kind.RESULT)
        Holder(self.plan, self.key, None).decrypt(result, request=self.request.fingerprint)
        return result

    def checkpoint(self, file: Path | bytes) -> None:
        train(self.plan, self.request, SETTINGS, start=TrainedFile.load(file))

    def trained_network(self, file: Path | bytes) -> None:
        client = hecc.Client(self.plan, self.bytes["secret.bin"], min_security="none")
        hecc.trained_model(client, file)


def more_plan(file: Path | bytes) -> MorePlan:
    """A plan, which has to be one of the scheme."""
    plan = Plan.of(file)
    if not isinstance(plan, MorePlan):
        raise hecc.HeccError("this is a plan of another scheme")
    return plan


if __name__ == "__main__":
    worker.main(FORMATS, Specimen)

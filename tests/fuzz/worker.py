"""Opens and uses mutated files, in a process of its own whose memory and time are bounded.

    python worker.py SPECIMENS FORMAT FIRST COUNT

The number of each mutation is printed before its file is opened, so that whoever started this knows which one killed
it. What is printed after a number is what is wrong; with nothing wrong there are only numbers.
"""

from __future__ import annotations

import faulthandler
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import mutations
import numpy as np

import hecc
from hecc.runtime.ckks.ciphertexts import CiphertextFile, ResultFile
from hecc.runtime.ckks.circuit.security import InsecureLevel
from hecc.runtime.ckks.client.client import Client
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, PublicKeyFile, SecretKeyFile
from hecc.runtime.ckks.server import Server
from hecc.runtime.plan.plan import Plan

INSECURE = InsecureLevel.INSECURE_FOR_TESTS_ONLY
MEMORY = 1 << 30
"""Bytes of addresses beyond what the process has when it begins: more is a crash, and shows as one."""
GROWTH = 160 << 20
"""Bytes of memory by which a process may grow: files of a few hundred kilobytes are worth no more."""
SECONDS = 10.0
"""Of a processor; a single file may take so long, and six times as long by the clock before it counts as a hang."""
LONGEST = 6000
"""Characters of a message: a refusal of a circuit shows the instructions around the fault."""

FORMATS = {
    "server plan": "plan.bin",
    "client plan": "plan.client.bin",
    "secret key": "secret.bin",
    "public key": "public.bin",
    "evaluation keys": "evaluation.bin",
    "encrypted rows": "encrypted.bin",
    "results": "result.bin",
}


class Specimen:
    """The good files of one plan, and for each format what a user does with a file of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bytes = {name: (folder / name).read_bytes() for name in FORMATS.values()}
        self.plan = Plan.load(folder / "plan.bin")
        self.secret = SecretKeyFile.load(folder / "secret.bin")
        self.client = Client(self.plan, secret=self.secret, min_security=INSECURE)
        self.request = CiphertextFile.load(folder / "encrypted.bin")
        self.result = ResultFile.load(folder / "result.bin")
        self.keys = EvaluationKeyFile.load(folder / "evaluation.bin")
        self.server = Server(self.plan, self.keys, threads=1)
        shape = (1, *self.plan.header.inputs[0].shape)
        self.row = np.full(shape, 0.25)

    def server_plan(self, file: Path | bytes) -> Any:
        plan = Plan.of(file)
        with Server(plan, self.keys, threads=1) as server:
            server.run(self.request)
        return plan

    def client_plan(self, file: Path | bytes) -> Any:
        plan = Plan.of(file)
        client = Client(plan, secret=self.secret, min_security=INSECURE)
        client.encrypt({source.name: np.zeros((1, *source.shape)) for source in plan.header.inputs})
        client.decrypt(self.result, request=self.request.fingerprint)
        return plan

    def secret_key(self, file: Path | bytes) -> Any:
        if isinstance(file, Path):
            file.chmod(0o600)
        secret = SecretKeyFile.load(file)
        client = Client(self.plan, secret=secret, min_security=INSECURE)
        client.encrypt(self.row)
        client.decrypt(self.result, request=self.request.fingerprint)
        return secret

    def public_key(self, file: Path | bytes) -> Any:
        public = PublicKeyFile.load(file)
        Client(self.plan, public=public, min_security=INSECURE).encrypt(self.row)
        return public

    def evaluation_keys(self, file: Path | bytes) -> None:
        # First as a server that has not verified them would, then verified.
        keys = EvaluationKeyFile.load(file)
        with Server(self.plan, keys, threads=1) as server:
            server.run(self.request)
        EvaluationKeyFile.load(file).verify()

    def encrypted_rows(self, file: Path | bytes) -> Any:
        request = CiphertextFile.load(file)
        self.server.run(request)
        return request

    def results(self, file: Path | bytes) -> Any:
        result = ResultFile.load(file)
        self.client.decrypt(result, request=self.request.fingerprint)
        return result


def main(formats: Mapping[str, str], make: Callable[[Path], Any]) -> None:
    """Mutate, open, use: files of some formats, as what is made of a folder of specimens uses them."""
    root, wanted, first, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    warnings.simplefilter("error")
    specimens = [make(folder) for folder in sorted(root.iterdir())]
    others = [data for specimen in specimens for data in specimen.bytes.values()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutated.bin"
        for specimen in specimens:  # all that is made once is made now
            path.write_bytes(specimen.bytes[formats[wanted]])
            getattr(specimen, wanted.replace(" ", "_"))(path)
        resource.setrlimit(resource.RLIMIT_AS, (addresses() + MEMORY, resource.RLIM_INFINITY))
        start = peak()
        for number in range(first, first + count):
            print(number, flush=True)
            random = Random(f"{wanted} {number}")
            specimen = random.choice(specimens)
            data, sealed = mutations.mutate(specimen.bytes[formats[wanted]], random.choice(others), random)
            path.write_bytes(data)
            faulthandler.dump_traceback_later(6 * SECONDS, exit=True)
            began = time.process_time()
            # Every second one is not read from the file, but from its bytes.
            file = path if number % 2 else data
            wrong = attempt(getattr(specimen, wanted.replace(" ", "_")), file, path, sealed)
            seconds = time.process_time() - began
            faulthandler.cancel_dump_traceback_later()
            if wrong:
                print(f"{specimen.folder.name}: {wrong}", flush=True)
            if seconds > SECONDS:
                print(f"{specimen.folder.name}: it takes {seconds:.0f} s of a processor", flush=True)
            if peak() > start + GROWTH:
                print(f"{specimen.folder.name}: it takes {(peak() - start) >> 20} MB more than before", flush=True)
                start = peak()
        print("done", flush=True)


def attempt(use: Callable[[Path | bytes], Any], file: Path | bytes, path: Path, sealed: bool) -> str:
    """What is wrong with how a file, which is there at ``path``, was received, or nothing."""
    try:
        loaded = use(file)
    except hecc.HeccError as error:
        text = str(error)
        if not text or len(text) > LONGEST or not text.replace("\n", "").isprintable():
            return f"not a message to show: {text[:500]!r} ({len(text)} characters)"
        return ""
    except BaseException as error:
        import traceback

        place = traceback.extract_tb(error.__traceback__)
        last = next((frame for frame in reversed(place) if "site-packages" not in frame.filename), place[-1])
        return f"{type(error).__name__} instead of a refusal: {str(error)[:300]!r} at {last.filename}:{last.lineno}"
    if not sealed:
        return "accepted, although its checksums are wrong"
    if loaded is not None:
        path.with_name("again.bin").unlink(missing_ok=True)  # a secret key is not replaced
        loaded.save(path.with_name("again.bin"))
        if path.with_name("again.bin").read_bytes() != path.read_bytes():
            return "accepted, but what was loaded is not what is in the file"
    return ""


def peak() -> int:
    """Largest memory of this process until now, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def addresses() -> int:
    """Addresses that this process has, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main(FORMATS, Specimen)

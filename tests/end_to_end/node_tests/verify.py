"""The official ONNX node tests, encrypted: each is compiled, encrypted, run and decrypted, and the record is written.

    python tests/end_to_end/node_tests/verify.py run [--name NAME ...] [--processes 2] [--limit 900]
    python tests/end_to_end/node_tests/verify.py run --scheme sharing
    python tests/end_to_end/node_tests/verify.py run --scheme more
    python tests/end_to_end/node_tests/verify.py names

Selected are all tests that the importer passes in clear and that say something about encrypted data
(:mod:`hecc.compiler.importer.tables.conformance`). What became of each is in ``verified.json``, of other schemes in
``shared.json`` and ``encoded.json``, which the page of operators is made of; a run replaces the entries of the tests
that it runs. Every test has a limit to its time.
"""

from __future__ import annotations

import argparse
import json
import math
import queue
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import hecc
from hecc.compiler.ckks.limits import LIMITS
from hecc.compiler.importer.tables.conformance import Network, NodeTest, choices, networks, node_tests, run
from hecc.runtime.errors import CompileError, HeccError, UnsupportedError
from hecc.runtime.more.header import MoreHeader
from hecc.runtime.plan.plan import Plan
from hecc.runtime.sharing.plan.header import SharingHeader

RECORD = Path(__file__).resolve().parent / "verified.json"
RECORDS = {"ckks": RECORD, "sharing": RECORD.with_name("shared.json"), "more": RECORD.with_name("encoded.json")}
"""By scheme. Under sharing a test is simulated, integer by integer as both parties compute it; so it is under MORE."""

BITS = 10.0, 7.0, 5.0
"""Asked for, of the range of every element; the fewer where no polynomial follows a kink more closely. Versions of onnx
draw the data anew: an element that happens to be small beside its argument has few bits."""

TOLERANCE = 1e-2
"""Of the largest value of an output, or of one; or what the plan promises, where that is more."""

SHUFFLED = 63
"""Rows of the test's own numbers in another order, where one row says too little of what its elements can be."""

Rows = dict[str, np.ndarray[Any, np.dtype[np.float64]]]
Ranges = dict[str, tuple[float, float]]


@cache
def tests() -> dict[str, NodeTest]:
    """All official tests by name."""
    return {test.name: test for test in node_tests()}


def selected() -> list[str]:
    """Names of the tests that can be run encrypted, as the importer's cleartext semantics say: it takes a minute."""
    return sorted(name for name, test in tests().items() if run(test, LIMITS).encryptable)


def compiled(test: NodeTest, scheme: str = "ckks") -> tuple[Plan, Network]:
    """The plan of a test, with as many inputs encrypted as can be, calibrated with the test's own data.

    Raises
    ------
    HeccError
        There is none.
    """
    refusal = HeccError("no input holds a number")
    for encrypted in choices(test):
        (network,) = networks(test, encrypted)
        if not all(np.size(array) for array in network.data.values()):
            continue
        # A softmax is as far off as the values before it, however large they are.
        largest = max(float(np.abs(array).max()) for array in network.data.values()) if run(test).steps else 1.0
        for rows, ranges in _calibrations(network):
            try:
                return _plan(network, rows, ranges, max(0.0, float(np.log2(largest))), scheme), network
            except UnsupportedError as error:
                refusal = error
                # Under sharing a function is refused where its argument may be beyond its ends.
                if scheme == "ckks":
                    break
            except CompileError as error:
                refusal = error
        else:
            if scheme == "ckks" or not isinstance(refusal, UnsupportedError):
                break
    raise refusal


def _calibrations(network: Network) -> Iterator[tuple[Rows, Ranges]]:
    """The test's row in a range with room; the same without, for functions that end there; and shuffled rows."""
    rows = own_row(network)
    ends = {name: (float(array.min()), float(array.max())) for name, array in rows.items()}
    yield rows, {name: (low - 1.0, high + 1.0) for name, (low, high) in ends.items()}
    yield rows, {name: (low, high) if low < high else (low - 1.0, high + 1.0) for name, (low, high) in ends.items()}
    generator = np.random.default_rng(0)
    shuffled = {
        name: np.concatenate([array, *(generator.permuted(array) for _ in range(SHUFFLED))])
        for name, array in rows.items()
    }
    yield shuffled, {name: (low - 1.0, high + 1.0) for name, (low, high) in ends.items()}


def own_row(network: Network) -> Rows:
    """The test's data as a row of each input."""
    return {name: np.asarray(array, np.float64)[np.newaxis] for name, array in network.data.items()}


def _plan(network: Network, rows: Rows, ranges: Ranges, more_bits: float, scheme: str) -> Plan:
    for bits in BITS:
        try:
            return hecc.compile(
                network.model,
                calibration=rows,
                input_range=ranges,
                precision=bits + more_bits,
                batch_axis=False,
                scheme=scheme,
            )
        except CompileError as error:
            if bits == BITS[-1] or "is not a polynomial" not in str(error):
                raise
    raise AssertionError


def error_of(plan: Plan, network: Network, found: Rows) -> float:
    """How far decrypted results are off, as a part of what they may be: above one they are wrong."""
    header = plan.header
    if isinstance(header, MoreHeader):
        promised = math.inf
    else:
        promised = header.precision if isinstance(header, SharingHeader) else header.estimate.precision_bits
    tolerance = max(TOLERANCE, 2.0**-promised)
    worst = 0.0
    for signature, expected in zip(header.outputs, network.expected, strict=True):
        values, exact = found[signature.name], np.asarray(expected, dtype=np.float64)
        if values.shape != (1, *exact.shape):
            return float("inf")
        off = float(np.abs(values[0] - exact).max()) / max(1.0, float(np.abs(exact).max()))
        worst = max(worst, off / tolerance) if off == off else float("inf")
    return worst


def shared(name: str) -> dict[str, Any]:
    """What becomes of one test under sharing: its entry of the record."""
    start = time.process_time()
    try:
        plan, network = compiled(tests()[name], "sharing")
    except HeccError as error:
        return {"refused": str(error).splitlines()[0], "seconds": round(time.process_time() - start, 1)}
    assert isinstance(plan.header, SharingHeader)
    return {
        "error": float(f"{error_of(plan, network, hecc.simulate(plan, own_row(network))):.2g}"),
        "encrypted": list(network.data),
        "messages": plan.header.cost.messages,
        "bytes": plan.header.cost.online + plan.header.cost.ahead,
        "seconds": round(time.process_time() - start, 1),
    }


def verified(name: str) -> dict[str, Any]:
    """What becomes of one test: its entry of the record."""
    start = time.process_time()
    try:
        plan, network = compiled(tests()[name])
    except HeccError as error:
        return {"refused": str(error).splitlines()[0], "seconds": round(time.process_time() - start, 1)}
    folder = tempfile.mkdtemp()
    try:
        client = hecc.Client(plan)
        keys = client.keygen(Path(folder) / "keys")
        with hecc.Server(plan, keys.evaluation) as server:
            found = client.decrypt(server.run(client.encrypt(own_row(network))))
    finally:
        shutil.rmtree(folder)
    return {
        "error": float(f"{error_of(plan, network, found):.2g}"),
        "encrypted": list(network.data),
        "depth": plan.header.estimate.depth,
        "seconds": round(time.process_time() - start, 1),
    }


def encoded(name: str) -> dict[str, Any]:
    """What becomes of one test under MORE, with exact comparisons: its entry of the record."""
    start = time.process_time()
    refusal: HeccError = HeccError("no input holds a number")
    for encrypted in choices(tests()[name]):
        (network,) = networks(tests()[name], encrypted)
        if not all(np.size(array) for array in network.data.values()):
            continue
        rows, ranges = next(_calibrations(network))
        options: dict[str, Any] = {"scheme": "more", "batch_axis": False}
        try:
            plan = hecc.compile(network.model, calibration=rows, input_range=ranges, comparisons="exact", **options)
            error = error_of(plan, network, hecc.simulate(plan, rows))
        except HeccError as error_found:
            refusal = error_found
            continue
        entry: dict[str, Any] = {"error": float(f"{error:.2g}"), "encrypted": list(network.data)}
        try:
            hecc.compile(network.model, calibration=rows, input_range=ranges, comparisons="refuse", **options)
        except UnsupportedError:
            entry["compares"] = True
        return {**entry, "seconds": round(time.process_time() - start, 1)}
    return {"refused": str(refusal).splitlines()[0], "seconds": round(time.process_time() - start, 1)}


VERIFIED = {"ckks": verified, "sharing": shared, "more": encoded}


def record(scheme: str = "ckks") -> dict[str, dict[str, Any]]:
    """The entries of the record, by the names of the tests."""
    entries: dict[str, dict[str, Any]] = json.loads(RECORDS[scheme].read_text(encoding="utf-8"))["tests"]
    return entries


def write(entries: dict[str, dict[str, Any]], scheme: str = "ckks") -> None:
    """Write the record: a line a test, in their order."""
    lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(entries.items()))
    text = f'{{\n  "onnx": {json.dumps(onnx.__version__)},\n  "tests": {{\n{lines}\n  }}\n}}\n'
    RECORDS[scheme].write_text(text, encoding="utf-8")


def main() -> None:
    """Run tests, and write what became of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="run tests, and replace their entries in the record")
    running.add_argument("--name", nargs="+", help="of tests; by default all that are selected")
    running.add_argument("--processes", type=int, default=2)
    running.add_argument("--limit", type=float, default=900.0, help="seconds that a test may take (900)")
    commands.add_parser("names", help="print the names of the selected tests")
    working = commands.add_parser("worker", help=argparse.SUPPRESS)
    for each in (running, working):
        each.add_argument("--scheme", choices=RECORDS, default="ckks", help="(ckks)")
    arguments = parser.parse_args()
    if arguments.command == "names":
        print("\n".join(selected()))
    elif arguments.command == "worker":
        for line in sys.stdin:
            print(json.dumps(VERIFIED[arguments.scheme](line.strip())), flush=True)
            # The memory of a large test is not taken from the next one.
            if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 4 << 20:
                return
    else:
        _run(arguments.name or selected(), arguments.processes, arguments.limit, arguments.scheme)


def _run(names: list[str], processes: int, limit: float, scheme: str) -> None:
    """Run tests in processes of their own, each within a limit."""
    waiting: queue.Queue[str] = queue.Queue()
    for name in names:
        waiting.put(name)
    lock = threading.Lock()

    def work() -> None:
        worker: subprocess.Popen[str] | None = None
        while not waiting.empty():
            name = waiting.get()
            if worker is None or worker.poll() is not None:
                command = [sys.executable, "-W", "ignore", __file__, "worker", "--scheme", scheme]
                worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert worker.stdin is not None
            assert worker.stdout is not None
            print(name, file=worker.stdin, flush=True)
            ready, _, _ = select.select([worker.stdout], [], [], limit)
            line = worker.stdout.readline() if ready else ""
            if not line:
                worker.kill()
            entry = json.loads(line) if line else {"unfinished": f"it takes more than {limit:g} s"}
            print(name, entry, flush=True)
            with lock:
                write({**(record(scheme) if RECORDS[scheme].exists() else {}), name: entry}, scheme)
        if worker is not None:
            worker.kill()

    threads = [threading.Thread(target=work) for _ in range(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()

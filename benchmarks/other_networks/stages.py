"""The stages that a network goes through, each in a process of its own, so that its time and its memory are its own.

Every stage reads files of the stages before from a folder, leaves its own there, and returns what it measured.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hecc
from hecc.measure.profiling import processor_name
from hecc.runtime.ckks.circuit.instructions import Bootstrap, Polynomial
from hecc.runtime.native import implementations
from other_networks.catalogue import Network
from other_networks.clear import decisions, input_shape, model_of, scores
from other_networks.data import SOURCES

__all__ = ["PLAN", "STAGES", "TEST", "Context", "compiled_with", "in_clear", "share"]

PLAN, TEST, KEYS, REQUESTS, RESULTS = "plan.bin", "test.npz", "keys", "requests", "results"
ANSWERS = "calibration_labels.npy"

POINTS = 0.5
"""Of accuracy that may be lost where agreement cannot be had."""


@dataclass(frozen=True)
class Context:
    """What a stage works on.

    Attributes
    ----------
    network
        Of the catalogue.
    models, data
        Folders of the networks of others, and of data.
    folder
        Of this network's files.
    options
        Of :func:`hecc.compile`.
    rows
        To encrypt, at the most.
    seconds
        That running them may take; at least one is run.
    memory
        Bytes that the server may take: a plan that needs more is compiled again, with a budget for keys.
    """

    network: Network
    models: Path
    data: Path
    folder: Path
    options: Mapping[str, Any]
    rows: int
    seconds: float
    memory: int

    @property
    def plan(self) -> hecc.Plan:
        return hecc.Plan.load(self.folder / PLAN)


def in_clear(context: Context) -> dict[str, Any]:
    """The network in onnxruntime, on all test rows."""
    network = context.network
    model = model_of(network, context.models)
    shape = input_shape(model)
    found = SOURCES[network.data](context.data)
    test, calibration = network.scaling(found.test, shape), network.scaling(found.calibration, shape)
    exact = scores(model, test)
    np.savez(context.folder / TEST, test=test, calibration=calibration, exact=exact)
    if found.calibration_labels is not None:
        np.save(context.folder / ANSWERS, found.calibration_labels)
    report: dict[str, Any] = {"rows": len(test), "calibration_rows": len(calibration), "origin": found.origin}
    if found.labels is not None:
        np.save(context.folder / "labels.npy", found.labels)
        report["accuracy"] = share(decisions(network, exact, exact) == found.labels)
    return report | {"model": hashlib.sha256(model).hexdigest()}


def compiled(context: Context) -> dict[str, Any]:
    """The plan, or the refusal: by agreement with the network in clear, or by accuracy, or with bootstraps."""
    aims: list[Mapping[str, Any]] = [context.options]
    answers = context.folder / ANSWERS
    if answers.exists():
        aims.append({**context.options, "accuracy_loss": POINTS, "calibration_labels": answers})
    aims.append({**context.options, "bootstrap": True})
    refused: dict[str, Any] = {}
    for asked in aims:
        report, plan = _that_fits(context, asked)
        report |= {"by_agreement": refused} if refused else {}
        if plan is not None:
            plan.save(context.folder / PLAN)
            return report | _facts(plan) | {"plan_bytes": (context.folder / PLAN).stat().st_size}
        refused = refused or report
    return refused


def _that_fits(context: Context, options: Mapping[str, Any]) -> tuple[dict[str, Any], hecc.Plan | None]:
    """The same for one aim, with a budget for keys where the server would take too much memory."""
    report, plan = compiled_with(context, options)
    if plan is not None and plan.header.estimate.peak_memory > context.memory:
        estimate = plan.header.estimate
        budget = max(1, estimate.evaluation_key_bytes - (estimate.peak_memory - context.memory))
        report, plan = compiled_with(context, {**options, "key_budget": budget})
    return report, plan


def compiled_with(context: Context, options: Mapping[str, Any]) -> tuple[dict[str, Any], hecc.Plan | None]:
    """What compiling with such options took, and the plan; ``None`` for one that is refused."""
    stages: list[tuple[str, float]] = []
    start, busy = time.perf_counter(), time.process_time()
    said = {name: value.name if isinstance(value, Path) else str(value) for name, value in options.items()}
    report: dict[str, Any] = {"options": said}
    plan = None
    try:
        plan = hecc.compile(
            model_of(context.network, context.models),
            calibration=np.load(context.folder / TEST)["calibration"],
            input_range=context.network.scaling.range,
            progress=lambda stage: stages.append((stage, time.process_time())),
            **options,
        )
    except hecc.HeccError as refusal:
        report["refusal"] = str(refusal)
    report["seconds"] = time.perf_counter() - start
    report["processor_seconds"] = time.process_time() - busy
    report["stages"] = _by_stage(stages)
    return report, plan


def simulated(context: Context) -> dict[str, Any]:
    """The plan on all test rows, with the noise of encryption drawn."""
    rows = np.load(context.folder / TEST)
    start = time.process_time()
    outputs = hecc.simulate(context.plan, rows["test"])
    seconds = time.process_time() - start
    (found,) = outputs.values()
    found = found.reshape(len(found), -1)
    np.save(context.folder / "simulated.npy", found)
    decided, exact = (decisions(context.network, each, rows["exact"]) for each in (found, rows["exact"]))
    left = {row: why for row, why in outputs.outside.items() if row not in outputs.lost}
    report = {
        "processor_seconds": seconds,
        "agreement": share(decided == exact),
        "lost": outputs.lost,
        "outside": left,
        "outside_and_wrong": [row for row in left if decided[row] != exact[row]],
    }
    labels = context.folder / "labels.npy"
    return report | ({"accuracy": share(decided == np.load(labels))} if labels.exists() else {})


def keys_made(context: Context) -> dict[str, Any]:
    """Keys, and the first test rows encrypted, a request each."""
    plan = context.plan
    _empty(context.folder / KEYS)
    client = hecc.Client(plan)
    start = time.perf_counter()
    keys = client.keygen(context.folder / KEYS)
    keygen = time.perf_counter() - start
    requests = _empty(context.folder / REQUESTS)
    per_row = plan.header.estimate.seconds
    test = np.load(context.folder / TEST)["test"]
    wanted = int(np.clip(context.seconds / per_row, 1, min(context.rows, len(test))))
    start = time.perf_counter()
    for row in range(wanted):
        client.encrypt(test[row : row + 1]).save(requests / f"{row}.bin")
    return {
        "keygen_seconds": keygen,
        "evaluation_key_bytes": keys.evaluation.stat().st_size,
        "request_bytes": (requests / "0.bin").stat().st_size,
        "encrypt_seconds": (time.perf_counter() - start) / wanted,
    }


def run(context: Context) -> dict[str, Any]:
    """The server: all requests, or as many as the time allows."""
    requests, results = context.folder / REQUESTS, _empty(context.folder / RESULTS)
    number = len(list(requests.iterdir()))
    seconds: list[float] = []
    processor: list[float] = []
    start = time.perf_counter()
    with hecc.Server(context.plan, context.folder / KEYS, threads=1) as server:
        loading = time.perf_counter() - start
        for row in range(number):
            if processor and sum(processor) + processor[-1] > context.seconds:
                break
            start, busy = time.perf_counter(), time.process_time()
            result = server.run(requests / f"{row}.bin")
            seconds.append(time.perf_counter() - start)
            processor.append(time.process_time() - busy)
            result.save(results / f"{row}.bin")
    return {
        "rows": len(seconds),
        "load_seconds": loading,
        "first_seconds": seconds[0],
        "seconds": float(np.median(seconds[1:] or seconds)),
        "processor_seconds": float(np.median(processor[1:] or processor)),
        "machine": f"{processor_name()}, {implementations()[0]} kernels",
    }


def decrypted(context: Context) -> dict[str, Any]:
    """The results, held against the simulated ones; keys and requests are removed."""
    client = hecc.Client(context.plan, context.folder / KEYS)
    results, requests = context.folder / RESULTS, context.folder / REQUESTS
    number = len(list(results.iterdir()))
    values = []
    for row in range(number):
        (value,) = client.decrypt(results / f"{row}.bin", request=requests / f"{row}.bin").values()
        values.append(value.reshape(1, -1))
    found = np.concatenate(values)
    np.save(context.folder / "decrypted.npy", found)
    saved = np.load(context.folder / TEST)
    exact, expected = saved["exact"], np.load(context.folder / "simulated.npy")[:number]
    decided, wanted, clear = (decisions(context.network, each, exact) for each in (found, expected, exact[:number]))
    error = np.abs(found - expected)
    report = {
        "rows": number,
        "same": int((decided == wanted).sum()),
        "same_as_clear": int((decided == clear).sum()),
        "largest_difference": float(np.nanmax(error)),
        "difference_over_range": float(np.nanmax(error) / np.ptp(exact)),
        "lost": int((decided == -1).sum()),
        "differing": [_differing(row, found, expected) for row in np.flatnonzero(decided != wanted).tolist()],
    }
    shutil.rmtree(context.folder / KEYS)
    shutil.rmtree(requests)
    return report


STAGES: Mapping[str, Callable[[Context], dict[str, Any]]] = MappingProxyType(
    {
        "clear": in_clear,
        "compiled": compiled,
        "simulated": simulated,
        "keys": keys_made,
        "run": run,
        "decrypted": decrypted,
    }
)
"""In order."""


def _differing(row: int, found: NDArray[Any], expected: NDArray[Any]) -> dict[str, float]:
    """A row that is decided otherwise: by how much its two largest scores differ, and how far off the values are."""
    highest = np.sort(expected[row])[::-1]
    margin = float(highest[0] - highest[1]) if len(highest) > 1 else 0.0
    return {"row": row, "margin": margin, "difference": float(np.abs(found[row] - expected[row]).max())}


def _facts(plan: hecc.Plan) -> dict[str, Any]:
    """What a plan says of itself."""
    keys, estimate = plan.header.keys, plan.header.estimate
    assert plan.circuit is not None
    return {
        "ring_degree": keys.ring_degree,
        "log2_qp": keys.log2_qp,
        "log2_limit": keys.security.log2_limit,
        "data_primes": len(keys.data_primes),
        "special_primes": len(keys.special_primes),
        "digit_limbs": keys.digit_limbs,
        "depth": estimate.depth,
        "rotation_keys": len(keys.galois),
        "predicted_seconds": estimate.seconds,
        "predicted_memory": estimate.peak_memory,
        "predicted_key_bytes": estimate.evaluation_key_bytes,
        "expected_outside": estimate.outside_per_thousand or 0.0,
        "kept": estimate.agreement.kept if estimate.agreement else None,
        "bootstraps": sum(1 for _ in plan.circuit.every(Bootstrap)),
        "polynomials": [
            {
                "layer": ins.source,
                "degree": len(plan.circuit.constants[ins.coefficients]) - 1,
                "interval": ins.interval,
            }
            for _, ins in plan.circuit.every(Polynomial)
        ],
    }


def _by_stage(stages: list[tuple[str, float]]) -> dict[str, float]:
    """Processor seconds of each stage, added up where it comes again."""
    ends = [*(at for _, at in stages[1:]), time.process_time()]
    spent: dict[str, float] = {}
    for (name, at), end in zip(stages, ends, strict=True):
        spent[name] = spent.get(name, 0.0) + end - at
    return {name: round(seconds, 2) for name, seconds in spent.items()}


def share(right: NDArray[np.bool_]) -> float:
    """The part of rows for which it is so."""
    return float(right.mean())


def _empty(folder: Path) -> Path:
    """A folder without files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder

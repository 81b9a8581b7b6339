"""Fixtures that several packages' tests share, and what a run says before it begins."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

ROOT = Path(__file__).resolve().parent.parent

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""What commands are stopped with, by those who use them and by tests."""

WORK = 900.0
"""Seconds of one processor that all fast tests take where :func:`seconds_of_sample` is `SAMPLE`."""

SAMPLE = 0.0155
"""Seconds of the sample on the machine that `WORK` was measured on, x86-64 with AVX-512 IFMA."""


def pytest_report_header(config: pytest.Config) -> str:
    """Before the first test: how long all of them will take on this machine."""
    workers = getattr(config.option, "numprocesses", None) or 1
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    minutes = expected_seconds(seconds_of_sample(), workers, processors, os.getloadavg()[0]) / 60
    return f"all fast tests take about {minutes:.0f} minutes on this machine as busy as it is now; workers: {workers}"


def expected_seconds(sample: float, workers: int, processors: int, load: float) -> float:
    """Seconds that all fast tests take, where a sample of the work takes so many.

    Parameters
    ----------
    sample
        Seconds of :func:`seconds_of_sample`.
    workers
        Processes that run tests.
    processors
        That they and others share.
    load
        Other processes that want to run.
    """
    share = min(1.0, processors / (workers + load))
    return WORK * sample / SAMPLE / (workers * share)


def seconds_of_sample() -> float:
    """Processor seconds for a sample of what tests do, two thirds of it Python, the rest kernels; the best of five."""
    from hecc.runtime.native import NttTables

    tables = NttTables(8192, 1099511480321)
    values = np.zeros(8192, dtype=np.uint64)

    def once() -> float:
        start = time.process_time()
        for _ in range(400):
            tables.forward(values)
        total = 0
        for number in range(300_000):
            total += number % 7
        return time.process_time() - start

    return min(once() for _ in range(5))


@contextlib.contextmanager
def children_hear_signals() -> Iterator[None]:
    """Processes that are started here hear signals, although this one may have been told to ignore them.

    A script that starts a command with ``&`` makes it ignore SIGINT, and ``nohup`` SIGHUP; all that it starts inherits
    this. What has a handler is not inherited: one that does nothing ignores the signal here, and only here.
    """
    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    ignored = [number for number in numbers if signal.getsignal(number) == signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


@pytest.fixture(autouse=True, scope="session")
def _signals() -> Iterator[None]:
    with children_hear_signals():
        yield


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """The folder of real networks that nobody here wrote; they are not part of the repository."""
    shared = Path(os.environ.get("HECC_SHARED", ROOT.parent / "shared"))
    models = shared / "models"
    if not models.is_dir():
        pytest.skip(f"no real networks in {models}; set HECC_SHARED to the folder that holds them")
    return models


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of data sets; they are not part of the repository."""
    shared = Path(os.environ.get("HECC_SHARED", ROOT.parent / "shared"))
    data = shared / "data"
    if not data.is_dir():
        pytest.skip(f"no data sets in {data}; set HECC_SHARED to the folder that holds them")
    return data


@pytest.fixture(scope="session")
def model() -> "Callable[..., onnx.ModelProto]":
    """A model from ONNX's textual syntax for graphs, with constants given as arrays."""
    import onnx.parser
    from onnx import numpy_helper

    def build(graph: str, opset: int = 13, **constants: NDArray[Any]) -> onnx.ModelProto:
        parsed = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> {graph}')
        parsed.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
        return parsed

    return build


@pytest.fixture(scope="session")
def runtime() -> "Callable[[onnx.ModelProto, Mapping[str, NDArray[Any]]], NDArray[np.float64]]":
    """The first output as onnxruntime computes it."""
    import onnxruntime

    def run(built: "onnx.ModelProto", inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(built.SerializeToString(), options)
        return np.asarray(session.run(None, dict(inputs))[0], dtype=np.float64)

    return run

"""Networks with ReLU for patients' tables: is every patient answered encrypted as in clear?

A network of two hidden layers is trained on each table of a folder, by scikit-learn or by PyTorch, exported, compiled,
and evaluated for all patients of the test part. An answer that differs is a tie where the two classes' scores are
closer to each other than the error that the plan states; any other is counted as wrong.

    python benchmarks/patients.py TABLES [--trainer torch] [--hidden 32 32] [--precision 6] [--encrypted 3]

``TABLES`` holds .csv files with a header, whose last column is the answer, 0 or 1. Rows with missing values are left
out.
With ``--accuracy-loss`` polynomials are chosen by the decisions that they keep, and the stated error is that of noise.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import hecc

Array = NDArray[np.float32]

TABLES: Mapping[str, str] = MappingProxyType(
    {
        "breast cancer": "breast_cancer_wdbc.csv",
        "diabetes": "diabetes_pima.csv",
        "heart disease": "heart_cleveland.csv",
        "liver disease": "liver_ilpd.csv",
    }
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES), metavar="TABLE")
    parser.add_argument("--trainer", choices=("scikit-learn", "torch"), default="scikit-learn")
    parser.add_argument("--hidden", type=int, nargs=2, default=(32, 32))
    parser.add_argument("--precision", type=float, default=6.0, help="in bits")
    parser.add_argument("--accuracy-loss", type=float, help="choose by decisions: how many of 100 may change")
    parser.add_argument("--encrypted", type=int, default=3, help="patients who are encrypted; all are simulated")
    arguments = parser.parse_args()
    loss = arguments.accuracy_loss
    asked = {"precision": arguments.precision} if loss is None else {"accuracy_loss": loss}
    for name in arguments.only:
        rows, answers = read(arguments.folder / TABLES[name])
        report = measure(rows, answers, arguments.trainer, arguments.hidden, arguments.encrypted, asked)
        print(json.dumps({"table": name, **report}), flush=True)


def read(path: Path) -> tuple[Array, NDArray[np.int64]]:
    """The rows of a table without missing values, and their answers."""
    table = np.genfromtxt(path, delimiter=",", skip_header=1, dtype=np.float32)
    table = table[np.isfinite(table).all(axis=1)]
    return table[:, :-1], table[:, -1].astype(np.int64)


def measure(
    rows: Array,
    answers: NDArray[np.int64],
    trainer: str,
    hidden: Sequence[int],
    encrypted: int,
    asked: Mapping[str, float],
) -> dict[str, Any]:
    """Train, compile, simulate and encrypt; all figures of one table."""
    train, test, known, right = train_test_split(rows, answers, test_size=0.25, random_state=0, stratify=answers)
    network = TRAINERS[trainer](train, known, hidden)
    start = time.perf_counter()
    try:
        plan = hecc.compile(network, calibration=train, **asked)
    except hecc.HeccError as error:
        return {"refused": str(error)}
    report: dict[str, Any] = {"compile_seconds": time.perf_counter() - start}
    simulated = hecc.simulate(plan, test, skip_bad_rows=True)
    taken = [int(row) for row in simulated.index] if simulated.index else list(range(len(test)))
    clear, seen = logits(answered(network, test[taken])), logits(simulated)
    estimate = plan.header.estimate
    error = 2.0**-estimate.precision_bits * float(np.ptp(logits(answered(network, train))))
    differs = (clear > 0) != (seen > 0)
    tied = differs & (np.abs(clear) <= error)
    client = hecc.Client(plan)
    with tempfile.TemporaryDirectory() as folder:
        keys = client.keygen(folder)
        with hecc.Server(plan, keys.evaluation) as server:
            start = time.perf_counter()
            found = client.decrypt(server.run(client.encrypt(test[taken[:encrypted]])))
            report["run_seconds"] = (time.perf_counter() - start) / encrypted
    return report | {
        "patients": len(taken),
        "not_taken": len(test) - len(taken),
        "lost": len(simulated.lost),
        "outside": len(simulated.outside),
        "as_in_clear": int((~differs).sum()),
        "ties": int(tied.sum()),
        "wrong": int((differs & ~tied).sum()),
        "encrypted_as_simulated": int(((logits(found) > 0) == (seen[:encrypted] > 0)).sum()),
        "stated_error_of_logit": error,
        "right_clear": float(((clear > 0) == right[taken]).mean()),
        "right_simulated": float(((seen > 0) == right[taken]).mean()),
        "levels": estimate.depth,
        "ring_degree": plan.header.keys.ring_degree,
        "predicted_seconds": estimate.seconds,
    }


def answered(network: onnx.ModelProto, rows: Array) -> dict[str, Any]:
    """What onnxruntime computes."""
    session = onnxruntime.InferenceSession(network.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {session.get_inputs()[0].name: rows}), strict=True))


def logits(outputs: Mapping[str, Any]) -> NDArray[np.float64]:
    """The second class's score less the first one's, whether there are scores or probabilities."""
    name = "probabilities" if "probabilities" in outputs else "scores"
    values = np.asarray(outputs[name], dtype=np.float64).reshape(-1, 2)
    if name == "probabilities":
        values = np.log(np.maximum(values, 1e-12))
    return np.asarray(values[:, 1] - values[:, 0])


def by_sklearn(rows: Array, answers: NDArray[np.int64], hidden: Sequence[int]) -> onnx.ModelProto:
    """A network that scikit-learn trained, with its scaler."""
    from skl2onnx import to_onnx

    final = MLPClassifier(tuple(hidden), max_iter=1000, alpha=1.0, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = make_pipeline(StandardScaler(), final).fit(rows, answers)
    return to_onnx(pipeline, rows[:1], options={id(final): {"zipmap": False}})


def by_torch(rows: Array, answers: NDArray[np.int64], hidden: Sequence[int]) -> onnx.ModelProto:
    """A network that PyTorch trained; its first layer takes what a scaler would make of a row."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    scaler = StandardScaler().fit(rows)
    sizes = [rows.shape[1], *hidden, 2]
    layers = [layer for size, then in itertools.pairwise(sizes) for layer in (nn.Linear(size, then), nn.ReLU())][:-1]
    network = nn.Sequential(*layers)
    given, wanted = torch.from_numpy(scaler.transform(rows).astype(np.float32)), torch.from_numpy(answers)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2, weight_decay=1e-3)
    for _ in range(150):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(given), wanted).backward()
        optimiser.step()
    with torch.no_grad():
        first = network[0]
        first.weight /= torch.from_numpy(scaler.scale_.astype(np.float32))
        first.bias -= first.weight @ torch.from_numpy(scaler.mean_.astype(np.float32))
    file = io.BytesIO()
    names = {
        "input_names": ["rows"],
        "output_names": ["scores"],
        "dynamic_axes": {"rows": {0: "N"}, "scores": {0: "N"}},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network.eval(), (torch.from_numpy(rows[:1]),), file, dynamo=False, **names)
    return onnx.load_from_string(file.getvalue())


TRAINERS: Mapping[str, Callable[[Array, NDArray[np.int64], Sequence[int]], onnx.ModelProto]] = MappingProxyType(
    {"scikit-learn": by_sklearn, "torch": by_torch}
)


if __name__ == "__main__":
    main()

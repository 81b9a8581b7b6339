"""Networks with ReLU for patients' tables: is every patient answered encrypted as in clear?

A network of two hidden layers is trained on each table of a folder, by scikit-learn and by PyTorch, exported, and
compiled twice: for numbers that are precise, and for decisions alone. All patients of the test part are encrypted, and
every decrypted answer is held against onnxruntime's. An answer that differs is a tie where the scores of the two
classes are, in clear, closer to each other than the error that the plan states; any other is counted as wrong.

    python benchmarks/patients.py run TABLES [--only TABLE ...] [--trainer torch]
    python benchmarks/patients.py page docs/reference/scikit-learn.md

``TABLES`` holds .csv files with a header, whose last column is the answer, 0 or 1. Rows with missing values are left
out. The figures are in ``benchmarks/results/patients.json``, and the page is made of that file alone.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import onnxruntime
from marked import markdown_table, replaced
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import hecc
from hecc.runtime.tail.outcomes import Outputs

Array = NDArray[np.float32]
Report = dict[str, Any]

RESULTS = Path(__file__).resolve().parent / "results" / "patients.json"

TABLES: Mapping[str, str] = MappingProxyType(
    {
        "breast cancer": "breast_cancer_wdbc.csv",
        "diabetes": "diabetes_pima.csv",
        "heart disease": "heart_cleveland.csv",
        "liver disease": "liver_ilpd.csv",
    }
)

ASKED: Mapping[str, Mapping[str, float]] = MappingProxyType({"numbers": {"precision": 5.0}, "decisions": {}})
"""What a plan is asked for: five bits of precision, or nothing, which keeps 99 of 100 decisions."""

FEWER_BITS: Mapping[tuple[str, str], float] = MappingProxyType({("liver disease", "torch"): 4.0})
"""Where five bits are refused, as many as the refusal offers."""

TOGETHER = 64
"""Patients in a ciphertext."""

MARGINS: Mapping[str, float] = MappingProxyType({"breast cancer": 0.4})
"""Where the default is too narrow for a patient of the test part: so far patients may be beyond those of training."""


@dataclass(frozen=True)
class Patients:
    """Rows of a table, and their answers.

    Attributes
    ----------
    lines
        Of the file, where each stands; the header is line 1.
    """

    rows: Array
    answers: NDArray[np.int64]
    lines: NDArray[np.int64]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="train, compile and encrypt")
    running.add_argument("folder", type=Path, metavar="TABLES")
    running.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES), metavar="TABLE")
    running.add_argument("--trainer", nargs="+", choices=TRAINERS, default=list(TRAINERS))
    running.add_argument("--asked", nargs="+", choices=ASKED, default=list(ASKED))
    running.add_argument("--hidden", type=int, nargs=2, default=(16, 16))
    running.add_argument("--results", type=Path, default=RESULTS)
    writing = commands.add_parser("page", help="write the figures on their page")
    writing.add_argument("page", type=Path)
    writing.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.command == "page":
        text = arguments.page.read_text(encoding="utf-8")
        arguments.page.write_text(page(text, arguments.results), encoding="utf-8")
        return 0
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    results: dict[str, Report] = json.loads(arguments.results.read_text()) if arguments.results.exists() else {}
    for table, trainer, asked in itertools.product(arguments.only, arguments.trainer, arguments.asked):
        patients = read(arguments.folder / TABLES[table])
        options = options_of(table, trainer, asked)
        report = measure(patients, trainer, arguments.hidden, options)
        name = f"{table}, {trainer}, {asked}"
        results[name] = {"table": table, "trainer": trainer, "asked": asked, "options": options, **report}
        arguments.results.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")
        print(json.dumps({name: report}), flush=True)
    return 0


def options_of(table: str, trainer: str, asked: str) -> dict[str, float]:
    """The options of :func:`hecc.compile` for a network."""
    options = dict(ASKED[asked])
    if "precision" in options:
        options["precision"] = FEWER_BITS.get((table, trainer), options["precision"])
    return options | ({"margin": MARGINS[table]} if table in MARGINS else {})


def read(path: Path) -> Patients:
    """The rows of a table without missing values."""
    table = np.genfromtxt(path, delimiter=",", skip_header=1, dtype=np.float32)
    whole = np.isfinite(table).all(axis=1)
    return Patients(table[whole, :-1], table[whole, -1].astype(np.int64), np.flatnonzero(whole) + 2)


def measure(patients: Patients, trainer: str, hidden: Sequence[int], options: Mapping[str, float]) -> Report:
    """Train, compile, simulate and encrypt; all figures of one network."""
    train, test, known, right, _, lines = train_test_split(
        patients.rows, patients.answers, patients.lines, test_size=0.25, random_state=0, stratify=patients.answers
    )
    network = TRAINERS[trainer](train, known, hidden)
    start = time.process_time()
    try:
        plan = hecc.compile(network, calibration=train, batch=TOGETHER, **options)
    except hecc.HeccError as error:
        return {"refused": str(error)}
    report: Report = {"compile_processor_seconds": time.process_time() - start}
    simulated = hecc.simulate(plan, test)
    clear = answered(network, test)
    found = encrypted(plan, test)
    estimate, each = plan.header.estimate, logits(clear)
    # What is promised is the error of a number, as a part of its range on the calibration rows. Where decisions chose
    # the polynomials, nothing is promised of a number.
    error = (
        2.0**-estimate.precision_bits * float(np.ptp(logits(answered(network, train))))
        if "precision" in options
        else None
    )
    differs = classes(clear) != classes(found)
    differs[list(found.lost)] = True
    return report | {
        "patients": len(test),
        "lost": sorted(set(found.lost) | set(simulated.lost)),
        "outside": sorted(simulated.outside),
        "as_in_clear": int((~differs).sum()),
        "differing": [
            {
                "row": int(row),
                "line": int(lines[row]),
                "clear": float(each[row]),
                "encrypted": float(logits(found)[row]),
                "right": bool(classes(clear)[row] == right[row]),
                "tie": error is not None and bool(abs(each[row]) <= error),
            }
            for row in np.flatnonzero(differs)
        ],
        "encrypted_as_simulated": int((classes(found) == classes(simulated)).sum()),
        # The noise of two encryptions is not the same, and decides where two scores are alike.
        "unlike_simulated": [
            {"row": int(row), "tie": error is not None and bool(abs(each[row]) <= error)}
            for row in np.flatnonzero(classes(found) != classes(simulated))
        ],
        "stated_error_of_logit": error,
        "largest_error_of_logit": float(np.nanmax(np.abs(logits(found) - each))),
        "range_of_logit": float(np.ptp(each)),
        "right_clear": int((classes(clear) == right).sum()),
        "right_encrypted": int((classes(found) == right).sum()),
        "levels": estimate.depth,
        "ring_degree": plan.header.keys.ring_degree,
        "key_bytes": estimate.evaluation_key_bytes,
        "predicted_seconds": estimate.seconds,
    }


def encrypted(plan: hecc.Plan, rows: Array) -> Outputs:
    """What a client decrypts for all rows."""
    client = hecc.Client(plan)
    with tempfile.TemporaryDirectory() as folder:
        keys = client.keygen(folder)
        with hecc.Server(plan, keys.evaluation) as server:
            return client.decrypt_rows(server.run(client.encrypt(rows)))


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


def classes(outputs: Mapping[str, Any]) -> NDArray[np.int64]:
    """The class of every row: what scikit-learn's network names itself, and the larger of two scores."""
    if "label" in outputs:
        # Of a row that is lost it is not a number.
        return np.nan_to_num(np.asarray(outputs["label"], dtype=np.float64), nan=-1).reshape(-1).astype(np.int64)
    return np.asarray(outputs["scores"]).reshape(-1, 2).argmax(axis=1)


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


def page(text: str, results: Path) -> str:
    """The page with the figures of a file of results."""
    reports = list(json.loads(results.read_text(encoding="utf-8")).values())
    lines = [line for report in reports for line in differences(report)]
    shown = markdown_table(HEADING, *map(row, reports))
    return replaced(text, "patients", "\n".join([shown, *(["", *lines] if lines else [])]))


HEADING = (
    "table",
    "trained by",
    "asked for",
    "as in clear, encrypted",
    "ties",
    "lost",
    "as simulated",
    "right, clear / encrypted",
    "largest error of the logit",
    "levels",
    "N",
    "64 patients",
)


def row(report: Report) -> tuple[str, ...]:
    """A network's line."""
    bits = report["options"].get("precision")
    names = report["table"], report["trainer"], report["asked"] + ("" if bits is None else f", {bits:g} bits")
    if "refused" in report:
        return (*names, report["refused"].replace("|", "\\|"), *[""] * (len(HEADING) - 4))
    number = report["patients"]
    return (
        *names,
        f"{report['as_in_clear']} of {number}",
        str(sum(found["tie"] for found in report["differing"])),
        str(len(report["lost"])),
        f"{report['encrypted_as_simulated']} of {number}",
        f"{report['right_clear']} / {report['right_encrypted']}",
        f"{100 * report['largest_error_of_logit'] / report['range_of_logit']:.2g}% of its range",
        str(report["levels"]),
        f"2^{report['ring_degree'].bit_length() - 1}",
        f"{report['predicted_seconds']:.2f} s",
    )


def differences(report: Report) -> list[str]:
    """The patients who are answered otherwise, by number."""
    where = f"{report['table']}, {report['trainer']}, {report['asked']}"
    return [
        f"* {where}: patient {found['row']} of the test part, line {found['line']} of the file: the logit is "
        f"{found['clear']:.3g} in clear and {found['encrypted']:.3g} encrypted"
        + (f", within the stated error of {report['stated_error_of_logit']:.2g}: a tie" if found["tie"] else "")
        for found in report.get("differing", ())
    ]


if __name__ == "__main__":
    sys.exit(main())

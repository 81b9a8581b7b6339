"""Cross-validate the tables' networks, in clear and shared: five times five folds, with each activation.

    python validate.py --data DIR                                   # writes figures/validation.json; minutes
    python validate.py breast --activation relu silu --data DIR

Of each fold a network is trained, compiled with ``--scheme sharing``, and simulated on the fold's rows as both parties
compute. A row that is decided otherwise than in clear is a tie where the two scores are closer in clear than twice the
error that the plan states.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found, unused-ignore]
from architectures import ACTIVATIONS, ARCHITECTURES
from data import TABLES, Array, Rows, prepared, table
from sklearn.model_selection import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
    RepeatedStratifiedKFold,
)
from train import export, scores, train

import hecc

HERE = Path(__file__).resolve().parent
FIGURES = HERE / "figures" / "validation.json"
FOLDS = REPEATS = 5
NORMAL = 1.96


def fold(name: str, activation: str, rows: Rows, seed: int) -> dict[str, Any]:
    """One fold: how many rows are right in clear and shared, and those that are decided otherwise."""
    network = train(ARCHITECTURES[name], activation, rows.train, rows.train_labels, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        export(network, rows.train.shape[1:], path)
        clear = scores(path, rows.test)
        plan = hecc.compile(path, scheme="sharing", calibration=rows.train, input_range=rows.range, ranges="observed")
        error = 2.0**-plan.header.precision * np.ptp(scores(path, rows.train))
    (shared,) = hecc.simulate(plan, rows.test, seed=seed).values()
    wanted, decided = clear.argmax(axis=1), shared.argmax(axis=1)
    margins = np.abs(clear[:, 0] - clear[:, 1])[wanted != decided]
    return {
        "rows": len(rows.test),
        "clear": int((wanted == rows.test_labels).sum()),
        "shared": int((decided == rows.test_labels).sum()),
        "otherwise": [{"margin": float(margin), "tie": bool(margin <= 2 * error)} for margin in margins],
    }


def interval(values: Array) -> tuple[float, float]:
    """The mean of all folds, and half of its 95% interval: training sets overlap (Nadeau, Bengio, 2003, section 3)."""
    variance = float(np.var(values, ddof=1)) * (1 / len(values) + 1 / (FOLDS - 1))
    return float(np.mean(values)), NORMAL * math.sqrt(variance)


def validated(name: str, activation: str, folder: Path) -> dict[str, Any]:
    """All folds of a table with an activation."""
    whole = table(name, folder)
    splits = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=REPEATS, random_state=0)
    found = [
        fold(name, activation, prepared(whole, train_rows, test_rows), seed)
        for seed, (train_rows, test_rows) in enumerate(splits.split(whole.rows, whole.labels))
    ]
    clear, shared = (100 * np.array([each[what] / each["rows"] for each in found]) for what in ("clear", "shared"))
    otherwise = [each for of in found for each in of["otherwise"]]
    return {
        "data": name,
        "activation": activation,
        "folds": len(found),
        "rows": sum(each["rows"] for each in found),
        "clear": interval(clear),
        "shared": interval(shared),
        "loss": interval(clear - shared),
        "otherwise": len(otherwise),
        "ties": sum(each["tie"] for each in otherwise),
        "largest_margin": max((each["margin"] for each in otherwise), default=0.0),
    }


def main() -> None:
    """Validate what is asked for, and keep the figures of the rest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("tables", nargs="*", metavar="TABLE", help=f"{', '.join(TABLES)} (all)")
    add("--data", type=Path, required=True, metavar="DIR", help="the folder that README.md describes")
    add("--activation", nargs="+", choices=ACTIVATIONS, default=list(ACTIVATIONS), help="all by default")
    add("--out", type=Path, default=FIGURES, metavar="FILE", help="what to write (figures/validation.json)")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.tables) - set(TABLES))
    if unknown:
        parser.error(f"there is no table {unknown[0]}: {', '.join(TABLES)}")
    torch.set_num_threads(1)
    arguments.out.parent.mkdir(exist_ok=True)
    kept = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.exists() else []
    figures = {(each["data"], each["activation"]): each for each in kept}
    for activation in arguments.activation:
        for name in arguments.tables or TABLES:
            figures[name, activation] = found = validated(name, activation, arguments.data)
            print(json.dumps(found), flush=True)
            ordered = [figures[key] for key in sorted(figures, key=_place)]
            arguments.out.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


def _place(key: tuple[str, str]) -> tuple[int, int]:
    return list(TABLES).index(key[0]), list(ACTIVATIONS).index(key[1])


if __name__ == "__main__":
    main()

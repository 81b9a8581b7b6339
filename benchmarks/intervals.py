"""Do rows leave the intervals of polynomials as rarely as compile says? Trains networks, calibrates, and counts.

Networks with ReLU and tanh are trained on MNIST, Fashion-MNIST and the breast cancer table, and compiled with 256 rows
of the training set, several times with other rows. Of the test set those rows are counted that leave the interval of a
polynomial, and those that are lost, without noise, beside the number that the plan expects at the most.

    python benchmarks/intervals.py DATA_FOLDER [--draws 4] [--json FILE]

``DATA_FOLDER`` holds mnist/ and fashion_mnist/ with the idx .gz files. Of Fashion-MNIST only the test set is needed:
4,000 of its images are trained with, the others tested.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer

import hecc

CALIBRATION = 256
STEPS, BATCH = 4000, 64
NETWORKS = (
    ("ReLU", torch.nn.ReLU, (32,), 5.0),
    ("ReLU, ReLU", torch.nn.ReLU, (32, 32), 4.0),
    ("tanh, tanh", torch.nn.Tanh, (32, 32), 8.0),
)
"""Activations, sizes of the hidden layers, and bits of precision asked for."""


class Data(NamedTuple):
    """A data set: rows of shape (rows, features), and their classes."""

    name: str
    train: NDArray[np.float32]
    labels: NDArray[np.int64]
    test: NDArray[np.float32]
    answers: NDArray[np.int64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--draws", type=int, default=4, help="how often other rows are calibrated with")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    reports = []
    print("| data | activations | test rows | expected of 1,000 | outside of 1,000, by draw | lost | accuracy |")
    print("|---|---|---|---|---|---|---|")
    for data in data_sets(arguments.data):
        for name, activation, sizes, precision in NETWORKS:
            network = trained(data, activation, sizes)
            runs = [measured(network, data, precision, draw) for draw in range(arguments.draws)]
            reports.append({"data": data.name, "network": name, "runs": runs})
            expected, outside, lost, accuracy = (
                ", ".join(f"{run[key]:.2g}" for run in runs) for key in ("expected", "outside", "lost", "accuracy")
            )
            print(
                f"| {data.name} | {name} | {len(data.test)} | {expected} | {outside} | {lost} | {accuracy} |",
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(reports, indent=1) + "\n")


def measured(network: torch.nn.Module, data: Data, precision: float, draw: int) -> dict[str, Any]:
    """Compile with some rows of the training set, and count rows of the test set."""
    chosen = np.random.default_rng(draw).choice(len(data.train), CALIBRATION, replace=False)
    low, high = float(min(data.train.min(), data.test.min())), float(max(data.train.max(), data.test.max()))
    start = time.perf_counter()
    plan = hecc.compile(
        network,
        example_input=torch.zeros(1, data.train.shape[1]),
        calibration=data.train[chosen],
        input_range=(low, high),
        precision=precision,
    )
    seconds = time.perf_counter() - start
    outputs = hecc.simulate(plan, data.test, noise=False)
    (scores,) = outputs.values()
    return {
        "seconds": seconds,
        "depth": plan.header.estimate.depth,
        "expected": plan.header.estimate.outside_per_thousand or 0.0,
        "outside": 1000 * len(outputs.outside) / len(data.test),
        "lost": len(outputs.lost),
        # A row that is lost has no class, and is wrong.
        "accuracy": float(((scores.argmax(axis=1) == data.answers) & ~np.isnan(scores).any(axis=1)).mean()),
    }


def trained(data: Data, activation: type[torch.nn.Module], sizes: tuple[int, ...]) -> torch.nn.Sequential:
    """A network of dense layers, trained with Adam."""
    torch.manual_seed(0)
    layers: list[torch.nn.Module] = []
    widths = [data.train.shape[1], *sizes, int(data.labels.max()) + 1]
    for inner, outer in itertools.pairwise(widths):
        layers += [torch.nn.Linear(inner, outer), activation()]
    network = torch.nn.Sequential(*layers[:-1])
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    rows, labels = torch.from_numpy(data.train), torch.from_numpy(data.labels)
    for _ in range(STEPS):
        chosen = torch.randint(len(rows), (BATCH,))
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(rows[chosen]), labels[chosen]).backward()
        optimiser.step()
    return network.eval()


def data_sets(folder: Path) -> Iterator[Data]:
    """MNIST, Fashion-MNIST and the table."""
    mnist = [images(folder / "mnist", kind) for kind in ("train", "t10k")]
    yield Data("MNIST", *mnist[0], *mnist[1])
    pictures, classes = images(folder / "fashion_mnist", "t10k")
    yield Data("Fashion-MNIST", pictures[:4000], classes[:4000], pictures[4000:], classes[4000:])
    table = load_breast_cancer()
    order = np.random.default_rng(0).permutation(len(table.data))
    rows = ((table.data - table.data.mean(axis=0)) / table.data.std(axis=0)).astype(np.float32)[order]
    answers = table.target.astype(np.int64)[order]
    yield Data("breast cancer", rows[:285], answers[:285], rows[285:], answers[285:])


def images(folder: Path, kind: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Images of shape (rows, 784) from 0 to 1, and their classes."""
    raw = [
        gzip.decompress((folder / f"{kind}-{name}.gz").read_bytes())
        for name in ("images-idx3-ubyte", "labels-idx1-ubyte")
    ]
    pixels = np.frombuffer(raw[0], np.uint8, offset=16).reshape(-1, 784)
    return (pixels / 255).astype(np.float32), np.frombuffer(raw[1], np.uint8, offset=8).astype(np.int64)


if __name__ == "__main__":
    main()

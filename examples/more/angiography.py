"""Stenosis in patches of X-ray angiograms, trained on encoded images, beside the same in clear.

    python angiography.py --data DIR     # DIR has xca_stenosis_32x32.npz

There are few images, 125 to train on and 122 to test, so the figures are over ten seeds. Writes
figures/angiography.json, and a picture into docs/figures.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch  # type: ignore[import-not-found, unused-ignore]
from story import export, predict, save_picture, train_twice, write_figures
from torch import nn  # type: ignore[import-not-found, unused-ignore]

mpl.use("Agg")
import matplotlib.pyplot as plt


def network(seed: int) -> nn.Module:
    """Two convolutions with smooth activations, an average of what they find, and a dense layer."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2),
        nn.SiLU(),
        nn.Conv2d(8, 16, 3, stride=2),
        nn.SiLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(144, 2),
    )


def main() -> None:
    """Train with every seed, twice each."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--seeds", type=int, default=10)
    arguments.add_argument("--epochs", type=int, default=30)
    given = arguments.parse_args()
    with np.load(given.data / "xca_stenosis_32x32.npz") as file:
        arrays = {name: file[name] for name in file}
    images = {part: arrays[f"{part}_images"][:, np.newaxis] / 127.5 - 1 for part in ("train", "val", "test")}
    labels = {part: arrays[f"{part}_labels"].reshape(-1).astype(int) for part in ("train", "val", "test")}
    rows = np.concatenate([images["train"], images["val"]])
    answers = np.concatenate([labels["train"], labels["val"]])
    accuracies: dict[str, list[float]] = {"encoded": [], "clear": []}
    differences, seconds = [], {"encoded": 0.0, "clear": 0.0}
    for seed in range(given.seeds):
        found = train_twice(
            export(network(seed), rows[:1]),
            "cross-entropy",
            rows,
            answers,
            epochs=given.epochs,
            batch_size=25,
            optimizer="adam",
            learning_rate=0.002,
            schedule="cosine",
            seed=seed,
        )
        for kind, scores in accuracies.items():
            scores.append(float((predict(found[kind], images["test"]).argmax(1) == labels["test"]).mean()))
            seconds[kind] += found[f"{kind}_seconds"]
        differences.append(found["largest_difference"])
        print(seed, accuracies["encoded"][-1], accuracies["clear"][-1], differences[-1], flush=True)
    majority = int(np.bincount(answers).argmax())
    result: dict[str, Any] = {
        "seeds": given.seeds,
        "training_images": len(rows),
        "test_images": len(labels["test"]),
        "majority_class": float((labels["test"] == majority).mean()),
        "largest_difference_of_losses": max(differences),
    }
    for kind, scores in accuracies.items():
        # The interval of the mean over seeds: Student's t with nine degrees of freedom.
        half = 2.262 * float(np.std(scores, ddof=1)) / np.sqrt(len(scores))
        result |= {
            f"accuracy_{kind}": float(np.mean(scores)),
            f"interval_{kind}": [float(np.mean(scores)) - half, float(np.mean(scores)) + half],
            f"seconds_{kind}": seconds[kind],
            f"all_{kind}": scores,
        }
    write_figures("angiography", result)
    draw(result)


def draw(result: dict[str, Any]) -> None:
    """Every seed's accuracy, encoded in clear rings, with the interval of the mean and what the larger class gives.

    No image is shown, as the data's licence says nothing of copies.
    """
    figure, axis = plt.subplots(figsize=(7, 3.2))
    seeds = np.arange(result["seeds"])
    axis.axhspan(*result["interval_encoded"], color="tab:blue", alpha=0.15, label="mean, 95% interval")
    axis.plot(seeds, result["all_clear"], "o", markersize=11, markerfacecolor="none", color="0.5", label="in clear")
    axis.plot(seeds, result["all_encoded"], "o", markersize=5, color="tab:blue", label="encoded")
    axis.axhline(result["majority_class"], color="tab:red", linewidth=1, label="always the larger class")
    axis.set_xticks(seeds)
    axis.set_xlabel("seed")
    axis.set_ylabel("accuracy on 122 test images")
    axis.legend(fontsize=8)
    save_picture(figure, "angiography")


if __name__ == "__main__":
    main()

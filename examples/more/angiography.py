"""Stenosis in patches of X-ray angiograms, trained on encoded images, beside the same in clear.

    python angiography.py --data DIR     # DIR has xca_stenosis_32x32.npz

There are few images, 125 to train on and 122 to test, so the figures are over ten seeds. Writes
figures/angiography.json and figures/angiography.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

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
    result = {
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
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), width_ratios=(2, 1))
    shown = [images["test"][labels["test"] == kind][:5, 0] for kind in (1, 0)]
    axes[0].imshow(np.concatenate([np.concatenate(list(each), axis=1) for each in shown]), cmap="gray")
    axes[0].set_title("above stenosis, below none", fontsize=9)
    axes[0].axis("off")
    axes[1].plot(accuracies["clear"], accuracies["encoded"], "o")
    ends = [min(accuracies["clear"]), max(accuracies["clear"])]
    axes[1].plot(ends, ends, color="0.5", linewidth=1)
    axes[1].set_xlabel("accuracy in clear, a point per seed")
    axes[1].set_ylabel("encoded")
    save_picture(figure, "angiography")


if __name__ == "__main__":
    main()

"""Train a small network for handwritten digits on encoded images, beside the same in clear.

    python digits.py --data DIR          # DIR has the four files of MNIST, train-images-idx3-ubyte.gz and the others

Writes figures/digits.json, and pictures of the losses and of the attack into docs/figures.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch  # type: ignore[import-not-found, unused-ignore]
from sklearn.datasets import load_digits  # type: ignore[import-untyped, import-not-found, unused-ignore]
from story import PICTURES, export, predict, save_picture, train_twice, write_figures
from torch import nn  # type: ignore[import-not-found, unused-ignore]

import hecc
from hecc.attacks.eigenvalues import attack, write_recovered

mpl.use("Agg")
import matplotlib.pyplot as plt


def read(path: Path) -> Any:
    """An array of MNIST's format."""
    content = gzip.decompress(path.read_bytes())
    shape = [int.from_bytes(content[4 + 4 * k : 8 + 4 * k], "big") for k in range(content[3])]
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def network() -> nn.Module:
    """Two convolutions with stride 2, smooth activations, and a dense layer."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2),
        nn.SiLU(),
        nn.Conv2d(8, 16, 5, stride=2),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


def show_attack() -> None:
    """What the server sees of the digits that scikit-learn has, and what it makes of it without a key."""
    images = load_digits().images[:, np.newaxis] / 16
    first = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    plan = hecc.compile(export(first, images[:1]), scheme="more", calibration=images)
    with tempfile.TemporaryDirectory() as name:
        client = hecc.Client(plan.client(), min_security="none")
        client.keygen(Path(name) / "keys")
        encoded = client.encrypt(images[:8])
        found = attack(encoded.dumps())
        write_recovered(found, Path(name) / "recovered.png")
    seen = encoded.tensors["x"].planes[0, 0]  # type: ignore[attr-defined]
    shown = [("in the file: one of four numbers a pixel", seen[:, 0])]
    shown += [
        (f"recovered, {what}", channel[:, 0])
        for what, channel in zip(("the data", "the decoy"), found.candidates["x"], strict=True)
    ]
    figure, axes = plt.subplots(3, 1, figsize=(8, 3.9))
    for axis, (title, pictures) in zip(axes, shown, strict=True):
        axis.imshow(np.concatenate(list(pictures), axis=1), cmap="gray")
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    save_picture(figure, "attack")
    error = float(np.abs(found.candidates["x"][0] - images[:8]).max())
    print(f"attack: the largest error of a recovered pixel is {error:.1e}")


def main() -> None:
    """Train twice, measure, draw."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--images", type=int, default=6000)
    given = arguments.parse_args()
    images = [read(given.data / f"{part}-images-idx3-ubyte.gz")[:, np.newaxis] / 255 for part in ("train", "t10k")]
    labels = [read(given.data / f"{part}-labels-idx1-ubyte.gz") for part in ("train", "t10k")]
    rows, answers = images[0][: given.images], labels[0][: given.images]
    model = export(network(), rows[:1])
    found = train_twice(
        model, "cross-entropy", rows, answers, epochs=1, batch_size=50, optimizer="adam", learning_rate=0.01
    )
    scores = {kind: predict(found[kind], images[1]) for kind in ("encoded", "clear")}
    write_figures(
        "digits",
        {
            "training_images": len(rows),
            "test_images": len(images[1]),
            "accuracy_encoded": float((scores["encoded"].argmax(1) == labels[1]).mean()),
            "accuracy_clear": float((scores["clear"].argmax(1) == labels[1]).mean()),
            "same_class": float((scores["encoded"].argmax(1) == scores["clear"].argmax(1)).mean()),
            "largest_difference_of_losses": found["largest_difference"],
            "last_loss": float(found["encoded_losses"][-1]),
            "seconds_encoded": found["encoded_seconds"],
            "seconds_clear": found["clear_seconds"],
        },
    )
    figure, axis = plt.subplots(figsize=(7, 3.2))
    axis.plot(found["clear_losses"], color="0.7", linewidth=4, label="in clear")
    axis.plot(found["encoded_losses"], color="tab:blue", linewidth=1, label="encoded")
    axis.set_xlabel("step")
    axis.set_ylabel("cross-entropy")
    axis.legend()
    save_picture(figure, "digits")
    show_attack()
    print(f"pictures in {PICTURES}")


if __name__ == "__main__":
    main()

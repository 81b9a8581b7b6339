"""Train the digit network that is shipped inside hecc, and export it to ONNX together with a few images.

The images are the handwritten digits bundled with scikit-learn: 1797 images of 8x8 pixels, nothing to download.
Both activations are squares, ``x * x``, so nothing is lost when the network is evaluated on encrypted images.
PyTorch and scikit-learn are needed to run this script and for nothing else.

    python train.py            # half a minute; writes digits.onnx and digits.npz into src/hecc/data
"""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from pathlib import Path
from typing import Any

try:
    import numpy as np
    import onnx
    import onnxruntime
    import torch  # type: ignore[import-not-found, unused-ignore]
    import torch.nn.functional as F  # type: ignore[import-not-found, unused-ignore]
    from sklearn.datasets import load_digits  # type: ignore[import-untyped, import-not-found, unused-ignore]
    from sklearn.model_selection import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
        train_test_split,
    )
    from torch import nn  # type: ignore[import-not-found, unused-ignore]
except ImportError as error:
    sys.exit(
        f"train.py needs the package '{error.name}', which is not installed here: "
        "pip install torch onnx onnxscript onnxruntime scikit-learn (only training needs them, not hecc)."
    )

DATA = Path(__file__).resolve().parents[2] / "src" / "hecc" / "data"
HELD_OUT = 360  # images that training never sees
SHIPPED, CALIBRATION = 16, 200  # images in digits.npz: held out, and from the training set
BATCH = 96
SOFT_BOUND = 3.0  # what goes into a square is discouraged from leaving [-3, 3]

Floats = np.ndarray[Any, np.dtype[np.float32]]
Labels = np.ndarray[Any, np.dtype[np.int64]]


class Square(nn.Module):  # type: ignore[misc, unused-ignore]
    """The activation ``x * x``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Square every value."""
        return x * x


def build() -> nn.Module:
    """Build the network: a 3x3 convolution to 8 maps (8 x 6 x 6 = 288 values) and two dense layers."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), Square(),
        nn.Flatten(), nn.Linear(288, 64), Square(),
        nn.Linear(64, 10),
    )  # fmt: skip


def load() -> tuple[Floats, Labels, Floats, Labels]:
    """Load the digits, scaled from 0..16 to [0, 1], and hold some out.

    Returns
    -------
    tuple of ndarray
        Training images (n, 1, 8, 8) and labels (n,), then the held-out images and labels.
    """
    digits = load_digits()
    images = (digits.images[:, None] / 16).astype(np.float32)
    labels = digits.target.astype(np.int64)
    x, held_x, y, held_y = train_test_split(images, labels, test_size=HELD_OUT, random_state=0, stratify=labels)
    return x, y, held_x, held_y


def shift(images: torch.Tensor) -> torch.Tensor:
    """Shift every image by up to half a pixel in each direction.

    Parameters
    ----------
    images : Tensor
        A batch of images.

    Returns
    -------
    Tensor
        The shifted images.
    """
    maps = torch.eye(2, 3).repeat(len(images), 1, 1)
    maps[:, :, 2] = (2 * torch.rand(len(images), 2) - 1) / images.shape[-1]
    return F.grid_sample(images, F.affine_grid(maps, list(images.shape), align_corners=False), align_corners=False)


def train(network: nn.Module, images: Floats, labels: Labels, epochs: int) -> None:
    """Train a network in place; half of every batch is shifted a little.

    Values that go into a square and leave ``[-SOFT_BOUND, SOFT_BOUND]`` cost extra: a network whose values stay small
    is more precise under encryption.

    Parameters
    ----------
    network : Module
        A network whose activations are `Square`.
    images, labels : ndarray
        The training set.
    epochs : int
        Passes over it.
    """
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-3)
    steps = epochs * math.ceil(len(x) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps, pct_start=0.15)
    excess: list[torch.Tensor] = []

    def watch(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        excess.append(F.relu(inputs[0].abs() - SOFT_BOUND).square().sum() / len(inputs[0]))

    hooks = [module.register_forward_pre_hook(watch) for module in network.modules() if isinstance(module, Square)]
    network.train()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for first in range(0, len(x), BATCH):
            excess.clear()
            batch = order[first : first + BATCH]
            some = x[batch]
            half = len(some) // 2
            logits = network(torch.cat([shift(some[:half]), some[half:]]))
            loss = F.cross_entropy(logits, y[batch], label_smoothing=0.05) + 0.01 * sum(excess)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    for hook in hooks:
        hook.remove()
    network.eval()


def export(network: nn.Module, path: Path) -> None:
    """Write a network to one ONNX file with a dynamic batch dimension and nothing about this machine in it.

    Parameters
    ----------
    network : Module
        A trained network, in evaluation mode.
    path : Path
        The file to write.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is called legacy; it writes the plainest graph
        torch.onnx.export(
            network,
            (torch.zeros(1, 1, 8, 8),),
            path,
            dynamo=False,
            opset_version=17,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
        )
    model = onnx.load(path)
    model.doc_string = ""
    del model.metadata_props[:]
    for item in [model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer]:
        item.doc_string = ""
        del item.metadata_props[:]
    model.graph.name = path.stem
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def accuracy(path: Path, images: Floats, labels: Labels) -> float:
    """Measure the accuracy of an ONNX file with onnxruntime.

    Parameters
    ----------
    path : Path
        The file.
    images, labels : ndarray
        The images to classify and what they are.

    Returns
    -------
    float
        The fraction classified correctly.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    logits = np.asarray(session.run(["logits"], {"image": images})[0])
    return float((logits.argmax(axis=1) == labels).mean())


def one_of_each(labels: Labels) -> list[int]:
    """Choose images to ship: the first of each digit, 0 to 9, then the second of each, and so on.

    Parameters
    ----------
    labels : ndarray
        What the images are.

    Returns
    -------
    list of int
        `SHIPPED` positions.
    """
    places = [np.flatnonzero(labels == digit) for digit in range(10)]
    return [int(places[i % 10][i // 10]) for i in range(SHIPPED)]


def main() -> None:
    """Train and export the network, and write the images beside it."""
    parser = argparse.ArgumentParser(description="Train the digit network shipped with hecc and export it to ONNX.")
    parser.add_argument("--out", type=Path, default=DATA, metavar="DIR", help="where to write (default: src/hecc/data)")
    parser.add_argument("--epochs", type=int, default=150, help="passes over the training images (default: 150)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the weights and of the order (default: 1)")
    parser.add_argument("--threads", type=int, default=2, help="threads that PyTorch may use (default: 2)")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    images, labels, held_images, held_labels = load()
    network = build()
    train(network, images, labels, arguments.epochs)
    path = arguments.out / "digits.onnx"
    export(network, path)
    chosen = one_of_each(held_labels)
    np.savez_compressed(
        arguments.out / "digits.npz",
        images=held_images[chosen],
        labels=held_labels[chosen],
        calibration=images[:CALIBRATION],
    )
    trained, held = accuracy(path, images, labels), accuracy(path, held_images, held_labels)
    print(f"digits: {held:.2%} of {len(held_labels)} held-out images ({trained:.2%} of the training set)")


if __name__ == "__main__":
    main()

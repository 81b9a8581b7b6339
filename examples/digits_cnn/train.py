"""Train the network of this example as most people would, with ReLU and MaxPool, and export it to ONNX.

    python train.py            # half a minute; writes network.onnx and digits.npz beside this script

Nothing here was done for encryption: this is an ordinary network. The images are the handwritten digits bundled with
scikit-learn, 1797 of 8x8 pixels, so that nothing is downloaded. Neither hecc nor anything else of it is needed.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

try:
    import numpy as np
    import onnx
    import torch  # type: ignore[import-not-found, unused-ignore]
    import torch.nn.functional as F  # type: ignore[import-not-found, unused-ignore]
    from sklearn.datasets import load_digits  # type: ignore[import-untyped, import-not-found, unused-ignore]
    from sklearn.model_selection import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
        train_test_split,
    )
    from torch import nn  # type: ignore[import-not-found, unused-ignore]
except ImportError as error:
    sys.exit(
        f"train.py needs the package '{error.name}', which is not installed here: pip install torch onnx scikit-learn "
        "(only training needs them, not hecc)"
    )

HERE = Path(__file__).resolve().parent
HELD_OUT = 450  # images that training never sees, a quarter
BATCH = 64


def build() -> nn.Module:
    """The network: a 3x3 convolution to 8 maps, ReLU, MaxPool to 3x3 pixels, and two dense layers."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(72, 32), nn.ReLU(),
        nn.Linear(32, 10),
    )  # fmt: skip


def train(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, epochs: int) -> None:
    """Train a network in place.

    Parameters
    ----------
    network : Module
        Any classifier of the images.
    images, labels : Tensor
        The training set.
    epochs : int
        Passes over it.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
    network.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(network(images[batch]), labels[batch]))
            optimizer.step()
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
    model.graph.name = "digits_cnn"
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def main() -> None:
    """Train, export, save the images."""
    parser = argparse.ArgumentParser(description="Train the network of this example and export it to ONNX.")
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="where to write (beside this script)")
    parser.add_argument("--epochs", type=int, default=60, help="passes over the training images (60)")
    arguments = parser.parse_args()

    torch.set_num_threads(2)
    torch.manual_seed(0)
    digits = load_digits()
    images, labels = (digits.images[:, None] / 16).astype(np.float32), digits.target.astype(np.int64)
    x, held_x, y, held_y = train_test_split(images, labels, test_size=HELD_OUT, random_state=0, stratify=labels)
    network = build()
    train(network, torch.from_numpy(x), torch.from_numpy(y), arguments.epochs)
    arguments.out.mkdir(parents=True, exist_ok=True)
    export(network, arguments.out / "network.onnx")
    np.savez_compressed(arguments.out / "digits.npz", images=held_x, labels=held_y, calibration=x)
    with torch.no_grad():
        right = int((network(torch.from_numpy(held_x)).argmax(dim=1).numpy() == held_y).sum())
    print(f"{right} of {HELD_OUT} held-out images right ({right / HELD_OUT:.1%})")


if __name__ == "__main__":
    main()

"""Train the three MNIST networks of this example and export them to ONNX.

Every activation is a square, ``x * x``: it is a polynomial already, so nothing is lost when the network is
evaluated on encrypted images. PyTorch is needed to run this script and for nothing else in the example.

    python train.py --data DIR                 # all three, about seven minutes on two cores
    python train.py --data DIR --network lola  # one of them
    python train.py --data DIR --measure       # no training: measure the networks that are here again

``DIR`` holds the four files of MNIST under their usual names (``train-images-idx3-ubyte.gz`` and so on).
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import math
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import numpy as np
    import onnx
    import onnxruntime
    import torch  # type: ignore[import-not-found, unused-ignore]
    import torch.nn.functional as F  # type: ignore[import-not-found, unused-ignore]
    from torch import nn  # type: ignore[import-not-found, unused-ignore]
except ImportError as error:
    sys.exit(
        f"train.py needs the package '{error.name}', which is not installed here: "
        "pip install torch onnx onnxscript onnxruntime numpy (only training needs them, not hecc)."
    )

HERE = Path(__file__).resolve().parent
Floats = np.ndarray[Any, np.dtype[np.float32]]
Labels = np.ndarray[Any, np.dtype[np.int64]]


class Square(nn.Module):  # type: ignore[misc, unused-ignore]
    """The activation ``x * x``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Square every value."""
        return x * x


def lola() -> nn.Module:
    """Build the network of CryptoNets and LoLa: one convolution (5 x 13 x 13 = 845 values) and two dense layers."""
    return nn.Sequential(
        nn.Conv2d(1, 5, 5, stride=2, padding=1), Square(),
        nn.Flatten(), nn.Linear(845, 100), Square(),
        nn.Linear(100, 10),
    )  # fmt: skip


def lenet() -> nn.Module:
    """Build a LeNet with strided convolutions instead of pooling, and batch normalization before every square."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, stride=2, padding=2), nn.BatchNorm2d(32), Square(),
        nn.Conv2d(32, 64, 5, stride=2, padding=2), nn.BatchNorm2d(64), Square(),
        nn.Flatten(), nn.Linear(3136, 512), nn.BatchNorm1d(512), Square(),
        nn.Linear(512, 10),
    )  # fmt: skip


def mlp() -> nn.Module:
    """Build a perceptron, 784-128-128-10, with batch normalization before every square."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.BatchNorm1d(128), Square(),
        nn.Linear(128, 128), nn.BatchNorm1d(128), Square(),
        nn.Linear(128, 10),
    )  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Parameters
    ----------
    epochs : int
        Passes over the training images.
    rate : float
        The highest learning rate (linear warm-up, then a cosine down to zero).
    decay : float
        Weight decay of the matrices and kernels.
    distortion : float
        Strength of the random shifts, rotations and scalings; 1 is two pixels, ten degrees, ten per cent.
    """

    epochs: int
    rate: float
    decay: float
    distortion: float

    @property
    def plain(self) -> int:
        """The last epochs, which see plain images only, so that batch normalization keeps the statistics of those."""
        return max(1, self.epochs // 6)


NETWORKS = {"lola": lola, "lenet": lenet, "mlp": mlp}
RECIPES = {
    "lola": Recipe(epochs=40, rate=3e-3, decay=1e-3, distortion=0.5),
    "lenet": Recipe(epochs=12, rate=2e-3, decay=1e-2, distortion=0.9),
    "mlp": Recipe(epochs=40, rate=3e-3, decay=1e-2, distortion=0.7),
}

BATCH = 250
SOFT_BOUND = 3.0  # what goes into a square is discouraged from leaving [-3, 3]
SMOOTHING = 0.05  # label smoothing, which keeps the logits small


def read_idx(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Read a gzipped idx file of bytes.

    Parameters
    ----------
    path : Path
        A file of MNIST, such as ``t10k-images-idx3-ubyte.gz``.

    Returns
    -------
    ndarray
        The array in it, uint8.
    """
    try:
        data = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        sys.exit(f"There is no {path.name} in the folder given by --data.")
    if data[:3] != b"\x00\x00\x08":
        sys.exit(f"{path.name} is not an idx file of bytes.")
    rank = data[3]
    shape = np.frombuffer(data, dtype=">u4", count=rank, offset=4).astype(int)
    return np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * rank).reshape(tuple(shape))


def load(folder: Path, split: str) -> tuple[Floats, Labels]:
    """Load images, scaled to [0, 1], and labels.

    Parameters
    ----------
    folder : Path
        Where the four files of MNIST are.
    split : str
        ``train`` or ``t10k``.

    Returns
    -------
    tuple of ndarray
        Images of shape (n, 1, 28, 28), float32, and labels of shape (n,), int64.
    """
    images = read_idx(folder / f"{split}-images-idx3-ubyte.gz")[:, None].astype(np.float32) / np.float32(255)
    labels = read_idx(folder / f"{split}-labels-idx1-ubyte.gz").astype(np.int64)
    return images, labels


def distort(images: torch.Tensor, strength: float) -> torch.Tensor:
    """Shift, rotate and scale every image a little, each in its own way.

    Parameters
    ----------
    images : Tensor
        A batch of images.
    strength : float
        1 is shifts of up to two pixels, rotations of up to ten degrees and scalings of up to ten per cent.

    Returns
    -------
    Tensor
        The distorted images.
    """
    turn, stretch_x, stretch_y, shift_x, shift_y = strength * (2 * torch.rand(5, len(images)) - 1)
    angle = turn * math.radians(10)
    cos, sin, pixel = torch.cos(angle), torch.sin(angle), 2 / images.shape[-1]
    scale_x, scale_y = 1 + 0.1 * stretch_x, 1 + 0.1 * stretch_y
    rows = [scale_x * cos, -sin, 2 * pixel * shift_x, sin, scale_y * cos, 2 * pixel * shift_y]
    maps = torch.stack(rows, dim=1).reshape(-1, 2, 3)
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def train(network: nn.Module, images: Floats, labels: Labels, recipe: Recipe) -> None:
    """Train a network in place.

    Half of every batch is distorted, and nothing in the last epochs: distorted images are a little blurred, and the
    running statistics of batch normalization must be those of plain images, or the squares amplify the difference.
    Values that go into a square and leave ``[-SOFT_BOUND, SOFT_BOUND]`` cost extra. A network whose values stay small
    is more precise under encryption, where every value shares one fixed scale.

    Parameters
    ----------
    network : Module
        A network whose activations are `Square`.
    images, labels : ndarray
        The training set.
    recipe : Recipe
        Epochs, learning rate, weight decay and distortion.
    """
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    batches = len(x) // BATCH
    steps = recipe.epochs * batches
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": recipe.decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=steps, pct_start=0.15)

    excess: list[torch.Tensor] = []

    def watch(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        excess.append(F.relu(inputs[0].abs() - SOFT_BOUND).square().sum() / len(inputs[0]))

    hooks = [module.register_forward_pre_hook(watch) for module in network.modules() if isinstance(module, Square)]
    network.train()
    for epoch in range(recipe.epochs):
        start, total = time.perf_counter(), 0.0
        order = torch.randperm(len(x))
        for batch in order[: batches * BATCH].reshape(batches, BATCH):
            excess.clear()
            some = x[batch]
            if epoch < recipe.epochs - recipe.plain:
                some = torch.cat([distort(some[: BATCH // 2], recipe.distortion), some[BATCH // 2 :]])
            logits = network(some)
            loss = F.cross_entropy(logits, y[batch], label_smoothing=SMOOTHING)
            optimizer.zero_grad()
            torch.autograd.backward(loss + 0.01 * sum(excess))
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        seconds = time.perf_counter() - start
        print(f"  epoch {epoch + 1:2d} of {recipe.epochs}: loss {total / batches:.4f}, {seconds:.0f} s", flush=True)
    for hook in hooks:
        hook.remove()
    network.eval()


def export(network: nn.Module, path: Path) -> None:
    """Write a network to one ONNX file, with a dynamic batch dimension and with batch normalization kept as a node.

    Parameters
    ----------
    network : Module
        A trained network, in evaluation mode.
    path : Path
        The file to write.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is called legacy; it can keep BatchNormalization
        torch.onnx.export(
            network,
            (torch.zeros(1, 1, 28, 28),),
            path,
            dynamo=False,
            opset_version=17,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
        )
    model = onnx.load(path)
    strip(model)
    model.graph.name = path.stem
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def strip(model: onnx.ModelProto) -> None:
    """Remove what an exporter notes about the machine and the source code: documentation, metadata, inner shapes."""
    model.doc_string = ""
    del model.metadata_props[:]
    del model.graph.value_info[:]
    graph = model.graph
    for item in [graph, *graph.node, *graph.input, *graph.output, *graph.initializer]:
        item.doc_string = ""
        del item.metadata_props[:]


def measure(path: Path, images: Floats, labels: Labels) -> dict[str, Any]:
    """Measure a network with onnxruntime.

    Parameters
    ----------
    path : Path
        The ONNX file.
    images, labels : ndarray
        The test set.

    Returns
    -------
    dict
        ``accuracy`` (a fraction); ``largest``, the largest magnitude after every node, by the node's name and in the
        graph's order; ``bytes`` and ``sha256`` of the file.
    """
    data = path.read_bytes()
    model = onnx.load_from_string(data)
    outputs = {node.output[0]: node.name or node.output[0] for node in model.graph.node if node.op_type != "Constant"}
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    largest = dict.fromkeys(outputs.values(), 0.0)
    correct = 0
    for first in range(0, len(images), 1000):
        values = session.run(list(outputs), {"image": images[first : first + 1000]})
        for name, value in zip(outputs.values(), values, strict=True):
            largest[name] = max(largest[name], round(float(np.abs(value).max()), 3))
        correct += int((values[-1].argmax(axis=1) == labels[first : first + 1000]).sum())
    return {
        "accuracy": correct / len(images),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "largest": largest,
    }


def main() -> None:
    """Train, export and measure the networks asked for."""
    parser = argparse.ArgumentParser(description="Train the MNIST networks of this example and export them to ONNX.")
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="the folder with the four files of MNIST")
    add("--network", choices=sorted(NETWORKS), action="append", help="a network to train (default: all)")
    add("--out", type=Path, default=HERE, metavar="DIR", help="where to write (default: beside this script)")
    add("--epochs", type=int, help="passes over the training images (default: the network's own recipe)")
    add("--seed", type=int, default=1, help="seed of the weights, order and distortion (default: 1)")
    add("--threads", type=int, default=2, help="threads that PyTorch may use (default: 2)")
    add("--measure", action="store_true", help="train nothing, measure the files that are there")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    images, labels = load(arguments.data, "train")
    test_images, test_labels = load(arguments.data, "t10k")
    report_path = arguments.out / "accuracy.json"
    report = json.loads(report_path.read_text()) if report_path.exists() else {}
    for name in arguments.network or NETWORKS:
        path = arguments.out / f"{name}.onnx"
        if not arguments.measure:
            recipe = RECIPES[name]
            if arguments.epochs is not None:
                recipe = Recipe(arguments.epochs, recipe.rate, recipe.decay, recipe.distortion)
            print(f"{name}:")
            torch.manual_seed(arguments.seed)
            network = NETWORKS[name]()
            train(network, images, labels, recipe)
            export(network, path)
        report[name] = measure(path, test_images, test_labels)
        print(f"{name}: {report[name]['accuracy']:.2%} of {len(test_labels)} images, {report[name]['bytes']} bytes")
    report_path.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()

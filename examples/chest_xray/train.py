"""Train the chest X-ray network of this example and export it to ONNX.

    python train.py --data DIR             # about a minute on one core
    python train.py --data DIR --held-out  # train on 1200 images, measure on the other 200, write nothing

Every activation is a square, ``x * x``, which encryption evaluates exactly. PyTorch is needed to run this script and
for nothing else in the example. ``DIR`` is the folder that README.md describes.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from data import Array, load

try:
    import onnx
    import torch  # type: ignore[import-not-found, unused-ignore]
    import torch.nn.functional as F  # type: ignore[import-not-found, unused-ignore]
    from torch import nn  # type: ignore[import-not-found, unused-ignore]
except ImportError as error:
    sys.exit(
        f"train.py needs the package '{error.name}', which is not installed here: pip install torch onnx pillow "
        "(only training needs them, not hecc)"
    )

HERE = Path(__file__).resolve().parent
BATCH = 100
HELD_OUT = 200
SOFT_BOUND = 3.0  # what goes into a square is discouraged from leaving [-3, 3]
SMOOTHING = 0.05  # label smoothing, which keeps the logits small


class Square(nn.Module):  # type: ignore[misc, unused-ignore]
    """The activation ``x * x``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Square every value."""
        return x * x


def network() -> nn.Module:
    """Build the network: three convolutions, each with batch normalization and a square, then a pooling and a layer.

    The first has stride 4, so that its 16 maps have no more values than the image has pixels: all that is encrypted
    fits one ciphertext, from the input to the output.
    """
    return nn.Sequential(
        nn.Conv2d(1, 16, 8, stride=4, padding=2), nn.BatchNorm2d(16), Square(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), Square(),
        nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), Square(),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(512, 2),
    )  # fmt: skip


def distort(images: torch.Tensor, strength: float) -> torch.Tensor:
    """Mirror half of the images; shift, turn and stretch each in its own way.

    Parameters
    ----------
    images : Tensor
        A batch of images.
    strength : float
        1 is shifts of up to five per cent of the width, rotations of up to eight degrees, scalings of up to ten per
        cent.

    Returns
    -------
    Tensor
        The distorted images.
    """
    turn, stretch_x, stretch_y, shift_x, shift_y = strength * (2 * torch.rand(5, len(images)) - 1)
    mirror = torch.where(torch.rand(len(images)) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(turn * math.radians(8)), torch.sin(turn * math.radians(8))
    scale_x, scale_y = 1 + 0.1 * stretch_x, 1 + 0.1 * stretch_y
    rows = [mirror * scale_x * cos, -sin, 0.1 * shift_x, mirror * sin, scale_y * cos, 0.1 * shift_y]
    maps = torch.stack(rows, dim=1).reshape(-1, 2, 3)
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False, padding_mode="border")


def train(images: Array, labels: Array, *, epochs: int, rate: float, decay: float, strength: float) -> nn.Module:
    """Train the network.

    Three quarters of every batch are distorted, but nothing in the last sixth of the epochs: the statistics that batch
    normalization keeps must be those of plain images, or the squares amplify the difference.

    Parameters
    ----------
    images, labels : ndarray
        The training set.
    epochs : int
        Passes over it.
    rate : float
        The highest learning rate (linear warm-up, then a cosine down to zero).
    decay : float
        Weight decay of the matrices and kernels.
    strength : float
        Of the distortions.

    Returns
    -------
    Module
        The trained network, in evaluation mode.
    """
    model = network()
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    batches = len(x) // BATCH
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * batches, pct_start=0.15)

    excess: list[torch.Tensor] = []

    def watch(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        excess.append(F.relu(inputs[0].abs() - SOFT_BOUND).square().sum() / len(inputs[0]))

    hooks = [module.register_forward_pre_hook(watch) for module in model.modules() if isinstance(module, Square)]
    model.train()
    plain, distorted = max(1, epochs // 6), BATCH * 3 // 4
    for epoch in range(epochs):
        start, total = time.perf_counter(), 0.0
        for batch in torch.randperm(len(x))[: batches * BATCH].reshape(batches, BATCH):
            excess.clear()
            some = x[batch]
            if epoch < epochs - plain:
                some = torch.cat([distort(some[:distorted], strength), some[distorted:]])
            else:
                mirrored = torch.rand(BATCH) < 0.5
                some = torch.where(mirrored[:, None, None, None], some.flip(3), some)
            loss = F.cross_entropy(model(some), y[batch], label_smoothing=SMOOTHING)
            optimizer.zero_grad()
            torch.autograd.backward(loss + 0.001 * sum(excess))
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        seconds = time.perf_counter() - start
        print(f"  epoch {epoch + 1:2d} of {epochs}: loss {total / batches:.4f}, {seconds:.1f} s", flush=True)
    for hook in hooks:
        hook.remove()
    return model.eval()


def export(model: nn.Module, path: Path) -> None:
    """Write a network to one ONNX file, with a dynamic batch dimension and with batch normalization kept as a node.

    Parameters
    ----------
    model : Module
        A trained network, in evaluation mode.
    path : Path
        The file to write.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is called legacy; it can keep BatchNormalization
        torch.onnx.export(
            model,
            (torch.zeros(1, 1, 64, 64),),
            path,
            dynamo=False,
            opset_version=17,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            input_names=["xray"],
            output_names=["logits"],
            dynamic_axes={"xray": {0: "batch"}, "logits": {0: "batch"}},
        )
    exported = onnx.load(path)
    exported.graph.name = path.stem
    # What an exporter notes about the machine and the source code is nobody's business.
    exported.doc_string = ""
    del exported.metadata_props[:]
    graph = exported.graph
    for item in [graph, *graph.node, *graph.input, *graph.output, *graph.initializer]:
        item.doc_string = ""
        del item.metadata_props[:]
    onnx.checker.check_model(exported, full_check=True)
    onnx.save(exported, path)


def main() -> None:
    """Train, and export or measure."""
    parser = argparse.ArgumentParser(description="Train the chest X-ray network of this example and export it to ONNX.")
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="the folder that README.md describes")
    add("--out", type=Path, default=HERE / "xray.onnx", metavar="FILE", help="what to write (xray.onnx beside this)")
    add("--epochs", type=int, default=60, help="passes over the training images (60)")
    add("--seed", type=int, default=1, help="seed of the weights, order and distortion (1)")
    add("--threads", type=int, default=1, help="threads that PyTorch may use (1)")
    add("--held-out", action="store_true", help="train without 200 of the training images, measure on these")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    images, labels = load(arguments.data, "train")
    recipe = {"epochs": arguments.epochs, "rate": 3e-3, "decay": 0.3, "strength": 2.5}
    if not arguments.held_out:
        export(train(images, labels, **recipe), arguments.out)
        return
    order = np.random.default_rng(0).permutation(len(images))
    held, kept = order[:HELD_OUT], order[HELD_OUT:]
    model = train(images[kept], labels[kept], **recipe)
    with torch.no_grad():
        right = model(torch.from_numpy(images[held])).argmax(dim=1).numpy() == labels[held]
    print(f"{right.mean():.1%} of {HELD_OUT} held-out images")


if __name__ == "__main__":
    main()

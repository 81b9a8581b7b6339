"""Train the networks of this example and export them to ONNX, each with the rows that it is measured on.

    python train.py --data DIR --out networks                      # all, in ReLU and a smooth variant
    python train.py breast liver --data DIR --out networks         # some of them
    python train.py secureml --activation tanh --data DIR --out networks
    python train.py --shipped --data DIR --out networks            # where weights are here, take those

Writes ``NAME-ACTIVATION.onnx`` and ``NAME-ACTIVATION.npz``. ``DIR`` is the folder that README.md describes. PyTorch is
needed for training and for nothing else.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
import warnings
from pathlib import Path

import numpy as np

try:
    import onnx
    import onnxruntime
    import torch  # type: ignore[import-not-found, unused-ignore]
    import torch.nn.functional as F  # type: ignore[import-not-found, unused-ignore]
    from torch import nn  # type: ignore[import-not-found, unused-ignore]
except ImportError as error:
    sys.exit(
        f"train.py needs the package '{error.name}', which is not installed here: pip install torch onnx onnxruntime "
        "pillow (only training needs them, not hecc)"
    )

from architectures import ACTIVATIONS, ARCHITECTURES, Architecture
from data import SOURCES, Array, Rows

WEIGHTS = Path(__file__).resolve().parent / "weights"
CALIBRATION = 2000
"""Training rows that a compiler sees, at the most."""

DEFAULT = ("relu", "silu")


def train(architecture: Architecture, activation: str, rows: Array, labels: Array, *, seed: int = 0) -> nn.Module:
    """Train a network.

    Parameters
    ----------
    architecture
        With its recipe.
    activation
        A key of :data:`architectures.ACTIVATIONS`.
    rows, labels
        The training rows, and their classes.
    seed
        Of the weights and the order of rows.

    Returns
    -------
    Module
        In evaluation mode.
    """
    torch.manual_seed(seed)
    network = architecture.made(ACTIVATIONS[activation])
    x, y = torch.from_numpy(rows), torch.from_numpy(labels)
    batches = max(1, len(x) // architecture.batch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=architecture.rate, weight_decay=architecture.decay)
    steps = architecture.epochs * batches
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, architecture.rate, total_steps=steps, pct_start=0.2)
    network.train()
    for _ in range(architecture.epochs):
        for chosen in torch.randperm(len(x))[: batches * architecture.batch].chunk(batches):
            some = x[chosen]
            if architecture.data == "cifar10" and torch.rand(()) < 0.5:
                some = some.flip(3)
            optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(network(some), y[chosen]))
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return network.eval()


def export(network: nn.Module, shape: tuple[int, ...], path: Path) -> None:
    """Write a network to an ONNX file, with any number of rows.

    Parameters
    ----------
    network
        In evaluation mode.
    shape
        Of a row.
    path
        The file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is called legacy
        torch.onnx.export(
            network,
            (torch.zeros(1, *shape),),
            path,
            dynamo=False,
            opset_version=17,
            input_names=["row"],
            output_names=["scores"],
            dynamic_axes={"row": {0: "rows"}, "scores": {0: "rows"}},
        )
    model = onnx.load(path)
    model.graph.name = path.stem
    # What an exporter notes about the machine and the source code is nobody's business.
    model.doc_string = ""
    del model.metadata_props[:]
    for item in [model.graph, *model.graph.node]:
        item.doc_string = ""
        del item.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def save_rows(rows: Rows, path: Path) -> None:
    """Write what a network is calibrated with and measured on, with the range of its inputs."""
    some = np.random.default_rng(0).permutation(len(rows.train))[:CALIBRATION]
    np.savez(path, calibration=rows.train[some], test=rows.test, labels=rows.test_labels, range=np.array(rows.range))


def scores(model: Path, rows: Array) -> Array:
    """What onnxruntime computes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options)
    parts = [session.run(None, {"row": rows[at : at + 500]})[0] for at in range(0, len(rows), 500)]
    found: Array = np.concatenate(parts)
    return found


def main() -> None:
    """Train and export what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("networks", nargs="*", metavar="NETWORK", help=f"{', '.join(ARCHITECTURES)} (all)")
    add("--data", type=Path, required=True, metavar="DIR", help="the folder that README.md describes")
    add("--out", type=Path, required=True, metavar="DIR", help="where to write")
    add("--activation", nargs="+", choices=ACTIVATIONS, default=DEFAULT, help="relu and silu by default")
    add("--epochs", type=int, help="passes over the training rows (each network's own)")
    add("--threads", type=int, default=1, help="that PyTorch may use (1)")
    add("--shipped", action="store_true", help="do not train where weights are beside this script")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.networks) - set(ARCHITECTURES))
    if unknown:
        parser.error(f"there is no network {unknown[0]}: {', '.join(ARCHITECTURES)}")
    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.networks or ARCHITECTURES:
        architecture = ARCHITECTURES[name]
        if arguments.epochs is not None:
            architecture = Architecture(**{**vars(architecture), "epochs": arguments.epochs})
        rows = SOURCES[architecture.data](arguments.data)
        for activation in arguments.activation:
            start = time.perf_counter()
            path = arguments.out / f"{name}-{activation}.onnx"
            shipped = WEIGHTS / path.name
            if arguments.shipped and shipped.exists():
                shutil.copyfile(shipped, path)
            else:
                network = train(architecture, activation, rows.train, rows.train_labels)
                export(network, rows.train.shape[1:], path)
            save_rows(rows, path.with_suffix(".npz"))
            right = float((scores(path, rows.test).argmax(axis=1) == rows.test_labels).mean())
            seconds = time.perf_counter() - start
            print(f"{path.name}: {right:.2%} of {len(rows.test)} test rows, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()

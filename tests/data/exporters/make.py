"""Write the exporter fixtures: tiny networks as PyTorch's two ONNX exporters write them, and what PyTorch answers.

    python make.py             # needs PyTorch 2.13, onnx and onnxscript; the tests need none of PyTorch

Every ``NAME-EXPORTER-opsetN[-OPTION].onnx`` has an ``.npz`` of the same name with the keys ``input`` (a batch of three)
and ``output`` (what PyTorch computes for it). The exporters are

* ``script``: the TorchScript-based exporter (``dynamo=False``); with the option ``train`` in the mode that keeps
  BatchNormalization and Dropout (``training=TrainingMode.PRESERVE``, no constant folding);
* ``dynamo``: the exporter of today (``dynamo=True``); with the option ``raw`` without its optimizer.

The batch dimension is dynamic in every file.
"""

from __future__ import annotations

import logging
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

try:
    import numpy as np
    import onnx
    import torch  # type: ignore[import-not-found, unused-ignore]
    import torch.nn.functional as F  # type: ignore[import-not-found, unused-ignore]
    from torch import nn  # type: ignore[import-not-found, unused-ignore]
except ImportError as error:
    sys.exit(f"make.py needs the package '{error.name}': pip install torch onnx onnxscript numpy")

HERE = Path(__file__).resolve().parent
BATCH = 3


class Network(nn.Module):  # type: ignore[misc, unused-ignore]
    """A network that knows the shape of one input."""

    shape: ClassVar[tuple[int, ...]]


class Vision(Network):
    """Padding, stride, groups, BatchNormalization, both ways to square, average pooling, ``view`` with -1."""

    shape = (2, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 8, 3, padding=1, groups=2)
        self.pool = nn.AvgPool2d(2)
        self.last = nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the network."""
        x = self.norm(self.first(x))
        x = self.second(x * x)
        x = self.pool(x**2)
        y: torch.Tensor = self.last(x.view(x.size(0), -1))
        return y


class Global(Network):
    """Depthwise and 1x1 convolutions, global average pooling, flatten, dropout."""

    shape = (3, 7, 7)

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(3, 3, 3, padding=1, groups=3)
        self.norm = nn.BatchNorm2d(3)
        self.pointwise = nn.Conv2d(3, 8, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.3)
        self.last = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the network."""
        x = self.norm(self.depthwise(x)) ** 2
        x = self.pointwise(x)
        x = self.pool(x * x)
        y: torch.Tensor = self.last(self.dropout(torch.flatten(x, 1)))
        return y


class Residual(Network):
    """A residual block with a strided shortcut, uneven padding, dilation, ``torch.square``, a mean over the image."""

    shape = (2, 6, 6)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, (3, 2), padding=0)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, stride=2, padding=2, dilation=2)
        self.shortcut = nn.Conv2d(4, 4, 1, stride=2, bias=False)
        self.last = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the network."""
        x = F.pad(x, (1, 0, 2, 0))
        x = torch.square(self.norm(self.first(x)))
        x = self.second(x) + self.shortcut(x)
        x = (x * x).mean(dim=(2, 3))
        y: torch.Tensor = self.last(x)
        return y


class Pooling(Network):
    """Average pooling that overlaps and pads, counting the padding and not; reshape; scalar arithmetic."""

    shape = (1, 9, 9)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=True)
        self.conv = nn.Conv2d(1, 4, 2)
        self.second = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        self.last = nn.Linear(64, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the network."""
        x = self.conv(self.first(x))
        x = 0.5 * x * x + 0.25 * x - 0.125
        x = self.second(x)
        y: torch.Tensor = self.last(x.reshape(-1, 64)) / 2
        return y


class Perceptron(Network):
    """Dense layers with and without a bias, BatchNormalization of vectors, dropout, both ways to square."""

    shape = (12,)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(12, 10)
        self.norm = nn.BatchNorm1d(10)
        self.dropout = nn.Dropout(0.5)
        self.second = nn.Linear(10, 8, bias=False)
        self.last = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the network."""
        x = self.dropout(self.norm(self.first(x)).pow(2))
        x = self.second(x)
        y: torch.Tensor = self.last(x * x)
        return y


class Series(Network):
    """One-dimensional convolution and pooling, as over a time series, and a transposed flattening."""

    shape = (2, 16)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(2, 4, 5, stride=2, padding=2)
        self.norm = nn.BatchNorm1d(4)
        self.pool = nn.AvgPool1d(2)
        self.last = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the network."""
        x = self.norm(self.first(x))
        x = self.pool(x * x)
        y: torch.Tensor = self.last(x.transpose(1, 2).flatten(1))
        return y


NETWORKS: dict[str, type[Network]] = {
    "vision": Vision,
    "global": Global,
    "residual": Residual,
    "pooling": Pooling,
    "perceptron": Perceptron,
    "series": Series,
}


@dataclass(frozen=True)
class Variant:
    """One way to export.

    Parameters
    ----------
    dynamo : bool
        Which exporter.
    opset : int
        The opset asked for.
    option : str
        ``""``, ``"train"`` (script: keep BatchNormalization and Dropout) or ``"raw"`` (dynamo: no optimizer).
    """

    dynamo: bool
    opset: int
    option: str = ""

    @property
    def name(self) -> str:
        """What the file's name says of this variant."""
        return "-".join(filter(None, ["dynamo" if self.dynamo else "script", f"opset{self.opset}", self.option]))


VARIANTS = [
    *(Variant(False, opset) for opset in (9, 11, 13, 17)),
    *(Variant(False, opset, "train") for opset in (9, 17)),
    *(Variant(True, opset) for opset in (18, 20)),
    Variant(True, 18, "raw"),
]


def shake(network: nn.Module) -> None:
    """Give batch normalization statistics and parameters that are not the initial ones, as training would."""
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            for statistic, low in ((module.running_mean, -0.5), (module.running_var, 0.5)):
                assert statistic is not None
                nn.init.uniform_(statistic, low, low + 1)


def export(network: nn.Module, example: torch.Tensor, variant: Variant, path: Path) -> None:
    """Export a network to one file without a word about the machine or the source code.

    Parameters
    ----------
    network : Module
        The network, in evaluation mode.
    example : Tensor
        An input.
    variant : Variant
        How to export.
    path : Path
        The file to write.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if variant.dynamo:
            torch.onnx.export(
                network,
                (example,),
                path,
                dynamo=True,
                opset_version=variant.opset,
                optimize=variant.option != "raw",
                external_data=False,
                input_names=["input"],
                output_names=["output"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
        else:
            keep = variant.option == "train"
            torch.onnx.export(
                network,
                (example,),
                path,
                dynamo=False,
                opset_version=variant.opset,
                training=torch.onnx.TrainingMode.PRESERVE if keep else torch.onnx.TrainingMode.EVAL,
                do_constant_folding=not keep,
                input_names=["input"],
                output_names=["output"],
                dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
            )
    model = onnx.load(path)
    strip(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def strip(model: onnx.ModelProto) -> None:
    """Remove documentation and metadata: the exporters put stack traces there. All else stays as they wrote it."""
    model.doc_string = ""
    del model.metadata_props[:]
    graph = model.graph
    graph.doc_string = ""
    del graph.metadata_props[:]
    for item in [*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer]:
        item.doc_string = ""
        del item.metadata_props[:]
    for function in model.functions:
        function.doc_string = ""
        del function.metadata_props[:]
        for node in function.node:
            node.doc_string = ""
            del node.metadata_props[:]


def main() -> None:
    """Write every network in every variant."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    for old in [*HERE.glob("*.onnx"), *HERE.glob("*.npz")]:
        old.unlink()
    torch.set_num_threads(1)
    for seed, (name, build) in enumerate(NETWORKS.items()):
        torch.manual_seed(seed)
        network = build()
        shake(network)
        network.eval()
        example = torch.randn(BATCH, *build.shape)
        with torch.no_grad():
            output = network(example)
        for variant in VARIANTS:
            path = HERE / f"{name}-{variant.name}.onnx"
            export(network, example, variant, path)
            np.savez(path.with_suffix(".npz"), input=example.numpy(), output=output.numpy())
            print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()

"""What decisions and activations cost, on handwritten digits of 8x8 pixels.

    python benchmarks/digits.py run [losses] [activations]
    python benchmarks/digits.py page

*Losses*: the network of ``examples/digits_cnn``, with ReLU and MaxPool, compiled for several losses of decisions.
*Activations*: one network, a convolution and two dense layers, trained with squares, with SiLU and with ReLU.
The figures are in ``benchmarks/results/digits.json``. The pages that show them are made of that file alone, and so is
``docs/figures/levels.svg``: ``python docs/figures/draw.py`` draws it.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import onnxruntime
from marked import markdown_table, replaced
from numpy.typing import NDArray

import hecc
from hecc.runtime.ckks.circuit.instructions import Polynomial
from hecc.runtime.depth import polynomial_depth

Array = NDArray[Any]
Report = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "digits.json"
EXAMPLE = ROOT / "examples" / "digits_cnn"
GUIDE = ROOT / "docs" / "guide" / "relu.md"
SUITABLE = ROOT / "docs" / "suitable.md"

LOSSES = (0.25, 1.0, 2.0, 5.0, 10.0)
DEFAULT = 1.0
SHOWN = (1.0, 5.0)
"""Losses that the example's page has, for which some images are encrypted, too."""

ENCRYPTED = 8
MAPS, HIDDEN, EPOCHS = 16, 64, 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="measure")
    running.add_argument("parts", nargs="*", metavar="PART", help="all of them by default")
    commands.add_parser("page", help="write the figures on their pages")
    arguments = parser.parse_args()
    results: dict[str, list[Report]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if arguments.command == "run":
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        for part in arguments.parts or PARTS:
            results[part] = PARTS[part]()
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        return 0
    for page, write in PAGES.items():
        page.write_text(write(page.read_text(encoding="utf-8"), results), encoding="utf-8")
    return 0


def losses() -> list[Report]:
    """The example's network, compiled for each loss."""
    with np.load(EXAMPLE / "digits.npz") as data:
        images, labels, calibration = data["images"], data["labels"], data["calibration"]
    model = onnx.load(EXAMPLE / "network.onnx")
    return [
        {"loss": loss, **measured(model, images, labels, loss in SHOWN, calibration=calibration, accuracy_loss=loss)}
        for loss in LOSSES
    ]


def activations() -> list[Report]:
    """One network, trained with each activation."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    pixels = (digits.images[:, None] / 16).astype(np.float32)
    train, test, known, labels = train_test_split(pixels, digits.target, test_size=450, random_state=0)
    return [
        {"activation": name, **measured(trained(name, train, known), test, labels, False, calibration=train)}
        for name in ("square", "SiLU", "ReLU")
    ]


def measured(model: onnx.ModelProto, images: Array, labels: Array, encrypt: bool, **options: Any) -> Report:
    """Compile, simulate all images, encrypt some where that is asked for; all figures of one plan."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    clear = np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0])
    plan = hecc.compile(model, input_range=(0, 1), **options)
    (scores,) = (simulated := hecc.simulate(plan, images)).values()
    same = scores.argmax(axis=1) == clear.argmax(axis=1)
    header, cost, circuit = plan.header, plan.header.estimate, plan.circuit
    assert circuit is not None
    degrees = [len(circuit.constants[ins.coefficients]) - 1 for _, ins in circuit.every(Polynomial)]
    report = {
        "images": len(images),
        "right_clear": int((clear.argmax(axis=1) == labels).sum()),
        "right_simulated": int((scores.argmax(axis=1) == labels).sum()),
        "same": int(same.sum()),
        "largest_error": float(np.abs(scores - clear).max() / np.ptp(clear)),
        "outside": len(simulated.outside),
        "lost": len(simulated.lost),
        "kept": cost.agreement.kept if cost.agreement else None,
        "held_back": cost.agreement.rows if cost.agreement else None,
        "degrees": degrees,
        "levels_of_polynomials": [polynomial_depth(degree) for degree in degrees],
        "levels": cost.depth,
        "ring_degree": header.keys.ring_degree,
        "log2_qp": header.keys.log2_qp,
        "log2_limit": header.keys.security.log2_limit,
        "predicted_seconds": cost.seconds,
        "predicted_memory": header.peak_memory,
        "key_bytes": cost.evaluation_key_bytes,
    }
    if encrypt:
        client = hecc.Client(plan)
        with tempfile.TemporaryDirectory() as folder:
            keys = client.keygen(folder)
            with hecc.Server(plan, keys.evaluation) as server:
                (found,) = client.decrypt(server.run(client.encrypt(images[:ENCRYPTED]))).values()
        report["encrypted_as_simulated"] = int((found.argmax(axis=1) == scores[:ENCRYPTED].argmax(axis=1)).sum())
    print(json.dumps(report), flush=True)
    return report


def trained(activation: str, images: Array, labels: Array) -> onnx.ModelProto:
    """A convolution and two dense layers that PyTorch trained."""
    import torch
    from torch import nn

    class Square(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * x

    torch.manual_seed(0)
    torch.set_num_threads(1)
    made: Callable[[], nn.Module] = {"square": Square, "SiLU": nn.SiLU, "ReLU": nn.ReLU}[activation]
    layers = [nn.Conv2d(1, MAPS, 3, padding=1), made(), nn.AvgPool2d(2), nn.Flatten()]
    network = nn.Sequential(*layers, nn.Linear(MAPS * 16, HIDDEN), made(), nn.Linear(HIDDEN, 10))
    given, wanted = torch.from_numpy(images), torch.from_numpy(labels)
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=0.05)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(given)).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(given[batch]), wanted[batch]).backward()
            optimiser.step()
    file = io.BytesIO()
    axes = {"image": {0: "N"}, "logits": {0: "N"}}
    names: dict[str, Any] = {"input_names": ["image"], "output_names": ["logits"], "dynamic_axes": axes}
    with warnings.catch_warnings():
        # Of its exporter, which will be another one.
        warnings.simplefilter("ignore")
        torch.onnx.export(network.eval(), (given[:1],), file, dynamo=False, **names)
    return onnx.load_from_string(file.getvalue())


PARTS: Mapping[str, Callable[[], list[Report]]] = MappingProxyType({"losses": losses, "activations": activations})


def guide(text: str, results: Mapping[str, list[Report]]) -> str:
    """The table of losses."""
    heading = (
        "`--accuracy-loss`",
        "kept, held back",
        "as in clear, simulated",
        "right, simulated",
        "largest error of a score",
        "levels",
        "N",
        "a row, predicted",
        "server's memory",
        "keys",
    )
    rows = [
        (
            f"{found['loss']:g}" + (", the default" if found["loss"] == DEFAULT else ""),
            f"{found['kept']:.1%}",
            f"{found['same']} of {found['images']}",
            str(found["right_simulated"]),
            f"{found['largest_error']:.1%} of the range",
            str(found["levels"]),
            f"2^{found['ring_degree'].bit_length() - 1}",
            f"{found['predicted_seconds']:.2f} s",
            f"{found['predicted_memory'] / 1e9:.2f} GB",
            f"{found['key_bytes'] / 1e6:.0f} MB",
        )
        for found in results["losses"]
    ]
    return replaced(text, "losses", markdown_table(heading, *rows))


def example(text: str, results: Mapping[str, list[Report]]) -> str:
    """The same of two losses, a column each."""
    shown = [found for found in results["losses"] if found["loss"] in SHOWN]
    first = shown[0]
    lines: list[tuple[str, Callable[[Report], str]]] = [
        (
            f"decided as in clear, of {first['held_back']} calibration images held back",
            lambda found: f"{found['kept']:.1%}",
        ),
        (
            f"same prediction as onnxruntime, all {first['images']} test images, simulated",
            lambda found: str(found["same"]),
        ),
        (f"right, in clear {first['right_clear']}", lambda found: str(found["right_simulated"])),
        (f"encrypted as simulated, of {ENCRYPTED}", lambda found: str(found["encrypted_as_simulated"])),
        ("images that left the interval of a polynomial", lambda found: str(found["outside"])),
        ("multiplications in a row", lambda found: str(found["levels"])),
        (
            "parameters (128 bits, classical)",
            lambda found: (
                f"N = {found['ring_degree']}, log2 QP = {found['log2_qp']:.0f} of at most {found['log2_limit']}"
            ),
        ),
        ("predicted time of the server, one core", lambda found: f"{found['predicted_seconds']:.2f} s a row"),
        ("evaluation keys", lambda found: f"{found['key_bytes'] / 1e6:.0f} MB"),
    ]
    heading = ("", *(f"`--accuracy-loss {f['loss']:g}`" + ", default" * (f["loss"] == DEFAULT) for f in shown))
    return replaced(text, "losses", markdown_table(heading, *((name, *map(tell, shown)) for name, tell in lines)))


def suitable(text: str, results: Mapping[str, list[Report]]) -> str:
    """The table of activations."""
    heading = (
        "activations",
        "right, clear / simulated",
        "largest error of a score",
        "levels of each",
        "levels",
        "N",
        "a row",
        "server's memory",
        "keys",
    )
    words = {"square": "squares", "SiLU": "SiLU, 12 bits", "ReLU": "ReLU, 99% of decisions"}
    rows = [
        (
            words[found["activation"]],
            f"{found['right_clear'] / found['images']:.1%} / {found['right_simulated'] / found['images']:.1%}",
            f"{100 * found['largest_error']:.2g}%",
            ", ".join(map(str, found["levels_of_polynomials"] or (1, 1))),
            str(found["levels"]),
            f"2^{found['ring_degree'].bit_length() - 1}",
            f"{found['predicted_seconds']:.2g} s",
            f"{found['predicted_memory'] / 1e9:.2f} GB",
            f"{found['key_bytes'] / 1e6:.0f} MB",
        )
        for found in results["activations"]
    ]
    return replaced(text, "activations", markdown_table(heading, *rows))


PAGES: Mapping[Path, Callable[[str, Mapping[str, list[Report]]], str]] = MappingProxyType(
    {GUIDE: guide, SUITABLE: suitable, EXAMPLE / "README.md": example}
)


if __name__ == "__main__":
    sys.exit(main())

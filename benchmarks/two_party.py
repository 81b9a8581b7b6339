"""The networks that papers on two-party inference measure: bytes, latency and accuracy.

    python examples/two_parties/train.py --data DATA --out NETWORKS        # the networks, and rows to measure them on
    python benchmarks/two_party.py others NETWORKS MODELS DATA             # and ResNet-20, which others trained
    sudo python benchmarks/two_party.py run NETWORKS [--network breast ...] [--only accuracy]
    python benchmarks/two_party.py page docs/reference/two-party-systems.md

``run`` needs the rights of root for its network namespaces, unless only accuracies are asked for. Figures go to a file
for each network in ``benchmarks/results/two_party``, and the page is made of these files alone.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from other_networks.catalogue import NETWORKS as OTHERS
from other_networks.data import SOURCES
from parties.links import LINKS, parties
from parties.serving import asked
from two_party_systems.accuracy import accuracy, compiled, costs, scores
from two_party_systems.catalogue import NETWORKS, Network, Rows
from two_party_systems.page import page

from hecc.measure.profiling import processor_name
from hecc.runtime.native import implementations

RESULTS = Path(__file__).resolve().parent / "results" / "two_party"
RESNET = "ace_resnet20_cifar10"
PORT = 7000
PARTS = ("accuracy", "links")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    adding = commands.add_parser("others", help="put ResNet-20 beside the networks that the example trains")
    adding.add_argument("networks", type=Path)
    adding.add_argument("models", type=Path, help="as those of benchmarks/networks.py")
    adding.add_argument("data", type=Path, help="as those of benchmarks/networks.py")
    running = commands.add_parser("run", help="measure hecc")
    running.add_argument("networks", type=Path, help="the folder that examples/two_parties/train.py wrote")
    running.add_argument("--network", nargs="+", choices=[of.name for of in NETWORKS], metavar="NETWORK")
    running.add_argument("--activation", nargs="+", default=["relu", "silu"])
    running.add_argument("--rows", type=int, default=20, help="that are asked about (20)")
    running.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure")
    running.add_argument("--seconds", type=float, default=300.0, help="of the processor, for accuracies (300)")
    writing = commands.add_parser("page", help="write the page of all figures")
    writing.add_argument("page", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "page":
        arguments.page.write_text(page(RESULTS), encoding="utf-8")
    elif arguments.command == "others":
        add_resnet(arguments.networks, arguments.models, arguments.data)
    else:
        for network, activation in chosen(arguments):
            stem = f"{network.name}-{activation}"
            model, rows = arguments.networks / f"{stem}.onnx", Rows.of(arguments.networks / f"{stem}.npz")
            file, found = RESULTS / f"{stem}.json", measured(model, rows, arguments)
            kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
            file.parent.mkdir(parents=True, exist_ok=True)
            whole = kept | {"network": network.name, "activation": activation, "machine": machine()} | found
            file.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
            print(stem, flush=True)
    return 0


def chosen(arguments: argparse.Namespace) -> Iterator[tuple[Network, str]]:
    """Networks with their activations, as far as they are asked for."""
    for network in NETWORKS:
        if arguments.network is None or network.name in arguments.network:
            for activation in network.activations:
                if activation in arguments.activation:
                    yield network, activation


def measured(model: Path, rows: Rows, arguments: argparse.Namespace) -> dict[str, Any]:
    """A network: what its plan says, how it decides, and how long it takes on both links."""
    plan = compiled(model, rows)
    report: dict[str, Any] = {"costs": costs(plan)}
    if "accuracy" in arguments.only:
        report["accuracy"] = accuracy(model, plan, rows, arguments.seconds)
    if "links" in arguments.only:
        test = rows.test[: arguments.rows]
        exact = scores(model, test).argmax(axis=1)
        for name, link in LINKS.items():
            with tempfile.TemporaryDirectory() as folder, parties(link, PORT) as made:
                found = asked(Path(folder), plan, test, made)
            outputs = np.array(found.pop("outputs"))
            same = int((outputs.argmax(axis=1) == exact).sum())
            report[name] = found | {"same": same, "rate": link.rate, "round_trip": link.round_trip}
    return report


def add_resnet(networks: Path, models: Path, data: Path) -> None:
    """The file of others, with rows scaled as it takes them."""
    (network,) = (each for each in OTHERS if each.name == RESNET)
    found = SOURCES[network.data](data)
    assert found.labels is not None, "CIFAR-10 has labels"
    shape = (3, 32, 32)
    shutil.copyfile(models / f"{RESNET}.onnx", networks / "resnet20-relu.onnx")
    np.savez(
        networks / "resnet20-relu.npz",
        calibration=network.scaling(found.calibration, shape),
        test=network.scaling(found.test, shape),
        labels=found.labels,
        range=np.array(network.scaling.range),
    )


def machine() -> str:
    """Where it is measured."""
    return f"{processor_name()}, {implementations()[0]} kernels, {os.cpu_count()} processors"


if __name__ == "__main__":
    sys.exit(main())

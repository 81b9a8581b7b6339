"""Networks that others trained: compiled, simulated on whole test sets, run encrypted, and written down on a page.

For every network of the catalogue with the files that others published: does the plan decide as onnxruntime does on the
whole test set, how often does a row leave the interval of a polynomial, do encrypted rows give what the simulator says,
and what does all that take?

    python benchmarks/networks.py run MODELS DATA [--network NAME ...] [--folder DIR] [--option precision=4]
    python benchmarks/networks.py page docs/reference/networks.md
    python benchmarks/networks.py run MODELS DATA --scheme sharing --seconds 60
    python benchmarks/networks.py page docs/reference/sharing-networks.md --scheme sharing

``MODELS`` and ``DATA`` are the folders of networks and of data. Each network has a file of figures in
``benchmarks/other_networks/results``; stages that are in it are not run again unless ``--again STAGE`` says from which
on. Every stage is a process of its own with a limit to its processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from other_networks.catalogue import NETWORKS, SMOOTH, Network
from other_networks.page import page
from other_networks.sharing import SHARING_STAGES
from other_networks.sharing_page import sharing_page
from other_networks.stages import STAGES, Context

RESULTS = Path(__file__).resolve().parent / "other_networks" / "results"


@dataclass(frozen=True)
class Study:
    """What is measured under a scheme.

    Attributes
    ----------
    stages
        By name, in order.
    page
        What makes the page of a folder of results.
    results
        Where these are kept.
    """

    networks: tuple[Network, ...]
    stages: Mapping[str, Callable[[Context], dict[str, Any]]]
    page: Callable[[Path], str]
    results: Path


STUDIES = {
    "ckks": Study(NETWORKS, STAGES, page, RESULTS),
    "sharing": Study((*NETWORKS, *SMOOTH), SHARING_STAGES, sharing_page, RESULTS / "sharing"),
}
"""By scheme."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="measure networks")
    running.add_argument("models", type=Path)
    running.add_argument("data", type=Path)
    names = [network.name for network in (*NETWORKS, *SMOOTH)]
    running.add_argument("--network", nargs="+", choices=names, metavar="NAME")
    running.add_argument("--scheme", choices=STUDIES, default="ckks", help="(ckks)")
    running.add_argument("--folder", type=Path, default=Path("networks-work"), help="for plans, keys and requests")
    running.add_argument("--results", type=Path, help="folder of figures, by default one of benchmarks for each scheme")
    running.add_argument("--option", nargs="+", default=[], metavar="NAME=VALUE", help="of hecc.compile")
    running.add_argument("--rows", type=int, default=50, help="to encrypt (50)")
    running.add_argument("--seconds", type=float, default=900.0, help="that all encrypted rows may take (900)")
    running.add_argument("--memory", type=float, default=12.0, help="gigabytes that the server may take (12)")
    running.add_argument("--limit", type=int, default=1800, help="processor seconds of a stage (1800)")
    running.add_argument("--again", choices=STAGES, help="run this stage and those behind it once more")
    running.add_argument("--until", choices=STAGES, help="the last stage to run")
    running.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    writing = commands.add_parser("page", help="write the page of all figures")
    writing.add_argument("page", type=Path)
    writing.add_argument("--scheme", choices=STUDIES, default="ckks", help="(ckks)")
    writing.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    study = STUDIES[arguments.scheme]
    arguments.results = arguments.results or study.results
    if arguments.command == "page":
        arguments.page.write_text(study.page(arguments.results), encoding="utf-8")
        return 0
    chosen = [network for network in study.networks if network.name in (arguments.network or names)]
    if arguments.stage:
        (network,) = chosen
        found = study.stages[arguments.stage](context(arguments, network))
        # Linux counts in kibibytes.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        print(json.dumps(found | {"peak_memory": peak}))
        return 0
    for network in chosen:
        measure(arguments, network)
    return 0


def context(arguments: argparse.Namespace, network: Network) -> Context:
    """What the stages of a network work on."""
    options = dict(option.split("=", 1) for option in arguments.option)
    folder = arguments.folder / network.key
    folder.mkdir(parents=True, exist_ok=True)
    return Context(
        network,
        arguments.models,
        arguments.data,
        folder,
        {name: _number(value) for name, value in options.items()},
        arguments.rows,
        arguments.seconds,
        int(arguments.memory * 1e9),
    )


def measure(arguments: argparse.Namespace, network: Network) -> None:
    """Run the stages that are missing, and write down each as it ends; the first that fails is the last."""
    arguments.results.mkdir(parents=True, exist_ok=True)
    file = arguments.results / f"{network.key}.json"
    report: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"network": network.name}
    stages = list(STUDIES[arguments.scheme].stages)
    if arguments.again:
        report = {name: found for name, found in report.items() if name not in stages[stages.index(arguments.again) :]}
    for stage in stages[: stages.index(arguments.until or stages[-1]) + 1]:
        if "failure" in report.get(stage, {"failure": None}):
            report[stage] = in_process(arguments, network, stage)
            file.write_text(json.dumps(report, indent=1) + "\n")
            print(network.name, stage, json.dumps(report[stage])[:400], flush=True)
        if {"refusal", "failure"} & report[stage].keys():
            return


def in_process(arguments: argparse.Namespace, network: Network, stage: str) -> dict[str, Any]:
    """A stage in a process of its own: what it returns, with its processor time and its memory."""
    command = [sys.executable, __file__, "run", str(arguments.models), str(arguments.data), "--network", network.name]
    command += ["--folder", str(arguments.folder), "--rows", str(arguments.rows), "--seconds", str(arguments.seconds)]
    command += ["--memory", str(arguments.memory), "--scheme", arguments.scheme]
    command += ["--stage", stage, *(["--option", *arguments.option] if arguments.option else [])]
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    limits = (arguments.limit, arguments.limit)
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, limits),
    )
    said, errors = process.communicate()
    lines = errors.strip().splitlines()
    if process.returncode < 0:
        return {
            "failure": f"stopped by signal {-process.returncode}, perhaps after {arguments.limit} processor seconds"
        }
    if process.returncode:
        return {"failure": lines[-1] if lines else f"exit status {process.returncode}"}
    return {**json.loads(said.splitlines()[-1]), "warnings": lines}


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    sys.exit(main())

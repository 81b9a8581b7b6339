"""How far is hecc ahead of what one would otherwise install? Runs peers and hecc in turns and writes a page of it.

Each peer is installed with pinned versions into a virtual environment of its own, once. Then, network by network, the
peer and hecc run as processes of their own on the same weights and the same images, image by image in turns, so that
whatever else the machine does meets both. hecc takes part twice, with all processors and with one.

    python benchmarks/peers.py [--peers orion tenseal] [--runs 9] [--venvs DIR] [--output docs/benchmarks.md]

The figures go between the markers of the page, the plot beside it. Exit status 1 says that a comparison is missing, or
that hecc was less precise than the peer. The plot needs matplotlib: pip install 'hecc[benchmarks]'.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from peer_comparison.environments import PEERS, InstallationError, Peer, default_folder, provide
from peer_comparison.measurement import Comparison, Contestant, measure
from peer_comparison.networks import write_network
from peer_comparison.processes import WorkerError
from peer_comparison.report import Conditions, at_least_as_precise, between_markers, page, precision_verdict

from hecc.measure.profiling import processor_name
from hecc.runtime.ckks.devices.device import default_threads
from hecc.runtime.figures import size_words
from hecc.runtime.native import implementations

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), help="all by default")
    parser.add_argument("--runs", type=int, default=9, help="that count, of each system on each network (9)")
    parser.add_argument("--precision", type=float, default=12.0, help="bits to ask of hecc (12)")
    parser.add_argument("--venvs", type=Path, default=default_folder(), help=f"the peers' ({default_folder()})")
    parser.add_argument("--output", type=Path, default=PAGE, help="the page (docs/benchmarks.md)")
    arguments = parser.parse_args()
    if arguments.runs < 1:
        parser.error("--runs must be at least 1")
    if importlib.util.find_spec("matplotlib") is None:
        parser.error("the plot needs matplotlib: pip install 'hecc[benchmarks]'")
    try:
        between_markers(arguments.output, "")
    except ValueError as error:
        parser.error(str(error))
    load = os.getloadavg()[0]
    comparisons, missing = compare(arguments.peers, arguments.venvs, arguments.runs, arguments.precision)
    if not comparisons:
        tell("there is nothing to compare with")
        return 1
    conditions = Conditions(
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        machine=machine(),
        versions={
            "Python": platform.python_version(),
            **{package: version for of in comparisons for package, version in of.peer.versions.items()},
            **comparisons[0].hecc[0].versions,
        },
        runs=arguments.runs,
        load=(load, os.getloadavg()[0]),
        missing=missing,
    )
    write(arguments.output, conditions, comparisons)
    for comparison in comparisons:
        tell(precision_verdict(comparison))
    return 0 if not missing and all(map(at_least_as_precise, comparisons)) else 1


def compare(
    names: Sequence[str], environments: Path, runs: int, precision: float
) -> tuple[list[Comparison], list[str]]:
    """All networks of all peers; for each that cannot be compared, a sentence that says why."""
    comparisons: list[Comparison] = []
    missing: list[str] = []
    for name in names:
        peer = PEERS[name]
        tell(f"{peer.title}: install, unless it is in {environments / name}")
        try:
            python = provide(name, peer, environments)
        except InstallationError as error:
            tell(str(error))
            missing.append(f"{peer.title}, which could not be installed")
            continue
        for network in peer.networks:
            try:
                comparisons.append(compare_network(network, peer, python, runs, precision))
            except WorkerError as error:
                tell(f"{network}: {error}")
                missing.append(f"{network}: {error}")
    return comparisons, missing


def compare_network(network: str, peer: Peer, python: Path, runs: int, precision: float) -> Comparison:
    """One network on a peer, on hecc, and on hecc with one thread."""
    every = default_threads()
    hecc = [
        Contestant(
            title=f"hecc, {threads} thread{'s' if threads > 1 else ''}",
            python=Path(sys.executable),
            module="peer_comparison.workers.hecc",
            arguments=("--precision", str(precision)),
            threads=threads,
        )
        for threads in sorted({1, every}, reverse=True)
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_network(network, folder, runs + 1)
        return measure(network, folder, Contestant(peer.title, python, peer.module), hecc, runs=runs, tell=tell)


def write(output: Path, conditions: Conditions, comparisons: Sequence[Comparison]) -> None:
    """The page and, beside it, its plot."""
    from peer_comparison.plots import plot

    picture = output.with_suffix(".svg")
    output.write_text(between_markers(output, page(conditions, comparisons, picture.name)), encoding="utf-8")
    plot(comparisons, picture)


def machine() -> dict[str, str]:
    """What a stranger needs to know of this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": f"{processor_name()}, {default_threads()} processors of {os.cpu_count()} used",
        "instruction set": f"{platform.machine()}; hecc's kernels: {implementations()[0]}",
        "memory": size_words(memory),
        "system": platform.system(),
    }


def tell(words: str) -> None:
    """What is done next, and what went wrong."""
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

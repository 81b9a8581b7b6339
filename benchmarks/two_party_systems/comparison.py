"""hecc and other systems on one network and the same rows, one system after the other, on one link."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from parties.links import joined
from parties.serving import asked
from peer_comparison.environments import Peer, provide

from two_party_systems.accuracy import compiled, costs, scores
from two_party_systems.catalogue import Rows
from two_party_systems.written import write

__all__ = ["PEERS", "compared"]

BENCHMARKS = Path(__file__).resolve().parents[1]
PORT = 7000
RATE = "1gbit"
SECONDS = 900.0
"""That a system has for a network."""

SPU = Peer(
    title="SPU",
    module="two_party_systems.workers.spu",
    networks=(),
    requirements={"jax": "0.4.34", "jaxlib": "0.4.34", "numpy": "1.26.4", "spu": "0.9.5"},
)

CRYPTEN = Peer(
    title="CrypTen",
    module="two_party_systems.workers.crypten",
    networks=(),
    requirements={
        "future": "1.0.0",
        "numpy": "2.4.6",
        "omegaconf": "2.4.0",
        "onnx": "1.23.2",
        "pandas": "3.1.1",
        "scikit-learn": "1.9.1",
        "scipy": "1.17.1",
        "tensorboard": "2.21.0",
        "torch": "2.13.0",
    },
    # It requires the name sklearn and torchvision, which it uses for examples only.
    bare={"crypten": "0.4.1"},
    # Its converter from ONNX, which is not used here, looks for a module of older versions of PyTorch.
    stand_ins={"torch/onnx/_internal/registration.py": "registry = None\n"},
)


@dataclass(frozen=True)
class System:
    """A peer, as it is run: its name for readers, its environment's name, what it is, and arguments of its worker."""

    title: str
    environment: str
    peer: Peer
    arguments: tuple[str, ...] = ()


PEERS: Mapping[str, System] = MappingProxyType(
    {
        "spu-semi2k": System("SPU SEMI2K", "spu", SPU, ("semi2k", "64", "18")),
        "spu-semi2k-32": System("SPU SEMI2K, 32 bits", "spu", SPU, ("semi2k", "32", "10")),
        "spu-cheetah": System("SPU Cheetah", "spu", SPU, ("cheetah", "64", "18")),
        "crypten": System("CrypTen", "crypten", CRYPTEN),
    }
)


def compared(model: Path, rows: Rows, count: int, peers: Sequence[str], environments: Path) -> dict[str, Any]:
    """Ask hecc and its peers about the same rows.

    Parameters
    ----------
    model, rows
        A network, and its rows.
    count
        Of rows that are asked about.
    peers
        Keys of :data:`PEERS`.
    environments
        The folder with the peers' environments, which are installed where they are missing.
    """
    test = rows.test[:count]
    exact = scores(model, test).astype(np.float64)
    with tempfile.TemporaryDirectory() as folder, joined(RATE, PORT) as made:
        plan = compiled(model, rows)
        found = asked(Path(folder), plan, test, made)
    cost = costs(plan)
    ahead = cost["dealt_bytes"] + cost["prepared_bytes"]
    ours = {
        "title": "hecc",
        "rows": count,
        "row_bytes": found["wire_asking"] / count,
        "connection_bytes": found["wire_connecting"] / count,
        "ahead_bytes": ahead,
        "payload_bytes": cost["online_bytes"] + ahead,
        # The weights under a mask, and a connection to send them over.
        "setup_bytes": found["wire_ahead"] - count * cost["prepared_bytes"],
        "seconds": found["asking"],
        **_held(np.array(found["outputs"]), exact),
    }
    systems = {"hecc": ours}
    for name in peers:
        systems[name] = {"title": PEERS[name].title} | _peer(PEERS[name], model, test, exact, environments)
    return {"link": {"rate": RATE}, "systems": systems}


def _peer(
    system: System, model: Path, test: NDArray[np.float32], exact: NDArray[np.float64], environments: Path
) -> dict[str, Any]:
    """What a peer's client writes down; the first row is asked about twice, since it warms up."""
    python = provide(system.environment, system.peer, environments)
    with tempfile.TemporaryDirectory() as name, joined(RATE, PORT) as made:
        folder = Path(name)
        write(model, np.concatenate([test[:1], test]), folder)
        ends = (made.listening, made.client_listening)
        command = (python, "-m", system.peer.module)
        processes = {}
        with (folder / "report.json").open("w") as report, contextlib.ExitStack() as stack:
            for role, namespace, output in (
                ("server", made.server, subprocess.DEVNULL),
                ("client", made.client, report),
            ):
                whole = made.inside(namespace, *command, role, folder, *ends, *system.arguments)
                said = stack.enter_context((folder / f"{role}.txt").open("w"))
                processes[role] = subprocess.Popen(whole, cwd=BENCHMARKS, stdout=output, stderr=said)
                stack.callback(processes[role].wait)
                stack.callback(processes[role].kill)
            failed = _waited(processes)
        if failed is not None:
            role, how = failed
            said_last = (folder / f"{role}.txt").read_text(errors="replace").strip().splitlines()
            return {"failure": f"its {role} {how}" + (f": {said_last[-1]}" if said_last else "")}
        found: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return found | _held(np.array(found.pop("outputs")), exact)


def _waited(processes: Mapping[str, subprocess.Popen[bytes]]) -> tuple[str, str] | None:
    """Wait until both parties are done; of one that failed or took too long its role and how, and otherwise nothing."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        ended = {role: process.poll() for role, process in processes.items()}
        for role, status in ended.items():
            if status:
                return role, f"ended with status {status}"
        if None not in ended.values():
            return None
        time.sleep(0.2)
    return next((role, f"was not done after {SECONDS:.0f} s") for role, at in processes.items() if at.poll() is None)


def _held(outputs: NDArray[np.float64], exact: NDArray[np.float64]) -> dict[str, Any]:
    """Outputs against those in clear."""
    return {
        "largest_error": float(np.abs(outputs - exact).max()),
        "same": int((outputs.argmax(axis=1) == exact.argmax(axis=1)).sum()),
    }

"""Virtual environments for the peers, one each, with pinned versions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["ORION", "PEERS", "TENSEAL", "InstallationError", "Peer", "default_folder", "provide"]


class InstallationError(Exception):
    """A peer cannot be installed; the message is one sentence."""


@dataclass(frozen=True)
class Peer:
    """A system to compare with.

    Attributes
    ----------
    title, module
        Its name for readers, and of its worker.
    networks
        Those that it runs.
    requirements
        Packages and their versions.
    bare
        The same, installed without what they depend on.
    stand_ins
        Files to put into its site-packages.
    """

    title: str
    module: str
    networks: tuple[str, ...]
    requirements: Mapping[str, str]
    bare: Mapping[str, str] = field(default_factory=dict)
    stand_ins: Mapping[str, str] = field(default_factory=dict)


ORION = Peer(
    title="Orion",
    module="peer_comparison.workers.orion",
    networks=("lola", "mlp", "lenet"),
    requirements={
        "PyYAML": "6.0.3",
        "certifi": "2026.10.18",
        "h5py": "3.16.0",
        "matplotlib": "3.11.2",
        "networkx": "3.6.1",
        "numpy": "2.2.6",
        "scipy": "1.14.1",
        "torch": "2.13.0",
        "tqdm": "4.70.1",
    },
    # It requires torchvision, too, which it uses only to download data sets; empty modules do instead.
    bare={"orion-fhe": "1.0.2"},
    stand_ins={
        "torchvision/__init__.py": "from . import datasets, transforms\n",
        "torchvision/datasets.py": "",
        "torchvision/transforms.py": "",
    },
)

TENSEAL = Peer(
    title="TenSEAL",
    module="peer_comparison.workers.tenseal",
    networks=("tutorial",),
    requirements={"numpy": "2.2.6", "tenseal": "0.3.18"},
)

PEERS = {"orion": ORION, "tenseal": TENSEAL}

PROBE = """
import importlib.metadata, json, sysconfig
found = {d.name.lower().replace("_", "-"): d.version for d in importlib.metadata.distributions()}
print(json.dumps([found, sysconfig.get_paths()["purelib"]]))
"""


def default_folder() -> Path:
    """Where this platform keeps caches."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "hecc-peers"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hecc-peers"


def provide(name: str, peer: Peer, folder: Path) -> Path:
    """Install a peer, unless it is there already.

    Parameters
    ----------
    name
        Of its environment's folder.
    peer
        What to install.
    folder
        With the environments of all peers.

    Returns
    -------
    Path
        Its Python interpreter.

    Raises
    ------
    InstallationError
        The environment cannot be made, or the package registry does not have a version.
    """
    environment = folder / name
    python = environment / "bin" / "python"
    what = f"{peer.title} cannot be installed in {environment}"
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(environment)], what)
    found, site = _probe(python, what)
    for packages, options in ((peer.requirements, []), (peer.bare, ["--no-deps"])):
        # A local version, as 2.13.0+cpu, says how it was built.
        if any(found.get(package.lower(), "").partition("+")[0] != pin for package, pin in packages.items()):
            pins = [f"{package}=={pin}" for package, pin in packages.items()]
            _run([str(python), "-m", "pip", "install", "--quiet", *options, *pins], what)
    for path, text in peer.stand_ins.items():
        file = site / path
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return python


def _probe(python: Path, what: str) -> tuple[dict[str, str], Path]:
    """Versions by package, and the folder of packages."""
    found, site = json.loads(_run([str(python), "-c", PROBE], what))
    return found, Path(site)


def _run(command: Sequence[str], what: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = (error.stderr or error.stdout).strip() if isinstance(error, subprocess.CalledProcessError) else ""
        reasons = [line for line in said.splitlines() if line.startswith("ERROR")] or said.splitlines() or [str(error)]
        raise InstallationError(f"{what}: {reasons[-1].removeprefix('ERROR: ')}") from None

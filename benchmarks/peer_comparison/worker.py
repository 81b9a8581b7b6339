"""A worker: one system in a process of its own that answers requests, one line of JSON each.

Requests come on the standard input, replies go to the standard output; what the system itself prints there is diverted
to the standard error. The first line is a greeting with versions, sent as soon as the system is loaded. Then:

========================================================  ============================================================
request                                                   reply
========================================================  ============================================================
``{"do": "setup", "folder": F, "network": N, ...}``       what :meth:`System.setup` returns
``{"do": "run", "row": I}``                               seconds of each stage, bytes, decrypted and cleartext output
``{"do": "finish"}``                                      ``peak_memory`` in bytes; the process ends
========================================================  ============================================================

A request that fails is answered with ``{"error": "..."}``. All systems are timed by the code below, with one clock.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from peer_comparison.networks import IMAGES

__all__ = ["System", "serve", "timed"]

Result = TypeVar("Result")
Image = NDArray[np.float32]


class System(Protocol):
    """What is measured."""

    def setup(self, folder: Path, network: str, threads: int) -> dict[str, Any]:
        """Prepare the network and make keys.

        Parameters
        ----------
        folder
            With the network's files.
        network
            Its name.
        threads
            To compute with, where the system lets one choose.

        Returns
        -------
        dict
            ``preparation`` and ``key_generation`` in seconds; ``key_bytes``, of the keys that a server needs;
            ``ring_degree``, ``log2_qp`` and ``secret``.
        """

    def encrypt(self, image: Image) -> Any:
        """Encode and encrypt one image."""

    def compute(self, encrypted: Any) -> Any:
        """Evaluate the network."""

    def decrypt(self, result: Any) -> list[float]:
        """Decrypt and decode."""

    def cleartext(self, image: Image) -> list[float]:
        """The network's output without encryption, by the system's own cleartext."""

    def sizes(self, encrypted: Any, result: Any) -> tuple[int, int]:
        """Bytes of an encrypted input and of an encrypted result."""


def serve(system: System, packages: Sequence[str]) -> None:
    """Answer requests until told to finish.

    Parameters
    ----------
    system
        Loaded.
    packages
        Distributions whose versions are reported.
    """
    # A copy of the standard output for replies; the output itself goes where it does no harm, whoever writes to it.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as replies:
        os.dup2(2, 1)

        def send(message: Mapping[str, Any]) -> None:
            replies.write(json.dumps(message) + "\n")
            replies.flush()

        send({"versions": {package: metadata.version(package) for package in packages}})
        images: NDArray[np.float32] | None = None
        for line in sys.stdin:
            request = json.loads(line)
            action = request.pop("do")
            if action == "finish":
                send({"peak_memory": _peak_memory()})
                return
            try:
                if action == "setup":
                    folder = Path(request.pop("folder"))
                    images = np.load(folder / IMAGES)
                    send(system.setup(folder, **request))
                else:
                    assert images is not None
                    send(_run(system, images[request["row"]]))
            except Exception as error:  # whatever it is, the other side says it and goes on with the next network
                send({"error": f"{type(error).__name__}: {error}"})


def timed(function: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds that a call took, and its result."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def _run(system: System, image: Image) -> dict[str, Any]:
    """All that a client and a server do for one image."""
    encryption, encrypted = timed(lambda: system.encrypt(image))
    processor = time.process_time()
    computation, result = timed(lambda: system.compute(encrypted))
    processor = time.process_time() - processor
    decryption, output = timed(lambda: system.decrypt(result))
    input_bytes, output_bytes = system.sizes(encrypted, result)
    return {
        "encryption": encryption,
        "computation": computation,
        "processor": processor,
        "decryption": decryption,
        "input_bytes": input_bytes,
        "output_bytes": output_bytes,
        "output": output,
        "cleartext": system.cleartext(image),
    }


def _peak_memory() -> int:
    """The most memory that this process ever had, in bytes."""
    try:
        # What getrusage tells includes what the parent had when it started this process.
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used << 10

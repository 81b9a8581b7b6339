"""Links: two network namespaces and a relay between them, by `ip`, `tc` and a process.

Rates are tbf's, on the end of each party. Delays are the relay's, which holds what comes for half of the round trip and
then passes it on: netem would do that better, and many kernels do not have it. The relay ends each TCP connection, so a
connection is set up at once; what is sent over it is late as it should be.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LINKS", "Link", "Parties", "parties", "wire_bytes"]

NETWORK = "10.197"
"""The first two numbers of all addresses."""

BURST = "64kb"
"""That tbf lets through at once."""

STATISTICS = Path("/sys/class/net/end/statistics")
"""Of a party's interface, as seen in its namespace."""

RELAY = Path(__file__).with_name("relay.py")


@dataclass(frozen=True)
class Link:
    """A link.

    Attributes
    ----------
    rate
        As tc has it.
    round_trip
        Seconds.
    """

    rate: str
    round_trip: float


LINKS = {"LAN": Link("1gbit", 0.001), "WAN": Link("100mbit", 0.040)}


@dataclass(frozen=True)
class Parties:
    """What each party is called.

    Attributes
    ----------
    server, client
        Their namespaces.
    listening
        Where the server listens, in its own.
    reached
        Where the client reaches it.
    """

    server: str
    client: str
    listening: str
    reached: str

    def inside(self, namespace: str, *command: str | Path) -> list[str]:
        """A command line that works there."""
        return ["ip", "netns", "exec", namespace, *map(str, command)]

    def bytes_sent(self, namespace: str) -> int:
        """That have left a party's interface, headers of all layers included."""
        return int(_run(*self.inside(namespace, "cat", STATISTICS / "tx_bytes")))


def wire_bytes() -> int:
    """Bytes that passed the interface of the party that asks, both ways, headers of all layers included."""
    return sum(int((STATISTICS / f"{way}_bytes").read_text(encoding="ascii")) for way in ("tx", "rx"))


@contextlib.contextmanager
def parties(link: Link, port: int = 7000) -> Iterator[Parties]:
    """Namespaces with a link between them, as long as the context is open. It takes the rights of root, on Linux."""
    names = {role: f"hecc-{role}-{os.getpid()}" for role in ("server", "client")}
    ends = {role: f"hecc{number}-{os.getpid()}" for number, role in enumerate(names)}
    host = {role: f"{NETWORK}.{number}" for number, role in enumerate(names)}
    made = Parties(names["server"], names["client"], f"{host['server']}.2:{port}", f"{host['client']}.1:{port}")
    with contextlib.ExitStack() as stack:
        for role, name in names.items():
            _run("ip", "netns", "add", name)
            stack.callback(_run, "ip", "netns", "del", name)
            _run("ip", "link", "add", ends[role], "type", "veth", "peer", "name", "end", "netns", name)
            stack.callback(_run, "ip", "link", "del", ends[role])
            _run("ip", "addr", "add", f"{host[role]}.1/24", "dev", ends[role])
            _run("ip", "link", "set", ends[role], "up")
            for command in (
                ("ip", "addr", "add", f"{host[role]}.2/24", "dev", "end"),
                ("ip", "link", "set", "end", "up"),
                ("ip", "link", "set", "lo", "up"),
                ("tc", "qdisc", "add", "dev", "end", "root", "tbf", "rate", link.rate, "burst", BURST, "latency", "1s"),
            ):
                _run(*made.inside(name, *command))
        relay = subprocess.Popen(
            [sys.executable, RELAY, made.reached, made.listening, str(link.round_trip / 2)], stdout=subprocess.PIPE
        )
        stack.callback(relay.wait)
        stack.callback(relay.kill)
        assert relay.stdout is not None, "it is a pipe"
        relay.stdout.readline()
        yield made


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout

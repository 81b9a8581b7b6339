"""SPU as one party.

python -m two_party_systems.workers.spu ROLE FOLDER SERVER:PORT CLIENT:PORT semi2k|cheetah BITS FRACTION
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import spu
import spu.utils.frontend as frontend
from spu import libspu

from two_party_systems.steps import Program, evaluate
from two_party_systems.workers.party import CLIENT, SERVER, Row, run

PROTOCOLS = {"semi2k": libspu.ProtocolKind.SEMI2K, "cheetah": libspu.ProtocolKind.CHEETAH}
FIELDS = {"32": libspu.FieldType.FM32, "64": libspu.FieldType.FM64}
RESULT = "result"
MINUTES = 20


class Jax:
    """Functions of SPU's front end."""

    def conv(self, x: Any, weight: Any, bias: Any, strides: Sequence[int], pads: Sequence[int]) -> Any:
        border = ((pads[0], pads[1]), (pads[2], pads[3]))
        found = jax.lax.conv_general_dilated(x, weight, strides, border, dimension_numbers=("NCHW", "OIHW", "NCHW"))
        return found + bias[None, :, None, None]

    def dense(self, x: Any, weight: Any, bias: Any) -> Any:
        return x @ weight + bias

    def relu(self, x: Any) -> Any:
        return jnp.maximum(x, 0)

    def add(self, x: Any, y: Any) -> Any:
        return x + y

    def max_pool(self, x: Any, kernel: Sequence[int], strides: Sequence[int]) -> Any:
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, *kernel), (1, 1, *strides), "VALID")

    def average_pool(self, x: Any, kernel: Sequence[int], strides: Sequence[int]) -> Any:
        whole = jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 1, *kernel), (1, 1, *strides), "VALID")
        return whole * (1 / (kernel[0] * kernel[1]))

    def reshape(self, x: Any, shape: Sequence[int]) -> Any:
        return x.reshape(shape)


def send(link: Any, share: Any) -> None:
    """Send the other party its share."""
    for part in (share.meta, str(len(share.share_chunks)).encode(), *share.share_chunks):
        link.send(1 - link.rank, part)


def receive(link: Any) -> Any:
    """A share that the other party sent."""
    found = libspu.Share()
    found.meta = link.recv(1 - link.rank)
    found.share_chunks = [link.recv(1 - link.rank) for _ in range(int(link.recv(1 - link.rank)))]
    return found


def prepare(link: Any, config: Any, folder: Path) -> Callable[[Program], Callable[[Row], Row | None]]:
    """Of a network, share its weights; then rows, one at a time, and open each result to the client."""
    io, runtime = spu.Io(2, config), spu.Runtime(link, config)

    def shared(name: str, value: Any, owner: int) -> None:
        if link.rank == owner:
            shares = io.make_shares(np.asarray(value), libspu.Visibility.VIS_SECRET, owner)
            send(link, shares[1 - owner])
            mine = shares[owner]
        else:
            mine = receive(link)
        runtime.set_var(name, mine)

    def prepared(program: Program) -> Callable[[Row], Row | None]:
        weights = program.weights(folder, known=link.rank == SERVER)
        names = {name: f"weight{number}" for number, name in enumerate(weights)}
        for name, value in weights.items():
            shared(names[name], value, SERVER)
        executable = None

        def computed(row: Any, given: Any) -> Any:
            return evaluate(program, Jax(), row, given)

        def answer(row: Row) -> Row | None:
            nonlocal executable
            if executable is None:
                # JAX orders a dictionary's values by their names.
                inputs = ["row", *(names[name] for name in sorted(weights))]
                visibility = [libspu.Visibility.VIS_SECRET] * len(inputs)
                executable, _ = frontend.compile(
                    frontend.Kind.JAX, computed, (row, weights), {}, inputs, visibility, lambda _: [RESULT]
                )
            shared("row", row, CLIENT)
            runtime.run(executable)
            if link.rank == SERVER:
                send(link, runtime.get_var(RESULT))
                return None
            theirs = receive(link)
            found: Row = io.reconstruct([theirs, runtime.get_var(RESULT)])
            return found

        return answer

    return prepared


def main() -> None:
    role, folder, server, client, protocol, bits, fraction = sys.argv[1:]
    config = libspu.RuntimeConfig(PROTOCOLS[protocol], FIELDS[bits], int(fraction))
    config.max_concurrency = 1
    # Weights and rows have an owner, which SPU may make use of.
    config.experimental_enable_colocated_optimization = True
    description = libspu.link.Desc()
    description.recv_timeout_ms = MINUTES * 60_000
    for name, address in (("server", server), ("client", client)):
        description.add_party(name, address)
    rank = {"server": SERVER, "client": CLIENT}[role]
    link = libspu.link.create_brpc(description, rank)
    run(rank, Path(folder), ("spu", "jax"), prepare(link, config, Path(folder)))
    link.stop_link()


if __name__ == "__main__":
    main()

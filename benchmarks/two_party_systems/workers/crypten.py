"""CrypTen as one party.

python -m two_party_systems.workers.crypten ROLE FOLDER SERVER:PORT CLIENT:PORT
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from two_party_systems.steps import Program, evaluate
from two_party_systems.workers.party import CLIENT, SERVER, Row, run

RANKS = {"server": SERVER, "client": CLIENT}


class CrypTen:
    """Functions of CrypTen's tensors."""

    def conv(self, x: Any, weight: Any, bias: Any, strides: Sequence[int], pads: Sequence[int]) -> Any:
        if any(pads):
            x = x.pad((pads[2], pads[3], pads[0], pads[1]))
        return x.conv2d(weight, stride=tuple(strides)) + bias.reshape(1, -1, 1, 1)

    def dense(self, x: Any, weight: Any, bias: Any) -> Any:
        return x.matmul(weight) + bias

    def relu(self, x: Any) -> Any:
        return x.relu()

    def add(self, x: Any, y: Any) -> Any:
        return x + y

    def max_pool(self, x: Any, kernel: Sequence[int], strides: Sequence[int]) -> Any:
        return x.max_pool2d(tuple(kernel), stride=tuple(strides))

    def average_pool(self, x: Any, kernel: Sequence[int], strides: Sequence[int]) -> Any:
        return x.avg_pool2d(tuple(kernel), stride=tuple(strides))

    def reshape(self, x: Any, shape: Sequence[int]) -> Any:
        return x.reshape(*shape)


def prepare(crypten: Any, rank: int, folder: Path) -> Callable[[Program], Callable[[Row], Row | None]]:
    """Of a network, share its weights; of a row then its input, and open the result to the client."""

    def prepared(program: Program) -> Callable[[Row], Row | None]:
        weights = {
            name: crypten.cryptensor(torch.from_numpy(value.copy()), src=SERVER)
            for name, value in program.weights(folder, known=rank == SERVER).items()
        }

        def answer(row: Row) -> Row | None:
            given = crypten.cryptensor(torch.from_numpy(row.copy()), src=CLIENT)
            found = evaluate(program, CrypTen(), given, weights).get_plain_text(dst=CLIENT)
            return found.numpy() if rank == CLIENT else None

        return answer

    return prepared


def main() -> None:
    role, folder, server, _ = sys.argv[1:]
    rank = RANKS[role]
    # CrypTen reads these from the environment alone.
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": "2",
        "RENDEZVOUS": f"tcp://{server}",
        "DISTRIBUTED_BACKEND": "gloo",
        "GLOO_SOCKET_IFNAME": "end",
    }
    import crypten

    torch.set_num_threads(1)
    crypten.init()
    run(rank, Path(folder), ("crypten", "torch"), prepare(crypten, rank, Path(folder)))


if __name__ == "__main__":
    main()

"""Import mutations of ONNX's node tests: prints a line for every one that is neither imported nor refused soon.

Run as ``python model_worker.py FIRST COUNT``; the first line says how many were refused. It is a process of its own, as
what is written in C may end it.
"""

from __future__ import annotations

import signal
import sys
import warnings
from random import Random
from types import FrameType

import model_mutations
import onnx

from hecc.compiler.importer import import_model
from hecc.compiler.importer.tables.conformance import choices, networks, node_tests
from hecc.runtime.errors import HeccError

SECONDS = 30


def main(first: int, count: int) -> None:
    """Import some mutations."""
    warnings.simplefilter("ignore")
    originals = [network.model for test in node_tests() for network in networks(test, choices(test)[-1])]
    signal.signal(signal.SIGALRM, _late)
    refused = 0
    for seed in range(first, first + count):
        random = Random(seed)
        made = model_mutations.mutated(random.choice(originals), random)
        given: onnx.ModelProto | bytes = made if random.random() < 0.5 else made.SerializeToString()
        print(seed, end=" ", flush=True)
        signal.alarm(SECONDS)
        try:
            import_model(given, batch_axis=random.random() < 0.7)
        except HeccError:
            refused += 1
        except Exception as error:  # what must not happen
            print(f"\nseed {seed}: {type(error).__name__}: {error}", flush=True)
        signal.alarm(0)
    print(f"\n{refused} refused")


def _late(number: int, frame: FrameType | None) -> None:
    raise TimeoutError


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

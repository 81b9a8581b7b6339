"""The native kernels, implementation by implementation, beside Microsoft SEAL's in the same interleaved run.

Milliseconds of one limb of one polynomial on one thread, except that "rescale" is of one polynomial, "encode" of one
plaintext with all its limbs and "key_products" of both polynomials and as many digits as limbs; the smallest of all
samples. Machines differ: quote the ratios. SEAL's transform is timed on a ciphertext in place, so is its addition; its
"multiply" is a product with a plaintext.

    python benchmarks/kernels.py [--rounds 9] [--bits 40] [--sizes 13:4 14:8 15:15 16:24] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tenseal import sealapi

from hecc.runtime.ckks.circuit.security import ntt_primes
from hecc.runtime.ckks.devices.seal.streams import make_context
from hecc.runtime.native import Kernels, implementations, time_kernels

SAMPLES = 5  # of each implementation and of SEAL in a round


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--bits", type=int, default=40, help="length of the primes")
    parser.add_argument("--sizes", nargs="+", default=["13:4", "14:8", "15:15", "16:24"], help="log2(N):limbs")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    reports = []
    for size in arguments.sizes:
        log_degree, limbs = map(int, size.split(":"))
        best = measure(2**log_degree, limbs, arguments.bits, arguments.rounds)
        reports.append({"degree": 2**log_degree, "limbs": limbs, "bits": arguments.bits, "seconds": best})
        show(reports[-1])
    if arguments.json:
        arguments.json.write_text(json.dumps(reports, indent=1) + "\n")


def measure(degree: int, limbs: int, bits: int, rounds: int) -> dict[str, dict[str, float]]:
    """Smallest seconds, by kernel and then by who ran it."""
    peers = seal_work(degree, limbs, bits) if degree <= 2**15 else {}  # SEAL's bound
    best: dict[str, dict[str, float]] = {}

    def note(kernel: str, who: str, seconds: float) -> None:
        row = best.setdefault(kernel, {})
        row[who] = min(row.get(who, seconds), seconds)

    for _ in range(rounds):
        for name in implementations():
            for kernel, samples in time_kernels(Kernels(name), degree, limbs, bits, SAMPLES).items():
                note(kernel, name, min(samples))
        for kernel, (work, divisor) in peers.items():
            for _ in range(SAMPLES):
                start = time.perf_counter()
                work()
                note(kernel, "SEAL", (time.perf_counter() - start) / divisor)
    return best


def seal_work(degree: int, limbs: int, bits: int) -> dict[str, tuple[Callable[[], Any], int]]:
    """What SEAL does for each kernel, and for how many limbs or polynomials at once."""
    context = make_context(degree, ntt_primes(bits, degree, limbs + 1), expand=True, enforce_128=False)
    secret = sealapi.KeyGenerator(context).secret_key()
    encoder, evaluator = sealapi.CKKSEncoder(context), sealapi.Evaluator(context)
    values = np.random.default_rng(0).uniform(-1, 1, degree // 2).tolist()
    # SEAL transforms all slots whatever they hold. Of a long list the binding's conversion would be measured, too.
    few = values[:64]
    plaintext, ciphertext, other, result = sealapi.Plaintext(), *(sealapi.Ciphertext() for _ in range(3))
    encoder.encode(values, 2.0**20, plaintext)
    for target in (ciphertext, other):
        sealapi.Encryptor(context, secret).encrypt_symmetric(plaintext, target)
    coefficients, values_form = sealapi.Ciphertext(), sealapi.Ciphertext()
    evaluator.transform_from_ntt(ciphertext, coefficients)
    scratch = sealapi.Plaintext()
    encoded = 2.0 ** min(40, bits)
    return {
        "ntt_forward": (lambda: evaluator.transform_to_ntt(coefficients, values_form), 2 * limbs),
        "ntt_inverse": (lambda: evaluator.transform_from_ntt(ciphertext, result), 2 * limbs),
        "add": (lambda: evaluator.add(ciphertext, other, result), 2 * limbs),
        "multiply": (lambda: evaluator.multiply_plain(ciphertext, plaintext, result), 2 * limbs),
        "rescale": (lambda: evaluator.rescale_to_next(ciphertext, result), 2),
        "encode": (lambda: encoder.encode(few, encoded, scratch), 1),
        "encode_eighth": (lambda: encoder.encode(few, encoded, scratch), 1),
    }


def show(report: dict[str, Any]) -> None:
    """One table: milliseconds, and how many times SEAL's speed that is."""
    columns = [*implementations(), "SEAL"]
    print(f"N = {report['degree']}, {report['limbs']} limbs of {report['bits']} bits, one thread")
    print(f"{'':20}" + "".join(f"{name:>20}" for name in columns))
    for kernel, row in report["seconds"].items():
        print(f"{kernel:20}" + "".join(f"{cell:>20}" for cell in cells(row, columns)))
    print(flush=True)


def cells(row: dict[str, float], columns: list[str]) -> Iterator[str]:
    peer = row.get("SEAL")
    for name in columns:
        if name not in row:
            yield "-"
        else:
            ratio = f" ({peer / row[name]:5.1f}x)" if peer and name != "SEAL" else ""
            yield f"{row[name] * 1e3:.4f}{ratio}"


if __name__ == "__main__":
    main()

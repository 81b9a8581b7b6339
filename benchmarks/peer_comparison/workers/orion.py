"""Orion (Ebel, Garimella and Reagen, ASPLOS 2025), on Lattigo: its own three networks for MNIST."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orion
import torch
from orion import models
from orion.nn import Conv2d, Linear

from peer_comparison.networks import NETWORKS, read_weights
from peer_comparison.worker import Image, serve, timed

MODELS = {"lola": models.LoLA, "mlp": models.MLP, "lenet": models.LeNet}


@dataclass(frozen=True)
class Parameters:
    """log2 of the ring degree, of data primes, of special primes and of the scale."""

    degree: int
    data: tuple[int, ...]
    special: tuple[int, ...]
    scale: int


SMALL = Parameters(13, (29, 26, 26, 26, 26, 26), (29, 29), 26)
"""Of Orion's own configuration files for LoLA and the MLP."""

LARGE = Parameters(14, (35, 30, 30, 30, 30, 30, 30, 30), (35, 35), 30)
"""Orion has no configuration for its LeNet: a chain as long as the network is deep, with somewhat more precision."""

PARAMETERS = {"lola": SMALL, "mlp": SMALL, "lenet": LARGE}
HAMMING_WEIGHT = 8192

BYTES = 8
"""Of a residue, in Lattigo."""


class Orion:
    """One network with Orion's own options."""

    def setup(self, folder: Path, network: str, threads: int) -> dict[str, Any]:
        """Orion makes some keys when it starts, and those of each layer while it compiles; the times are told apart."""
        del threads  # Lattigo is not told how many to use
        parameters = PARAMETERS[network]
        options = {"margin": 2, "embedding_method": "hybrid", "backend": "lattigo", "fuse_modules": True}
        options |= {"debug": False, "io_mode": "none", "diags_path": "", "keys_path": ""}
        ckks = {"LogN": parameters.degree, "LogQ": [*parameters.data], "LogP": [*parameters.special]}
        ckks |= {"LogScale": parameters.scale, "H": HAMMING_WEIGHT, "RingType": "ConjugateInvariant"}
        key_generation, self._scheme = timed(lambda: orion.init_scheme({"ckks_params": ckks, "orion": options}))
        generate = self._scheme.lt_evaluator.generate_rotation_keys

        def generate_rotation_keys(transform: int) -> None:
            nonlocal key_generation
            seconds, _ = timed(lambda: generate(transform))
            key_generation += seconds

        self._scheme.lt_evaluator.generate_rotation_keys = generate_rotation_keys
        self._network = MODELS[network]()
        layers = [module for module in self._network.modules() if isinstance(module, Conv2d | Linear)]
        for layer, (weight, bias) in zip(layers, read_weights(folder, len(NETWORKS[network].layers)), strict=True):
            layer.weight.data, layer.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
        self._network.eval()
        before = key_generation
        start = time.perf_counter()
        orion.fit(self._network, torch.zeros(1, 1, 28, 28) + 0.5)
        self._level = orion.compile(self._network)
        preparation = time.perf_counter() - start - (key_generation - before)
        return {
            "preparation": preparation,
            "key_generation": key_generation,
            "key_bytes": self._key_bytes(),
            "ring_degree": 1 << parameters.degree,
            "log2_qp": sum(parameters.data) + sum(parameters.special),
            "secret": f"ternary of Hamming weight {HAMMING_WEIGHT}",
        }

    def encrypt(self, image: Image) -> Any:
        return orion.encrypt(orion.encode(torch.from_numpy(image)[None], self._level))

    def compute(self, encrypted: Any) -> Any:
        self._network.he()
        return self._network(encrypted)

    def decrypt(self, result: Any) -> list[float]:
        return [float(value) for value in result.decrypt().decode().flatten()]

    def cleartext(self, image: Image) -> list[float]:
        self._network.eval()
        with torch.no_grad():
            return [float(value) for value in self._network(torch.from_numpy(image)[None]).flatten()]

    def sizes(self, encrypted: Any, result: Any) -> tuple[int, int]:
        """Orion cannot write ciphertexts, so this counts residues: two polynomials at every limb."""
        degree = self._scheme.params.get_ring_degree()
        first, last = (2 * degree * (value.level() + 1) * len(value.ids) * BYTES for value in (encrypted, result))
        return first, last

    def _key_bytes(self) -> int:
        """Of the relinearisation key and all rotation keys, which have one size: that of one as Lattigo writes it."""
        degree = self._scheme.params.get_ring_degree()
        # Rotations by powers of two are made when Orion starts. In the conjugate-invariant ring they are powers of 5
        # modulo 4N.
        powers = {pow(5, 1 << exponent, 4 * degree) for exponent in range(degree.bit_length() - 1)}
        rotations = powers | self._scheme.lt_evaluator.saved_rotation_keys
        written, pointer = self._scheme.backend.GenerateAndSerializeRotationKey(min(rotations))
        size = len(written)
        self._scheme.backend.FreeCArray(pointer)
        return size * (len(rotations) + 1)


if __name__ == "__main__":
    serve(Orion(), ["orion-fhe", "torch"])

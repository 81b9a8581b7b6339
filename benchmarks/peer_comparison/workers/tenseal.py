"""TenSEAL (Benaissa et al., 2021), on Microsoft SEAL: the network of its tutorial on encrypted convolutions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tenseal

from peer_comparison.networks import NETWORKS, Convolution, read_weights
from peer_comparison.worker import Image, serve, timed

RING_DEGREE, SCALE_BITS = 8192, 26
PRIME_BITS = [31, *[SCALE_BITS] * 6, 31]
"""The tutorial's; the last prime is for key switching."""


class TenSeal:
    """The tutorial's evaluation, with its parameters."""

    def setup(self, folder: Path, network: str, threads: int) -> dict[str, Any]:
        del threads  # TenSEAL takes all by default, as the tutorial does
        key_generation, self._context = timed(self._make_context)
        convolution, *_ = layers = NETWORKS[network].layers
        assert isinstance(convolution, Convolution)
        self._convolution = convolution
        preparation, _ = timed(lambda: self._read(folder, len(layers)))
        keys = self._context.serialize(save_public_key=False, save_secret_key=False)
        return {
            "preparation": preparation,
            "key_generation": key_generation,
            "key_bytes": len(keys),
            "ring_degree": RING_DEGREE,
            "log2_qp": sum(PRIME_BITS),
            "secret": "uniform ternary",
        }

    def encrypt(self, image: Image) -> Any:
        kernel, stride = self._convolution.kernel, self._convolution.stride
        encrypted, self._windows = tenseal.im2col_encoding(self._context, image[0].tolist(), kernel, kernel, stride)
        return encrypted

    def compute(self, encrypted: Any) -> Any:
        (kernels, shifts), *dense = self._lists
        maps = [
            encrypted.conv2d_im2col(kernel[0], self._windows) + shift
            for kernel, shift in zip(kernels, shifts, strict=True)
        ]
        value = tenseal.CKKSVector.pack_vectors(maps)
        for matrix, bias in dense:
            value.square_()
            value = value.mm(matrix) + bias
        return value

    def decrypt(self, result: Any) -> list[float]:
        values: list[float] = result.decrypt()
        return values

    def cleartext(self, image: Image) -> list[float]:
        kernel, stride = self._convolution.kernel, self._convolution.stride
        windows = np.lib.stride_tricks.sliding_window_view(image[0], (kernel, kernel))[::stride, ::stride]
        (kernels, shifts), *dense = ([part.astype(np.float64) for part in layer] for layer in self._weights)
        value = (np.einsum("ijkl,okl->oij", windows, kernels[:, 0]) + shifts[:, None, None]).ravel()
        for matrix, bias in dense:
            value = matrix @ value**2 + bias
        return [float(number) for number in value]

    def sizes(self, encrypted: Any, result: Any) -> tuple[int, int]:
        return len(encrypted.serialize()), len(result.serialize())

    def _make_context(self) -> Any:
        context = tenseal.context(
            tenseal.SCHEME_TYPE.CKKS, poly_modulus_degree=RING_DEGREE, coeff_mod_bit_sizes=PRIME_BITS
        )
        context.global_scale = 2.0**SCALE_BITS
        context.generate_galois_keys()
        return context

    def _read(self, folder: Path, layers: int) -> None:
        """TenSEAL takes lists of Python's, matrices transposed."""
        self._weights = read_weights(folder, layers)
        self._lists = [
            (weight.tolist() if weight.ndim == 4 else weight.T.tolist(), bias.tolist())
            for weight, bias in self._weights
        ]


if __name__ == "__main__":
    serve(TenSeal(), ["tenseal"])

"""``hecc.simulate``: what a plan computes, in clear and without keys, with the noise that encryption would add."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.inputs import Source, forms, load_inputs
from hecc.runtime.circuit import Circuit, Instruction
from hecc.runtime.epilogue import apply_steps
from hecc.runtime.errors import OutputError
from hecc.runtime.figures import apart
from hecc.runtime.noise import GaussianNoise
from hecc.runtime.parameters import KeySpecification
from hecc.runtime.plan import Plan
from hecc.runtime.simulator import Simulator
from hecc.runtime.tensors import input_rows
from hecc.runtime.verify import ArrayType, verify_expanded

__all__ = ["simulate"]

Array = NDArray[np.floating[Any]]


def simulate(
    plan: Plan | str | os.PathLike[str],
    inputs: Source,
    noise: bool = True,
    *,
    raw: bool = False,
    seed: int = 0,
) -> dict[str, NDArray[Any]]:
    """Run a plan's circuit on cleartext inputs, for many rows at once.

    Parameters
    ----------
    plan
        The server's plan, or its file.
    inputs
        As for :meth:`hecc.Client.encrypt`.
    noise
        Add random noise as large as that of encryption.
    raw
        Arrays hold raw values, which are to be preprocessed.
    seed
        Of the random noise.

    Returns
    -------
    dict
        By output name, each of shape (rows, ...), as :meth:`hecc.Client.decrypt` returns them.

    Raises
    ------
    InputError
        Names, shapes, dtypes or values that the plan does not take, or the client's plan, which has no circuit.
    OutputError
        A value inside the network is too large for the plan's modulus; names the layer.
    """
    plan = plan if isinstance(plan, Plan) else Plan.load(plan)
    circuit, header = plan.require_circuit(), plan.header
    rows = input_rows(load_inputs(inputs, forms(header.inputs), raw=raw).tensors, header.inputs)
    slots = {
        signature.name: signature.layout.pack(rows[signature.name].reshape(-1, *signature.layout.shape))
        for signature in header.inputs
    }
    circuit, types = verify_expanded(circuit, header.keys)
    model = GaussianNoise(circuit, types, header.keys, np.random.default_rng(seed)) if noise else None
    results = Simulator(circuit).run(slots, _Watch(circuit, types, header.keys, model))
    return {
        signature.name: apply_steps(
            signature.layout.average(np.asarray(results[signature.of or signature.name], dtype=np.float64)).reshape(
                -1, *signature.shape
            ),
            signature.epilogue,
        )
        for signature in header.outputs
    }


class _Watch:
    """A noise model that also watches for values which would wrap around the modulus under encryption."""

    def __init__(
        self, circuit: Circuit, types: Sequence[ArrayType], keys: KeySpecification, model: GaussianNoise | None
    ) -> None:
        self._model = model
        self._bounds = [
            math.prod(keys.data_primes[: kind.limbs]) / (2 * kind.scale) if kind.scale else math.inf for kind in types
        ]

    def noise(self, index: int, instruction: Instruction, value: Array, operands: Sequence[Array]) -> Array | None:
        largest = float(np.abs(value).max())
        if not largest <= self._bounds[index]:
            found, bound = apart(largest, float(self._bounds[index]))
            raise OutputError(
                f"{instruction.source}: a value of {found} is beyond {bound}, where it "
                "would wrap around under encryption; compile again with calibration inputs that are like these"
            )
        return None if self._model is None else self._model.noise(index, instruction, value, operands)

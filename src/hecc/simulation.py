"""``hecc.simulate``: what a plan computes, in clear and without keys, with the noise that encryption would add."""

from __future__ import annotations

import logging

from hecc.inputs.sources import Inputs, Source, forms, load_inputs
from hecc.runtime.files.container import FileSource
from hecc.runtime.inputs.tensors import input_rows
from hecc.runtime.plan.plan import Plan
from hecc.runtime.tail.outcomes import Outputs, report, row_words

__all__ = ["simulate"]

log = logging.getLogger(__name__)

ADVICE = "compile again with calibration inputs that are like these"


def simulate(
    plan: Plan | FileSource,
    inputs: Source | Inputs,
    noise: bool = True,
    *,
    raw: bool = False,
    clip: bool = False,
    skip_bad_rows: bool = False,
    seed: int = 0,
) -> Outputs:
    """Run a plan's circuit on cleartext inputs, for many rows at once.

    Every row is judged for itself, as under encryption: one in which a value overflows is lost, with all rows in
    the same ciphertexts, and the others are not. A warning names it, and the rows that leave the interval of a
    polynomial.

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
    clip, skip_bad_rows
        What becomes of rows that the plan does not take, as for :meth:`hecc.Client.encrypt`.
    seed
        Of the random noise.

    Returns
    -------
    Outputs
        By output name, each of shape (rows, ...), as :meth:`hecc.Client.decrypt` returns them. Rows in ``lost`` are
        NaN; those in ``outside`` left the interval of a polynomial.

    Raises
    ------
    InputError
        Names, shapes, dtypes or values that the plan does not take, or the client's plan, which has no circuit.
    OutputError
        A value inside the network is too large for the plan's modulus in all rows; names the layer.
    """
    plan = Plan.of(plan)
    plan.require_program()
    if isinstance(inputs, Inputs):
        loaded = inputs
    else:
        loaded = load_inputs(inputs, forms(plan.header.inputs), raw=raw, clip=clip, skip_bad_rows=skip_bad_rows)
        loaded.warn()
    outputs: Outputs = plan.scheme.simulate(
        plan, input_rows(loaded.tensors, plan.header.inputs), noise=noise, seed=seed
    )
    outputs.index = loaded.labels
    report(outputs, ADVICE)
    if left := [row for row in outputs.outside if row not in outputs.lost]:
        log.warning(
            "%s of %d outside: %s; what is computed from it may be far from the network's; %s",
            row_words(outputs.named(left)),
            outputs.rows,
            outputs.outside[left[0]],
            ADVICE,
        )
    return outputs

"""The header of a CKKS plan: what both files of a plan say about it, weights and circuit apart."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.layout import Layout
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.devices.names import DeviceName
from hecc.runtime.ckks.plan.rates import Rates
from hecc.runtime.inputs.preprocessing import Preprocessing
from hecc.runtime.inputs.ranges import ElementRanges
from hecc.runtime.plan.header import InputSignature, OutputSignature, PlanHeader
from hecc.runtime.tail.epilogue import Step

__all__ = ["CkksHeader", "CkksInput", "CkksOutput", "Disclosure", "Estimate", "EstimatedMachine"]


class CkksInput(InputSignature, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One encrypted input.

    Attributes
    ----------
    name
        The network's name for it.
    shape
        Shape of one example, without the batch dimension where the network has one; ``layout.shape`` may add axes of
        extent one, the C order is the same.
    layout, limbs, scale
        How the client packs, encodes and encrypts it.
    paired
        Whether a ciphertext holds two vectors of the layout (:class:`hecc.runtime.ckks.circuit.instructions.Input`).
    low, high
        Range of values that the plan was compiled for, over all elements; the client refuses others.
    preprocessing
        What the client does to raw inputs; ``None`` if nothing was said of it.
    ranges
        A range for each element, which the client brings to [-1, 1] before it encrypts; ``None`` where all have one.
    columns
        Names of the elements; empty if the calibration inputs had none.
    """

    name: str
    shape: tuple[int, ...]
    layout: Layout
    limbs: int
    scale: Fraction
    low: float
    high: float
    paired: bool = False
    preprocessing: Preprocessing | None = None
    ranges: ElementRanges | None = None
    columns: tuple[str, ...] = ()

    @property
    def ciphertexts(self) -> int:
        """How many there are for one example, or one batch."""
        return -(-self.layout.count // 2) if self.paired else self.layout.count

    def pack(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the slots hold of the network's inputs, of shape (rows, ...)."""
        packed: NDArray[np.float64] = self.layout.pack(self.normalised(values).reshape(-1, *self.layout.shape))
        return packed


class CkksOutput(OutputSignature, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One result.

    Attributes
    ----------
    name, shape, layout, limbs, scale
        As for inputs: how the client decrypts, decodes and unpacks it.
    bound
        Largest absolute value for which the evaluation cannot have overflowed.
    error
        Predicted standard deviation of the error of one value, in the result's units. Slots that hold no data, and
        imaginary parts, show errors of this size; much larger ones are an alarm.
    epilogue
        What the client does to the decrypted values, which the shape and the error are those of.
    labels
        Names of the classes, in the order of the scores along the last axis; two for a single score, the first for
        "no". Empty if nothing was said of them.
    of
        The output before it whose ciphertexts these are; empty for one that has its own. Such an output differs from it
        in its name, its epilogue and its labels only.
    """

    name: str
    shape: tuple[int, ...]
    layout: Layout
    limbs: int
    scale: Fraction
    bound: float
    error: float
    epilogue: tuple[Step, ...] = ()
    labels: tuple[str, ...] = ()
    of: str = ""

    @property
    def ciphertexts(self) -> int:
        """How many there are for one example, or one batch."""
        return 0 if self.of else self.layout.count


class EstimatedMachine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The machine that a plan was compiled for, if that was measured (:mod:`hecc.compiler.ckks.prediction.machine`).

    Attributes
    ----------
    name, kernels
        The processor, and the implementation of the native evaluator's kernels.
    threads, parallel_seconds
        Seconds of one run with so many threads.
    rates
        Of one thread.
    """

    name: Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[ -~]*$")]
    kernels: Annotated[str, msgspec.Meta(max_length=40, pattern=r"^[ -~]*$")]
    threads: int
    parallel_seconds: float
    rates: Rates


class Agreement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What polynomials in place of activations keep of the network's decisions, where they were chosen by those.

    Attributes
    ----------
    kept
        Part of the decisions on ``rows`` inputs that are as those of the network in clear; or of the right answers
        that the network in clear gives, where those were known, and it may be more than one.
    asked
        What was asked for.
    rows
        How many inputs.
    held_back
        Whether these are others than those that the polynomials were chosen on.
    labelled
        Whether right answers were known.
    outside
        How many of them left the interval of a polynomial.
    decided
        What a decision is, as a clause.
    """

    kept: Annotated[float, msgspec.Meta(ge=0, le=2)]
    asked: Annotated[float, msgspec.Meta(ge=0, le=1)]
    rows: Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]
    held_back: bool
    labelled: bool
    outside: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
    decided: Annotated[str, msgspec.Meta(max_length=400)]


class Estimate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What evaluating the plan will cost, predicted when it was compiled, for one run on one core.

    A run takes one row of input, or one batch of rows (:attr:`PlanHeader.batch`).

    ``device`` is the one that parameters and layouts were chosen for, and that times, memory and keys are those of.
    Times are seconds on ``machine``, or without that on the one that hecc was developed on; memory and files are
    bytes.

    Attributes
    ----------
    precision_bits
        ``-log2`` of the largest error of an element of an output, behind the client's steps, over that element's range
        on the calibration inputs; of inputs whose results are larger than on those, over a range as many times larger.
    worst_element
        That which is least precise, as ``name[index]``.
    far_precision_bits
        The same over the ranges on the calibration inputs for all inputs in the declared range that the plan can
        evaluate, however large their results are.
    outside_per_thousand
        How many of a thousand rows that are like the calibration inputs are expected to leave the interval of a
        polynomial, at the most; null where those are too few to say. It is left out where none can.
    agreement
        Where polynomials were chosen by decisions; then the precision is that of the network with polynomials.
    """

    device: DeviceName = msgspec.field(default="seal", name="evaluator")
    depth: int
    rotations: int
    seconds: float
    peak_memory: int
    evaluation_key_bytes: int
    input_bytes: int
    output_bytes: int
    precision_bits: float
    worst_element: str | msgspec.UnsetType = msgspec.UNSET
    far_precision_bits: float | msgspec.UnsetType = msgspec.UNSET
    machine: EstimatedMachine | msgspec.UnsetType = msgspec.UNSET
    outside_per_thousand: Annotated[float, msgspec.Meta(ge=0, le=1000)] | msgspec.UnsetType | None = msgspec.UNSET
    agreement: Agreement | msgspec.UnsetType = msgspec.UNSET

    @property
    def rates(self) -> Rates | None:
        """What times were predicted from, unless from hecc's own figures."""
        return None if self.machine is msgspec.UNSET else self.machine.rates


class Disclosure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That results of the plan may be disclosed, that is shown to others, and what has to hide their noise.

    :mod:`hecc.runtime.ckks.disclosure` says how much that is.

    Attributes
    ----------
    results
        How many results of one key, rows or batches of rows.
    deviations
        Standard deviation of the noise to add to every coefficient of the ciphertexts of each output that has some, as
        an integer's.
    """

    results: Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]
    deviations: tuple[float, ...]


class CkksHeader(PlanHeader, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"disclosure": "share"}):
    """Everything about a plan that the client needs, and that the server file repeats.

    Attributes
    ----------
    inputs, outputs
        With their layouts and scales.
    keys
        The ring, its primes, and the keys that the circuit uses.
    estimate
        What a run will cost, and how precise it is.
    disclosure
        Left out where results are for the client alone. In files it is called ``share``.
    """

    scheme: Literal["ckks"] = "ckks"
    inputs: tuple[CkksInput, ...]
    outputs: tuple[CkksOutput, ...]
    keys: KeySpecification
    estimate: Estimate
    disclosure: Disclosure | msgspec.UnsetType = msgspec.UNSET

    @property
    def sent(self) -> tuple[CkksOutput, ...]:
        """The outputs that have ciphertexts of their own."""
        return tuple(signature for signature in self.outputs if not signature.of)

    @property
    def batch(self) -> int:
        """Examples that one run takes: more than one in batch layouts only."""
        return self.inputs[0].layout.batch

    @property
    def peak_memory(self) -> int:
        """Bytes that a server is predicted to need."""
        return self.estimate.peak_memory

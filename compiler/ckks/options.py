"""The options that the compiler for CKKS obeys, and what else it is told."""

# Types are not strings here, since the command line makes flags of them.

import math
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, get_args

from hecc.compiler.options import option
from hecc.runtime.ckks.devices.names import DeviceName
from hecc.runtime.errors import InputError, SecurityError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from hecc.compiler.ckks.chain.bootstrapping import Bootstrapping
    from hecc.compiler.ckks.lowering.packing import Packing
    from hecc.compiler.ckks.prediction.machine import MachineProfile
    from hecc.runtime.ckks.circuit.parameters import KeySpecification
    from hecc.runtime.ckks.circuit.security import Adversary
    from hecc.runtime.ckks.plan.rates import Rates

__all__ = ["ACCURACY_LOSS", "NOISE_PRECISION", "PRECISION", "RING_DEGREES", "Begun", "CKKSOptions", "Options"]

CKKS = ("ckks",)
"""Whose plans these options shape."""

RING_DEGREES = tuple(1 << k for k in range(11, 17))
"""Of all rings that are tried."""

MOST_LOST = 50.0
"""Points of accuracy: with half of the decisions changed there is no network left."""

PRECISION = 12.0
"""Bits of outputs, unless something else is asked for."""

NOISE_PRECISION = 7.0
"""The same where polynomials are chosen by decisions: hardly one in a thousand is so close that noise changes it."""

ACCURACY_LOSS = 1.0
"""Points, for networks with kinks."""

MAX_BATCH = RING_DEGREES[-1] // 2
"""Slots of the largest ring."""


def _check_security(value: Any) -> None:
    from hecc.runtime.ckks.circuit.security import LEVELS

    if value not in LEVELS:
        levels = ", ".join(map(str, LEVELS))
        raise SecurityError(f"a security of {value} bits; hecc knows {levels} and nothing below")


def _check_number(name: str, value: Any) -> None:
    if not isinstance(value, Real | None):
        raise InputError(f"{name}={value!r}; give a number")


def _check_accuracy_loss(value: Any) -> None:
    _check_number("accuracy_loss", value)
    if value is not None and not 0 < value < MOST_LOST:
        raise InputError(
            f"an accuracy loss of {value:g} points; give how many of 100 decisions may change, below {MOST_LOST:g}"
        )


def _check_precision(value: Any) -> None:
    _check_number("precision", value)
    if value is not None and not 0 < value < math.inf:
        raise InputError(f"a precision of {value:g} bits; give a positive number, usually 8 to 20")


def _check_device(value: Any) -> None:
    if value not in get_args(DeviceName):
        raise InputError(f"there is no device {value!r}; choose one of {', '.join(get_args(DeviceName))}")


def _check_optimize(value: Any) -> None:
    if value not in ("latency", "throughput"):
        raise InputError(f"a plan optimised for {value!r}; choose latency or throughput")


def _check_batch(value: Any) -> None:
    _check_number("batch", value)
    if value is not None and not 1 <= value <= MAX_BATCH:
        raise InputError(
            f"a batch of {value} rows; give a number from 1 to {MAX_BATCH}, since no ciphertext holds more rows, and "
            "more of them are encrypted as several batches"
        )


def _check_disclose(value: Any) -> None:
    from hecc.runtime.ckks.disclosure import MAX_RESULTS

    _check_number("disclose", value)
    if value is not None and not 1 <= value <= MAX_RESULTS:
        raise InputError(f"{value} results to be disclosed; give how many of one key, from 1 to {MAX_RESULTS}")


def _check_key_budget(value: Any) -> None:
    _check_number("key_budget", value)
    if value is not None and value < 1:
        raise InputError(f"a budget of {value} bytes for keys; give a positive number")


@dataclass(frozen=True, kw_only=True)
class CKKSOptions:
    """What a user may ask of a plan for CKKS: a row of the table of options is a field."""

    security: int = option(
        128,
        "Bits of security: 128, 192 or 256.",
        group="Security and precision",
        metavar="BITS",
        check=_check_security,
        schemes=CKKS,
    )
    quantum: bool = option(
        False,
        "Keep that level against an adversary with a quantum computer, too.",
        group="Security and precision",
        schemes=CKKS,
    )
    precision: float | None = option(
        None,
        "Bits: the largest error of an element of an output, relative to its range, is at most 2^-BITS; by default 12, "
        "or, for networks with kinks such as ReLU and MaxPool, what decisions need.",
        more="The range is that over the calibration inputs, behind what the client computes. The error may come from "
        "the scheme or from the polynomials that stand for activations; with `accuracy_loss` from the scheme alone.",
        group="Security and precision",
        metavar="BITS",
        check=_check_precision,
        schemes=(*CKKS, "sharing"),
    )
    accuracy_loss: float | None = option(
        None,
        "Choose polynomials by decisions: so many points of accuracy, or of agreement with the network in clear, may "
        "be lost; by default 1 for networks with kinks such as ReLU and MaxPool, unless a precision is asked for.",
        more="A decision is the largest score, or of a network without scores each number to a 32nd of its range. They "
        "are counted on calibration inputs that are held back; where too many are lost, the network is refused. An "
        "interruption (Ctrl-C) of the search for cheaper polynomials makes the plan of the best ones so far.",
        group="Security and precision",
        metavar="POINTS",
        kind=float,
        check=_check_accuracy_loss,
        schemes=CKKS,
    )
    disclose: int | None = option(
        None,
        "How many results of one key may be shown to others, the server included: rows, or batches of rows.",
        more="Such a plan has room for the noise that hides what a result tells of the key, promises its precision "
        "with it, and is larger.",
        group="Security and precision",
        metavar="RESULTS",
        check=_check_disclose,
        schemes=CKKS,
    )
    device: DeviceName = option(
        "native",
        "What the plan is optimised for: hecc's own evaluator, or Microsoft SEAL's.",
        more="SEAL's is the reference, and slower. Either runs the plan; keys are for one of them.",
        group="Speed and memory",
        check=_check_device,
        schemes=CKKS,
    )
    optimize: Literal["latency", "throughput"] = option(
        "latency",
        "An answer in the shortest time, or the most answers per hour: thousands of rows at once.",
        more="For throughput the plan has a ciphertext for each element of an input, and a row in each of its slots.",
        group="Speed and memory",
        check=_check_optimize,
        schemes=CKKS,
    )
    batch: int | None = option(
        None,
        "So many rows at once, side by side in the slots where there is room.",
        more="By default one, or for throughput as many as a ciphertext has slots.",
        group="Speed and memory",
        metavar="ROWS",
        check=_check_batch,
        schemes=CKKS,
    )
    bootstrap: bool = option(
        False,
        "Refresh values ahead of every activation, so that networks of any depth can be evaluated; their keys take "
        "more than a gigabyte, and every activation a second or less.",
        more="For networks with activations, by decisions, at 128 bits of security in the ring of 2^15. It rests on a "
        "sparse secret, of which the table of the field has no rows: see the page on sparse secrets.",
        group="Speed and memory",
        schemes=CKKS,
    )
    key_budget: int | None = option(
        None,
        "Bytes that the evaluation keys may take in the server's memory: the fastest plan whose keys are not larger.",
        more="Linear transforms then share rotations as far as that needs. On the command line a size, as 200MB.",
        group="Speed and memory",
        metavar="SIZE",
        check=_check_key_budget,
        schemes=CKKS,
    )


@dataclass(frozen=True)
class Begun:
    """A search for polynomials that another plan is from.

    Attributes
    ----------
    model
        SHA-256 of the ONNX file's bytes.
    degrees
        Of each activation's polynomials, by the name of its result.
    """

    model: str
    degrees: "Mapping[str, tuple[int, ...]]"


@dataclass(frozen=True, kw_only=True)
class Options(CKKSOptions):
    """Options of a compilation: those of the user, and what was found out about the rest.

    Attributes
    ----------
    margin
        How many times the values observed on the calibration inputs must not overflow.
    interval_margin
        By how much wider than the values observed the interval of a fitted polynomial is, as a part of it.
    edges
        Inputs by name, shape (rows, ...), at the ends of the declared ranges, which must not leave the intervals of
        activations nor overflow; ``None`` if there are none.
    machine
        That predicted times are for; ``None`` for the one that hecc was developed on.
    chain
        Keys of another plan, whose ring, primes and digits this plan is to use; ``None`` for those that suit it best.
    begun
        A search to go on with; ``None`` for one from the beginning.
    producer
        Name and version for the plan's header.
    quiet
        Whether nothing is warned of, as for a variant of a network that is only compiled for comparison.
    offers_less
        Whether a refusal says which precision there is a plan for, which takes a few compilations more.
    decides
        Whether a network with kinks is compiled by decisions, as nobody asked for a precision.
    real
        Whether the calibration inputs are real ones, and not made up.
    truth
        The right class of each calibration input, shape (rows,); ``None`` where agreement with the network counts.
    bootstrapping
        How a network is bootstrapped that is.
    """

    precision: float = PRECISION

    margin: float = 4.0
    interval_margin: float = 0.25
    edges: "Mapping[str, NDArray[np.float64]] | None" = None
    machine: "MachineProfile | None" = None
    chain: "KeySpecification | None" = None
    begun: "Begun | None" = None
    producer: str = "hecc"
    quiet: bool = False
    offers_less: bool = True
    decides: bool = False
    real: bool = True
    truth: "NDArray[np.int64] | None" = None
    bootstrapping: "Bootstrapping | None" = None

    @property
    def adversary(self) -> "Adversary":
        """Whom the level of security is kept against."""
        return "quantum" if self.quantum else "classical"

    @property
    def many(self) -> bool:
        """Whether there is more than one example at once."""
        return self.optimize == "throughput" or self.batch not in (None, 1)

    @property
    def rates(self) -> "Rates | None":
        """Of one thread of the machine, if it was measured."""
        return None if self.machine is None else self.machine.one_thread

    def packings(self, ring_degree: int) -> "tuple[Packing, ...]":
        """The ways to fill the ciphertexts of a ring; none where it has too few slots for the batch."""
        from hecc.compiler.ckks.lowering.packing import Packing

        if self.optimize == "throughput":
            offered = [Packing(self.batch or ring_degree // 2, elementwise=True)]
        elif self.batch in (None, 1):
            offered = [Packing()]
        else:
            offered = [Packing(self.batch), Packing(self.batch, elementwise=True)]
        return tuple(packing for packing in offered if packing.slots(ring_degree) * packing.lanes <= ring_degree // 2)

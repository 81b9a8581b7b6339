"""A plan in plain words: what it does, what is encrypted, what it takes, what can go wrong, and what to do."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.circuit.security import check_keys
from hecc.runtime.ckks.devices.device import load_device
from hecc.runtime.ckks.plan.facts import outside_words, security_words, sent_words
from hecc.runtime.ckks.plan.header import Agreement, CkksHeader
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.errors import HeccError
from hecc.runtime.figures import count_words, listed, shape_words, shortened, size_words
from hecc.runtime.plan.facts import range_words, run_words
from hecc.runtime.plan.plan import client_path
from hecc.runtime.tail.epilogue import describe
from hecc.runtime.tail.predictions import class_names

if TYPE_CHECKING:
    from hecc.measure.layers import Layer

__all__ = ["Fact", "Step", "cautions", "seconds_words", "security_fault", "steps", "summary"]


@dataclass(frozen=True)
class Fact:
    """An answer to one question: in a few words, and in sentences.

    Attributes
    ----------
    question, answer
        A heading, and what stands out; the answer is empty where only sentences will do.
    sentences
        What the answer means.
    alarming
        Whether the plan should not be used.
    """

    question: str
    answer: str
    sentences: tuple[str, ...]
    alarming: bool = False


@dataclass(frozen=True)
class Step:
    """What to do next: why, and the command that does it."""

    purpose: str
    command: str


def summary(plan: CkksPlan, layers: Sequence[Layer] = ()) -> tuple[Fact, ...]:
    """What there is to know of a plan before it is used, for readers without cryptography.

    Parameters
    ----------
    layers
        The plan's, where they are known.
    """
    header = plan.header
    return (
        _purpose(header, layers),
        _encrypted(),
        _security(header.keys),
        _precision(header),
        _time(header, layers),
        _memory(header),
        _traffic(header),
    )


def security_fault(keys: KeySpecification) -> str | None:
    """Why the parameters are not as secure as the plan says, or not at all."""
    try:
        check_keys(keys)
    except HeccError as error:
        return str(error)
    return None


def seconds_words(seconds: float) -> str:
    """A time with three digits."""
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _purpose(header: CkksHeader, layers: Sequence[Layer]) -> Fact:
    given = listed([f"{source.name!r} ({shape_words(source.shape)})" for source in header.inputs])
    made = listed([f"{target.name!r} ({shape_words(target.shape)})" for target in header.outputs])
    sentences = [f"From the {_plural('input', header.inputs)} {given} it computes {made}, for every row of data."]
    for target in header.outputs:
        if names := class_names(target):
            sentences.append(f"The classes of {target.name!r} are {shortened(names)}.")
        if target.epilogue:
            sentences.append(
                f"Behind {target.name!r} the client does the last steps itself: {describe(target.epilogue)}."
            )
    depth = header.estimate.depth
    sentences.append(f"The longest chain of multiplications in it has {depth}; that decides how large its keys are.")
    if header.batch > 1:
        sentences.append(f"It evaluates up to {header.batch} rows at once.")
    computing = sum(not layer.is_input for layer in layers)
    return Fact(
        "What does it do?", f"a network of {count_words(computing, 'layer')}" if computing else "", tuple(sentences)
    )


def _encrypted() -> Fact:
    seen = (
        "The server computes on encrypted numbers: it sees neither the inputs, nor any value in between, nor the "
        "results. Only the client's secret key opens them."
    )
    shown = "Not encrypted is the network: the server reads its weights, and the client sees its depth and all outputs."
    return Fact("What is encrypted?", "inputs and results", (seen, shown))


def _security(keys: KeySpecification) -> Fact:
    fault = security_fault(keys)
    if fault is not None:
        sentences = (f"Not secure: {fault}.", "Make no keys for this plan.")
        return Fact("Is it secure?", "none", sentences, alarming=True)
    level = keys.security.level
    claim = f"The best attack known takes about 2^{level} steps of a {keys.security.adversary} computer."
    return Fact("Is it secure?", f"{level} bits", (claim, f"Checked: {security_words(keys)}."))


def _precision(header: CkksHeader) -> Fact:
    cost = header.estimate
    share = 100 * 2.0**-cost.precision_bits
    kept = None if cost.agreement is msgspec.UNSET else cost.agreement
    beside = "" if kept is None else " beside the network with polynomials"
    sentences = [] if kept is None else list(_decisions(kept))
    sentences.append(f"A result is off by at most about {share:.2g}% of the range that its values have{beside}.")
    if cost.worst_element:
        sentences.append(f"The least precise is {cost.worst_element}.")
    if cost.far_precision_bits is not msgspec.UNSET and cost.far_precision_bits < cost.precision_bits:
        sentences.append(
            f"It is {max(cost.far_precision_bits, 0.0):.1f} bits for inputs whose results leave that range."
        )
    bits = f"{cost.precision_bits:.1f} bits"
    answer = bits if kept is None else f"{100 * kept.kept:.1f}% of decisions kept"
    return Fact("How precise is it?", answer, tuple(sentences))


def _decisions(found: Agreement) -> Iterator[str]:
    """What polynomials in place of activations keep of the decisions, and on which inputs."""
    what = "right answers that the network in clear gives" if found.labelled else "decisions of the network in clear"
    yield (
        f"Polynomials stand for activations: on {count_words(found.rows, 'input')} they keep {100 * found.kept:.1f}% "
        f"of the {what}, where {100 * found.asked:g}% were asked for; a decision is {found.decided}."
    )
    if found.held_back:
        yield "These inputs were held back: the polynomials were chosen on others."
    else:
        yield "They were chosen on the same inputs, as there are few; on others they may keep less."
    outside = count_words(found.outside, "input") if found.outside else "None of them"
    yield f"{outside} left the interval that a polynomial is right on."


def _time(header: CkksHeader, layers: Sequence[Layer]) -> Fact:
    cost, each = header.estimate, run_words(header)
    sentences = [f"Predicted for a {each} on one core, with {load_device(cost.device).words}."]
    if cost.machine is not msgspec.UNSET:
        machine = cost.machine
        sentences.append(f"It holds for {machine.name} ({machine.kernels}).")
        if machine.threads > 1:
            sentences.append(f"With {machine.threads} threads it is {seconds_words(machine.parallel_seconds)}.")
    slowest = max(layers, key=lambda layer: layer.seconds, default=None)
    if slowest is not None:
        sentences.append(f"{100 * slowest.share:.0f}% of it goes to {slowest.source}.")
    return Fact("How long does it take?", f"{seconds_words(cost.seconds)} per {each}", tuple(sentences))


def _memory(header: CkksHeader) -> Fact:
    cost = header.estimate
    sentence = (
        f"That is what the server needs at its worst. {size_words(cost.evaluation_key_bytes)} of it are one client's "
        "evaluation keys; every further client adds as much."
    )
    return Fact("How much memory?", size_words(cost.peak_memory), (sentence,))


def _traffic(header: CkksHeader) -> Fact:
    cost, each = header.estimate, run_words(header)
    sentence = (
        f"Then an encrypted input of at most {size_words(cost.input_bytes)} goes to the server for every {each}, and a "
        f"result of at most {size_words(cost.output_bytes)} comes back."
    )
    return Fact("What is sent?", f"{sent_words(header)} of keys, once", (sentence,))


def cautions(header: CkksHeader, *, measured: bool, unknown: bool) -> Iterator[str]:
    """What can go wrong, and how one notices.

    Parameters
    ----------
    measured
        Whether the layers were measured on inputs that were given.
    unknown
        Whether those leave the intervals of polynomials, so that nothing can be said of them.
    """
    ranges = listed([f"{range_words(source)} for {source.name!r}" for source in header.inputs])
    yield f"Inputs out of range: the client refuses to encrypt values that are not within {ranges}."
    yield (
        "Inputs unlike those of the calibration: values inside the network may overflow. The client notices, and gives "
        "no result for the row."
    )
    if (outside := header.estimate.outside_per_thousand) is not msgspec.UNSET:
        yield (
            "Activations are polynomials, which are right on an interval only. Rows that leave it are "
            f"{outside_words(outside)}; their results may be far from the network's, without a sign."
        )
    if (kept := header.estimate.agreement) is not msgspec.UNSET:
        lost = 1000 * (1 - kept.kept)
        number = f"about {lost:.0f}" if lost >= 1 else f"fewer than {math.ceil(1000 / kept.rows)}"
        yield (
            "Polynomials keep decisions, not numbers: scores differ from those of the network in clear, and "
            f"{number} of 1,000 decisions, if inputs are like those of the calibration."
        )
    if unknown:
        remedy = "they are not like those of the calibration" if measured else "`hecc report --inputs` takes real ones"
        on = "the inputs given" if measured else "made-up inputs within the declared range"
        yield (
            f"The precision of the layers is unknown: {on} leave the intervals that activations were fitted on; "
            f"{remedy}."
        )
    if header.disclosure:
        yield (
            f"Results may be shown to others: {header.disclosure.results} of one key, with noise that the precision "
            "allows for. More would tell of the secret key."
        )
    else:
        yield "Results are for the client alone: decrypted values that others see tell of the secret key."
    yield "A server that cheats may return a wrong result, and the client cannot tell."


def steps(plan: CkksPlan, name: str) -> tuple[Step, ...]:
    """What to do with a plan, in order.

    Parameters
    ----------
    name
        Of its file.
    """
    if plan.circuit is None:
        own = shlex.quote(name)
        return (
            Step("Make keys; the evaluation keys go to the server.", f"hecc keygen {own}"),
            Step("Encrypt data, and send it to the server.", f"hecc encrypt {own} DATA"),
            Step("Decrypt what comes back.", f"hecc decrypt {own} result.bin"),
        )
    server, client = shlex.quote(name), shlex.quote(client_path(Path(name)).name)
    return (
        Step(
            "See how good the answers are on a test set of yours.",
            f"hecc evaluate {server} --inputs TEST --labels LABELS",
        ),
        Step("The client makes keys; the evaluation keys go to the server.", f"hecc keygen {client}"),
        Step("The client encrypts data.", f"hecc encrypt {client} DATA"),
        Step("The server evaluates it.", f"hecc run {server} encrypted.bin"),
        Step("The client decrypts the result.", f"hecc decrypt {client} result.bin"),
    )


def _plural(noun: str, things: Sequence[object]) -> str:
    return noun if len(things) == 1 else f"{noun}s"

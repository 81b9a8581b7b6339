"""What is asked of CKKS, in the terms of its compiler."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.ckks.options import NOISE_PRECISION, PRECISION, Begun, CKKSOptions, Options
from hecc.compiler.ckks.prediction.devices import DEVICE_MODELS
from hecc.compiler.ckks.prediction.machine import MachineProfile
from hecc.compiler.options import options_of
from hecc.compiler.promise.decisions import score_outputs
from hecc.inputs.labels import class_numbers, load_truth
from hecc.options.schemes import Circumstances
from hecc.options.table import CompileOptions
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.errors import InputError
from hecc.runtime.figures import count_words
from hecc.runtime.plan.plan import Plan
from hecc.runtime.tail.predictions import class_count, class_names

__all__ = ["Asked"]

CALIBRATED_MARGIN, SYNTHETIC_MARGIN = 4.0, 16.0
"""How many times the observed values must not overflow: synthetic inputs say less about real ones."""

CALIBRATED_INTERVAL, SYNTHETIC_INTERVAL = 0.25, 1.0
"""By how much wider than what is observed the intervals are on which polynomials are fitted to activations."""


class Asked:
    """See :class:`hecc.options.schemes.Asking`."""

    takes_edges = True

    def __init__(self, asked: CompileOptions) -> None:
        if asked.accuracy_loss is not None and asked.disclose is not None:
            raise InputError(
                "accuracy_loss and disclose: results to be disclosed need polynomials that hold for every input, and "
                "those chosen by decisions hold for inputs like the calibration inputs; leave one out"
            )
        machine = asked.machine
        profile = machine if machine is None or isinstance(machine, MachineProfile) else MachineProfile.load(machine)
        if profile is not None and not DEVICE_MODELS[asked.device].profiled:
            profiled = ", ".join(name for name, model in DEVICE_MODELS.items() if model.profiled)
            raise InputError(
                f"a machine profile is of the device {profiled}; leave it out for the device {asked.device!r}"
            )
        self._asked, self._profile = asked, profile

    def options(self, found: Circumstances) -> Options:
        """What the compiler obeys."""
        asked = self._asked
        return Options(
            **{row.name: getattr(asked, row.name) for row in options_of(CKKSOptions) if row.name != "precision"},
            precision=_precision(asked),
            decides=asked.precision is None and asked.disclose is None,
            real=found.real,
            truth=_truth(asked, found),
            margin=CALIBRATED_MARGIN if found.real else SYNTHETIC_MARGIN,
            interval_margin=CALIBRATED_INTERVAL if found.real else SYNTHETIC_INTERVAL,
            machine=self._profile,
            chain=None if asked.chain_of is None else _chain(asked.chain_of, asked.security, asked.quantum),
            begun=None if asked.search_from is None else _begun(asked.search_from),
            producer=found.producer,
        )


def _truth(asked: CompileOptions, found: Circumstances) -> NDArray[np.int64] | None:
    """The right class of each calibration input, if they are known."""
    if asked.calibration_labels is None:
        return None
    if asked.precision is not None and asked.accuracy_loss is None:
        raise InputError("calibration_labels are for accuracy_loss, and a precision was asked for; leave one out")
    rows = found.rows if found.real else 0
    answers = load_truth(asked.calibration_labels)
    answers = answers[:, 0] if answers.ndim == 2 and answers.shape[1] == 1 else answers
    if answers.shape != (rows,):
        raise InputError(
            f"calibration_labels of shape {answers.shape} for {count_words(rows, 'calibration input')}; give one for "
            "each, and no header"
        )
    scores = score_outputs(found.imported)
    if len(scores) != 1:
        raise InputError(
            f"calibration_labels: the network has {count_words(len(scores), 'output')} of scores of classes, not one; "
            "leave them out, and agreement with the network in clear counts"
        )
    names = found.labels.get(scores[0].name, ()) or class_names(scores[0])
    return class_numbers(answers, names, len(names) or class_count(scores[0]), "calibration_labels")


def _precision(asked: CompileOptions) -> float:
    """Bits that were asked for, or else that are enough."""
    if asked.precision is not None:
        return asked.precision
    return PRECISION if asked.accuracy_loss is None else NOISE_PRECISION


def _begun(plan: Plan | str | os.PathLike[str]) -> Begun:
    """The search that made another plan."""
    other = CkksPlan.of(plan)
    if other.choices is None or not other.choices.functions:
        raise InputError(
            "search_from: the other plan does not tell of a search for polynomials; give a server's plan that was "
            "compiled by decisions, or leave it out"
        )
    return Begun(other.header.model, {choice.value: choice.degrees for choice in other.choices.functions})


def _chain(plan: Plan | str | os.PathLike[str], security: int, quantum: bool) -> KeySpecification:
    """What a plan is to share with another one."""
    keys = CkksPlan.of(plan).header.keys
    evidence = keys.security
    if (evidence.level, evidence.adversary == "quantum") != (security, quantum):
        raise InputError(
            f"the other plan has {evidence.level} bits of security ({evidence.adversary} adversary); "
            "ask for the same here, since keys for both are made for one level"
        )
    return keys

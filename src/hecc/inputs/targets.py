"""Labels as a training's targets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hecc.inputs.labels import Truth, class_numbers, load_truth
from hecc.runtime.errors import InputError
from hecc.runtime.plan.header import PlanHeader

__all__ = ["load_targets"]


def load_targets(labels: Truth, header: PlanHeader) -> NDArray[np.float64]:
    """The right answers as numbers of the shape that a plan trains with: classes become ones among zeros.

    Raises
    ------
    InputError, FileFormatError
        The plan does not train, or the labels do not fit.
    """
    signature = header.targets
    if signature is None:
        raise InputError("labels: this plan does not train; leave them out, or compile with --train (train in Python)")
    truth = load_truth(labels)
    if signature.classes and truth.shape[1:] != signature.shape:
        truth = truth[:, 0] if truth.ndim == 2 and truth.shape[1] == 1 else truth
        numbers = class_numbers(truth, signature.labels, signature.shape[-1])
        if numbers.shape[1:] != signature.shape[:-1]:
            raise InputError(f"labels of shape {numbers.shape}; give a class for each row")
        return np.asarray(np.eye(signature.shape[-1])[numbers])
    if truth.dtype.kind not in "fiub" or truth.size % max(1, int(np.prod(signature.shape))):
        raise InputError(
            f"labels of shape {truth.shape} and dtype {truth.dtype}; give {signature.shape} numbers for each row"
        )
    return np.asarray(truth, dtype=np.float64).reshape(-1, *signature.shape)

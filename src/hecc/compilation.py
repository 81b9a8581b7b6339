"""``hecc.compile``: from an ONNX model and what its inputs look like to a plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hecc.options.arguments import takes
from hecc.options.table import CompileOptions
from hecc.preparation import Model, prepare
from hecc.runtime.errors import CompileError
from hecc.runtime.plan.plan import Plan
from hecc.words.ways import explain

__all__ = ["compile"]


@dataclass(frozen=True, kw_only=True)
class _Call(CompileOptions):
    """The arguments."""

    model: Model = field(kw_only=False)
    progress: Callable[[str], None] | None = None


@takes(_Call)
def compile(call: _Call) -> Plan:  # noqa: A001 - hecc.compile, as re.compile
    """Compile an ONNX model to a plan that runs on encrypted inputs.

    Parameters
    ----------
    model
        Path or bytes of an ONNX file, a model in memory, or a ``torch.nn.Module``.
    {options}
    progress
        Called with the name of each stage as it starts.

    Returns
    -------
    Plan
        The server's plan; ``plan.client()`` is the client's, without the weights.

    Raises
    ------
    InputError
        The file is missing or no ONNX model; the calibration inputs do not fit the network or the range; the
        preprocessing or the labels do not fit the network.
    UnsupportedError
        The network has an operator that cannot be evaluated on encrypted data; the message names the node.
    CompileError
        No parameters give the precision and the security asked for, or no polynomial follows an activation so closely.
        A precision that the message names was compiled for.
    SecurityError
        A security level that hecc does not know.
    """
    stage = call.progress or (lambda _: None)
    try:
        return prepare(call.model, call, stage).build(stage)
    except CompileError as refusal:
        explain(refusal)
        raise

"""A PyTorch module as an ONNX model in memory, by PyTorch's own exporter.

PyTorch is no dependency of hecc: whoever has a module has it imported already.
"""

from __future__ import annotations

import copy
import re
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hecc.runtime.errors import InputError, UnsupportedError
from hecc.runtime.extras import require

if TYPE_CHECKING:
    import onnx

__all__ = ["export_module", "is_module"]


def is_module(model: object) -> bool:
    """Whether something is a ``torch.nn.Module``; does not import PyTorch."""
    torch: Any = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


def export_module(module: Any, example_input: Any, *, batch_axis: bool) -> onnx.ModelProto:
    """Export a module in inference mode; the caller's module stays as it is.

    Parameters
    ----------
    module
        The module.
    example_input
        A tensor, or a sequence of the tensors that ``forward`` takes. Only shapes and types matter.
    batch_axis
        Whether axis 0 is the batch: then the first row alone is exported.

    Raises
    ------
    InputError
        There is no example input, or it is not made of tensors, or the exporter's packages are missing.
    UnsupportedError
        PyTorch cannot export the module.
    """
    torch: Any = sys.modules["torch"]
    if example_input is None:
        raise InputError(
            "a PyTorch module has no input shape of its own; give example_input, a tensor like those that it takes"
        )
    given = example_input if isinstance(example_input, Sequence) else (example_input,)
    if not given or not all(isinstance(tensor, torch.Tensor) for tensor in given):
        raise InputError("example_input is neither a tensor nor a sequence of tensors; give what forward takes")
    if any(0 in tensor.shape for tensor in given):
        raise InputError("example_input holds a tensor without elements; give one row at least")
    require("torch", "onnxscript")
    examples = tuple(tensor[:1] if batch_axis and tensor.dim() > 1 else tensor for tensor in given)
    try:
        with warnings.catch_warnings():
            # The exporter warns of its own internals.
            warnings.simplefilter("ignore")
            program = torch.onnx.export(copy.deepcopy(module).eval(), examples, dynamo=True, verbose=False)
    except ImportError as error:
        raise InputError(f"PyTorch's exporter needs the package '{error.name}'; install it with pip") from None
    except Exception as error:  # the exporter raises whatever tracing the module raises
        reason = _reason(error)
        raise UnsupportedError(
            f"PyTorch cannot export the module with this example input ({reason.rstrip('.')}); try "
            "torch.onnx.export(module, example_input, 'model.onnx') by hand, and compile that file"
        ) from None
    model: onnx.ModelProto = program.model_proto
    return model


def _reason(error: BaseException) -> str:
    """What went wrong first: the exporter wraps it, in words of its own and in colour."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = (re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)

"""Base of the converters: one class per operator, one method per opset that changed what the operator means."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from hecc.compiler.importer.building.call import Call

__all__ = ["Converter"]


class Converter:
    """A converter is named as its operator and has methods ``opset_7``, ``opset_13``, ….

    The method used is the one with the largest number not above the model's opset, as in Apache TVM's ONNX frontend.
    Opset 7 is the oldest imported, so ``opset_7`` stands for whatever was in force then.
    """

    notes: ClassVar[str] = ""
    """What the operator table says about limits, in a few words."""

    @classmethod
    def versions(cls) -> dict[int, Callable[[Call], None]]:
        """Methods by opset, oldest first."""
        names = [name for name in dir(cls) if name.startswith("opset_")]
        return {
            number: getattr(cls, f"opset_{number}") for number in sorted(int(n.removeprefix("opset_")) for n in names)
        }

    @classmethod
    def convert(cls, call: Call) -> None:
        """Convert a node by the rules of its opset."""
        usable = [method for version, method in cls.versions().items() if version <= call.source.opset]
        if not usable:
            raise call.fault("the operator does not exist in this opset")
        usable[-1](call)
        _check_outputs(call)


def _check_outputs(call: Call) -> None:
    """Refuse a node of which a further output is wanted that its converter does not define."""
    for name in filter(None, call.node.output[1:]):
        if name not in call.scope.operands and call.used(name):
            raise call.refuse(
                f"its additional output '{name}' is used",
                "export the network in inference mode, which needs only the first",
            )

"""CastLike."""

from __future__ import annotations

import onnx

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.building.scope import Constant
from hecc.compiler.importer.operators.shapes.cast import cast

__all__ = ["CastLike"]


class CastLike(Converter):
    """A Cast to the type of another tensor."""

    notes = "as Cast"

    @staticmethod
    def opset_15(call: Call) -> None:
        """All opsets agree on these types; every encrypted tensor is real."""
        like = call.operand(1)
        if isinstance(like, Constant):
            cast(call, onnx.helper.np_dtype_to_tensor_dtype(like.array.dtype))
        else:
            cast(call, onnx.TensorProto.FLOAT)

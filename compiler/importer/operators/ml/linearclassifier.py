"""LinearClassifier."""

from __future__ import annotations

from hecc.compiler.graph.affine import Reshape
from hecc.compiler.graph.function import ARGUMENT, Primitive
from hecc.compiler.graph.nodes import FunctionNode, Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.operators.ml.attributes import floats, linear
from hecc.compiler.importer.tail.decoded import axes, decode, then
from hecc.runtime.tail.epilogue import ArgMax, Labels, Sigmoid, Softmax

__all__ = ["LinearClassifier"]


class LinearClassifier(Converter):
    """Scores of classes, computed encrypted; label and probabilities, which the client computes from them."""

    notes = "`post_transform` NONE, LOGISTIC or SOFTMAX; label and softmax at the end of the network only"

    @staticmethod
    def opset_1(call: Call) -> None:
        """All opsets agree."""
        label, probabilities = call.name, "".join(call.node.output[1:2])
        labels = call.attribute("classlabels_ints", ()) or call.attribute("classlabels_strings", ())
        transform = call.attribute("post_transform", "NONE")
        if transform not in ("NONE", "LOGISTIC", "SOFTMAX"):
            raise call.refuse(f"its post_transform '{transform}' is not supported", "use LOGISTIC or SOFTMAX")
        ends = label in call.scope.tail.names and (not probabilities or probabilities in call.scope.tail.names)
        if not ends and (call.used(label) or transform == "SOFTMAX" or not probabilities):
            raise call.refuse(
                "its label and softmax cannot be computed on encrypted data in the middle of a network",
                "make it the last layer, or use a LinearRegressor for the scores",
            )
        # One score for two classes: positive for the second. The logistic function of its negative is the first's.
        single = len(floats(call, "intercepts")) == 1 and len(labels) == 2
        if single and transform != "LOGISTIC":
            raise call.refuse(
                f"it has one score for two classes and the post_transform '{transform}'",
                "use LOGISTIC, or coefficients for both classes",
            )
        scores = linear(call, call.scope.fresh(f"{label}:scores"), 1 if single else len(labels), mirrored=single)
        if probabilities and (not ends or transform == "NONE"):
            _encrypted(call, scores, probabilities, logistic=transform == "LOGISTIC")
        if not ends:
            return
        decoded = decode(call, scores)
        chosen = then(call, decoded, ArgMax(axis=axes(call, (1,), decoded)[0]), scores.shape[:1])
        call.scope.operands[label] = then(call, chosen, Labels(labels=labels))
        if probabilities and transform != "NONE":
            softmax = Softmax(axes=axes(call, (1,), decoded))
            call.scope.operands[probabilities] = then(call, decoded, Sigmoid() if transform == "LOGISTIC" else softmax)


def _encrypted(call: Call, scores: Value, name: str, *, logistic: bool) -> None:
    """Define the scores, or their logistic function, for the layers behind."""
    output = Value(name, scores.shape)
    if logistic:
        call.scope.define(FunctionNode(output, call.source, scores.name, Primitive("sigmoid", (), ARGUMENT)))
    else:
        call.affine(output, (scores, Reshape(scores.shape, scores.shape)))

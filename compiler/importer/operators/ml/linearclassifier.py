"""LinearClassifier."""

from __future__ import annotations

from hecc.compiler.importer.call import Call
from hecc.compiler.importer.converter import Converter
from hecc.compiler.importer.operators.ml.attributes import floats, linear
from hecc.compiler.importer.scope import Decoded
from hecc.runtime.epilogue import ArgMax, Labels, Sigmoid, Softmax, Step

__all__ = ["LinearClassifier"]


class LinearClassifier(Converter):
    """Scores of classes, computed encrypted; label and probabilities, which the client computes from them."""

    notes = "at the end of the network; `post_transform` NONE, LOGISTIC or SOFTMAX"

    @staticmethod
    def opset_1(call: Call) -> None:
        """All opsets agree."""
        if call.name not in call.scope.tail:
            raise call.refuse(
                "its label and probabilities cannot be computed on encrypted data in the middle of a network",
                "make it the last layer, or use a LinearRegressor for the scores",
            )
        labels = call.attribute("classlabels_ints", ()) or call.attribute("classlabels_strings", ())
        transform = call.attribute("post_transform", "NONE")
        transforms: dict[str, tuple[Step, ...]] = {
            "NONE": (),
            "LOGISTIC": (Sigmoid(),),
            "SOFTMAX": (Softmax(axes=(_classes(call),)),),
        }
        if transform not in transforms:
            raise call.refuse(f"its post_transform '{transform}' is not supported", "use LOGISTIC or SOFTMAX")
        # One score for two classes: positive for the second. The logistic function of its negative is the first's.
        single = len(floats(call, "intercepts")) == 1 and len(labels) == 2
        if single and transform != "LOGISTIC":
            raise call.refuse(
                f"it has one score for two classes and the post_transform '{transform}'",
                "use LOGISTIC, or coefficients for both classes",
            )
        scores = linear(call, call.scope.fresh(f"{call.name}:scores"), 1 if single else len(labels), mirrored=single)
        chosen: tuple[Step, ...] = (ArgMax(axis=_classes(call)), Labels(labels=labels))
        call.scope.operands[call.name] = Decoded(scores, scores.shape[:1], chosen, call.source)
        if len(call.node.output) > 1 and call.node.output[1]:
            probabilities = Decoded(scores, scores.shape, transforms[transform], call.source)
            call.scope.operands[call.node.output[1]] = probabilities


def _classes(call: Call) -> int:
    """The axis of the classes in one example."""
    return 0 if call.scope.batch.axis else 1

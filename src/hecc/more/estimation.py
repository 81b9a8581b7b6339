"""``hecc.estimate`` for plans of MORE."""

from __future__ import annotations

from dataclasses import dataclass

from hecc.compiler.more.prediction.plans import Layer, Use, evaluation_use, plan_layers, training_use
from hecc.runtime.more.plan import MorePlan
from hecc.runtime.plan.plan import Plan

__all__ = ["Estimation", "estimation"]


@dataclass(frozen=True)
class Estimation:
    """What a network will cost, encoded: an encoding without a security level, no encryption.

    Attributes
    ----------
    plan
        What the network was compiled to.
    security
        That there is none, in a sentence.
    layers
        The plan layer by layer.
    evaluation
        Seconds of one processor core for each row, and bytes of memory, to evaluate a file of 1,000 rows.
    training
        The same of an epoch of training on them in steps of 64 rows by Adam; ``None`` for a plan that does not train.
    """

    plan: MorePlan
    security: str
    layers: tuple[Layer, ...]
    evaluation: Use
    training: Use | None


def estimation(plan: Plan) -> Estimation:
    """What a server's plan takes."""
    own = MorePlan.of(plan)
    return Estimation(own, own.scheme.security(own.header), plan_layers(own), evaluation_use(own), training_use(own))

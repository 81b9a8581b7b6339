"""``hecc.estimate`` for plans of sharing."""

from __future__ import annotations

from dataclasses import dataclass

from hecc.compiler.sharing.prediction.plans import Layer, Use, plan_layers, plan_use
from hecc.runtime.plan.plan import Plan
from hecc.runtime.sharing.plan.plan import SharingPlan

__all__ = ["Estimation", "estimation"]


@dataclass(frozen=True)
class Estimation:
    """What queries about a network will cost two parties.

    Attributes
    ----------
    plan
        What the network was compiled to; its header has the bytes, which are exact.
    layers
        The plan layer by layer.
    use
        Seconds and memory in all.
    """

    plan: SharingPlan
    layers: tuple[Layer, ...]
    use: Use


def estimation(plan: Plan) -> Estimation:
    """What a plan takes; either file of it says so."""
    own = SharingPlan.of(plan)
    return Estimation(own, plan_layers(own), plan_use(own))

"""What plans of MORE take, layer by layer, as ``hecc inspect`` and ``hecc estimate`` show it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hecc.cli.console import Console
    from hecc.more.estimation import Estimation
    from hecc.runtime.more.plan import MorePlan

__all__ = ["show_estimation", "show_layers"]


def show_layers(out: Console, plan: MorePlan) -> dict[str, Any]:
    """The layers of a server's plan, and what all take together; the same for JSON."""
    from hecc.more.estimation import estimation

    return _show(out, estimation(plan), [])


def show_estimation(out: Console, found: Estimation) -> dict[str, Any]:
    """A whole estimate; the same for JSON."""
    scheme, header = found.plan.scheme, found.plan.header
    return {**scheme.fields(header), **_show(out, found, scheme.facts(header))}


def _show(out: Console, found: Estimation, facts: Iterable[tuple[str, str]]) -> dict[str, Any]:
    from hecc.more.words import layer_fields, layer_table, use_facts, use_fields

    out.facts([*facts, *use_facts(found.evaluation, found.training)])
    out.say()
    out.table(*layer_table(found.layers, trains=found.training is not None))
    return {
        "evaluation": use_fields(found.evaluation),
        "epoch": use_fields(found.training),
        "layers": [layer_fields(layer) for layer in found.layers],
    }

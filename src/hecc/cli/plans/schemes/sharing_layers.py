"""What plans of sharing take, layer by layer, as ``hecc inspect`` and ``hecc estimate`` show it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hecc.cli.console import Console
    from hecc.runtime.sharing.plan.plan import SharingPlan
    from hecc.sharing.estimation import Estimation

__all__ = ["show_estimation", "show_layers"]


def show_layers(out: Console, plan: SharingPlan) -> dict[str, Any]:
    """The layers of a plan, and what all take together; the same for JSON."""
    from hecc.sharing.estimation import estimation

    return _show(out, estimation(plan), [])


def show_estimation(out: Console, found: Estimation) -> dict[str, Any]:
    """A whole estimate; the same for JSON."""
    scheme, header = found.plan.scheme, found.plan.header
    return {**scheme.fields(header), **_show(out, found, scheme.facts(header))}


def _show(out: Console, found: Estimation, facts: Iterable[tuple[str, str]]) -> dict[str, Any]:
    from hecc.sharing.words import layer_fields, layer_table, use_facts, use_fields

    out.facts([*facts, *use_facts(found.use, found.plan.header.cost)])
    out.say()
    out.table(*layer_table(found.layers))
    return {**use_fields(found.use), "layers": [layer_fields(layer) for layer in found.layers]}

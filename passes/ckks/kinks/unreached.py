"""Why decisions cannot be kept: levels that are missing, the layers that spend them, and what would fit.

Only the pipeline calls this; it is no pass itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hecc.compiler.ckks.capacity import most_levels, usual_levels
from hecc.compiler.ckks.imprecise import ImpreciseError, UndecidedError, UnreachedError, by_sharing
from hecc.compiler.ckks.options import MOST_LOST, RING_DEGREES, Options
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import FunctionNode
from hecc.passes.graph.depth import levels_spent, multiplicative_depth
from hecc.runtime.ckks.plan.choices import PolynomialTrial
from hecc.runtime.figures import count_words, listed, size_words

__all__ = ["CHEAPEST", "check_depth", "too_many_keys", "unreached"]

CHEAPEST = 3
"""Levels of a polynomial: those of fewer, squares and cubes, keep next to no decisions of a deep network."""

NAMED = 3
"""Layers that a refusal names, those that spend most."""

ROUND_LOSSES = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0)
"""Points of accuracy that a refusal may name."""

BOOTSTRAPPING = "compile it with --bootstrap, which refreshes values ahead of every activation"


def check_depth(graph: Graph, options: Options) -> None:
    """Refuse a network that fits no ring with the cheapest polynomials, before any is fitted.

    Raises
    ------
    UnreachedError
        It says how many levels are missing.
    """
    deepest = _depth(graph, CHEAPEST)
    if deepest <= most_levels(options):
        return
    room = usual_levels(options)
    raise UnreachedError(
        f"even with polynomials of {CHEAPEST} levels in place of activations "
        f"{_Missing(graph, CHEAPEST, deepest, room).words(options)}; {_shallower(graph, CHEAPEST, room)}, or "
        f"{by_sharing(graph)}; or {BOOTSTRAPPING}"
    )


def too_many_keys(graph: Graph, options: Options, smallest: int) -> UnreachedError:
    """The refusal of a network whose evaluation keys are over the budget with the cheapest polynomials.

    Parameters
    ----------
    smallest
        Bytes that they take.
    """
    assert options.key_budget is not None, "there is a budget"
    return UnreachedError(
        f"even with polynomials of {CHEAPEST} levels in place of activations the evaluation keys of this network take "
        f"{size_words(smallest)}, more than the budget of {size_words(options.key_budget)}; allow more with "
        f"--key-budget, use fewer or narrower layers and train again, or {by_sharing(graph)}"
    )


def unreached(
    graph: Graph, options: Options, best: PolynomialTrial | None, refused: ImpreciseError | UndecidedError
) -> UnreachedError:
    """The refusal of a network whose polynomials would be too deep, or not good enough.

    Parameters
    ----------
    graph
        Canonical.
    best
        Polynomials of the most levels that there are parameters for; ``None`` where there are none.
    refused
        Why there is no plan that keeps as many decisions as were asked for.
    """
    wanted = f"{100 - (options.accuracy_loss or 0.0):g}% of the network's decisions cannot be kept"
    levels = 1 if best is None else best.levels or 0
    shallower = _shallower(graph, levels + 1, usual_levels(options) if best is None else best.depth)
    deeper = ""
    if isinstance(refused, ImpreciseError) and not refused.deep:
        reason = str(refused)
    elif best is None:
        deepest = _depth(graph, CHEAPEST)
        room = min(usual_levels(options), _depth(graph, 1) - 1)
        missing = _Missing(graph, CHEAPEST, deepest, room).words(options)
        reason = f"with polynomials of {CHEAPEST} levels in place of activations {missing}"
        shallower, deeper = _shallower(graph, CHEAPEST, room), f"; or {BOOTSTRAPPING}"
    elif isinstance(refused, UndecidedError) and refused.levels > levels:
        # Deeper ones than there is room for would not do either.
        kept = f"{100 * (1 - refused.lost):.1f}%"
        reason = (
            "no polynomials follow its kinks and jumps closely enough: those of up to "
            f"{count_words(refused.levels, 'level')}, for which there is no room, keep {kept}"
        )
        shallower = "use squares or SiLU in place of its activations and train again"
    else:
        deepest = _depth(graph, levels + 1)
        room = max(best.depth, min(usual_levels(options), deepest - 1))
        missing = _Missing(graph, levels + 1, deepest, room).words(options)
        reason = f"that takes polynomials of more than {count_words(levels, 'level')}, with which {missing}"
        deeper = f"; or {BOOTSTRAPPING}"
    ways = f"{shallower}, or {by_sharing(graph)}{deeper}"
    if best is None:
        return UnreachedError(f"{wanted}: {reason}; {ways}")
    loss = _round_loss(100 * (1 - best.kept))
    offer = "" if loss is None else f"ask for --accuracy-loss {loss:g}, or "
    fits = f"polynomials of {count_words(levels, 'level')} fit, at depth {best.depth}, and keep {100 * best.kept:.1f}%"
    return UnreachedError(f"{wanted}: {reason}; {fits}; {offer}{ways}", loss)


@dataclass(frozen=True)
class _Missing:
    """Levels that are missing: of a graph with polynomials of so many each, against what there is room for."""

    graph: Graph
    levels: int
    deepest: int
    room: int

    def words(self, options: Options) -> str:
        """How many, and which layers spend most."""
        spent = sorted(levels_spent(self.graph, functions=self.levels).items(), key=lambda entry: -entry[1])
        named = listed([f"{source} ({number})" for source, number in spent[:NAMED]])
        number = max(1, self.deepest - self.room)
        missing = f"{count_words(number, 'level')} {'is' if number == 1 else 'are'} missing"
        return (
            f"the network has {self.deepest} levels of multiplications, where N = {RING_DEGREES[-1]} has room for "
            f"about {self.room} at {options.security}-bit security: {missing}; "
            f"of {count_words(len(spent), 'layer')} in a row {named} spend most"
        )


def _shallower(graph: Graph, levels: int, room: int) -> str:
    """What to change and train again, as a clause: squares in place of as many activations as have to go."""
    functions = [node for node in graph.nodes if isinstance(node, FunctionNode)]
    if _depth(graph, 1) > room:
        return "use fewer layers and train again"
    needed = math.ceil((_depth(graph, levels) - room) / max(1, levels - 1))
    number = min(len(functions), max(1, needed))
    of = "" if number == len(functions) == 1 else f"{number} of " if number < len(functions) else "all "
    which = "the activation" if len(functions) == 1 else f"{of}{len(functions)} activations"
    smooth = " or SiLU, which takes fewer levels than a kink," if levels > CHEAPEST else ""
    return f"use squares in place of {which}{smooth} and train again"


def _depth(graph: Graph, levels: int) -> int:
    """Of the network with polynomials of so many levels each."""
    return max(multiplicative_depth(graph, functions=levels).values())


def _round_loss(points: float) -> float | None:
    """A round number of points, of which half are as many: what other inputs may add is in the rest."""
    return next((loss for loss in ROUND_LOSSES if loss >= 2 * points and loss < MOST_LOST), None)

"""Why a network cannot be bootstrapped as was asked, and what would do. Only the pipeline calls this; it is no pass."""

from __future__ import annotations

from hecc.compiler.ckks.chain.bootstrapping import Bootstrapping
from hecc.compiler.ckks.imprecise import ImpreciseError, UndecidedError, UnreachedError, by_sharing
from hecc.compiler.ckks.options import Options
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import FunctionNode
from hecc.passes.ckks.kinks.unreached import CHEAPEST
from hecc.passes.graph.depth import levels_between
from hecc.runtime.errors import CompileError

__all__ = ["check_bootstraps", "unrefreshed"]

SECURITY = 128
"""Bits that the table of sparse secrets has a row of for the ring."""


def check_bootstraps(graph: Graph, options: Options, bootstrapping: Bootstrapping, *, decided: bool) -> None:
    """Refuse what bootstraps cannot do, before any polynomial is fitted.

    Raises
    ------
    CompileError
        One sentence, with what to do instead.
    """
    if not any(isinstance(node, FunctionNode) for node in graph.nodes):
        raise CompileError(
            "bootstraps go ahead of activations that become polynomials, and this network has none; compile without "
            "--bootstrap"
        )
    if options.disclose is not None:
        raise CompileError(
            "results of plans with bootstraps cannot be disclosed: a bootstrap fails with a small probability, and no "
            "bound on its error holds for all inputs; compile without --disclose, or without --bootstrap"
        )
    if not decided:
        raise CompileError(
            "networks with bootstraps are compiled by decisions, since bootstraps leave about twelve bits of "
            "precision; ask for an accuracy loss instead of a precision"
        )
    if options.security != SECURITY or options.quantum:
        raise CompileError(
            f"bootstraps are to be had at {SECURITY} bits of security against classical adversaries only; ask for "
            "those, or compile without --bootstrap"
        )
    if options.device != "native":
        raise CompileError("SEAL has no bootstrapping; compile for the native device, or without --bootstrap")
    if options.chain is not None:
        raise CompileError("plans with bootstraps have primes of their own; compile without another plan's")
    if options.many:
        raise CompileError(
            "plans with bootstraps take one row at a time; compile without a batch and for latency, and give the rows "
            "one after another"
        )
    between = levels_between(graph)
    if between + CHEAPEST > bootstrapping.levels:
        raise CompileError(
            f"between two activations there are up to {between} levels of products, and of the {bootstrapping.levels} "
            f"between two bootstraps a polynomial takes {CHEAPEST} at the least; use fewer layers without an "
            f"activation between them, or {by_sharing(graph)}"
        )


def unrefreshed(graph: Graph, levels: int, refused: ImpreciseError | UndecidedError) -> UnreachedError:
    """The refusal of a network that bootstraps do not make good enough.

    Parameters
    ----------
    levels
        That polynomials may take.
    refused
        Why the last polynomials would not do.
    """
    place = f"with a bootstrap ahead of every activation, and polynomials of up to {levels} levels behind it, "
    if isinstance(refused, UndecidedError):
        return UnreachedError(
            f"{place}{100 * (1 - refused.lost):.1f} of 100 decisions stay as they are; allow a larger loss, calibrate "
            f"with more inputs, or {by_sharing(graph)}"
        )
    return UnreachedError(f"{place}{refused}; or {by_sharing(graph)}")

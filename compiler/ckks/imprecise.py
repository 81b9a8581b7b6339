"""Refusals that less precision or fewer decisions might lift: what they say once it is known whether it does."""

from __future__ import annotations

from hecc.compiler.graph.function import is_kinked
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import FunctionNode
from hecc.runtime.errors import CompileError
from hecc.runtime.figures import listed

__all__ = ["ImpreciseError", "UndecidedError", "UnreachedError", "by_sharing"]


class ImpreciseError(CompileError):
    """The precision that was asked for cannot be had; less may.

    Parameters
    ----------
    reason
        Why not.
    remedy
        What else to do, as a clause; empty if there is nothing.
    remark
        What to know beside, behind the way out.
    precision
        Fewer bits, whole ones, for which there is a plan; ``None`` if there is none, or nobody has looked.
    deep
        Whether the network is deeper than there is room for, whatever makes it so.
    """

    def __init__(
        self, reason: str, remedy: str = "", remark: str = "", precision: int | None = None, *, deep: bool = False
    ) -> None:
        ways = [way for way in (remedy, "" if precision is None else f"ask for --precision {precision}") if way]
        super().__init__(f"{reason}{'; ' if ways else ''}{' or '.join(ways)}{remark}")
        self.precision, self.deep = precision, deep
        self._parts = reason, remedy, remark

    def offering(self, precision: int | None) -> ImpreciseError:
        """The same refusal with the precision for which there is a plan."""
        return ImpreciseError(*self._parts, precision, deep=self.deep)

    def remedied(self, remedy: str) -> ImpreciseError:
        """The same refusal with another thing to do."""
        reason, _, remark = self._parts
        return ImpreciseError(reason, remedy, remark, self.precision, deep=self.deep)


class UndecidedError(CompileError):
    """No polynomials of so many levels leave as many decisions as they are as was asked for.

    Parameters
    ----------
    lost
        Part of the decisions that those which come nearest change.
    levels
        That each polynomial was allowed.
    """

    def __init__(self, lost: float, levels: int) -> None:
        super().__init__(
            f"polynomials of up to {levels} levels in place of activations leave {100 * (1 - lost):.1f}% of the "
            "network's decisions as they are"
        )
        self.lost, self.levels = lost, levels


class UnreachedError(CompileError):
    """The decisions that were asked for cannot be kept.

    Parameters
    ----------
    accuracy_loss
        Points for which there are parameters; ``None`` if for none.
    """

    def __init__(self, message: str, accuracy_loss: float | None = None) -> None:
        super().__init__(message)
        self.accuracy_loss = accuracy_loss


def by_sharing(graph: Graph) -> str:
    """The way out that takes no levels, as a clause: the scheme that evaluates functions with kinks as they are."""
    functions = [node for node in graph.nodes if isinstance(node, FunctionNode)]
    kinks = sorted({node.source.operator for node in functions if is_kinked(node.function)})
    gain = f"compute {listed(kinks)} exactly, at any depth" if kinks else "evaluate networks of any depth"
    return f"compile it with --scheme sharing: two parties and a dealer of random numbers {gain}"

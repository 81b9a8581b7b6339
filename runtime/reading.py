"""One meaning of a program's kinds of instruction: a table with a rule for each, complete or it does not load.

A program is made of few kinds of instruction (or a graph of few kinds of node), and is read in many ways: what types
values have, what they are in clear, what noise they carry, what they cost. Each way is one :class:`Reading`. A kind
that is new has to say something in all of them, and no reading has a default that would say it in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

__all__ = ["Reading"]

Rule = TypeVar("Rule")


class Reading(Generic[Rule]):
    """A table with one rule per kind.

    Parameters
    ----------
    name
        What is read, for messages: "the noise that is drawn".
    kinds
        All kinds there are.
    rules
        The rule of each kind. A rule holds for its kind alone, not for kinds derived from it.
    without
        Kinds that have none, each with the reason: "polynomials are expanded before".

    Raises
    ------
    TypeError
        A kind has neither a rule nor a reason, or both, or is not one of ``kinds``. Tables are made where modules are
        loaded, so that no program ever meets an incomplete one.
    """

    def __init__(
        self,
        name: str,
        kinds: Iterable[type],
        rules: Mapping[type, Rule],
        without: Mapping[type, str] = MappingProxyType({}),
    ) -> None:
        self.name = name
        self.without: Mapping[type, str] = MappingProxyType(dict(without))
        self._rules = dict(rules)
        known = tuple(dict.fromkeys(kinds))
        named = [*self._rules, *self.without]
        problems = [f"no rule and no reason for {kind.__name__}" for kind in known if kind not in named]
        problems += [f"{kind.__name__} is not a kind" for kind in named if kind not in known]
        problems += [f"a rule and a reason for {kind.__name__}" for kind in self._rules if kind in self.without]
        problems += [f"an empty reason for {kind.__name__}" for kind, reason in self.without.items() if not reason]
        if problems:
            raise TypeError(f"{name}: {'; '.join(problems)}")

    def __contains__(self, kind: type) -> bool:
        """Whether a kind has a rule."""
        return kind in self._rules

    def __getitem__(self, kind: type) -> Rule:
        """The rule of a kind.

        Raises
        ------
        TypeError
            The kind has none, for the reason that is given.
        """
        try:
            return self._rules[kind]
        except KeyError:
            reason = self.without.get(kind, "it is not a kind of this program")
            raise TypeError(f"{self.name}: no rule for {kind.__name__}, because {reason}") from None

    def of(self, item: object) -> Rule:
        """The rule of the kind that an instruction or a node is of."""
        return self[type(item)]

"""A reading has a rule or a reason for every kind, and says so when it is made."""

import pytest

from hecc.runtime.reading import Reading


class First:
    """A kind."""


class Second:
    """Another kind."""


class Derived(First):
    """A kind that is also of another."""


def test_each_kind_has_its_rule() -> None:
    reading = Reading("letters", (First, Second), {First: "a", Second: "b"})
    assert (reading.of(First()), reading[Second]) == ("a", "b")
    assert First in reading


def test_a_kind_without_a_rule_is_refused_with_its_reason() -> None:
    reading = Reading("letters", (First, Second), {First: "a"}, {Second: "it has no letter"})
    assert Second not in reading
    with pytest.raises(TypeError, match=r"^letters: no rule for Second, because it has no letter$"):
        reading.of(Second())


def test_rules_are_not_inherited() -> None:
    """A kind derived from another would otherwise get its rule in silence."""
    with pytest.raises(TypeError, match="no rule and no reason for Derived"):
        Reading("letters", (First, Derived), {First: "a"})
    reading = Reading("letters", (First,), {First: "a"})
    with pytest.raises(TypeError, match="no rule for Derived, because it is not a kind of this program"):
        reading.of(Derived())


@pytest.mark.parametrize(
    ("rules", "without", "problem"),
    [
        ({First: "a"}, {}, "no rule and no reason for Second"),
        ({First: "a", Second: "b", int: "c"}, {}, "int is not a kind"),
        ({First: "a", Second: "b"}, {int: "none"}, "int is not a kind"),
        ({First: "a", Second: "b"}, {Second: "none"}, "a rule and a reason for Second"),
        ({First: "a"}, {Second: ""}, "an empty reason for Second"),
    ],
)
def test_an_incomplete_table_is_refused(rules: dict[type, str], without: dict[type, str], problem: str) -> None:
    with pytest.raises(TypeError, match=f"^letters: {problem}$"):
        Reading("letters", (First, Second), rules, without)

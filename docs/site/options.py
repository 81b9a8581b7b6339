"""An extension of griffe: functions that take a table of options have its rows as parameters.

At run time :mod:`hecc.options.arguments` does the same. Nothing is imported here; the table is read.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

import griffe


class Options(griffe.Extension):
    """Documents the options where a docstring says ``{options}``."""

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **kwargs: Any) -> None:
        """Look at the functions that ``import hecc`` offers."""
        groups = ast.literal_eval(str(pkg["compiler.options.GROUPS"].value))
        for module in pkg.modules.values():
            for function in module.functions.values():
                if not function.is_alias and function.docstring and "{options}" in function.docstring.value:
                    _document(function, module["_Call"], groups)


def _document(function: griffe.Function, call: griffe.Class, groups: Sequence[str]) -> None:
    rows = sorted(_rows(call), key=lambda row: groups.index(row[1]))
    assert function.docstring is not None
    function.docstring.value = function.docstring.value.replace(
        "{options}", "\n".join(f"{field.name}\n    {text}" for field, _, text, _ in rows)
    )
    own = [field for field in call.members.values() if field.is_attribute and not field.inherited]
    first = [field for field in own if str(field.value).startswith("field(")]
    function.parameters = griffe.Parameters(
        *(_parameter(field, griffe.ParameterKind.positional_or_keyword, None) for field in first),
        *(_parameter(field, griffe.ParameterKind.keyword_only, default) for field, _, _, default in rows),
        *(
            _parameter(field, griffe.ParameterKind.keyword_only, str(field.value))
            for field in own
            if field not in first
        ),
    )


def _parameter(field: griffe.Attribute, kind: griffe.ParameterKind, default: str | None) -> griffe.Parameter:
    return griffe.Parameter(field.name, annotation=field.annotation, kind=kind, default=default)


def _rows(table: griffe.Class) -> Iterator[tuple[griffe.Attribute, str, str, str]]:
    """Every option with its group, its sentences and its default, those of a base class first."""
    for base in reversed([table, *table.mro()]):
        for field in base.members.values():
            if field.is_attribute and not field.inherited and str(field.value).startswith("option("):
                called = ast.parse(str(field.value), mode="eval").body
                assert isinstance(called, ast.Call)
                words = {word.arg: word.value for word in called.keywords}
                more = ast.literal_eval(words["more"]) if "more" in words else ""
                text = f"{ast.literal_eval(called.args[1])} {more}".rstrip()
                yield field, ast.literal_eval(words["group"]), text, ast.unparse(called.args[0])

"""``hecc inspect``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hecc.cli.console import Console, JsonOption, console
from hecc.runtime.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from hecc.runtime.plan.plan import Plan

__all__ = ["inspect_command"]

LAYERS: Mapping[str, str] = MappingProxyType(
    {
        "ckks": "hecc.cli.plans.schemes.ckks_layers:show_layers",
        "more": "hecc.cli.plans.schemes.more_layers:show_layers",
        "sharing": "hecc.cli.plans.schemes.sharing_layers:show_layers",
    }
)
"""What shows the layers of a plan, by its scheme."""


MATERIAL_WORDS = "hecc.runtime.sharing.material.described:describe_material"
"""What describes material, which is no container."""


def inspect_command(
    file: Annotated[Path, typer.Argument(help="Any file of hecc: a plan, keys, encrypted rows, results, or material.")],
    circuit: Annotated[bool, typer.Option("--circuit", help="Print the instructions of a server's plan, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Describe one file: what it is, what it holds, and its parameters.

    Its checksums are verified. Whether files belong together is what `hecc verify` says.

    Of a server's plan: every layer with its cost and the bits of precision that it loses, by the noise model on made-up
    inputs, and the layouts and rings that the compiler compared. Of a secret key nothing is shown but what it is for.
    """
    with console(as_json) as out:
        from hecc.runtime.figures import size_words
        from hecc.runtime.files.container import Container, Kind
        from hecc.runtime.plan.plan import Plan
        from hecc.runtime.plan.scheme import scheme_of

        if _show_apart(out, file, circuit=circuit):
            return
        container = Container(file, *Kind)
        container.verify()
        kind = container.kind
        size = file.stat().st_size
        plan = Plan.load(file) if kind in (Kind.SERVER_PLAN, Kind.CLIENT_PLAN) else None
        if plan is not None:
            fields, rows = _describe(plan)
        else:
            described = scheme_of(container).verifier.describe(container)
            fields = {"key_id": described.key_id, **described.fields}
            rows = [("key set", described.key_id), *described.facts]
        if circuit and (plan is None or plan.program is None):
            raise InputError(f"{file}: this is {kind.label}, which holds no circuit; give the server's plan file")
        out.say(f"{file}: {kind.label}, {size_words(size)}, all checksums right")
        out.facts(rows)
        if plan is not None:
            fields |= _show_layers(out, plan)
        shown = {}
        if circuit and plan is not None:
            shown = {"circuit": str(plan.program)}
            out.say(shown["circuit"])
        out.result(file=str(file), kind=kind.name.lower(), bytes=size, **fields, **shown)


def _show_apart(out: Console, file: Path, *, circuit: bool) -> bool:
    """Describe a file that is no container; whether it is one."""
    from hecc.runtime.figures import size_words
    from hecc.runtime.files.atomic import open_regular, reading
    from hecc.runtime.files.container import MATERIAL

    with reading(file), open_regular(file) as opened:
        if opened.read(len(MATERIAL)) != MATERIAL:
            return False
    module, _, name = MATERIAL_WORDS.partition(":")
    described = getattr(importlib.import_module(module), name)(file)
    if circuit:
        raise InputError(f"{file}: this is {described.label}, which holds no circuit; give the server's plan file")
    size = file.stat().st_size
    out.say(f"{file}: {described.label}, {size_words(size)}")
    out.facts(described.facts)
    out.result(file=str(file), kind="material", bytes=size, **described.fields)
    return True


def _describe(plan: Plan) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """A plan as fields for JSON, and as facts for humans."""
    header = plan.header
    facts = [("compiled by", header.producer), ("model SHA-256", header.model), ("plan SHA-256", plan.fingerprint)]
    if plan.program is not None:
        facts.append(("circuit", plan.summary))
    fields = {"fingerprint": plan.fingerprint, **plan.scheme.fields(header)}
    return fields, [*facts, *plan.scheme.facts(header)]


def _show_layers(out: Console, plan: Plan) -> dict[str, Any]:
    """The layers of a plan that holds a program, where its scheme says something of them; the same for JSON."""
    if not plan.has_program or plan.header.scheme not in LAYERS:
        return {}
    module, _, name = LAYERS[plan.header.scheme].partition(":")
    try:
        fields: dict[str, Any] = getattr(importlib.import_module(module), name)(out, plan)
    except MissingExtraError as error:
        # A server may look at its plans without the compiler.
        out.warn(f"the layers are not shown: {error}")
        return {}
    return fields

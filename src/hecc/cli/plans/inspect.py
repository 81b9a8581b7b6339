"""``hecc inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hecc.cli.console import Console, JsonOption, console
from hecc.runtime.errors import InputError

if TYPE_CHECKING:
    from hecc.runtime.ckks.ciphertexts import CiphertextFile, ResultFile
    from hecc.runtime.files.container import Container
    from hecc.runtime.plan.plan import Plan

__all__ = ["inspect_command"]

LAYER_COLUMNS = (
    "layer", "time", "ciphertexts", "diagonals", "rotations", "baby", "giant", "limbs", "scale", "precision", "lost",
)  # fmt: skip


def inspect_command(
    file: Annotated[Path, typer.Argument(help="Any file of hecc: a plan, keys, encrypted rows, or results.")],
    circuit: Annotated[bool, typer.Option("--circuit", help="Print the instructions of a server's plan, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Describe one file: what it is, what it holds, and its parameters.

    Its checksums are verified. Whether files belong together is what `hecc verify` says.

    Of a server's plan: every layer with its cost and the bits of precision that it loses, by the noise model on made-up
    inputs, and the layouts and rings that the compiler compared. Of a secret key nothing is shown but what it is for.
    """
    with console(as_json) as out:
        from hecc.runtime.files.container import Container, Kind
        from hecc.runtime.plan.plan import Plan
        from hecc.words.sentences import size_words

        container = Container(file, *Kind)
        container.verify()
        kind = container.kind
        size = file.stat().st_size
        fields, rows, text = _describe(file, container)
        plan = Plan.load(file) if kind is Kind.SERVER_PLAN else None
        if circuit and text is None:
            raise InputError(f"{file}: this is {kind.label}, which holds no circuit; give the server's plan file")
        out.say(f"{file}: {kind.label}, {size_words(size)}, all checksums right")
        out.facts(rows)
        if plan is not None:
            fields |= _show_layers(out, plan)
        if circuit:
            out.say(text or "")
        shown = {"circuit": text} if circuit else {}
        out.result(file=str(file), kind=kind.name.lower(), bytes=size, **fields, **shown)


def _describe(file: Path, container: Container) -> tuple[dict[str, Any], list[tuple[str, str]], str | None]:
    """Fields for JSON, facts for humans, and the circuit where there is one."""
    from hecc.runtime.ckks.ciphertexts import CiphertextFile, ResultFile
    from hecc.runtime.ckks.devices.device import device_for
    from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, PublicKeyFile, SecretKeyFile
    from hecc.runtime.files.container import Kind
    from hecc.runtime.plan.plan import Plan
    from hecc.words.sentences import ring_facts, ring_fields

    if container.kind in (Kind.SERVER_PLAN, Kind.CLIENT_PLAN):
        return _describe_plan(Plan.load(file))
    if container.kind in (Kind.CIPHERTEXT, Kind.RESULT):
        rows = CiphertextFile.load(file) if container.kind is Kind.CIPHERTEXT else ResultFile.load(file)
        return _describe_rows(rows)
    protected: dict[str, Any] = {}
    facts: list[tuple[str, str]] = []
    if container.kind is Kind.SECRET_KEY:
        header = SecretKeyFile.load(file).header
        protected = {"protected": header.protection is not None}
        facts = [("passphrase", "protects it" if header.protection else "none: whoever has the file can decrypt")]
        key_id, spec = header.key_id, header.keys
    elif container.kind is Kind.PUBLIC_KEY:
        from hecc.runtime.ckks.client.keyproof import opened_public

        public = PublicKeyFile.load(file)
        opened_public(public, enforce_128=False)
        key_id, spec = public.header.key_id, public.header.keys
    else:
        evaluation = EvaluationKeyFile(file).header
        key_id, spec = evaluation.key_id, evaluation.keys
        facts = [("made for", f"the device {device_for(evaluation.shape).name}")]
    fields = {"key_id": key_id, **protected, "ring": ring_fields(spec)}
    return fields, [("key set", key_id), *facts, *ring_facts(spec)], None


def _describe_plan(plan: Plan) -> tuple[dict[str, Any], list[tuple[str, str]], str | None]:
    from hecc.words.sentences import plan_facts, plan_fields

    header = plan.header
    facts = [("compiled by", header.producer), ("model SHA-256", header.model), ("plan SHA-256", plan.fingerprint)]
    text = None
    if plan.circuit is not None:
        text = str(plan.circuit)
        count = len(plan.circuit.instructions)
        facts.append(("circuit", f"{count} instructions, {len(plan.circuit.constants)} constants"))
    return {"fingerprint": plan.fingerprint, **plan_fields(header)}, [*facts, *plan_facts(header)], text


def _show_layers(out: Console, plan: Plan) -> dict[str, Any]:
    """The layers of a server's plan and why they are as they are; the same for JSON."""
    from hecc.measure.layers import bits_lost, plan_layers
    from hecc.words.sentences import bits_words, choice_lines, choices_fields, layer_fields

    layers = plan_layers(plan)
    lost = [bits_lost(layers, number) for number in range(len(layers))]
    out.say()
    out.table(
        LAYER_COLUMNS,
        [
            [
                layer.source,
                f"{1000 * layer.seconds:.2f} ms",
                f"{layer.ciphertexts} x {layer.slots}",
                *(str(n) for n in (layer.diagonals, layer.rotations, layer.babies, layer.giants, layer.limbs)),
                f"2^{layer.scale_bits:.1f}",
                bits_words(layer.precision_bits),
                "" if bits is None else f"{bits:.1f} bits",
            ]
            for layer, bits in zip(layers, lost, strict=True)
        ],
    )
    if any(layer.precision_bits is None for layer in layers):
        out.say()
        out.say(
            "  The precision of the layers is unknown: made-up inputs leave the intervals that activations were fitted "
            "on. `hecc report --inputs` measures it on real ones."
        )
    fields: dict[str, Any] = {
        "layers": [{**layer_fields(layer), "bits_lost": bits} for layer, bits in zip(layers, lost, strict=True)]
    }
    if plan.choices is None:
        return fields
    out.say()
    for line in choice_lines(plan.choices, plan.header.keys.ring_degree):
        out.say(f"  {line}")
    return fields | choices_fields(plan.choices)


def _describe_rows(rows: CiphertextFile | ResultFile) -> tuple[dict[str, Any], list[tuple[str, str]], None]:
    from hecc.runtime.ckks.ciphertexts import ResultHeader
    from hecc.words.sentences import rows_words

    header = rows.header
    each = "row" if header.batch == 1 else "batch"
    request = header.request if isinstance(header, ResultHeader) else rows.fingerprint
    facts = [("key set", header.key_id), ("request", request), ("rows", rows_words(rows))]
    facts += [(group.name, f"{group.count} x {group.limbs} limbs per {each}") for group in header.groups]
    groups = [{"name": group.name, "ciphertexts": group.count, "limbs": group.limbs} for group in header.groups]
    fields = {"key_id": header.key_id, "request": request, "rows": header.rows, "batch": header.batch}
    return {**fields, "batches": rows.batches, "groups": groups}, facts, None

"""The layers of a CKKS plan as ``hecc inspect`` shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hecc.cli.console import Console
    from hecc.runtime.ckks.plan.plan import CkksPlan

__all__ = ["show_layers"]

LAYER_COLUMNS = (
    "layer", "time", "ciphertexts", "diagonals", "rotations", "baby", "giant", "limbs", "scale", "precision", "lost",
)  # fmt: skip


def show_layers(out: Console, plan: CkksPlan) -> dict[str, Any]:
    """The layers of a server's plan and why they are as they are; the same for JSON."""
    from hecc.measure.layers import bits_lost, plan_layers
    from hecc.runtime.figures import bits_words
    from hecc.words.sentences import choice_lines, choices_fields, layer_fields

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

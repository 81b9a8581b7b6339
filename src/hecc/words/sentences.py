"""What the compiler compared and chose for a plan of CKKS, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hecc.runtime.figures import count_words

if TYPE_CHECKING:
    from hecc.measure.layers import Layer
    from hecc.runtime.ckks.circuit.layout import Layout
    from hecc.runtime.ckks.plan.choices import Choices, LayoutOffer, PolynomialTrial

__all__ = [
    "TRIAL_COLUMNS",
    "choice_lines",
    "choices_fields",
    "layer_fields",
    "layout_words",
    "polynomial_trials",
    "trial_fields",
    "trial_words",
]

TRIAL_COLUMNS = ("polynomials", "depth", "decisions kept", "a row")
"""Of a table of the polynomials that were compared by decisions."""


def layout_words(layout: Layout) -> str:
    """Where a tensor's elements sit, in words."""
    slots = f"{count_words(layout.count, 'ciphertext')} of {layout.slots} slots"
    channel, rows, columns = ((), (), (), *layout.axes)[-3:]
    gap = math.prod(digit.extent for digit in channel[-2:]) if len(channel) > 2 else 1
    if gap > 1:
        order = f"channels multiplexed, {gap} in the gaps between the pixels of one"
    elif columns and columns[-1].stride > 1:
        order = f"pixels {columns[-1].stride} slots apart"
    else:
        order = "row by row" if rows and layout.shape[-2] > 1 else "in order"
    copies = f", repeated every {count_words(layout.period, 'slot')}" if layout.period < layout.slots else ""
    return f"{slots}, {order}{copies}"


def choice_lines(choices: Choices, ring_degree: int) -> Iterator[str]:
    """What the compiler compared."""
    trials = [
        f"2^{trial.ring_degree.bit_length() - 1} "
        + ("nothing fits" if trial.seconds is None else _milliseconds(trial.seconds))
        for trial in choices.rings
    ]
    yield f"N = 2^{ring_degree.bit_length() - 1} was chosen of: {', '.join(trials)} per row"
    for layer in choices.layers:
        taken = layer.offers[layer.chosen]
        yield f"{layer.source}: {_offer_words(taken)}"
        others = [offer for number, offer in enumerate(layer.offers) if number != layer.chosen]
        for offer in sorted(others, key=lambda offer: (offer.seconds is None, offer.seconds or 0.0, offer.diagonals)):
            yield f"    instead of {_offer_words(offer)}"
    if compared := polynomial_trials(choices):
        yield "polynomials in place of activations, by the decisions that they keep on inputs held back:"
        for tried in compared:
            levels, depth, kept, cost = trial_words(tried)
            yield f"    {levels}: depth {depth}, {kept} kept, {cost}{'' if tried.seconds is None else ' per row'}"


def polynomial_trials(choices: Choices | None) -> tuple[PolynomialTrial, ...]:
    """The polynomials that were compared by decisions; none where they were not chosen by those."""
    return () if choices is None else choices.polynomials or ()


def trial_words(trial: PolynomialTrial) -> tuple[str, str, str, str]:
    """What became of polynomials: which they are, depth, decisions kept, and time of one row."""
    levels = "as chosen" if trial.levels is None else f"{count_words(trial.levels, 'level')} each"
    cost = "no parameters" if trial.seconds is None else _milliseconds(trial.seconds)
    return levels, str(trial.depth), f"{100 * trial.kept:.1f}%", cost


def trial_fields(choices: Choices | None) -> list[dict[str, Any]]:
    """The same for JSON, of all that were compared."""
    return [
        {"levels": trial.levels, "depth": trial.depth, "kept": trial.kept, "seconds": trial.seconds}
        for trial in polynomial_trials(choices)
    ]


def _offer_words(offer: LayoutOffer) -> str:
    channel = ((), (), (), *offer.layout.axes)[-3]
    blocks = f", blocks of channels {channel[-3].stride} slots apart" if len(channel) > 2 else ""
    cost = f"{layout_words(offer.layout)}{blocks}: {count_words(offer.diagonals, 'diagonal')}"
    if offer.seconds is None:
        return f"{cost}, too many to be considered"
    return f"{cost}, {count_words(offer.rotations or 0, 'rotation')}, {_milliseconds(offer.seconds)}"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def choices_fields(choices: Choices) -> dict[str, Any]:
    """What the compiler compared, for JSON."""
    return {
        "rings": [{"ring_degree": trial.ring_degree, "seconds": trial.seconds} for trial in choices.rings],
        "choices": [
            {
                "layer": layer.source,
                "chosen": layer.chosen,
                "offers": [
                    {
                        "layout": layout_words(offer.layout),
                        "diagonals": offer.diagonals,
                        "rotations": offer.rotations,
                        "seconds": offer.seconds,
                    }
                    for offer in layer.offers
                ],
            }
            for layer in choices.layers
        ],
        "polynomials": trial_fields(choices),
    }


def layer_fields(layer: Layer) -> dict[str, Any]:
    """A layer for JSON, which knows no infinity."""
    fields = {name: getattr(layer, name) for name in layer.__dataclass_fields__}
    bits = layer.precision_bits
    return {**fields, "precision_bits": bits if bits is not None and math.isfinite(bits) else None}

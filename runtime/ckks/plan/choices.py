"""Why a plan is as it is: what the compiler's search compared, and what each would have cost.

The record is in the server's plan for people to read (``hecc inspect``); nothing computes with it, and a plan without
it is as good.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from hecc.runtime.ckks.circuit.layout import Layout
from hecc.runtime.errors import ParameterError

__all__ = ["Choices", "FunctionChoice", "LayerChoice", "LayoutOffer", "PolynomialTrial", "RingTrial"]


class LayoutOffer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way to lay a layer's result out, given where its arguments are.

    Attributes
    ----------
    layout
        Of the result.
    diagonals
        That the layer's linear transforms have then.
    rotations
        Baby and giant rotations and folds; ``None`` where the number of diagonals alone ruled the layout out.
    seconds
        Of the layer, at a typical level: layouts are chosen before the modulus chain is.
    """

    layout: Layout
    diagonals: int
    rotations: int | None
    seconds: float | None


class LayerChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The layouts that were compared for the result of one layer.

    Attributes
    ----------
    source
        Its ONNX node, as its operator and name.
    chosen
        Which of the offers was taken. What is cheapest for the whole network need not be so for the layer.
    offers
        All of them.
    """

    source: str
    chosen: int
    offers: tuple[LayoutOffer, ...]


class RingTrial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of one ring degree.

    Attributes
    ----------
    ring_degree
        N.
    seconds
        Per row, by which rings are compared, with the best packing and modulus chain of this one; ``None`` where no
        chain within the security table is precise enough and keeps to the budget for keys.
    """

    ring_degree: int
    seconds: float | None


class PolynomialTrial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Polynomials of one number of levels in place of all activations, or those of the plan.

    Attributes
    ----------
    levels
        That each takes; ``None`` for those of the plan, which differ.
    depth
        Multiplications in a row in the whole network then.
    kept
        Part of the decisions that they keep, on the inputs that were held back.
    seconds
        Per row; ``None`` where no parameters have room for the depth.
    """

    levels: Annotated[int, msgspec.Meta(ge=0, le=64)] | None
    depth: Annotated[int, msgspec.Meta(ge=0, le=1 << 16)]
    kept: Annotated[float, msgspec.Meta(ge=0, le=2)]
    seconds: Annotated[float, msgspec.Meta(ge=0)] | None


class FunctionChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The polynomials in place of one activation, for a search that goes on from there.

    Attributes
    ----------
    value
        The activation's result in the network.
    degrees
        Of each polynomial, the first one first.
    """

    value: str
    degrees: Annotated[tuple[Annotated[int, msgspec.Meta(ge=0, le=1 << 10)], ...], msgspec.Meta(min_length=1)]


class Choices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the search compared.

    Attributes
    ----------
    rings
        Ring degrees that were tried, by ascending size; larger ones were not, because the last was slower, or not
        enough faster for a batch twice as large.
    layers
        Layers that have a choice.
    polynomials
        What was compared where polynomials are chosen by decisions, by ascending depth.
    functions
        What was chosen then.
    """

    rings: tuple[RingTrial, ...]
    layers: tuple[LayerChoice, ...]
    polynomials: tuple[PolynomialTrial, ...] | msgspec.UnsetType = msgspec.UNSET
    functions: tuple[FunctionChoice, ...] | msgspec.UnsetType = msgspec.UNSET

    def check(self) -> None:
        """Refuse what could not be shown.

        Raises
        ------
        ParameterError
            With the first rule broken.
        """
        for layer in self.layers:
            if not layer.source.isprintable():
                raise ParameterError("the choices name an ONNX node that is not printable")
            if not 0 <= layer.chosen < len(layer.offers):
                raise ParameterError(f"the choice of {layer.source} is not among its offers")
            for offer in layer.offers:
                offer.layout.check()
        for function in self.functions or ():
            if not function.value.isprintable():
                raise ParameterError("the choices name a value that is not printable")

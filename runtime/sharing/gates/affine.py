"""Affine maps with private weights, at no cost online: the product of weights and mask is dealt ahead of the input.

The dealer draws masks A of the weights W, once for a batch of material. The server knows A, and gives E = W - A to the
client, for whom it is uniform. For a value x under the client's mask r, of which the server holds m = x - r:

    the dealer sends   e = A r - kappa - t    to the server,
    the client sends   d = E r + kappa        to the server ahead of the input,
    the server has     W m + d + e + bias = W x + bias - t.

kappa is the client's and the dealer's, so that d is uniform for the server; t is the dealer's own, so that e is. Were t
something that the client knows or can compute, such as A r - kappa, then the client would learn W (m + r) - d of every
value that is opened to it, and with inputs of its choice W. So t is drawn from the dealer's secrets and from nothing
else. This is the function-dependent preprocessing of ABY2.0 (Patra, Schneider, Suresh and Yalame, USENIX Security 2021)
with a third party that knows neither W nor x.

Public summands of any value go along, whoever knows their masks: e has these, and the result is under t alone.
"""

from __future__ import annotations

import numpy as np

from hecc.runtime.sharing.arithmetic.packing import Field
from hecc.runtime.sharing.arithmetic.rings import Elements, element, reduced
from hecc.runtime.sharing.gates.gate import Gate
from hecc.runtime.sharing.gates.parties import (
    Clear,
    Client,
    Cost,
    Dealer,
    Mask,
    Preparing,
    Server,
    Types,
    Weights,
    total,
)
from hecc.runtime.sharing.program.instructions import Affine, Public
from hecc.runtime.sharing.program.maps import Constants

__all__ = ["AffineGate", "mapped"]


class AffineGate(Gate[Affine]):
    """See :class:`Affine`."""

    def deal(self, dealer: Dealer, ins: Affine, types: Types, *masks: Elements) -> Elements:
        known = _summands(ins, dealer.weights, dealer.constants, masks)
        if ins.private:
            known = known - dealer.masks.take(ins.size, ins.ring)
        fresh = dealer.secrets.take(ins.size, ins.ring)
        dealer.block.put(reduced(known - fresh, ins.ring), ins.ring)
        return fresh

    def mask(self, client: Preparing, ins: Affine, types: Types, *masks: Mask) -> None:
        if not ins.private:
            return
        bits = ins.ring
        products = [
            term.map.apply(_known(r, bits), reduced(client.weights[term.weight], bits), client.constants, bits)
            for term, r in zip(ins.private, masks[: len(ins.private)], strict=True)
        ]
        kappa = client.masks.take(ins.size, bits)
        client.upload.put(total([*products, kappa], bits), bits)

    def client(self, client: Client, ins: Affine, types: Types, *masks: Mask) -> None:
        if ins.private:
            client.masks.take(ins.size, ins.ring)

    def server(self, server: Server, ins: Affine, types: Types, *held: Elements) -> Elements:
        made = _summands(ins, server.weights, server.constants, held)
        if ins.private:
            made = made + server.upload.take(ins.size, ins.ring)
        return reduced(made + server.shares.take(ins.size, ins.ring) + _bias(ins, server.biases), ins.ring)

    def clear(self, clear: Clear, ins: Affine, types: Types, *values: Elements) -> Elements:
        return reduced(_summands(ins, clear.weights, clear.constants, values) + _bias(ins, clear.biases), ins.ring)

    def cost(self, ins: Affine, types: Types) -> Cost:
        field = Field(ins.size, ins.ring)
        return Cost(dealt=(field,), uploaded=(field,) if ins.private else ())


def mapped(term: Public, x: Elements, constants: Constants, bits: int) -> Elements:
    """A public summand."""
    made = reduced(x, bits) if term.map is None else term.map.apply(x, constants, bits)
    return made if term.factor == 1 else reduced(made * element(term.factor, bits), bits)


def _summands(ins: Affine, weights: Weights, constants: Constants, values: tuple[Elements, ...]) -> Elements:
    """Of whatever stands in the place of values and weights."""
    bits, private = ins.ring, len(ins.private)
    products = [
        term.map.apply(reduced(x, bits), reduced(weights[term.weight], bits), constants, bits)
        for term, x in zip(ins.private, values[:private], strict=True)
    ]
    sums = [mapped(term, x, constants, bits) for term, x in zip(ins.public, values[private:], strict=True)]
    return total([*products, *sums], bits)


def _bias(ins: Affine, biases: Weights) -> Elements:
    return biases[ins.bias] if ins.bias else np.zeros(1, dtype=np.uint64)


def _known(mask: Mask, bits: int) -> Elements:
    assert mask is not None, "the verifier lets weights be applied under masks of the client's only"
    return reduced(mask, bits)

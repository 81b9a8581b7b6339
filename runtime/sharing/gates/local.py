"""What costs no message: sums of public maps, cutting bits off, and handing a value over to the client's masks."""

from __future__ import annotations

from hecc.runtime.sharing.arithmetic.packing import Field
from hecc.runtime.sharing.arithmetic.rings import Elements, element, low, reduced
from hecc.runtime.sharing.gates.affine import mapped
from hecc.runtime.sharing.gates.gate import SilentGate
from hecc.runtime.sharing.gates.parties import Clear, Client, Cost, Dealer, Mask, Preparing, Server, Types, total
from hecc.runtime.sharing.program.instructions import Combine, Release, Shift
from hecc.runtime.sharing.program.maps import Constants

__all__ = ["CombineGate", "ReleaseGate", "ShiftGate"]


class CombineGate(SilentGate[Combine]):
    """See :class:`Combine`."""

    def deal(self, dealer: Dealer, ins: Combine, types: Types, *masks: Elements) -> Elements:
        return _sum(ins, types, masks, dealer.constants)

    def mask(self, client: Preparing | Client, ins: Combine, types: Types, *masks: Mask) -> Mask:
        known = [mask for mask in masks if mask is not None]
        return _sum(ins, types, tuple(known), client.constants) if known else None

    def server(self, server: Server, ins: Combine, types: Types, *held: Elements) -> Elements:
        ring = types.result.ring
        return reduced(_sum(ins, types, held, server.constants) + element(ins.constant, ring), ring)

    def clear(self, clear: Clear, ins: Combine, types: Types, *values: Elements) -> Elements:
        ring = types.result.ring
        return reduced(_sum(ins, types, values, clear.constants) + element(ins.constant, ring), ring)

    def cost(self, ins: Combine, types: Types) -> Cost:
        return Cost()


class ShiftGate(SilentGate[Shift]):
    """See :class:`Shift`."""

    def deal(self, dealer: Dealer, ins: Shift, types: Types, mask: Elements) -> Elements:
        return _high(mask, ins)

    def mask(self, client: Preparing | Client, ins: Shift, types: Types, mask: Mask) -> None:
        return None

    def server(self, server: Server, ins: Shift, types: Types, held: Elements) -> Elements:
        """With y = held + mask: floor(held / 2^bits) + floor(mask / 2^bits) lacks the carry of the low parts.

        After 2^bits - 1 is added, this is y rounded down, plus [low part of the mask < low part of y].
        """
        return _high(reduced(held + low(ins.bits), types.operands[0].ring), ins)

    def clear(self, clear: Clear, ins: Shift, types: Types, x: Elements) -> Elements:
        coin = clear.coins.take(x.shape[-1], ins.bits)
        return _high(reduced(x + low(ins.bits) - coin, types.operands[0].ring), ins)

    def cost(self, ins: Shift, types: Types) -> Cost:
        return Cost()


class ReleaseGate(SilentGate[Release]):
    """See :class:`Release`."""

    def deal(self, dealer: Dealer, ins: Release, types: Types, mask: Elements) -> Elements:
        fresh = dealer.masks.take(types.result.size, ins.ring)
        dealer.block.put(reduced(mask - fresh, ins.ring), ins.ring)
        return fresh

    def mask(self, client: Preparing | Client, ins: Release, types: Types, mask: Mask) -> Elements:
        return client.masks.take(types.result.size, ins.ring)

    def server(self, server: Server, ins: Release, types: Types, held: Elements) -> Elements:
        return reduced(held + server.shares.take(types.result.size, ins.ring), ins.ring)

    def clear(self, clear: Clear, ins: Release, types: Types, x: Elements) -> Elements:
        return reduced(x, ins.ring)

    def cost(self, ins: Release, types: Types) -> Cost:
        return Cost(dealt=(Field(types.result.size, ins.ring),))


def _sum(ins: Combine, types: Types, values: tuple[Elements, ...], constants: Constants) -> Elements:
    ring = types.result.ring
    return total([mapped(term, x, constants, ring) for term, x in zip(ins.terms, values, strict=True)], ring)


def _high(x: Elements, ins: Shift) -> Elements:
    return reduced(x >> element(ins.bits, 64), ins.ring)

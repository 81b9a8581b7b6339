"""Inputs and outputs: the client sends its numbers under its masks, and adds its masks to what the server sends."""

from __future__ import annotations

from hecc.runtime.sharing.arithmetic.packing import Field
from hecc.runtime.sharing.arithmetic.rings import Elements, reduced
from hecc.runtime.sharing.gates.gate import Gate
from hecc.runtime.sharing.gates.parties import (
    Clear,
    Client,
    Cost,
    Dealer,
    Mask,
    Message,
    Preparing,
    Role,
    Server,
    Types,
    receive,
    send,
)
from hecc.runtime.sharing.program.instructions import Input, Output

__all__ = ["InputGate", "OutputGate"]


class InputGate(Gate[Input]):
    """See :class:`Input`."""

    def deal(self, dealer: Dealer, ins: Input, types: Types, given: None) -> Elements:
        return dealer.masks.take(ins.size, ins.ring)

    def mask(self, client: Preparing | Client, ins: Input, types: Types, given: Mask) -> Elements:
        return client.masks.take(ins.size, ins.ring)

    def client(self, client: Client, ins: Input, types: Types, given: Elements) -> Elements:
        mask = self.mask(client, ins, types, given)
        send(client.channel, (reduced(given - mask, ins.ring), ins.ring))
        return mask

    def server(self, server: Server, ins: Input, types: Types, given: None) -> Elements:
        (held,) = receive(server.channel, ((server.rows, ins.size), ins.ring))
        return held

    def clear(self, clear: Clear, ins: Input, types: Types, given: Elements) -> Elements:
        return reduced(given, ins.ring)

    def cost(self, ins: Input, types: Types) -> Cost:
        return Cost(messages=(Message(Role.CLIENT, (Field(ins.size, ins.ring),)),))


class OutputGate(Gate[Output]):
    """See :class:`Output`."""

    def deal(self, dealer: Dealer, ins: Output, types: Types, mask: Elements) -> Elements:
        return mask

    def mask(self, client: Preparing, ins: Output, types: Types, mask: Mask) -> Mask:
        return mask

    def client(self, client: Client, ins: Output, types: Types, mask: Elements) -> Elements:
        size, ring, _ = types.result
        (held,) = receive(client.channel, ((client.rows, size), ring))
        return reduced(held + mask, ring)

    def server(self, server: Server, ins: Output, types: Types, held: Elements) -> Elements:
        send(server.channel, (held, types.result.ring))
        return held

    def clear(self, clear: Clear, ins: Output, types: Types, x: Elements) -> Elements:
        return x

    def cost(self, ins: Output, types: Types) -> Cost:
        size, ring, _ = types.result
        return Cost(messages=(Message(Role.SERVER, (Field(size, ring),)),))

"""What a gate is: for one kind of instruction, what everybody does for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from hecc.runtime.sharing.arithmetic.rings import Elements
from hecc.runtime.sharing.gates.parties import Clear, Client, Cost, Dealer, Mask, Preparing, Server, Types
from hecc.runtime.sharing.program.instructions import Instruction

__all__ = ["Gate", "SilentGate"]

I = TypeVar("I", bound=Instruction)  # noqa: E741 - the kind of instruction


class Gate(ABC, Generic[I]):
    """One kind of instruction.

    Every method is called with whoever acts, the instruction, its types, and what that party has of each operand; an
    input's has what is given for it.
    """

    @abstractmethod
    def deal(self, dealer: Dealer, ins: I, types: Types, *masks: Any) -> Elements:
        """The dealer, who knows all masks: returns the mask of the result, and writes what the server needs."""

    @abstractmethod
    def mask(self, client: Preparing, ins: I, types: Types, *masks: Any) -> Mask:
        """The client ahead of its input: returns the mask of the result, where it is its own."""

    @abstractmethod
    def client(self, client: Client, ins: I, types: Types, *masks: Any) -> Mask:
        """The client with its input: returns the same as :meth:`mask`."""

    @abstractmethod
    def server(self, server: Server, ins: I, types: Types, *held: Any) -> Elements:
        """The server: returns what it holds of the result, which is the result less its mask."""

    @abstractmethod
    def clear(self, clear: Clear, ins: I, types: Types, *values: Any) -> Elements:
        """The result in clear, as an element of its ring; also of operands that left their range."""

    @abstractmethod
    def cost(self, ins: I, types: Types) -> Cost:
        """What all of these write, from the program alone."""


class SilentGate(Gate[I]):
    """A gate without messages: with its input the client does what it did ahead of it."""

    def client(self, client: Client, ins: I, types: Types, *masks: Any) -> Mask:
        """See :class:`Gate`."""
        return self.mask(client, ins, types, *masks)

    @abstractmethod
    def mask(self, client: Preparing | Client, ins: I, types: Types, *masks: Any) -> Mask:
        """See :class:`Gate`."""

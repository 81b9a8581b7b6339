"""What a query takes, layer by layer and in all: bytes, messages, seconds over stated networks, and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hecc.compiler.sharing.prediction.links import LINKS
from hecc.compiler.sharing.prediction.memory import MemoryUse, party_memory
from hecc.compiler.sharing.prediction.work import RATES, instruction_work
from hecc.runtime.sharing.gates.parties import Cost, Message, Role
from hecc.runtime.sharing.parties.walk import program_cost
from hecc.runtime.sharing.plan.plan import SharingPlan
from hecc.runtime.sharing.program.instructions import Input, Output
from hecc.runtime.sharing.sessions.slices import rows_at_once

__all__ = ["Layer", "Use", "plan_layers", "plan_use"]


@dataclass(frozen=True)
class Layer:
    """A node of the network, or an input or output; all figures are for one row.

    Attributes
    ----------
    source
        Which, in words.
    is_input
        Whether it is one.
    reads
        Positions of the layers that it reads.
    outputs
        Names of the outputs that it makes.
    size, ring
        Elements of what it makes, and bits of each.
    messages
        From one party to the other.
    client_bytes, server_bytes
        That each sends.
    dealt_bytes, prepared_bytes
        From the dealer and from the client to the server, ahead of the row.
    client_seconds, server_seconds
        Of one processor core of each.
    seconds
        From the layer's first step to its last, by the name of the network between the parties.
    share
        Of the time of all layers over the first of these networks.
    """

    source: str
    is_input: bool
    reads: tuple[int, ...]
    outputs: tuple[str, ...]
    size: int
    ring: int
    messages: int
    client_bytes: int
    server_bytes: int
    dealt_bytes: int
    prepared_bytes: int
    client_seconds: float
    server_seconds: float
    seconds: Mapping[str, float]
    share: float

    @property
    def online(self) -> int:
        """Bytes both ways."""
        return self.client_bytes + self.server_bytes

    @property
    def computing(self) -> float:
        """Seconds of both parties, which wait for each other."""
        return self.client_seconds + self.server_seconds


@dataclass(frozen=True)
class Use:
    """What a plan takes.

    Attributes
    ----------
    seconds
        Of a query about one row over a connection that is there, by the name of the network.
    client_seconds, server_seconds
        Of one processor core, of that query.
    preparing_seconds, dealing_seconds
        Of the client's core and the dealer's for each row ahead of it.
    rows
        Of a session that takes most: that many go into one.
    client_memory, server_memory
        Of such a session.
    """

    seconds: Mapping[str, float]
    client_seconds: float
    server_seconds: float
    preparing_seconds: float
    dealing_seconds: float
    rows: int
    client_memory: MemoryUse
    server_memory: MemoryUse


def plan_use(plan: SharingPlan) -> Use:
    """What a plan takes in all."""
    checked = plan.checked
    cost = program_cost(checked)
    works = [instruction_work(checked, each, index) for index, each in enumerate(cost.instructions)]
    client, server, preparing, dealing = (
        sum(rates.seconds(work[party]) for work in works) for party, rates in enumerate(RATES)
    )
    rows = rows_at_once(plan.header.cost)
    client_memory, server_memory = party_memory(plan, rows)
    return Use(
        seconds={link.name: link.round_trip + client + server + link.seconds(cost.messages) for link in LINKS},
        client_seconds=client,
        server_seconds=server,
        preparing_seconds=preparing,
        dealing_seconds=dealing,
        rows=rows,
        client_memory=client_memory,
        server_memory=server_memory,
    )


def plan_layers(plan: SharingPlan) -> tuple[Layer, ...]:
    """The plan layer by layer, in the order of the program."""
    program, types = plan.checked.program, plan.checked.types
    cost = program_cost(plan.checked)
    made: dict[str, list[int]] = {}
    for index, ins in enumerate(program.instructions):
        made.setdefault(ins.source, []).append(index)
    places = {source: place for place, source in enumerate(made)}
    layers = []
    for source, indices in made.items():
        costs = [cost.instructions[index] for index in indices]
        works = [instruction_work(plan.checked, cost.instructions[index], index) for index in indices]
        client = sum(RATES.client.seconds(work.client) for work in works)
        server = sum(RATES.server.seconds(work.server) for work in works)
        messages = [message for each in costs for message in each.messages]
        seconds = {link.name: client + server + link.seconds(messages) for link in LINKS}
        operands = {operand for index in indices for operand in program.instructions[index].operands} - set(indices)
        before = (places[program.instructions[operand].source] for operand in operands)
        kinds = {type(program.instructions[index]) for index in indices}
        result = types[indices[-1]].result
        layers.append(
            Layer(
                source=source,
                is_input=kinds == {Input},
                reads=tuple(sorted({place for place in before if place < places[source]})),
                outputs=tuple(ins.name for i in indices if isinstance(ins := program.instructions[i], Output)),
                size=result.size,
                ring=result.ring,
                messages=len(messages),
                client_bytes=_sent(messages, Role.CLIENT),
                server_bytes=_sent(messages, Role.SERVER),
                dealt_bytes=_bytes(costs, "dealt"),
                prepared_bytes=_bytes(costs, "uploaded"),
                client_seconds=client,
                server_seconds=server,
                seconds=seconds,
                share=0.0,
            )
        )
    first = LINKS[0].name
    whole = sum(layer.seconds[first] for layer in layers)
    return tuple(replace(layer, share=layer.seconds[first] / whole) for layer in layers)


def _sent(messages: Sequence[Message], sender: Role) -> int:
    return sum(message.bytes(1) for message in messages if message.sender is sender)


def _bytes(costs: Sequence[Cost], what: str) -> int:
    return sum(field.bytes for each in costs for field in getattr(each, what))

"""A relay: passes on what comes, each piece a stated time after it came.

    python relay.py HOST:PORT HOST:PORT SECONDS

The first is where it listens, the second where it connects to.
"""

from __future__ import annotations

import asyncio
import socket
import sys

PIECE = 1 << 16


async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Pass on one direction until it ends."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def sent() -> None:
        while True:
            due, piece = await waiting.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not piece:
                break
            writer.write(piece)
        writer.close()

    sending = asyncio.create_task(sent())
    while piece := await reader.read(PIECE):
        waiting.put_nowait((loop.time() + delay, piece))
    waiting.put_nowait((loop.time() + delay, b""))
    await sending


async def relayed(listening: tuple[str, int], target: tuple[str, int], delay: float) -> None:
    """Take connections for ever."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection(*target)
        for each in (writer, other_writer):
            each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.gather(
            passed_on(reader, other_writer, delay), passed_on(other_reader, writer, delay), return_exceptions=True
        )

    server = await asyncio.start_server(connected, *listening)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


def address(text: str) -> tuple[str, int]:
    """The host and the port of a text."""
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    asyncio.run(relayed(address(sys.argv[1]), address(sys.argv[2]), float(sys.argv[3])))

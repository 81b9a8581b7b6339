"""A server that listens: each client in a thread, so many at a time, and none that is not certified."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from hecc.runtime.errors import HeccError, InputError, PeerError
from hecc.runtime.plan.sessions import Ended
from hecc.runtime.sharing.sessions.wire import DEADLINE

__all__ = ["Listener", "connect"]

SESSIONS = 16
"""At a time; who comes later waits."""

HANDSHAKES, HANDSHAKE_DEADLINE = 32, 10.0
"""Handshakes of TLS at a time, and seconds for each: whoever is not certified keeps no session from others."""

MOST_OPEN = 256
"""Connections, in handshakes, waiting and in sessions; who comes then is not let in."""

log = logging.getLogger(__name__)


class _Serving(Protocol):
    def session(self, connection: socket.socket) -> Ended: ...


def _check_plain(host: str, context: ssl.SSLContext | None) -> None:
    if context is not None:
        return
    try:
        inside = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = False
    if not inside:
        raise InputError(
            f"{host}: without TLS whoever sees the network learns who asks, and can take either side's place; plain "
            "connections are for the loopback addresses only, so give certificates"
        )


class Listener:
    """Listens from the moment that it is made.

    Parameters
    ----------
    server
        Who serves each connection.
    host, port
        Where; port 0 is any that is free.
    context
        Of TLS; ``None`` for plain connections, on loopback addresses only.

    Raises
    ------
    InputError
        Nobody can listen there, or plain connections would leave the machine.
    """

    def __init__(
        self, server: _Serving, host: str, port: int, context: ssl.SSLContext | None, *, sessions: int = SESSIONS
    ) -> None:
        _check_plain(host, context)
        self._server, self._context = server, context
        try:
            self._socket = socket.create_server((host, port))
        except OSError as error:
            raise InputError(f"{host}:{port}: nobody can listen there ({error.strerror or error})") from None
        self.port: int = self._socket.getsockname()[1]
        self._pool = ThreadPoolExecutor(sessions, thread_name_prefix="session")
        self._handshakes = ThreadPoolExecutor(HANDSHAKES, thread_name_prefix="handshake")
        self._room = threading.Semaphore(MOST_OPEN)
        self._closed = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def serve(self, after: Callable[[Ended | HeccError], None] = lambda _: None) -> None:
        """Take connections until :meth:`close`.

        Parameters
        ----------
        after
            Called after each session with what was done in it, or with what ended it early.
        """
        while not self._closed.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                break
            if not self._room.acquire(blocking=False):
                connection.close()
                continue
            self._handshakes.submit(self._admitted, connection, after)
        self._handshakes.shutdown()
        self._pool.shutdown()

    def close(self) -> None:
        """Take no more connections, and end those that there are."""
        self._closed.set()
        # This wakes the thread that waits for one; closing alone does not.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._lock:
            for connection in self._open:
                # An SSL socket's own would say goodbye, on an object that another thread reads with.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def _admitted(self, connection: socket.socket, after: Callable[[Ended | HeccError], None]) -> None:
        """Find out who connects, and let those who are certified have a session."""
        try:
            connection.settimeout(HANDSHAKE_DEADLINE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _wrapped(connection, self._context)
            with self._ended_by_close(connection):
                _shake_hands(connection)
        except Exception as error:
            connection.close()
            self._room.release()
            self._tell(after, error)
        else:
            self._pool.submit(self._session, connection, after)

    def _session(self, connection: socket.socket, after: Callable[[Ended | HeccError], None]) -> None:
        found: Ended | Exception
        try:
            with connection, self._ended_by_close(connection):
                found = self._server.session(connection)
        except Exception as error:
            found = error
        finally:
            self._room.release()
        self._tell(after, found)

    def _tell(self, after: Callable[[Ended | HeccError], None], found: Ended | Exception) -> None:
        if isinstance(found, Exception) and not isinstance(found, HeccError):
            # A fault of this program: the others' sessions go on.
            log.error("a session ended by a fault", exc_info=found)
            return
        try:
            after(found)
        except Exception:
            log.exception("what is told of sessions failed")

    @contextlib.contextmanager
    def _ended_by_close(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            if self._closed.is_set():
                raise PeerError("this server takes no more clients")
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)


def _wrapped(connection: socket.socket, context: ssl.SSLContext | None) -> socket.socket:
    """A connection that is going to be secured, if it is."""
    if context is None:
        return connection
    return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)


def _shake_hands(connection: socket.socket) -> None:
    """See that the client is certified, before a deadline for the whole."""
    if not isinstance(connection, ssl.SSLSocket):
        return
    try:
        connection.do_handshake()
    except OSError as error:
        raise PeerError(f"a client that cannot be trusted, or does not speak TLS 1.3 ({_reason(error)})") from None


def connect(host: str, port: int, context: ssl.SSLContext | None, *, deadline: float = DEADLINE) -> socket.socket:
    """A connection to a server.

    Raises
    ------
    PeerError
        Nobody answers there, or somebody who is not certified.
    InputError
        A plain connection would leave the machine.
    """
    _check_plain(host, context)
    try:
        connection = socket.create_connection((host, port), timeout=deadline)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection if context is None else context.wrap_socket(connection, server_hostname=host)
    except OSError as error:
        raise PeerError(f"{host}:{port}: no server there that can be trusted ({_reason(error)})") from None


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "no TLS"
    return error.strerror or str(error) or type(error).__name__

"""A server's session in a thread of its own, for tests of both ends."""

import socket
import threading


class Session:
    """A server's session in a thread, at one end of a pair of sockets."""

    def __init__(self, server):
        self.ours, self._theirs = socket.socketpair()
        self.result = None
        self._thread = threading.Thread(target=self._run, args=(server,))
        self._thread.start()

    def _run(self, server):
        try:
            self.result = server.session(self._theirs)
        except Exception as error:
            self.result = error
        finally:
            self._theirs.close()

    def __enter__(self):
        return self.ours

    def __exit__(self, *_):
        self.ours.close()
        self._thread.join()

"""The command line.

Exit codes: 0, 1 for an error that the message says how to mend, 2 for wrong usage, 70 for a fault in hecc, and 128 plus
its number for a signal, which is 130 for an interruption.
"""

from __future__ import annotations

import signal

from hecc.cli.leaving import leave

__all__ = ["main"]

# Until `main` has begun, an interruption is Python's, which prints a traceback: so this file loads next to nothing.


def main() -> None:
    """Run the command that the shell asked for."""
    # Whoever started this process may want interruptions to be ignored, as `nohup` and `&` do.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave)
    from hecc.runtime.dumps import forbid_dumps

    # Of all commands: most have a key or plain inputs in memory, and none is worth a list of those that have not.
    forbid_dumps()
    from hecc.cli.commands import app

    app(prog_name="hecc")

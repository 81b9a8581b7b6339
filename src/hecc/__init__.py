"""hecc compiles trained neural networks to plans that run on encrypted inputs.

Six lines are a whole session; the client's and the server's may run on different machines::

    plan = hecc.compile("model.onnx", calibration=images)
    client = hecc.Client(plan)
    keys = client.keygen("keys")
    encrypted = client.encrypt(images[:3])
    result = hecc.Server(plan, keys.evaluation).run(encrypted)
    outputs = client.decrypt(result)

Everything is imported when it is first used: a server never loads the compiler, nor a client's code.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # as type checkers know it; to load `typing` takes longer than all that is done here
if TYPE_CHECKING:
    from typing import Any

    from hecc.attacks.eigenvalues import attack
    from hecc.client import Client
    from hecc.compilation import compile  # noqa: A004 - hecc.compile, as re.compile
    from hecc.estimation import estimate
    from hecc.evaluation import evaluate
    from hecc.measure.profiling import machine_profile
    from hecc.reporting import report
    from hecc.runtime.errors import (
        CircuitError,
        CompileError,
        DisclosureError,
        FileFormatError,
        HeccError,
        InputError,
        KeyMismatchError,
        MissingExtraError,
        OutputError,
        ParameterError,
        PeerError,
        SecurityError,
        UnsupportedError,
    )
    from hecc.runtime.inputs.preprocessing import Preprocessing
    from hecc.runtime.plan.plan import Plan
    from hecc.server import Engine, Server
    from hecc.sessions.asking import connect, prepare, query
    from hecc.sessions.dealing import deal, dealer
    from hecc.sessions.serving import serve
    from hecc.sessions.trusting import authority
    from hecc.simulation import simulate
    from hecc.training import train, train_in_clear, trained_model
    from hecc.verification import verify

__version__ = "0.1.0"

__all__ = [
    "CircuitError",
    "Client",
    "CompileError",
    "DisclosureError",
    "Engine",
    "FileFormatError",
    "HeccError",
    "InputError",
    "KeyMismatchError",
    "MissingExtraError",
    "OutputError",
    "ParameterError",
    "PeerError",
    "Plan",
    "Preprocessing",
    "SecurityError",
    "Server",
    "UnsupportedError",
    "__version__",
    "attack",
    "authority",
    "compile",
    "connect",
    "deal",
    "dealer",
    "estimate",
    "evaluate",
    "machine_profile",
    "prepare",
    "query",
    "report",
    "serve",
    "simulate",
    "train",
    "train_in_clear",
    "trained_model",
    "verify",
]

_HOMES = {
    "attack": "hecc.attacks.eigenvalues",
    "authority": "hecc.sessions.trusting",
    "Client": "hecc.client",
    "Engine": "hecc.server",
    "Plan": "hecc.runtime.plan.plan",
    "Preprocessing": "hecc.runtime.inputs.preprocessing",
    "Server": "hecc.server",
    "compile": "hecc.compilation",
    "connect": "hecc.sessions.asking",
    "deal": "hecc.sessions.dealing",
    "dealer": "hecc.sessions.dealing",
    "estimate": "hecc.estimation",
    "evaluate": "hecc.evaluation",
    "machine_profile": "hecc.measure.profiling",
    "prepare": "hecc.sessions.asking",
    "query": "hecc.sessions.asking",
    "report": "hecc.reporting",
    "serve": "hecc.sessions.serving",
    "simulate": "hecc.simulation",
    "train": "hecc.training",
    "train_in_clear": "hecc.training",
    "trained_model": "hecc.training",
    "verify": "hecc.verification",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'hecc' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES.get(name, "hecc.runtime.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

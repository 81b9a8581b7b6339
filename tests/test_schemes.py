"""The rooms of schemes: what is common imports no scheme's room, and no scheme imports another's."""

import runpy
from pathlib import Path

import pytest

_ARROWS = runpy.run_path(str(Path(__file__).with_name("test_architecture.py")))
LAYERS, ORDER, imports, sources = (_ARROWS[name] for name in ("LAYERS", "ORDER", "imports", "sources"))

SCHEMES = ("ckks", "sharing", "more")
"""Rooms of a scheme have its name, on every floor."""

FLOORS = {"hecc.passes", "hecc.compiler", "hecc.runtime"}
"""Where every room without a scheme's name is common."""

FACE = {
    "hecc.inputs",
    "hecc.cli.client",
    "hecc.cli.server",
    "hecc.cli.outputs",
    "hecc.cli.plans.compile",
    "hecc.cli.plans.evaluate",
    "hecc.cli.plans.inspect",
    "hecc.cli.plans.simulate",
    "hecc.cli.plans.verify",
    "hecc.client",
    "hecc.compilation",
    "hecc.evaluation",
    "hecc.cli.security",
    "hecc.measure.machine",
    "hecc.measure.reference",
    "hecc.measure.scoring",
    "hecc.options.schemes",
    "hecc.preparation",
    "hecc.cli.connections",
    "hecc.cli.dealer",
    "hecc.server",
    "hecc.sessions",
    "hecc.simulation",
    "hecc.training",
    "hecc.verification",
}
"""Of the face, what every scheme's files go through; the rest explains and measures plans of CKKS, too."""


def scheme_of(module: str) -> str | None:
    """The scheme whose room a module is in, or which it is itself."""
    return next((part for part in module.split(".") if part in SCHEMES), None)


def is_common(module: str) -> bool:
    """Whether a module has to know of no scheme."""
    floors = FLOORS | FACE
    return scheme_of(module) is None and any(module == f or module.startswith(f"{f}.") for f in floors)


def violations(module: str, text: str, is_package: bool = False) -> list[str]:
    """What a module imports of the rooms of schemes that it must not."""
    own, faults = scheme_of(module), []
    for name, line in imports(module, text, is_package):
        other = scheme_of(name)
        if other is None or other == own:
            continue
        if own is not None:
            faults.append(f"{module}, line {line}: the scheme {own} must not import the scheme {other} ({name})")
        elif is_common(module):
            faults.append(f"{module}, line {line}: a common room must not import the scheme {other} ({name})")
    return faults


@pytest.mark.parametrize("layer", ORDER)
def test_common_rooms_import_no_scheme_and_no_scheme_another(layer: str) -> None:
    faults = [
        fault
        for module, file in sources(layer)
        for fault in violations(module, file.read_text(encoding="utf-8"), file.name == "__init__.py")
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("hecc.runtime.plan.units", "from hecc.runtime.ckks.circuit.instructions import Circuit"),
        ("hecc.runtime.plan.units", "import hecc.runtime.ckks"),
        ("hecc.runtime.plan.units", "from hecc.runtime import ckks"),
        ("hecc.runtime.plan.units", "def f():\n    from ..ckks import server"),
        ("hecc.runtime.plan.units", "if TYPE_CHECKING:\n    from hecc.runtime.ckks.readings.types import ArrayType"),
        ("hecc.runtime.plan.units", "import importlib\nimportlib.import_module('hecc.runtime.ckks.scheme')"),
        ("hecc.runtime.files.container", "from hecc.runtime.sharing import triples"),
        ("hecc.compiler.graph.graph", "from hecc.compiler.ckks.chain import scaling"),
        ("hecc.passes.graph.depth", "from hecc.runtime.ckks.circuit.polynomials import expand"),
        ("hecc.inputs.labels", "from hecc.runtime.ckks.plan.plan import CkksPlan"),
        ("hecc.runtime.ckks.scheme", "from hecc.runtime.more import scheme"),
        ("hecc.compiler.sharing.rounds", "from hecc.compiler.ckks.chain import scaling"),
        ("hecc.passes.sharing.pipeline", "from hecc.passes.ckks import pipeline"),
    ],
)
def test_an_import_through_a_wall_is_found(module: str, text: str) -> None:
    assert violations(module, text)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("hecc.runtime.ckks.scheme", "from hecc.runtime.ckks.circuit import layout\nimport hecc.runtime.plan.plan"),
        ("hecc.passes.ckks.pipeline", "from hecc.compiler.ckks.chain import scaling\nimport hecc.passes.graph.depth"),
        ("hecc.runtime.plan.units", "from hecc.runtime.plan import header"),
        ("hecc.runtime.plan.scheme", "SCHEMES = {'ckks': 'hecc.runtime.ckks.scheme:CKKS'}\nimport_module(module)"),
        ("hecc.measure.layers", "from hecc.runtime.ckks.readings.types import verify"),
    ],
)
def test_an_import_within_the_walls_is_allowed(module: str, text: str) -> None:
    assert not violations(module, text)


def test_every_floor_is_looked_at() -> None:
    assert set(LAYERS) > FLOORS
    assert {scheme_of(module) for layer in FLOORS for module, _ in sources(layer)} == {None, *SCHEMES}

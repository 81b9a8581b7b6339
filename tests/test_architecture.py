"""The arrows point one way, hecc -> passes -> compiler -> runtime, and a server loads nothing that it does not need."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

import hecc
from hecc.runtime.extras import EXTRAS

ROOT = Path(__file__).resolve().parent.parent
# Each layer and where its sources are; a layer may import itself and those after it.
LAYERS = {
    "hecc": ROOT / "src" / "hecc",
    "hecc.passes": ROOT / "passes",
    "hecc.compiler": ROOT / "compiler",
    "hecc.runtime": ROOT / "runtime",
}
ORDER = list(LAYERS)
# What calls the passes is none itself.
DRIVERS = {
    "hecc.passes",
    "hecc.passes.ckks.agreement",
    "hecc.passes.ckks.driving.drafts",
    "hecc.passes.ckks.driving.network",
    "hecc.passes.ckks.driving.sketch",
    "hecc.passes.ckks.kinks.unreached",
    "hecc.passes.ckks.kinks.unrefreshed",
    "hecc.passes.ckks.pipeline",
    "hecc.passes.ckks.search",
    "hecc.passes.more.pipeline",
    "hecc.passes.sharing.pipeline",
}


def layer_of(module: str) -> str:
    """The layer to which a module of hecc belongs."""
    return next((layer for layer in ORDER[1:] if module == layer or module.startswith(layer + ".")), "hecc")


def sources(layer: str) -> Iterator[tuple[str, Path]]:
    """Every module of a layer, with its file."""
    for file in sorted(LAYERS[layer].rglob("*.py")):
        parts = file.relative_to(LAYERS[layer]).with_suffix("").parts
        yield ".".join((layer, *(part for part in parts if part != "__init__"))), file


def imports(module: str, text: str, is_package: bool) -> Iterator[tuple[str, int]]:
    """Every module of hecc that some source text imports, wherever in the text, with the line."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parent, *filter(None, [base])])
            # `from a import b` may import the module a.b: which it is does not matter to the layers.
            found = [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and (imported := dynamic_import(node)):
            found = [imported]
        else:
            continue
        yield from ((name, node.lineno) for name in found if name == "hecc" or name.startswith("hecc."))


def dynamic_import(call: ast.Call) -> str | None:
    """The module that `importlib.import_module("...")` or `__import__("...")` names, if it is a literal."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", None)
    if name in {"import_module", "__import__"} and call.args and isinstance(call.args[0], ast.Constant):
        return str(call.args[0].value)
    return None


def violations(module: str, text: str, is_package: bool = False) -> list[str]:
    """What a module imports against the arrows."""
    own = layer_of(module)
    faults = []
    for name, line in imports(module, text, is_package):
        other = layer_of(name)
        # `from hecc import __version__` reads the one thing that all layers share.
        if ORDER.index(other) < ORDER.index(own) and name != "hecc.__version__":
            faults.append(f"{module}, line {line}: {own} must not import {other} ({name})")
        if own == other == "hecc.passes" and module not in DRIVERS and name != module:
            faults.append(f"{module}, line {line}: no pass imports another ({name})")
    return faults


@pytest.mark.parametrize("layer", ORDER)
def test_a_layer_imports_only_itself_and_the_layers_below(layer: str) -> None:
    modules = list(sources(layer))
    assert modules, f"no sources in {LAYERS[layer]}"
    faults = [
        fault
        for module, file in modules
        for fault in violations(module, file.read_text(encoding="utf-8"), file.name == "__init__.py")
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("hecc.runtime.ckks.server", "import hecc.compiler.graph"),
        ("hecc.runtime.ckks.server", "import hecc"),
        ("hecc.runtime.ckks.server", "from hecc import compiler"),
        ("hecc.runtime.ckks.server", "from hecc.passes.ckks.pipeline import compile"),
        ("hecc.runtime.ckks.server", "def f():\n    from hecc.cli import main"),
        ("hecc.runtime.ckks.server", "from ... import compiler"),
        ("hecc.runtime.ckks.devices.seal.evaluator", "from .....compiler import graph"),
        ("hecc.runtime.ckks.server", "import importlib\nimportlib.import_module('hecc.compiler')"),
        ("hecc.compiler.ckks.lowering.lowering", "from hecc.passes import fuse"),
        ("hecc.compiler.ckks.lowering.lowering", "from ....passes.fuse import fuse"),
        ("hecc.passes.fuse", "from hecc.passes import depth"),
        ("hecc.passes.fuse", "from .depth import minimise"),
        ("hecc.passes.fuse", "import hecc.passes.graph.depth"),
        ("hecc.passes.fuse", "import hecc.cli"),
    ],
)
def test_an_import_against_the_arrows_is_found(module: str, text: str) -> None:
    assert violations(module, text)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("hecc.cli", "from hecc.passes.ckks.pipeline import compile\nimport hecc.runtime.ckks.server"),
        ("hecc.passes.ckks.pipeline", "from hecc.passes import fuse\nfrom . import depth"),
        (
            "hecc.passes.fuse",
            "from hecc.compiler.graph import Graph\nfrom hecc.runtime.ckks.circuit.instructions import Circuit",
        ),
        (
            "hecc.compiler.ckks.lowering.lowering",
            "from hecc.runtime.ckks.circuit.instructions import Circuit\nfrom . import ir",
        ),
        ("hecc.runtime.ckks.server", "import numpy\nfrom hecc import __version__\nfrom hecc.runtime import circuit"),
        ("hecc.runtime.ckks.server", "# import hecc.compiler\n'import hecc.compiler'"),
    ],
)
def test_an_import_along_the_arrows_is_allowed(module: str, text: str) -> None:
    assert not violations(module, text)


def loaded_imports(module: str, text: str, is_package: bool) -> Iterator[str]:
    """What is imported when a module is loaded: not what only types need, nor what a function asks for later."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (name for name, _ in imports(module, ast.unparse(node), is_package))


def circles(texts: dict[str, tuple[str, bool]]) -> list[list[str]]:
    """Modules that are loaded for one another, given the text of each and whether it is a package."""
    graph = nx.DiGraph()
    for module, (text, is_package) in texts.items():
        for name in loaded_imports(module, text, is_package):
            # A name in a module stands for the module.
            while name and name not in texts:
                name = name.rpartition(".")[0]
            if name and name != module:
                graph.add_edge(module, name)
    return [sorted(found) for found in nx.strongly_connected_components(graph) if len(found) > 1]


def test_no_import_goes_in_a_circle() -> None:
    texts = {
        module: (file.read_text(encoding="utf-8"), file.name == "__init__.py")
        for layer in ORDER
        for module, file in sources(layer)
    }
    # Extensions import nothing.
    texts |= {f"hecc.runtime.native.{stub.stem}": ("", False) for stub in LAYERS["hecc.runtime"].rglob("_*.pyi")}
    assert len(texts) > 300
    assert circles(texts) == []


def test_a_circle_is_found() -> None:
    texts = {
        "hecc.a": ("from hecc.b import f", False),
        "hecc.b": ("from hecc import c", False),
        "hecc.c": ("import hecc.a", False),
        "hecc.d": ("def f():\n    import hecc.e", False),
        "hecc.e": ("import hecc.d", False),
    }
    assert circles(texts) == [["hecc.a", "hecc.b", "hecc.c"]]


def test_a_server_loads_no_importer_no_symbolic_algebra_and_no_key_holder() -> None:
    unwanted = [*(package.module for extra in EXTRAS.values() for package in extra), "hecc.compiler", "hecc.passes"]
    program = (
        f"import sys, hecc.runtime.ckks.server; sys.exit(', '.join(m for m in {unwanted} if m in sys.modules) or None)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"import hecc.runtime.ckks.server loads or lacks: {result.stderr}"


def test_the_version_is_the_distributions() -> None:
    from importlib.metadata import version

    assert version("hecc") == hecc.__version__

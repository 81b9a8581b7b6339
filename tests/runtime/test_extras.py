"""Every import of an extra's package is behind a sentence that says how to install it."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

from hecc.runtime.errors import MissingExtraError
from hecc.runtime.extras import EXTRAS, require

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"hecc": "src/hecc", "hecc.compiler": "compiler", "hecc.passes": "passes", "hecc.runtime": "runtime"}
PACKAGES = {package.module: name for name, packages in EXTRAS.items() for package in packages}
# What is looked for where it is used, by whoever has it already.
PRESENT = {("hecc.inputs.models", "torch"), ("hecc.cli.plans.demo", "onnxruntime")}
DEPENDENCIES = {"hecc", "msgspec", "numpy", "rich", "typer", "zstandard"}
# Of the dependencies and extras in their turn.
INDIRECT = {"google", "markupsafe"}


def declared():
    """The distributions of each extra of pyproject.toml, those that it includes apart; and of hecc itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = {"": project["dependencies"], **project["optional-dependencies"]}
    found = {name: {re.split(r"[<>=]", wanted)[0] for wanted in wanteds} for name, wanteds in lists.items()}
    return {name: {one for one in wanteds if not one.startswith("hecc[")} for name, wanteds in found.items()}


def modules():
    """Every module of hecc by name: its text."""
    found = {}
    for name, folder in FOLDERS.items():
        for file in (ROOT / folder).rglob("*.py"):
            parts = file.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join((name, *(part for part in parts if part != "__init__")))] = file.read_text(encoding="utf-8")
    return found


def imported(tree):
    """Names of all modules that some source imports where they are needed to run."""
    typing = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def required(tree):
    """What some source asks for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "require":
            yield from (argument.value for argument in node.args)


def unguarded(texts):
    """Every import of an extra's package that no `require` is in front of: in its module, or in a room on the way."""
    trees = {name: ast.parse(text) for name, text in texts.items()}
    asked = {name: set(required(tree)) for name, tree in trees.items()}
    needed = {name: set(imported(tree)) for name, tree in trees.items()}

    def rooms(name):
        parts = name.split(".")
        return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]

    def guarded(name):
        around = {room for room in rooms(name) if room in trees}
        around |= {room for one in tuple(around) for other in needed[one] for room in rooms(other) if room in trees}
        return set().union(*(asked[room] for room in around))

    for name in trees:
        for other in needed[name]:
            package = other.partition(".")[0]
            if package in PACKAGES and package not in guarded(name) and (name, package) not in PRESENT:
                yield f"{name} imports {package}"


def test_every_import_of_an_extra_is_guarded():
    assert list(unguarded(modules())) == []


@pytest.mark.parametrize("line", ["import scipy.sparse", "from scipy import sparse", "def f():\n    import scipy"])
def test_an_import_without_a_guard_is_found(line):
    assert list(unguarded({"hecc.a": line})) == ["hecc.a imports scipy"]
    assert list(unguarded({"hecc.a": f"require('scipy')\n{line}"})) == []
    assert list(unguarded({"hecc.r": "require('scipy')", "hecc.r.a": line})) == []
    assert list(unguarded({"hecc.r": "require('scipy')", "hecc.a": f"from hecc.r.b import c\n{line}"})) == []


def test_nothing_is_imported_but_dependencies_and_extras():
    known = {*DEPENDENCIES, *INDIRECT, *PACKAGES, *sys.stdlib_module_names}
    others = {
        (name, other.partition(".")[0])
        for name, text in modules().items()
        for other in imported(ast.parse(text))
        if other.partition(".")[0] not in known
    }
    assert others <= PRESENT


def test_the_table_is_what_pyproject_declares():
    found = declared()
    for name, packages in EXTRAS.items():
        assert {package.distribution for package in packages} == found[name], name
    assert found[""] == DEPENDENCIES - {"hecc"}
    assert set(found) - set(EXTRAS) == {"", "all", "benchmarks", "dev", "docs", "test"}


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (
            ["scipy"],
            (
                "scipy is not installed, and needed for compiling, estimating, simulating and measuring networks; run "
                "`pip install 'hecc[compiler]'`"
            ),
        ),
        (["PIL"], "pillow is not installed, and needed for reading images; run `pip install 'hecc[client]'`"),
        (
            ["tenseal", "cryptography"],
            (
                "tenseal and cryptography are not installed, and needed for making keys, encryption and decryption, "
                "and the device seal; run `pip install 'hecc[client]'`"
            ),
        ),
        (
            ["jinja2", "matplotlib"],
            "jinja2 and matplotlib are not installed, and needed for reports; run `pip install 'hecc[report]'`",
        ),
        (
            ["sklearn"],
            (
                "scikit-learn is not installed, and needed for metrics with confidence intervals; run "
                "`pip install 'hecc[metrics]'`"
            ),
        ),
        (["sympy", "onnx", "scipy"], "onnx, scipy and sympy are not installed, and needed for compiling"),
    ],
)
def test_what_is_missing_is_one_sentence_with_the_command(monkeypatch, asked, sentence):
    require(*asked)
    for module in asked:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError) as caught:
        require(*asked)
    assert str(caught.value).startswith(sentence)

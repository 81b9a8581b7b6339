"""The notebooks work from beginning to end, and show what really comes out."""

import ast
import importlib.util
import os
import re
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "docs" / "notebooks").glob("*.ipynb"))
NUMBER = re.compile(r"\b[0-9a-f]{8,}\b|\d[\d.,]*(?:e[-+]?\d+)?")


def imported(cells):
    """The packages that cells import."""
    for cell in cells:
        for node in ast.walk(ast.parse(cell["source"])):
            if isinstance(node, ast.Import):
                yield from (name.name.partition(".")[0] for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield node.module.partition(".")[0]


def printed(cell):
    """The lines that a cell prints, and what it returns as text, without numbers and the spaces that align them."""
    texts = [out["text"] for out in cell["outputs"] if out["output_type"] == "stream" and out["name"] == "stdout"]
    texts += [out["data"].get("text/plain", "") for out in cell["outputs"] if out["output_type"] == "execute_result"]
    lines = (re.sub(r"\s+", " ", NUMBER.sub("#", line)).strip() for line in "".join(texts).splitlines())
    return [line for line in lines if line]


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["cnn", "hospital", "tables"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_works_and_prints_what_is_stored(path, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for package in sorted(set(imported(cells))):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{path.stem} needs {package}")
    stored = [printed(cell) for cell in cells]
    assert any(stored)

    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    assert [printed(cell) for cell in cells] == stored

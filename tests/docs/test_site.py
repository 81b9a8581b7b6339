"""The site has all pages, all public names, and nothing from other hosts."""

import re
from pathlib import Path

import pytest

import hecc

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ROOT / "mkdocs.yml"


def documented() -> list[str]:
    """The names that the reference of Python has."""
    pages = sorted((ROOT / "docs" / "reference" / "api").glob("*.md"))
    return [name for page in pages for name in re.findall(r"^::: hecc\.(\w+)$", page.read_text("utf-8"), re.MULTILINE)]


def in_navigation() -> set[str]:
    return set(re.findall(r"(?:: |- )([\w./-]+\.(?:md|ipynb))$", SETTINGS.read_text("utf-8"), re.MULTILINE))


def test_every_public_name_is_documented_once():
    assert sorted(documented()) == sorted(set(hecc.__all__) - {"__version__"})


def test_every_page_can_be_found():
    there = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    there |= {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.ipynb")}
    there |= {f"examples/{path.parent.name}.md" for path in (ROOT / "examples").glob("*/README.md")}
    assert in_navigation() == there | {"changelog.md", "contributing.md", "security.md"}


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("mkdocs_jupyter")
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(SETTINGS), site_dir=str(tmp_path), strict=True))
    for page in tmp_path.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|img|link|iframe)\b[^>]*(?:src|href)=\"?(?:https?:)?//[^\s>]*", page.read_text("utf-8")
        )
        assert not loaded, page

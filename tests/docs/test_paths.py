"""What pages point at is there: files that they link to, sections, and paths that they name."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FOLDERS = (
    "src/",
    "passes/",
    "compiler/",
    "runtime/",
    "tests/",
    "docs/",
    "examples/",
    "benchmarks/",
    "licenses/",
    ".ci/",
)
HISTORY = {"CHANGELOG.md"}
"""Pages that name what once was there."""


def anchors(markdown: str) -> set[str]:
    """The names of a page's sections, as GitHub makes them."""
    titles = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", markdown, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def find_dead_links(page: Path) -> list[str]:
    """Links of a page to files or sections that are not there."""
    dead = []
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, section = target.partition("#")
        file = page.parent / name if name else page
        if not file.exists() or (section and section not in anchors(file.read_text(encoding="utf-8"))):
            dead.append(target)
    return dead


def find_dead_paths(root: Path, page: Path) -> list[str]:
    """Paths from the repository's root that a page names in code, and that are not there."""
    named = re.findall(r"`(?:[\w./]+ )*([\w.-]+/[\w./*-]*)", page.read_text(encoding="utf-8"))
    return [path for path in named if path.startswith(FOLDERS) and not any(root.glob(path.rstrip("/")))]


@pytest.fixture(autouse=True)
def in_repository() -> None:
    if not (ROOT / ".ci").is_dir():
        pytest.skip("pages name files of the repository that are not in a source distribution")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert find_dead_links(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_paths_that_are_named_exist(page: Path) -> None:
    if page.name not in HISTORY:
        assert find_dead_paths(ROOT, page) == []


def test_what_is_not_there_is_found(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "other.md").write_text("# The `first` one\n```bash\n# no section\n```\n", encoding="utf-8")
    page = tmp_path / "README.md"
    page.write_text(
        "# Here\n[a](docs/other.md#the-first-one) [b](docs/none.md) [c](#here) [d](#there)\n"
        "[e](docs/other.md#no-section) [f](https://example.org/none)\n"
        "`docs/other.md` `docs/*.md` `docs/gone.md` `python docs/gone.py` `elsewhere/none.py`\n",
        encoding="utf-8",
    )
    assert find_dead_links(page) == ["docs/none.md", "#there", "docs/other.md#no-section"]
    assert find_dead_paths(tmp_path, page) == ["docs/gone.md", "docs/gone.py"]

"""Hooks of MkDocs.

Pages can be read in the repository as they are: they link to each other as files there, and say in comments how their
code blocks are tested. On the site, pages that lie outside ``docs`` are there, too, all links lead to pages, and what a
command prints looks different from the command.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?P<text>(?<!!)\[[^\]]*\])\((?P<target>[^)\s:]+)\)")
PICTURE = re.compile(
    r'<picture>\s*<source [^>]*srcset="(?P<dark>[^"]+)">\s*'
    r'<img alt="(?P<alt>[^"]*)" src="(?P<light>[^"]+)">\s*</picture>'
)
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)

OUTSIDE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    **{
        page.relative_to(ROOT).as_posix(): f"examples/{page.parent.name}.md"
        for page in (ROOT / "examples").glob("*/README.md")
    },
}
"""Pages outside ``docs``, and where they are on the site."""

PLACES = {**OUTSIDE, "README.md": "index.md"}

PACKAGES = {"": "src/hecc", "compiler": "compiler", "passes": "passes", "runtime": "runtime"}
"""The folders of the package, as a wheel has them."""


def on_config(config: MkDocsConfig) -> None:
    """Lay out the package as a wheel does, with links, for those who read its docstrings."""
    package = ROOT / "build" / "site-packages" / "hecc"
    package.mkdir(parents=True, exist_ok=True)
    for link in package.iterdir():
        link.unlink()
    for name, folder in PACKAGES.items():
        for path in [ROOT / folder] if name else (ROOT / folder).iterdir():
            if path.name != "__pycache__":
                (package / path.name).symlink_to(path)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages outside ``docs``."""
    for source, place in OUTSIDE.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages; what is no page keeps its name only."""
    here = Path(page.file.abs_src_path or "").resolve().relative_to(ROOT).as_posix()

    def moved(link: re.Match[str]) -> str:
        target, hash_, section = link["target"].partition("#")
        if not target:
            return link[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(here), target))
        place = PLACES.get(path, path.removeprefix("docs/"))
        if files.get_file_from_path(place) is None:
            return link["text"][1:-1]
        return (
            f"{link['text']}({posixpath.relpath(place, posixpath.dirname(page.file.src_uri) or '.')}{hash_}{section})"
        )

    # A reader may have chosen another theme than the system's.
    markdown = PICTURE.sub(
        r"![\g<alt>](\g<light>#only-light){ .figure } ![\g<alt>](\g<dark>#only-dark){ .figure }", markdown
    )
    markdown = markdown.replace("<!-- test: output -->\n```text\n", "```{ .text .output .no-copy }\n")
    return "".join(part if part.startswith("```") else LINK.sub(moved, part) for part in FENCE.split(markdown))

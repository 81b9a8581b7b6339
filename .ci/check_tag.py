#!/usr/bin/env python3
"""Refuse to publish under a tag that is not the version of the sources, or that the changelog does not know.

check_tag.py v0.1.0
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(tag: str) -> int:
    """Check one tag; 0 if it may be published."""
    source = (ROOT / "src/hecc/__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    version = found[1] if found else "unknown"
    faults = (
        [] if tag == f"v{version}" else [f"the sources are version {version}: tag v{version}, or change __version__"]
    )
    headings = re.findall(r"^## \[?([\w.]+)\]?", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    if version not in headings:
        faults.append(f"CHANGELOG.md has no heading `## {version}`: name what is unreleased after it")
    for fault in faults:
        print(f"{tag}: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

#!/usr/bin/env python3
"""Say how many megabytes the packages of a virtual environment take, and refuse more than a number of them.

    check_size.py FOLDER [MEGABYTES]

pip and setuptools, which a new environment has before anything is installed, are told apart and do not count.
"""

import sys
from collections import Counter
from pathlib import Path

TOOLS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence")
LARGEST = 8


def sizes(folder: Path) -> Counter[str]:
    """Bytes of each entry of the site-packages of an environment."""
    found: Counter[str] = Counter()
    for place in folder.glob("lib*/python*/site-packages"):
        if place.parents[1].is_symlink():  # lib64 is lib
            continue
        for file in place.rglob("*"):
            if file.is_file() and not file.is_symlink():
                found[file.relative_to(place).parts[0]] += file.stat().st_size
    return found


def main(folder: str, limit: str = "inf") -> int:
    """Check one environment; 0 if it is small enough."""
    found = sizes(Path(folder))
    tools = sum(size for name, size in found.items() if name.split("-")[0] in TOOLS)
    own = sum(found.values()) - tools
    largest = ", ".join(f"{name} {size / 1e6:.0f}" for name, size in found.most_common(LARGEST) if size >= 1e6)
    print(f"{folder}: {own / 1e6:.0f} MB, and {tools / 1e6:.0f} MB of pip; the largest in MB: {largest}")
    if own > float(limit) * 1e6:
        print(f"{folder}: more than {limit} MB")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

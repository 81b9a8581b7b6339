#!/usr/bin/env python3
"""Check what a wheel holds: hecc and nothing else at the top, every source and data file, no C++ source."""

import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTENSIONS = ("hecc/runtime/native/_native.", "hecc/runtime/native/_evaluator.")
SHIPPED = {".py", ".pyi", ".typed", ".onnx", ".npz", ".npy", ".md", ".html", ".css"}


def main(wheel: str) -> int:
    """Check one wheel; 0 if it holds what it should."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages: dict[str, str] = settings["tool"]["scikit-build"]["wheel"]["packages"]
    expected = {
        f"{target}/{file.relative_to(ROOT / folder).as_posix()}"
        for target, folder in packages.items()
        for file in (ROOT / folder).rglob("*")
        if file.suffix in SHIPPED
    }
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    faults = [f"lacks {name}" for name in sorted(expected - names)]
    for name in sorted(names - expected):
        top, _, rest = name.partition("/")
        metadata = top.startswith("hecc-") and top.endswith(".dist-info")
        extension = name.startswith(EXTENSIONS) and name.endswith((".so", ".pyd"))
        if not (metadata and rest) and not extension:
            faults.append(f"holds {name}")
    for extension_module in EXTENSIONS:
        if not any(name.startswith(extension_module) and name.endswith((".so", ".pyd")) for name in names):
            faults.append(f"lacks the extension {extension_module}*")
    for fault in faults:
        print(f"{Path(wheel).name} {fault}")
    print(f"{Path(wheel).name}: {len(names)} files")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""Extras: packages that only some tasks need, and how a user installs them.

A server needs none of them. Whatever imports one asks :func:`require` first; a room that cannot do without asks in its
``__init__``, for all its modules.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple

from hecc.runtime.errors import MissingExtraError
from hecc.runtime.figures import listed

__all__ = ["EXTRAS", "Package", "require"]


class Package(NamedTuple):
    """A package that not everybody needs.

    Attributes
    ----------
    module
        The name that is imported.
    distribution
        The name that is installed.
    task
        What it is needed for.
    """

    module: str
    distribution: str
    task: str


SECRETS = "making keys, encryption and decryption"
NETWORKS = "compiling, estimating, simulating and measuring networks"
MODULES = "compiling PyTorch modules"
REPORTS = "reports"
METRICS = "metrics with confidence intervals"
TABLES = "data frames and parquet files"

EXTRAS = {
    "client": (
        Package("tenseal", "tenseal", f"{SECRETS}, and the device seal"),
        Package("cryptography", "cryptography", SECRETS),
        Package("PIL", "pillow", "reading images"),
    ),
    "sharing": (Package("cryptography", "cryptography", "material and TLS"),),
    "compiler": (
        Package("onnx", "onnx", NETWORKS),
        Package("scipy", "scipy", NETWORKS),
        Package("sympy", "sympy", NETWORKS),
        Package("networkx", "networkx", NETWORKS),
    ),
    "torch": (
        Package("torch", "torch", MODULES),
        Package("onnxscript", "onnxscript", MODULES),
    ),
    "report": (
        Package("jinja2", "jinja2", REPORTS),
        Package("matplotlib", "matplotlib", REPORTS),
    ),
    "metrics": (Package("sklearn", "scikit-learn", METRICS),),
    "tables": (
        Package("pandas", "pandas", TABLES),
        Package("pyarrow", "pyarrow", TABLES),
    ),
    "dicom": (Package("pydicom", "pydicom", "reading DICOM images"),),
    "keyring": (Package("keyring", "keyring", "passphrases in the system's keyring"),),
}
"""By the name that pyproject.toml has for it, where an extra may include others."""


def require(*modules: str, extra: str = "") -> None:
    """Refuse a task for which packages are missing.

    Parameters
    ----------
    modules
        Of `EXTRAS`.
    extra
        The one that is for this task; by default the first that has what is missing.

    Raises
    ------
    MissingExtraError
        Names the packages that are not installed, what they are for, and the command that installs them.
    """
    absent = {module for module in modules if find_spec(module) is None}
    for name, packages in EXTRAS.items():
        if extra not in ("", name):
            continue
        missing = [package for package in packages if package.module in absent]
        if missing:
            verb = "are" if len(missing) > 1 else "is"
            names = listed([package.distribution for package in missing])
            raise MissingExtraError(
                f"{names} {verb} not installed, and needed for {missing[0].task}; run `pip install 'hecc[{name}]'`"
            )

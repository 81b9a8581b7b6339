"""Fixtures that several packages' tests share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """The folder of real networks that nobody here wrote; they are not part of the repository."""
    shared = Path(os.environ.get("HECC_SHARED", ROOT.parent / "shared"))
    models = shared / "models"
    if not models.is_dir():
        pytest.skip(f"no real networks in {models}; set HECC_SHARED to the folder that holds them")
    return models


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of data sets; they are not part of the repository."""
    shared = Path(os.environ.get("HECC_SHARED", ROOT.parent / "shared"))
    data = shared / "data"
    if not data.is_dir():
        pytest.skip(f"no data sets in {data}; set HECC_SHARED to the folder that holds them")
    return data

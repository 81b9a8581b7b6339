"""The digit network that comes with hecc, compiled once."""

from importlib import resources
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hecc
from hecc.runtime.plan import Plan


@pytest.fixture(scope="session")
def model() -> bytes:
    """The network."""
    return (resources.files("hecc") / "data" / "digits.onnx").read_bytes()


@pytest.fixture(scope="session")
def digits() -> dict[str, NDArray[Any]]:
    """Images, their labels, and calibration images."""
    with np.load(str(resources.files("hecc") / "data" / "digits.npz")) as archive:
        return dict(archive)


@pytest.fixture(scope="session")
def plan(model: bytes, digits: dict[str, NDArray[Any]]) -> Plan:
    """Its plan."""
    return hecc.compile(model, calibration=digits["calibration"])

"""Devices are found by name; their engines are imported only when a circuit is made ready."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import get_args

import pytest

from hecc.runtime.ckks.circuit.parameters import KeyShape
from hecc.runtime.ckks.devices.device import DEVICES, device_for, load_device
from hecc.runtime.errors import InputError


@pytest.mark.parametrize("name", DEVICES)
def test_the_engine_of_every_device_can_be_imported(name: str) -> None:
    device = load_device(name)
    module, _, attribute = device.engine.partition(":")
    assert callable(getattr(importlib.import_module(module), attribute))
    assert device.name == name


def test_there_is_a_device_for_keys_of_every_shape() -> None:
    for shape in get_args(KeyShape):
        assert device_for(shape).key_shape == shape


def test_an_unknown_device_is_refused_with_the_choice() -> None:
    with pytest.raises(InputError, match=r"there is no device 'abacus'; choose one of native, seal"):
        load_device("abacus")


def test_the_table_of_devices_loads_none_of_them() -> None:
    code = (
        "import sys, hecc.runtime.ckks.devices.device; "
        "sys.exit('tenseal' in sys.modules or 'hecc.runtime.native._evaluator' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""The names of devices, apart from all that devices need: plans and options are made with them."""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["DeviceName"]

DeviceName: TypeAlias = Literal["native", "seal"]
"""What users call a device; :data:`hecc.runtime.ckks.devices.device.DEVICES` has one of each name."""

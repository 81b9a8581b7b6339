"""What a training program calls its values."""

from __future__ import annotations

__all__ = ["GRADIENT", "LOSS", "TARGET"]

TARGET = "target"
"""The input that holds the right answers."""

LOSS = "loss"
"""The output that holds the loss, averaged over rows."""

GRADIENT = "gradient of "
"""What the outputs that hold gradients are called, with the parameter behind it."""

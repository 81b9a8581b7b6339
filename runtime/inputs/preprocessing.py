"""Preprocessing: what turns raw pixels or columns into the network's input.

It is stated once, when a network is compiled, and stored in the plan, so that every client does to its inputs what was
done in training. This module knows the arithmetic; what reads images is :mod:`hecc.runtime.inputs.images`.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import InputError

__all__ = ["MAX_SIDE", "Preprocessing"]

MAX_SIDE = 1 << 14
"""Longest side to which an image is resized, in pixels."""

LIMIT = 2.0**100
"""Largest factor, mean or deviation, and the inverse of the smallest: so that no pixel can overflow."""

BYTE = 255.0
"""Largest raw value of a pixel."""


class Preprocessing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens to raw values before they are encrypted: ``(raw * scale - mean) / std``, images resized first.

    The steps are those of torchvision's ``Resize``, ``CenterCrop``, ``ToTensor`` and ``Normalize`` on images that
    Pillow has read, but that ``scale`` stands for the division by 255 in ``ToTensor``, and the crop goes by the
    network's own height and width. Whether an image is read as grey or as RGB follows from the network's number of
    channels.

    Attributes
    ----------
    resize
        One number of pixels for the shorter side, which keeps the proportions, or (height, width), which does not. What
        is larger than the network's input afterwards is cropped around the centre. ``None``: images have to have the
        network's size already. A flat input is an image of this size.
    scale
        What raw values are multiplied by; ``1 / 255`` maps bytes to 0 to 1.
    mean, std
        One number, or one per channel, or one per element; none at all means 0 and 1.
    layout
        Where the channels are: "nchw" before the height, "nhwc" after the width.
    """

    resize: int | tuple[int, int] | None = None
    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    layout: Literal["nchw", "nhwc"] = "nchw"

    def __post_init__(self) -> None:
        """Accept any sequences of numbers.

        Raises
        ------
        InputError
            What is given is none.
        """
        for name in ("mean", "std"):
            given = getattr(self, name)
            try:
                numbers = tuple(map(float, given))
            except (TypeError, ValueError):
                raise InputError(
                    f"the {name} {given!r} is not a sequence of numbers; give one, or one per channel or element"
                ) from None
            msgspec.structs.force_setattr(self, name, numbers)
        if self.resize is not None and not isinstance(self.resize, int):
            msgspec.structs.force_setattr(self, "resize", tuple(self.resize))

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse what contradicts itself, or the network's input.

        Parameters
        ----------
        shape
            Of one example.

        Raises
        ------
        InputError
            Saying what does not fit.
        """
        if self.layout not in ("nchw", "nhwc"):
            raise InputError(f"a layout {self.layout!r}; choose nchw or nhwc")
        if not 1 / LIMIT <= self.scale <= LIMIT:
            raise InputError(f"a scale of {self.scale:g}; give what raw values are multiplied by, as 1/255 for bytes")
        if self.resize is not None:
            self._check_resize(shape)
        grid = self._grid(shape)
        for name, values, least in (("mean", self.mean, -LIMIT), ("std", self.std, 1 / LIMIT)):
            if not all(least <= value <= LIMIT for value in values):
                raise InputError(
                    f"the {name} has a value that is not possible; give numbers from {least:g} to {LIMIT:g}"
                )
            if len(values) not in (0, 1, self._channels(grid), math.prod(grid)):
                raise InputError(
                    f"a {name} of {len(values)} values; an input of shape {shape} in layout {self.layout} takes one, "
                    f"one for each of {self._channels(grid)} channels, or one for each of {math.prod(grid)} elements"
                )

    def image_shape(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Height, width and channels of the image that an input of ``shape`` is.

        Raises
        ------
        InputError
            The input is no image, or has another number of channels than grey and RGB images have.
        """
        grid = self._grid(shape)
        if len(grid) == 2:
            grid = (1, *grid) if self.layout == "nchw" else (*grid, 1)
        if len(grid) != 3:
            remedy = "; a flat one needs --resize HEIGHTxWIDTH" if len(grid) == 1 else ""
            raise InputError(f"an input of shape {shape} is no image{remedy}")
        channels, height, width = grid if self.layout == "nchw" else (grid[2], *grid[:2])
        if channels not in (1, 3):
            other = "nhwc" if self.layout == "nchw" else "nchw"
            raise InputError(
                f"an input of shape {shape} in layout {self.layout} has {channels} channels, and images have 1 or 3; "
                f"state the layout {other} if that is the network's, or give arrays"
            )
        return height, width, channels

    def arrange(self, pixels: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
        """An image of shape (height, width, channels) as the network's input, of ``shape``."""
        if self.layout == "nchw":
            pixels = np.moveaxis(pixels, 2, 0)
        return self.apply(pixels.reshape(1, *shape), shape).reshape(shape)

    def apply(self, rows: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
        """The arithmetic on raw values that have the network's shape and layout already, (rows, *shape)."""
        grid = self._grid(shape)
        values = rows.astype(np.float64).reshape(len(rows), *grid)
        # Raw values of any size: what overflows is refused with everything that is not finite.
        with np.errstate(over="ignore", invalid="ignore"):
            values *= self.scale
            if self.mean:
                values -= self._spread(self.mean, grid)
            if self.std:
                values /= self._spread(self.std, grid)
        return values.reshape(len(rows), *shape)

    def image_range(self, shape: tuple[int, ...]) -> tuple[float, float] | None:
        """Lowest and highest value that an 8-bit image can have after preprocessing; ``None`` if this is no image."""
        if len(shape) < 3 and self.resize is None:
            return None
        try:
            self.image_shape(shape)
        except InputError:
            return None
        black, white = self.apply(np.zeros((1, *shape)), shape), self.apply(np.full((1, *shape), BYTE), shape)
        return float(black.min()), float(white.max())

    def _check_resize(self, shape: tuple[int, ...]) -> None:
        sides = (self.resize,) if isinstance(self.resize, int) else tuple(self.resize or ())
        words = "x".join(map(str, sides))
        if len(sides) not in (1, 2) or not all(1 <= side <= MAX_SIDE for side in sides):
            raise InputError(
                f"a resize to {words or 'nothing'}; give a number of pixels up to {MAX_SIDE}, or height and width"
            )
        height, width, _ = self.image_shape(shape)
        if sides[0] < height or sides[-1] < width:
            raise InputError(
                f"a resize to {words} is smaller than the network's {height}x{width}; give at least that, the rest is "
                "cropped"
            )

    def _grid(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that shows the channels: without axes of extent one in front, a flat image with its axes."""
        while len(shape) > 3 and shape[0] == 1:
            shape = shape[1:]
        if len(shape) != 1 or self.resize is None:
            return shape
        height, width = (self.resize, self.resize) if isinstance(self.resize, int) else self.resize
        channels, rest = divmod(shape[0], height * width)
        if rest or not channels:
            raise InputError(
                f"a flat input of {shape[0]} values is no image of {height}x{width} pixels; state the network's size"
            )
        return (channels, height, width) if self.layout == "nchw" else (height, width, channels)

    def _channels(self, grid: tuple[int, ...]) -> int:
        return grid[0 if self.layout == "nchw" else -1] if grid else 1

    def _spread(self, values: tuple[float, ...], grid: tuple[int, ...]) -> NDArray[np.float64]:
        """One number per channel, or per element, as an array that meets rows of the grid."""
        array = np.array(values)
        if len(values) == 1:
            return array
        if len(values) == math.prod(grid):
            return array.reshape(grid)
        return array.reshape(-1, *[1] * (len(grid) - 1)) if self.layout == "nchw" else array

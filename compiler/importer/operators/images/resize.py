"""Resize."""

from __future__ import annotations

import math

import numpy as np

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.interpolation import SIMPLE, Axis, resize

__all__ = ["Resize"]


class Resize(Converter):
    """The tensor at another size, by interpolation."""

    notes = "all modes; constant scales, sizes and region of interest"

    @staticmethod
    def opset_10(call: Call) -> None:
        """There are scales only, and one way of counting coordinates, that of Upsample."""
        value = call.value(0)
        axes = _axes(call, tuple(float(scale) for scale in call.constant(1).array.reshape(-1)), None, None)
        resize(call, value, axes, "asymmetric", SIMPLE)

    @staticmethod
    def opset_11(call: Call) -> None:
        """Opset 18 added antialiasing, axes and the policies, opset 19 half_pixel_symmetric."""
        region, scales, sizes = (
            tuple(call.constant(i).array.reshape(-1).tolist()) if call.optional(i) is not None else ()
            for i in (1, 2, 3)
        )
        coordinates = call.attribute("coordinate_transformation_mode", "half_pixel")
        cropped = region if coordinates == "tf_crop_and_resize" else ()
        axes = _axes(call, scales or None, sizes or None, cropped or None)
        resize(call, call.value(0), axes, coordinates, call.attribute("nearest_mode", "round_prefer_floor"))


def _axes(
    call: Call,
    scales: tuple[float, ...] | None,
    sizes: tuple[int, ...] | None,
    region: tuple[float, ...] | None,
) -> list[Axis]:
    """How every axis is resized; the sizes are those of the whole batch."""
    value, batch = call.value(0), call.scope.batch
    shape = batch.whole(value.shape)
    rank = len(shape)
    named = call.axes(call.attribute("axes", tuple(range(rank))), rank)
    given = scales if sizes is None else sizes
    if given is None or (scales is not None and sizes is not None):
        raise call.fault("it needs either scales or sizes")
    if len(given) != len(named) or (region is not None and len(region) != 2 * len(named)):
        raise call.fault(f"its scales, sizes or region of interest do not fit {len(named)} axes")
    if not all(0 < number < math.inf for number in given) or not all(map(math.isfinite, region or ())):
        raise call.fault("its scales or sizes are not positive, or its region of interest is not finite")
    policy = call.attribute("keep_aspect_ratio_policy", "stretch")
    common = {"not_larger": min, "not_smaller": max}.get(policy)
    if sizes is not None and common is not None and min(call.attribute("axes", (0,))) < 0:
        # onnxruntime leaves such axes as they are.
        raise call.refuse(
            "its keep_aspect_ratio_policy together with axes counted from the back is ambiguous",
            "count the axes from the front",
        )
    axes = [Axis(extent, extent, 1.0) for extent in shape]
    factors = [number / shape[axis] for axis, number in zip(named, given, strict=True)]
    if sizes is not None and common is None and policy != "stretch":
        raise call.fault(f"keep_aspect_ratio_policy '{policy}' does not exist")
    for i, axis in enumerate(named):
        before = shape[axis]
        if scales is not None:
            factor, after = scales[i], math.floor(np.float32(scales[i]) * np.float32(before))
        elif common is None:
            factor, after = factors[i], int(given[i])
        else:
            factor = common(factors)
            after = math.floor(factor * before + 0.5)
        if after < 1:
            raise call.refuse("its result has no elements", "resize to at least one pixel")
        edges = (0.0, 1.0) if region is None else (region[i], region[len(named) + i])
        axes[axis] = Axis(before, after, float(np.float64(factor)), edges)
    if batch.extent > 1:
        if axes[0].before != axes[0].after:
            raise call.refuse_mixing()
        axes[0] = Axis(value.shape[0], value.shape[0], 1.0)
    return axes

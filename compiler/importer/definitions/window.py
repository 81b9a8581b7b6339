"""Sliding windows: how attributes of Conv and the pools become strides, pads and the size of the result."""

from __future__ import annotations

from dataclasses import dataclass

from hecc.compiler.importer.building.call import Call

__all__ = ["Window"]


@dataclass(frozen=True)
class Window:
    """A window that slides over an image.

    Attributes
    ----------
    kernel, strides, dilations
        One number per spatial axis.
    pads
        Pixels added before and after, per spatial axis.
    out
        Windows per spatial axis: the result's size.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    out: tuple[int, ...]

    @classmethod
    def of(cls, call: Call, spatial: tuple[int, ...], kernel: tuple[int, ...], *, pooled: bool = False) -> Window:
        """Read the attributes ``strides``, ``dilations``, ``pads``, ``auto_pad`` and ``ceil_mode``.

        With ``ceil_mode`` the last window may hang over the padded image, but must start inside it, as in PyTorch and
        onnxruntime. ``pooled`` says that it is a pool's, of which onnxruntime thinks otherwise than of a convolution's.
        """
        rank = len(spatial)
        ones, zeros = (1,) * rank, (0,) * (2 * rank)
        strides = call.attribute("strides", ones)
        dilations = call.attribute("dilations", ones)
        given = call.attribute("pads", zeros)
        mode = call.attribute("auto_pad", "NOTSET")
        ceil = bool(call.attribute("ceil_mode", 0))
        if {len(kernel), len(strides), len(dilations), len(given) // 2} != {rank}:
            raise call.fault(f"kernel_shape, strides, dilations and pads do not all fit {rank} spatial axes")
        if min((*kernel, *strides, *dilations)) < 1:
            raise call.fault("kernel_shape, strides and dilations must be positive")
        if min(given) < 0:
            raise call.refuse("it has negative pads", "crop with a Pad or Slice of its own")
        pads, out = [], []
        for axis, size in enumerate(spatial):
            span = (kernel[axis] - 1) * dilations[axis] + 1
            stride = strides[axis]
            if mode in ("SAME_UPPER", "SAME_LOWER"):
                if span > kernel[axis]:
                    # ONNX's text, its reference and its shape inference differ, and onnxruntime refuses or differs too.
                    raise call.refuse("dilations together with automatic padding are ambiguous", "write explicit pads")
                count = -(-size // stride)
                total = (count - 1) * stride + span - size
                if pooled and total < 0:
                    # A pool of onnxruntime then crops the image at both ends, which ONNX's text does not say.
                    raise call.refuse(
                        "a window smaller than its stride together with automatic padding is ambiguous",
                        "write explicit pads",
                    )
                total = max(0, total)
                less, more = total // 2, total - total // 2
                pads.append((less, more) if mode == "SAME_UPPER" else (more, less))
                out.append(count)
                continue
            if mode not in ("NOTSET", "VALID", ""):
                raise call.fault(f"auto_pad '{mode}' does not exist")
            before, after = (0, 0) if mode == "VALID" else (given[axis], given[rank + axis])
            room = size + before + after - span
            if room < 0:
                raise call.fault(f"its window of {span} pixels does not fit the padded image of {room + span}")
            count = (-(-room // stride) if ceil else room // stride) + 1
            if ceil and (count - 1) * stride >= size + before:
                count -= 1
            pads.append((before, after))
            out.append(count)
        return cls(kernel, strides, dilations, tuple(pads), tuple(out))

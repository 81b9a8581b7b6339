"""Images as a network's input: read with Pillow, or pydicom, upright, in the network's colours and size.

The geometry is that of torchvision on Pillow images: ``Resize`` with its antialiased bilinear filter, then
``CenterCrop``. Unlike torchvision's own loader, orientations in EXIF are followed, and transparency is refused instead
of ignored.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import FileFormatError, HeccError, InputError
from hecc.runtime.extras import require
from hecc.runtime.files.atomic import open_regular
from hecc.runtime.inputs.dicom import DICOM_SUFFIXES, read_dicom
from hecc.runtime.inputs.preprocessing import Preprocessing

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["SUFFIXES", "is_image_name", "read_image", "read_pixels"]

SUFFIXES = (".bmp", *DICOM_SUFFIXES, ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""What names of images end in."""

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What Pillow may read: fewer decoders, fewer ways for a made-up file to do harm."""

MAX_PIXELS = 64_000_000
"""Larger images are refused before they are unpacked: a small file can claim any size."""

_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Pillow's modes of 8 bits per channel whose colours have one meaning."""


def is_image_name(path: str | os.PathLike[str]) -> bool:
    """Whether a file's name is that of an image."""
    return Path(path).suffix.lower() in SUFFIXES


def read_image(
    path: str | os.PathLike[str], preprocessing: Preprocessing, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """An image file as the network's input, of ``shape``.

    Raises
    ------
    InputError
        The file cannot be read; the image is of another size than the network's and there is no resize, or is of a
        kind whose values could be taken in several ways: transparent, 16 bits, animated.
    FileFormatError
        It is no image, damaged, or claims to be enormous.
    """
    return _prepare(str(path), _load(Path(path)), preprocessing, shape)


def read_pixels(
    what: str, images: NDArray[np.uint8], preprocessing: Preprocessing, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """As :func:`read_image`, for 8-bit images (rows, height, width) or (rows, height, width, 3) in an array.

    Raises
    ------
    InputError
        The images are of another size than the network's and there is no resize.
    """
    require("PIL")
    from PIL import Image

    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    rows = (_prepare(what, Image.fromarray(image), preprocessing, shape) for image in images)
    return np.stack(list(rows))


def _load(path: Path) -> Image.Image:
    """The image of a file, upright."""
    require("PIL")
    from PIL import Image, ImageOps, UnidentifiedImageError

    if path.suffix.lower() in DICOM_SUFFIXES:
        return Image.fromarray(read_dicom(path, MAX_PIXELS))
    try:
        with warnings.catch_warnings():
            # The size is checked below, with a sentence; other warnings are about metadata that nothing here uses.
            warnings.simplefilter("ignore")
            with open_regular(path) as file, Image.open(file, formats=FORMATS) as image:
                _check_pixels(str(path), image.size)
                # Cameras put a small preview behind a picture, in a format of its own (MPO).
                if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
                    raise InputError(f"{path}: has several frames; save the one that is meant as an image of its own")
                return ImageOps.exif_transpose(image)
    except (HeccError, MemoryError):
        raise
    except Image.DecompressionBombError:
        _refuse_size(str(path))
    except UnidentifiedImageError:
        raise FileFormatError(
            f"{path}: not an image that can be read, or damaged; save it as one of {', '.join(FORMATS)}"
        ) from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
        # Pillow's decoders raise all kinds of exceptions when a file is not what they expect.
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise FileFormatError(f"{path}: a damaged image ({reason}); copy or save it again") from None


def _prepare(
    what: str, image: Image.Image, preprocessing: Preprocessing, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    height, width, channels = preprocessing.image_shape(shape)
    image = _coloured(what, image, channels)
    image = _resized(what, image, preprocessing.resize)
    if preprocessing.resize is not None:
        # As torchvision rounds: a half to the even number.
        left, top = round((image.width - width) / 2), round((image.height - height) / 2)
        image = image.crop((left, top, left + width, top + height))
    if image.size != (width, height):
        raise InputError(
            f"{what}: {image.height}x{image.width} pixels (height x width), the network takes {height}x{width}; "
            "resize as in training, or compile with --resize"
        )
    return preprocessing.arrange(np.asarray(image).reshape(height, width, channels), shape)


def _coloured(what: str, image: Image.Image, channels: int) -> Image.Image:
    """The image as 8-bit grey values (ITU-R 601-2 luma) or RGB."""
    if image.mode not in _MODES:
        raise InputError(
            f"{what}: pixels of mode {image.mode}, not 8 bits per channel; convert the image as in training, or give "
            "an array with --raw"
        )
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        raise InputError(f"{what}: has transparent pixels; put it on the background that training had")
    return image.convert("L" if channels == 1 else "RGB")


def _resized(what: str, image: Image.Image, resize: int | tuple[int, int] | None) -> Image.Image:
    from PIL import Image

    if resize is None:
        return image
    if isinstance(resize, int):
        short, long = sorted(image.size)
        other = resize * long // short
        size = (resize, other) if image.width <= image.height else (other, resize)
    else:
        size = (resize[1], resize[0])
    # A thin line of an image becomes a very long one.
    _check_pixels(what, size)
    return image.resize(size, Image.Resampling.BILINEAR)


def _check_pixels(what: str, size: Sequence[int]) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        _refuse_size(what)


def _refuse_size(what: str) -> NoReturn:
    raise FileFormatError(f"{what}: over {MAX_PIXELS // 10**6} million pixels; give a smaller image") from None

"""DICOM images as 8-bit pixels, as a viewer shows them and as they are exported to PNG or JPEG for training.

Stored values become values of the modality (rescale slope and intercept, or a lookup table), these grey levels of 0 to
255 by the window that the file states (its lookup table, or its first centre and width; PS3.3, C.11.1 and C.11.2), and
MONOCHROME1 is inverted, so that 0 is black. Where a file states no window, the whole range that its bits can store is
black to white: then one value has one grey level in all images of a device, whatever else is in them.

Only what tells of pixels is kept of a file (`TAGS`): nothing of the patient is looked at, written or shown. Nor do
messages quote a file.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import FileFormatError, HeccError, InputError
from hecc.runtime.extras import require
from hecc.runtime.files.atomic import open_regular

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["DICOM_SUFFIXES", "read_dicom"]

DICOM_SUFFIXES = (".dcm", ".dicom")
"""What names of DICOM files end in."""

MAX_BYTES = 1 << 29
"""Larger files are refused before they are read."""

MAX_RLE = 1 << 26
"""Bytes of run lengths that are unpacked, at most: they may stand for 64 times as many."""

TAGS = (
    "BitsAllocated",
    "BitsStored",
    "Columns",
    "HighBit",
    "ModalityLUTSequence",
    "NumberOfFrames",
    "PhotometricInterpretation",
    "PixelData",
    "PixelRepresentation",
    "PlanarConfiguration",
    "RescaleIntercept",
    "RescaleSlope",
    "Rows",
    "SamplesPerPixel",
    "VOILUTFunction",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
)
"""Keywords of all elements of a file that are read."""

RLE = "1.2.840.10008.1.2.5"
SYNTAXES = (
    "1.2.840.10008.1.2",  # implicit VR, little endian
    "1.2.840.10008.1.2.1",  # explicit VR, little endian
    "1.2.840.10008.1.2.2",  # explicit VR, big endian
    "1.2.840.10008.1.2.4.50",  # JPEG, baseline
    RLE,
)
"""Transfer syntaxes that are read: without compression, or with one that pydicom and Pillow undo by themselves."""

GREY, COLOUR = ("MONOCHROME1", "MONOCHROME2"), ("RGB", "YBR_FULL", "YBR_FULL_422")
"""Photometric interpretations that are read."""

GREY_BITS = 8

log = logging.getLogger(__name__)


def read_dicom(path: str | os.PathLike[str], max_pixels: int) -> NDArray[np.uint8]:
    """The pixels of a DICOM file, shape (height, width) if it is grey, or (height, width, 3) in RGB.

    Parameters
    ----------
    path
        The file.
    max_pixels
        Images with more are refused before they are unpacked.

    Raises
    ------
    MissingExtraError
        pydicom is not installed.
    InputError
        The file cannot be read, or is of a kind whose pixels are not shown in one way: several frames, palettes,
        compressions that take other programs.
    FileFormatError
        It is no DICOM image, damaged, or claims to be enormous.
    """
    require("pydicom", "PIL")
    import pydicom
    from pydicom.pixels.utils import pixel_array

    path = Path(path)
    try:
        with warnings.catch_warnings():
            # Of values that are not as the standard has them, which they would quote.
            warnings.simplefilter("ignore")
            with open_regular(path) as file:
                if os.fstat(file.fileno()).st_size > MAX_BYTES:
                    raise FileFormatError(f"{path}: over {MAX_BYTES >> 20} MiB; give a smaller image")
                dataset = pydicom.dcmread(file, specific_tags=list(TAGS))
                _check(path, dataset, max_pixels)
                stored = pixel_array(dataset)
            if dataset.SamplesPerPixel == 3:
                return stored.astype(np.uint8, copy=False)
            return _grey(path, dataset, stored)
    except (HeccError, MemoryError):
        raise
    except pydicom.errors.InvalidDicomError:
        raise FileFormatError(f"{path}: not a DICOM file, or damaged; export it again") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
        # pydicom raises all kinds of exceptions, whose words may be those of the file.
        raise FileFormatError(f"{path}: a damaged DICOM file, or one without an image; export it again") from None


def _check(path: Path, dataset: Dataset, max_pixels: int) -> None:
    """Refuse, before anything is unpacked, what is not shown in one way."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax not in SYNTAXES:
        raise InputError(
            f"{path}: the transfer syntax {syntax.name if syntax.is_transfer_syntax else 'that it names'} is not read; "
            "store it as Explicit VR Little Endian, as `gdcmconv --raw` does"
        )
    if "PixelData" not in dataset:
        raise FileFormatError(f"{path}: a DICOM file without an image; give one that has pixels")
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise InputError(f"{path}: has several frames; store the one that is meant as an image of its own")
    if dataset.Rows * dataset.Columns > max_pixels:
        raise FileFormatError(f"{path}: over {max_pixels // 10**6} million pixels; give a smaller image")
    if syntax == RLE and len(dataset.PixelData) > MAX_RLE:
        raise FileFormatError(f"{path}: over {MAX_RLE >> 20} MiB of run lengths; store it without compression")
    kind = dataset.PhotometricInterpretation
    bits = (dataset.BitsAllocated, dataset.BitsStored)
    if kind in GREY and dataset.SamplesPerPixel == 1:
        if bits[0] not in (8, 16) or not 1 <= bits[1] <= bits[0]:
            raise InputError(f"{path}: {bits[0]} bits for a grey value; store 8 or 16, or give an array with --raw")
    elif kind not in COLOUR or dataset.SamplesPerPixel != 3 or dataset.PixelRepresentation:
        raise InputError(
            f"{path}: pixels that are neither grey nor RGB nor YBR; export it as PNG, with the colours of training"
        )
    elif bits != (8, 8):
        raise InputError(f"{path}: colours of {bits[0]} bits; store them with 8, or give an array with --raw")


def _grey(path: Path, dataset: Dataset, stored: NDArray[Any]) -> NDArray[np.uint8]:
    """Stored values as grey levels, 0 black."""
    from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_windowing

    values = apply_modality_lut(stored, dataset)
    black, white = _range(dataset)
    table = _table_bits(dataset, "VOILUTSequence")
    if table is not None:
        values = apply_voi(values, dataset)
        black, white = 0.0, 2.0**table - 1
    elif dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        values = apply_windowing(values, dataset)
    else:
        # A negative slope makes small of large values, and small values stay dark.
        black, white = sorted((black, white))
        if dataset.BitsStored > GREY_BITS:
            log.warning(
                "%s: states no window, so all that its %d bits can store goes from black to white; compare with the "
                "images of training, which may have been brighter",
                path,
                dataset.BitsStored,
            )
    if not 0 < abs(white - black) < math.inf:
        raise FileFormatError(f"{path}: a rescale slope that leaves no grey levels; export it again")
    share = np.clip((values.astype(np.float64) - black) / (white - black), 0.0, 1.0)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        share = 1 - share
    levels: NDArray[np.uint8] = np.rint(share * (2**GREY_BITS - 1)).astype(np.uint8)
    return levels


def _range(dataset: Dataset) -> tuple[float, float]:
    """What the lowest and the highest number that can be stored stand for; pydicom's windows fill the same range."""
    bits = _table_bits(dataset, "ModalityLUTSequence")
    if bits is not None:
        return 0.0, 2.0**bits - 1
    bits = dataset.BitsStored
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dataset.PixelRepresentation else (0, 2**bits - 1)
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    if slope is None or intercept is None:
        return float(low), float(high)
    return float(slope) * low + float(intercept), float(slope) * high + float(intercept)


def _table_bits(dataset: Dataset, keyword: str) -> int | None:
    """Bits of the values of a lookup table; ``None`` if there is none."""
    sequence = dataset.get(keyword)
    return int(sequence[0].LUTDescriptor[2]) if sequence else None

"""DICOM images become the grey levels that a viewer shows; what is ambiguous is refused, and nobody is named."""

import contextlib
import io
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hecc.runtime.errors import FileFormatError, HeccError, InputError
from hecc.runtime.inputs import dicom
from hecc.runtime.inputs.images import MAX_PIXELS, read_image
from hecc.runtime.inputs.preprocessing import Preprocessing

pydicom = pytest.importorskip("pydicom", reason="the extra dicom is not installed")
from pydicom import uid  # noqa: E402
from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402

AS_IT_IS = Preprocessing()
NAME = "Doe^Jane"
RNG = np.random.default_rng(0)
FILES = Path(pydicom.__file__).parent / "data" / "test_files"


def dataset(pixels, *, bits=None, kind="MONOCHROME2", syntax=uid.ExplicitVRLittleEndian, content=None, **elements):
    """A DICOM image of somebody."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.SOPClassUID, made.SOPInstanceUID = uid.SecondaryCaptureImageStorage, uid.generate_uid()
    made.PatientName, made.PatientID, made.PatientBirthDate = NAME, "4711", "19700101"
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        made.PlanarConfiguration = 0
    made.PhotometricInterpretation = kind
    made.BitsAllocated = 8 * pixels.dtype.itemsize
    made.BitsStored = bits or made.BitsAllocated
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.PixelData = pixels.tobytes() if content is None else content
    if content is None and syntax == uid.RLELossless:
        made.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        made.compress(uid.RLELossless)
    for name, value in elements.items():
        setattr(made, name, value)
    return made


@pytest.fixture
def read(tmp_path):
    """Writes a DICOM image, and reads it as a network of one channel or three would get it."""

    def call(made, channels=1):
        path = tmp_path / "x.dcm"
        made.save_as(path, enforce_file_format=True)
        shape = (channels, made.Rows, made.Columns)
        return read_image(path, AS_IT_IS, shape)

    return call


def grey(bits, signed=False, shape=(6, 5)):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    kind = ("i" if signed else "u") + ("1" if bits <= 8 else "2")
    pixels = RNG.integers(low, high, shape, dtype=kind)
    pixels.flat[:2] = low, high - 1
    return pixels


def linear(values, centre, width):
    """From the definition, PS3.3, C.11.2.1.2.1."""
    shown = (values - (centre - 0.5)) / (width - 1) + 0.5
    return np.rint(255 * np.clip(shown, 0, 1))


@pytest.mark.parametrize(("bits", "signed"), [(8, False), (12, False), (16, False), (12, True), (16, True)])
@pytest.mark.parametrize("inverted", [False, True])
def test_the_window_of_the_file_goes_from_black_to_white(read, bits, signed, inverted):
    pixels = grey(bits, signed)
    kind = "MONOCHROME1" if inverted else "MONOCHROME2"
    centre, width = 30 if signed else 2 ** (bits - 1), 2 ** (bits - 2)
    found = read(dataset(pixels, bits=bits, kind=kind, WindowCenter=[centre, 3], WindowWidth=[width, 5]))[0]
    expected = linear(pixels.astype(float), centre, width)
    np.testing.assert_array_equal(found, 255 - expected if inverted else expected)
    assert {found.min(), found.max()} == {0.0, 255.0}


@pytest.mark.parametrize("slope", [1.0, 0.5, -2.0])
def test_windows_are_of_rescaled_values(read, slope):
    pixels = grey(12)
    made = dataset(pixels, bits=12, RescaleSlope=slope, RescaleIntercept=-1024, WindowCenter=-600, WindowWidth=1500)
    np.testing.assert_array_equal(read(made)[0], linear(pixels * slope - 1024, -600, 1500))


def test_other_functions_of_a_window(read):
    pixels = grey(12)
    made = dataset(pixels, bits=12, WindowCenter=2000, WindowWidth=1000, VOILUTFunction="LINEAR_EXACT")
    expected = np.rint(255 * np.clip((pixels - 2000.0) / 1000 + 0.5, 0, 1))
    np.testing.assert_array_equal(read(made)[0], expected)
    made.VOILUTFunction = "SIGMOID"
    np.testing.assert_array_equal(read(made)[0], np.rint(255 / (1 + np.exp(-4 * (pixels - 2000.0) / 1000))))


def test_without_a_window_all_that_the_bits_can_store_goes_from_black_to_white(read, caplog):
    pixels = grey(8)
    np.testing.assert_array_equal(read(dataset(pixels))[0], pixels)
    assert not caplog.records
    half = grey(12)
    np.testing.assert_array_equal(read(dataset(half // 2, bits=12))[0], np.rint((half // 2).astype(float) * 255 / 4095))
    assert "x.dcm: states no window, so all that its 12 bits can store goes from black to white" in caplog.text
    # A grey level is that of the value, whatever else is in the image.
    assert read(dataset(half // 2, bits=12))[0].max() < 128
    rescaled = dataset(grey(8, signed=True), RescaleSlope=-1, RescaleIntercept=5)
    found, values = read(rescaled)[0], 5 - rescaled.pixel_array.astype(float)
    np.testing.assert_array_equal(found, np.rint((values + 122) / 255 * 255))


def table(first, values, bits):
    item = Dataset()
    item.LUTDescriptor = [len(values), first, bits]
    item.add_new("LUTData", "OW", np.array(values, dtype="<u2").tobytes())
    return [item]


def test_lookup_tables(read):
    pixels = grey(8) % 16
    voi = RNG.integers(0, 2**12, 16)
    shown = read(dataset(pixels, VOILUTSequence=table(0, voi.tolist(), 12), WindowCenter=8, WindowWidth=4))[0]
    np.testing.assert_array_equal(shown, np.rint(voi[pixels] * 255 / 4095))
    modality = RNG.integers(0, 2**16, 16)
    shown = read(dataset(pixels, ModalityLUTSequence=table(0, modality.tolist(), 16)))[0]
    np.testing.assert_array_equal(shown, np.rint(modality[pixels] * 255 / 65535))


def test_colours_are_rgb(read):
    pixels = RNG.integers(0, 256, (8, 6, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read(dataset(pixels, kind="RGB"), 3), np.moveaxis(pixels, 2, 0))
    ybr = np.asarray(Image.fromarray(pixels).convert("YCbCr"))
    found = read(dataset(ybr, kind="YBR_FULL"), 3)
    assert np.abs(found - np.moveaxis(pixels, 2, 0).astype(float)).max() <= 2
    # As other images: a network of one channel gets luma, one of three channels three times the grey.
    assert read(dataset(pixels, kind="RGB")).shape == (1, 8, 6)
    one = grey(8)
    np.testing.assert_array_equal(read(dataset(one), 3), np.stack([one] * 3))


@pytest.mark.parametrize(
    "syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.RLELossless]
)
def test_uncompressed_images_and_run_lengths(read, syntax):
    pixels = grey(8, shape=(16, 16))
    np.testing.assert_array_equal(read(dataset(pixels, syntax=syntax))[0], pixels)


def test_baseline_jpeg(read):
    pixels = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (16, 1))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=100)
    made = dataset(pixels, syntax=uid.JPEGBaseline8Bit, content=encapsulate([file.getvalue()]))
    assert np.abs(read(made)[0] - pixels).max() <= 2


FAULTS = {
    "several frames": ({"NumberOfFrames": 2}, InputError, "has several frames; store the one that is meant"),
    "a palette": ({"PhotometricInterpretation": "PALETTE COLOR"}, InputError, "neither grey nor RGB nor YBR"),
    "many bits": (
        {"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31},
        InputError,
        "32 bits for a grey value; store 8 or",
    ),
    "too many bits stored": ({"BitsStored": 20}, InputError, "8 bits for a grey value"),
    "a large image": (
        {"Rows": 60000, "Columns": 60000},
        FileFormatError,
        "over 64 million pixels; give a smaller image",
    ),
    "more pixels than there are": ({"Rows": 5000}, FileFormatError, "a damaged DICOM file, or one without an image"),
    "no slope": ({"RescaleSlope": 0, "RescaleIntercept": 1}, FileFormatError, "a rescale slope that leaves no grey"),
    "an endless slope": (
        {"RescaleSlope": "1e308", "RescaleIntercept": 0, "BitsAllocated": 16, "BitsStored": 16},
        FileFormatError,
        "x.dcm: a ",
    ),
    "no width": ({"WindowCenter": 1, "WindowWidth": 0}, FileFormatError, "a damaged DICOM file"),
    "no function": (
        {"WindowCenter": 1, "WindowWidth": 9, "VOILUTFunction": "X"},
        FileFormatError,
        "a damaged DICOM file",
    ),
    "a table of nothing": ({"VOILUTSequence": [Dataset()]}, FileFormatError, "a damaged DICOM file"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # of pydicom, which writes such a file only under protest
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_shown_in_one_way_is_refused_without_a_name(read, tmp_path, fault):
    elements, error, sentence = FAULTS[fault]
    with pytest.raises(error) as caught:
        read(dataset(grey(8, shape=(4, 4)), **elements))
    assert sentence in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/x.dcm: ")
    assert "Doe" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_other_files_and_compressions_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.dcm"

    def refusal(error):
        with pytest.raises(error) as caught:
            dicom.read_dicom(path, MAX_PIXELS)
        return str(caught.value).removeprefix(f"{path}: ")

    assert refusal(InputError) == "cannot be read (No such file or directory); check the path"
    for content in (b"", b"GIF89a", bytes(200), NAME.encode() * 100):
        path.write_bytes(content)
        assert refusal(FileFormatError) == "not a DICOM file, or damaged; export it again"
    for syntax in (uid.JPEG2000Lossless, uid.JPEGLSLossless, uid.DeflatedExplicitVRLittleEndian):
        made = dataset(grey(8), syntax=syntax, content=encapsulate([b"1234"]))
        made.save_as(path, enforce_file_format=True)
        assert refusal(InputError).startswith(f"the transfer syntax {syntax.name} is not read; store it as Explicit VR")
    made = dataset(grey(8))
    del made.PixelData
    made.save_as(path, enforce_file_format=True)
    assert refusal(FileFormatError) == "a DICOM file without an image; give one that has pixels"
    dataset(grey(8, shape=(32, 32)), syntax=uid.RLELossless).save_as(path, enforce_file_format=True)
    monkeypatch.setattr(dicom, "MAX_RLE", 100)
    assert refusal(FileFormatError).endswith("MiB of run lengths; store it without compression")
    monkeypatch.setattr(dicom, "MAX_BYTES", 100)
    assert refusal(FileFormatError).endswith("MiB; give a smaller image")


def test_truncated_and_altered_files_are_sentences(tmp_path, caplog):
    path = tmp_path / "x.dcm"
    dataset(grey(8, shape=(16, 16)), syntax=uid.RLELossless).save_as(path, enforce_file_format=True)
    whole = path.read_bytes()
    for number in range(300):
        changed = bytearray(whole)
        for place in RNG.integers(128, len(whole), 3):
            changed[place] = RNG.integers(256)
        path.write_bytes(changed[: int(RNG.integers(len(whole)))] if number % 2 else changed)
        with contextlib.suppress(HeccError):
            dicom.read_dicom(path, MAX_PIXELS)


def test_nothing_of_the_patient_is_read(read, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    seen = []
    original = pydicom.dcmread

    def spy(*arguments, **options):
        seen.append(original(*arguments, **options))
        return seen[-1]

    monkeypatch.setattr(pydicom, "dcmread", spy)
    read(dataset(grey(12), bits=12, RescaleSlope=1, RescaleIntercept=0, WindowCenter=4, WindowWidth=9))
    (kept,) = seen
    assert {element.keyword for element in kept} <= set(dicom.TAGS)
    assert not any("Patient" in keyword or "UID" in keyword or "Date" in keyword for keyword in dicom.TAGS)
    assert "Doe" not in caplog.text


READ = {
    "CT_small.dcm": (128, 128),
    "ExplVR_BigEnd.dcm": (60, 80, 3),
    "MR_small.dcm": (64, 64),
    "MR_small_RLE.dcm": (64, 64),
    "MR_small_implicit.dcm": (64, 64),
    "SC_rgb_jpeg_dcmtk.dcm": (100, 100, 3),
    "SC_rgb_rle.dcm": (100, 100, 3),
    "SC_ybr_full_422_uncompressed.dcm": (100, 100, 3),
    "examples_overlay.dcm": (300, 484),
}


@pytest.mark.filterwarnings("ignore")
def test_files_of_many_programs_are_read_or_refused():
    files = sorted(FILES.glob("*.dcm"))
    assert set(READ) <= {file.name for file in files}
    shapes = {}
    for file in files:
        with contextlib.suppress(HeccError):
            shapes[file.name] = dicom.read_dicom(file, MAX_PIXELS).shape
    assert shapes | READ == shapes
    assert len(shapes) < len(files)


def test_a_picture_is_as_pydicom_shows_it():
    found = dicom.read_dicom(FILES / "MR_small.dcm", MAX_PIXELS)
    original = pydicom.dcmread(FILES / "MR_small.dcm")
    shown = pydicom.pixels.apply_voi_lut(original.pixel_array, original)
    np.testing.assert_array_equal(found, np.rint((shown + 32768) / 65535 * 255))
    for other in ("MR_small_RLE.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm"):
        np.testing.assert_array_equal(dicom.read_dicom(FILES / other, MAX_PIXELS), found)

"""Images become what torchvision makes of them, upright, in the right colours; what is ambiguous is refused."""

import io
import math
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from hecc.runtime.errors import FileFormatError, InputError
from hecc.runtime.inputs.images import MAX_PIXELS, read_image, read_pixels
from hecc.runtime.inputs.preprocessing import Preprocessing

AS_IT_IS = Preprocessing()
LEVEL = 1 + 1e-9
"""A grey level: Pillow rounds to bytes after each of its two passes."""


def picture(height, width, seed=0):
    """Smooth colours with some noise, as photographs have."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (5 + k) + k) * np.cos(y / (9 - k)) for k in range(3)]
    noisy = 128 + 90 * np.stack(waves, axis=2) + generator.normal(0, 12, (height, width, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def triangle_matrix(before, after):
    """Antialiased linear interpolation as a matrix: a triangle as wide as an output pixel, but not below an input one.

    Written from the definition (Heckbert, "Filtered image rescaling", Graphics Gems III), not from Pillow.
    """
    ratio = before / after
    width = max(ratio, 1.0)
    centres = (np.arange(after) + 0.5) * ratio
    weights = np.maximum(0, 1 - np.abs(np.arange(before) + 0.5 - centres[:, None]) / width)
    return weights / weights.sum(axis=1, keepdims=True)


def reference(pixels, resize, height, width):
    """Resize and CenterCrop in floating point, shape (height, width, channels)."""
    rows, columns = pixels.shape[:2]
    if isinstance(resize, int):
        short = min(rows, columns)
        size = (
            (resize, math.floor(columns * resize / short))
            if rows < columns
            else (
                math.floor(rows * resize / short),
                resize,
            )
        )
    else:
        size = resize
    across = np.einsum("xw,hwc->hxc", triangle_matrix(columns, size[1]), pixels.astype(float))
    full = np.einsum("yh,hxc->yxc", triangle_matrix(rows, size[0]), across)
    top, left = round((size[0] - height) / 2), round((size[1] - width) / 2)
    return full[top : top + height, left : left + width]


@pytest.mark.parametrize("size", [(90, 120), (120, 90), (64, 64), (301, 77), (20, 33)])
@pytest.mark.parametrize("resize", [48, 32, (32, 32), (40, 57), 100])
def test_resizing_and_cropping_are_torchvisions(tmp_path, size, resize):
    pixels = picture(*size)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    stated = Preprocessing(resize=resize, scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    found = read_image(tmp_path / "x.png", stated, (3, 32, 32))
    expected = reference(pixels, resize, 32, 32) / 255
    for channel, (mean, std) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]):
        difference = np.abs(found[channel] - (expected[..., channel] - mean) / std)
        assert difference.max() <= LEVEL / 255 / std


@pytest.mark.parametrize("archive", ["chest_xray/chest_xray_224_test.zip", "skin_lesions/ham10000_224_test.zip"])
def test_real_photographs_agree_to_a_grey_level(shared_data, archive):
    with zipfile.ZipFile(shared_data / archive) as opened:
        names = [name for name in sorted(opened.namelist()) if name.lower().endswith((".jpg", ".jpeg", ".png"))]
        for number, name in enumerate(names[:: len(names) // 10]):
            # Of other shapes than squares, too.
            image = Image.open(io.BytesIO(opened.read(name))).convert("RGB").crop((0, 0, 224, 120 + 10 * number))
            pixels = np.asarray(image)
            for resize in (96, (64, 64), 230):
                found = read_pixels(name, pixels[np.newaxis], Preprocessing(resize=resize), (3, 64, 64))[0]
                expected = reference(pixels, resize, 64, 64)
                assert np.abs(np.moveaxis(found, 0, 2) - expected).max() <= LEVEL


def test_a_crop_that_has_no_middle_is_rounded_as_torchvision_does(tmp_path):
    Image.fromarray(np.arange(7, dtype=np.uint8)[np.newaxis].repeat(5, axis=0)).save(tmp_path / "x.png")
    # Of 7 columns 4 are kept: 1.5 is rounded to 2; of 5 rows 4: 0.5 is rounded to 0.
    found = read_image(tmp_path / "x.png", Preprocessing(resize=(5, 7)), (1, 4, 4))
    assert found[0, 0].tolist() == [2, 3, 4, 5]


def test_the_colours_of_a_png_arrive_as_they_are(tmp_path):
    pixels = picture(6, 7)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_image(tmp_path / "x.png", AS_IT_IS, (3, 6, 7)), np.moveaxis(pixels, 2, 0))


def test_grey_and_colour_are_converted_to_what_the_network_takes(tmp_path):
    pixels = picture(6, 7)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    luma = pixels @ [0.299, 0.587, 0.114]
    found = read_image(tmp_path / "x.png", AS_IT_IS, (1, 6, 7))
    assert np.abs(found[0] - luma).max() <= LEVEL
    Image.fromarray(found[0].astype(np.uint8)).save(tmp_path / "grey.png")
    again = read_image(tmp_path / "grey.png", AS_IT_IS, (3, 6, 7))
    assert all(np.array_equal(channel, found[0]) for channel in again)


def test_cameras_orientations_are_followed(tmp_path):
    pixels = picture(6, 9)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    Image.fromarray(pixels).save(tmp_path / "x.png", exif=exif)
    found = read_image(tmp_path / "x.png", AS_IT_IS, (3, 9, 6))
    np.testing.assert_array_equal(found, np.moveaxis(np.rot90(pixels, -1), 2, 0))


def test_palettes_cmyk_and_bits_are_converted(tmp_path):
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    pixels[:2] = (255, 0, 0)
    pixels[2:] = (0, 0, 255)
    image = Image.fromarray(pixels)
    image.convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.gif")
    image.convert("CMYK").save(tmp_path / "print.tif")
    for name in ("palette.gif", "print.tif"):
        np.testing.assert_array_equal(read_image(tmp_path / name, AS_IT_IS, (3, 4, 4)), np.moveaxis(pixels, 2, 0))
    Image.fromarray(pixels[..., 0] > 0).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_image(tmp_path / "bits.png", AS_IT_IS, (1, 4, 4))[0], pixels[..., 0])


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_an_alpha_channel_is_dropped_if_it_hides_nothing(tmp_path, mode):
    image = Image.fromarray(picture(4, 4)).convert(mode)
    image.save(tmp_path / "opaque.png")
    channels = 3 if mode == "RGBA" else 1
    found = read_image(tmp_path / "opaque.png", AS_IT_IS, (channels, 4, 4))
    np.testing.assert_array_equal(found, np.moveaxis(np.asarray(image)[..., :channels], 2, 0))
    image.putpixel((1, 1), (*image.getpixel((1, 1))[:-1], 254))
    image.save(tmp_path / "glass.png")
    with pytest.raises(InputError, match=r"glass\.png: has transparent pixels; put it on the background"):
        read_image(tmp_path / "glass.png", AS_IT_IS, (channels, 4, 4))


def test_a_transparent_colour_of_a_palette_is_refused(tmp_path):
    Image.fromarray(picture(4, 4)).convert("P").save(tmp_path / "x.png", transparency=bytes([0] * 256))
    with pytest.raises(InputError, match="has transparent pixels"):
        read_image(tmp_path / "x.png", AS_IT_IS, (3, 4, 4))


def test_sixteen_bits_and_floating_point_are_refused(tmp_path):
    Image.fromarray(np.full((4, 4), 40000, dtype=np.uint16)).save(tmp_path / "x.png")
    Image.fromarray(np.full((4, 4), 0.5, dtype=np.float32)).save(tmp_path / "x.tif")
    for name, mode in (("x.png", "I;16"), ("x.tif", "F")):
        with pytest.raises(InputError, match=rf"{name}: pixels of mode {mode}, not 8 bits per channel; .* --raw"):
            read_image(tmp_path / name, AS_IT_IS, (1, 4, 4))


def test_several_frames_are_refused(tmp_path):
    frames = [Image.fromarray(picture(4, 4, seed)) for seed in range(2)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match=r"x\.gif: has several frames; save the one that is meant"):
        read_image(tmp_path / "x.gif", AS_IT_IS, (3, 4, 4))


def test_the_preview_in_a_cameras_file_is_ignored(tmp_path):
    frames = [Image.fromarray(pixels) for pixels in (picture(16, 16), 255 - picture(16, 16))]
    frames[0].save(tmp_path / "x.jpg", format="MPO", save_all=True, append_images=frames[1:], quality=95)
    found = read_image(tmp_path / "x.jpg", AS_IT_IS, (3, 16, 16))
    near, far = (np.abs(found - np.moveaxis(np.asarray(frame, float), 2, 0)).mean() for frame in frames)
    assert near < far / 2


def test_an_image_of_another_size_needs_a_resize(tmp_path):
    Image.fromarray(picture(6, 7)).save(tmp_path / "x.png")
    with pytest.raises(InputError, match=r"x\.png: 6x7 pixels \(height x width\), the network takes 7x6; resize"):
        read_image(tmp_path / "x.png", AS_IT_IS, (3, 7, 6))


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@pytest.mark.parametrize("side", [math.isqrt(MAX_PIXELS) + 1, 12_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path, side):
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )
    (tmp_path / "bomb.png").write_bytes(png)
    with pytest.raises(FileFormatError, match=r"bomb\.png: over 64 million pixels; give a smaller image"):
        read_image(tmp_path / "bomb.png", Preprocessing(resize=32), (3, 32, 32))


def test_a_line_is_no_bomb_either(tmp_path):
    Image.fromarray(np.zeros((1, 60_000), dtype=np.uint8)).save(tmp_path / "line.png")
    with pytest.raises(FileFormatError, match=r"line\.png: over 64 million pixels"):
        read_image(tmp_path / "line.png", Preprocessing(resize=256), (1, 224, 224))


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "webp", "ppm"])
def test_every_format_is_read_and_half_a_file_is_refused(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(picture(40, 40)).save(path)
    assert read_image(path, AS_IT_IS, (3, 40, 40)).shape == (3, 40, 40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FileFormatError, match=r"(damaged|not an image)"):
        read_image(path, AS_IT_IS, (3, 40, 40))


def test_what_is_no_image_is_refused(tmp_path):
    (tmp_path / "x.png").write_bytes(b"hello")
    with pytest.raises(FileFormatError, match=r"x\.png: not an image that can be read, or damaged; save it as one of"):
        read_image(tmp_path / "x.png", AS_IT_IS, (3, 4, 4))
    with pytest.raises(InputError, match=r"nowhere\.png: cannot be read \(No such file or directory\); check the path"):
        read_image(tmp_path / "nowhere.png", AS_IT_IS, (3, 4, 4))


def test_altered_bytes_are_an_image_or_a_sentence(tmp_path):
    generator = np.random.default_rng(1)
    for suffix in ("png", "jpg", "gif", "tif", "bmp"):
        path = tmp_path / f"x.{suffix}"
        Image.fromarray(picture(24, 24)).save(path)
        whole = path.read_bytes()
        for _ in range(60):
            altered = bytearray(whole)
            for place in generator.integers(0, min(len(altered), 400), 3):
                altered[place] = generator.integers(256)
            path.write_bytes(altered)
            try:
                found = read_image(path, Preprocessing(resize=24), (3, 24, 24))
            except (InputError, FileFormatError):
                continue
            assert found.shape == (3, 24, 24)


def test_images_in_arrays_are_treated_alike(tmp_path):
    pixels = picture(30, 40)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    stated = Preprocessing(resize=20, scale=1 / 255)
    from_file = read_image(tmp_path / "x.png", stated, (3, 16, 16))
    np.testing.assert_array_equal(read_pixels("array", pixels[np.newaxis], stated, (3, 16, 16))[0], from_file)
    grey = read_pixels("array", pixels[np.newaxis, ..., :1], stated, (1, 16, 16))
    np.testing.assert_array_equal(grey, read_pixels("array", pixels[np.newaxis, ..., 0], stated, (1, 16, 16)))

"""What is done to raw values, and what is refused because it does not fit the network."""

import math

import numpy as np
import pytest

from hecc.runtime.errors import FileFormatError, InputError
from hecc.runtime.files import codec
from hecc.runtime.inputs.preprocessing import Preprocessing

IMAGENET = Preprocessing(scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_channels_have_their_own_mean_and_deviation_wherever_they_are(layout):
    stated = Preprocessing(scale=0.5, mean=(1, 2, 3), std=(2, 4, 5), layout=layout)
    shape = (3, 4, 5) if layout == "nchw" else (4, 5, 3)
    raw = np.random.default_rng(0).integers(0, 256, (2, *shape))
    found = stated.apply(raw, shape)
    for channel, (mean, std) in enumerate([(1, 2), (2, 4), (3, 5)]):
        part = (slice(None), channel) if layout == "nchw" else (..., channel)
        np.testing.assert_allclose(found[part], (raw[part] * 0.5 - mean) / std)


def test_columns_and_elements_may_each_have_their_own():
    columns = Preprocessing(mean=(1, 2, 3), std=(1, 2, 4))
    np.testing.assert_allclose(columns.apply(np.array([[2.0, 2.0, 7.0]]), (3,)), [[1.0, 0.0, 1.0]])
    elements = Preprocessing(mean=(1, 2, 3, 4))
    np.testing.assert_allclose(elements.apply(np.ones((1, 1, 2, 2)), (1, 2, 2)), [[[[0, -1], [-2, -3]]]])


def test_one_number_is_for_all():
    stated = Preprocessing(scale=2, mean=(1,), std=(0.5,))
    np.testing.assert_allclose(stated.apply(np.array([[[3.0], [0.0]]]), (2, 1)), [[[10.0], [-2.0]]])


@pytest.mark.parametrize(
    ("stated", "shape", "image"),
    [
        (Preprocessing(), (3, 32, 40), (32, 40, 3)),
        (Preprocessing(layout="nhwc"), (32, 40, 3), (32, 40, 3)),
        (Preprocessing(), (1, 28, 28), (28, 28, 1)),
        (Preprocessing(), (28, 30), (28, 30, 1)),
        (Preprocessing(layout="nhwc"), (28, 30), (28, 30, 1)),
        (Preprocessing(), (1, 1, 8, 9), (8, 9, 1)),
        (Preprocessing(resize=28), (784,), (28, 28, 1)),
        (Preprocessing(resize=(4, 5)), (60,), (4, 5, 3)),
    ],
)
def test_height_width_and_colours_follow_from_the_shape(stated, shape, image):
    stated.check(shape)
    assert stated.image_shape(shape) == image


def test_an_image_is_arranged_as_the_layout_says():
    pixels = np.arange(24).reshape(2, 4, 3)
    np.testing.assert_array_equal(Preprocessing().arrange(pixels, (3, 2, 4)), np.moveaxis(pixels, 2, 0))
    np.testing.assert_array_equal(Preprocessing(layout="nhwc").arrange(pixels, (2, 4, 3)), pixels)
    flat = Preprocessing(resize=(2, 4))
    np.testing.assert_array_equal(flat.arrange(pixels, (24,)), np.moveaxis(pixels, 2, 0).reshape(-1))


def test_the_range_of_an_image_is_that_of_its_bytes():
    low, high = IMAGENET.image_range((3, 8, 8))
    assert low == pytest.approx(-0.485 / 0.229)
    assert high == pytest.approx((1 - 0.406) / 0.225)
    assert Preprocessing(scale=1 / 255).image_range((30,)) is None
    assert Preprocessing(scale=1 / 255).image_range((9, 128)) is None
    assert IMAGENET.image_range((7, 8, 8)) is None


@pytest.mark.parametrize(
    ("stated", "shape", "fault"),
    [
        (Preprocessing(scale=0), (3,), "a scale of 0; give what raw values are multiplied by"),
        (Preprocessing(scale=math.nan), (3,), "a scale of nan"),
        (Preprocessing(std=(0.0,)), (3,), "the std has a value that is not possible; give numbers from 7.88861e-31 to"),
        (Preprocessing(mean=(math.inf,)), (3,), "the mean has a value that is not possible"),
        (Preprocessing(mean=(1, 2)), (3, 4, 4), r"a mean of 2 values; .* takes one, one for each of 3 channels"),
        (Preprocessing(mean=(1, 2)), (5,), "a mean of 2 values"),
        (Preprocessing(layout="hwcn"), (3,), "a layout 'hwcn'; choose nchw or nhwc"),
        (Preprocessing(resize=20), (3, 28, 28), "a resize to 20 is smaller than the network's 28x28"),
        (Preprocessing(resize=(28, 27)), (3, 28, 28), "a resize to 28x27 is smaller than the network's 28x28"),
        (Preprocessing(resize=(27, 28)), (3, 28, 28), "a resize to 27x28 is smaller"),
        (Preprocessing(resize=0), (3, 28, 28), "a resize to 0; give a number of pixels"),
        (Preprocessing(resize=(30, 30, 30)), (3, 28, 28), "a resize to 30x30x30; give a number of pixels"),
        (Preprocessing(resize=1 << 20), (3, 28, 28), "a resize to 1048576; give a number of pixels up to 16384"),
        (Preprocessing(resize=28), (28, 28, 3), "28 channels, and images have 1 or 3; state the layout nhwc"),
        (Preprocessing(resize=28), (785,), "a flat input of 785 values is no image of 28x28 pixels"),
        (Preprocessing(resize=28), (2, 3, 28, 28), "is no image"),
    ],
)
def test_what_contradicts_itself_or_the_network_is_refused(stated, shape, fault):
    with pytest.raises(InputError, match=fault):
        stated.check(shape)


def test_values_that_overflow_are_left_for_the_check_of_the_inputs():
    assert np.isinf(Preprocessing(scale=1e30).apply(np.array([[1e300]]), (1,))).all()


def test_any_sequence_of_numbers_will_do():
    stated = Preprocessing(resize=[4, 5], mean=np.array([1, 2]), std=[1, 2])
    assert stated == Preprocessing(resize=(4, 5), mean=(1.0, 2.0), std=(1.0, 2.0))


def test_it_survives_a_journey_through_a_file():
    for stated in (IMAGENET, Preprocessing(resize=256), Preprocessing(resize=(3, 4), layout="nhwc")):
        assert codec.decode(codec.encode(stated), Preprocessing, where="here") == stated


@pytest.mark.parametrize(
    "text", [b'{"resize":"256"}', b'{"resize":[1,2,3]}', b'{"layout":"hwc"}', b'{"mean":[null]}', b'{"crop":3}', b"{}"]
)
def test_a_file_cannot_hold_something_else(text):
    with pytest.raises(FileFormatError):
        codec.decode(text, Preprocessing, where="here")

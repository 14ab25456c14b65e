# SPDX-License-Identifier: Apache-2.0
"""Image messages to arrays and back, whatever the encoding, padding and byte order."""

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from seem_ros.errors import FrameError
from seem_ros.perception.pictures.depth_image import decode_depth as image_to_depth
from seem_ros.ros.messages.images import (
    array_to_image,
    array_to_jpeg,
    compressed_to_rgb,
    image_to_mask,
    image_to_rgb,
    ns_to_stamp,
    stamp_to_ns,
    to_data,
)

HEIGHT, WIDTH = 6, 8
HEADER = Header(stamp=ns_to_stamp(1_500_000_007), frame_id="optical")


def message(pixels, encoding, padding=0, big=False):
    """An image message of the given pixels, rows padded and bytes swapped as wanted."""
    rows = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder(">")) if big else pixels)
    rows = rows.view(np.uint8).reshape(pixels.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return Image(
        header=HEADER,
        height=HEIGHT,
        width=WIDTH,
        encoding=encoding,
        is_bigendian=int(big),
        step=rows.shape[1],
        data=to_data(rows),
    )


@pytest.fixture
def rgb():
    return np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def smooth():
    """A picture whose colours change slowly, so that half-resolution colour planes and Bayer mosaics keep it."""
    return np.full((HEIGHT, WIDTH, 3), (200, 100, 40), np.uint8)


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "order"),
    [
        ("rgb8", [0, 1, 2]),
        ("bgr8", [2, 1, 0]),
        ("8UC3", [2, 1, 0]),
        ("rgba8", [0, 1, 2, 0]),
        ("bgra8", [2, 1, 0, 0]),
    ],
)
def test_colour_encodings_give_the_same_picture_with_and_without_padding(rgb, encoding, order, padding):
    got = image_to_rgb(message(rgb[:, :, order], encoding, padding))
    np.testing.assert_array_equal(got, rgb)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("encoding", ["mono16", "rgb16"])
def test_sixteen_bit_pictures_are_read_in_both_byte_orders(rgb, encoding, big):
    pixels = rgb.astype(np.uint16) * 256 + 3
    wanted = rgb
    if encoding == "mono16":
        pixels, wanted = pixels[:, :, 0], np.repeat(rgb[:, :, :1], 3, axis=2)
    np.testing.assert_array_equal(image_to_rgb(message(pixels, encoding, 6, big)), wanted)


def test_grey_pictures_have_three_equal_channels(rgb):
    got = image_to_rgb(message(rgb[:, :, 0], "mono8", 3))
    np.testing.assert_array_equal(got, np.repeat(rgb[:, :, :1], 3, axis=2))


@pytest.mark.parametrize(
    ("pattern", "first", "second"),
    [
        ("rggb", "rg", "gb"),
        ("bggr", "bg", "gr"),
        ("gbrg", "gb", "rg"),
        ("grbg", "gr", "bg"),
    ],
)
@pytest.mark.parametrize("bits", [8, 16])
def test_every_bayer_pattern_gives_back_the_colour(pattern, first, second, bits):
    picture, mosaic = smooth(), np.zeros((HEIGHT, WIDTH), np.uint8)
    for row, letters in ((0, first), (1, second)):
        for column, letter in enumerate(letters):
            mosaic[row::2, column::2] = picture[row::2, column::2, "rgb".index(letter)]
    if bits == 16:
        mosaic = mosaic.astype(np.uint16) * 256
    got = image_to_rgb(message(mosaic, f"bayer_{pattern}{bits}"))
    np.testing.assert_allclose(got[2:-2, 2:-2].astype(int), picture[2:-2, 2:-2], atol=2)


def test_yuv_encodings_give_back_the_colour():
    picture = smooth()
    planes = cv2.cvtColor(np.repeat(picture, 2, axis=0), cv2.COLOR_RGB2YUV_I420).ravel()
    y, u, v = (int(planes[at * HEIGHT * WIDTH // 2]) for at in (0, 4, 5))
    packed = {"uyvy": [u, y, v, y], "yuv422": [u, y, v, y], "yuyv": [y, u, y, v], "yuv422_yuy2": [y, u, y, v]}
    for encoding, pair in packed.items():
        got = image_to_rgb(message(np.tile(np.array(pair, np.uint8), (HEIGHT, WIDTH // 2)), encoding))
        np.testing.assert_allclose(got.astype(int), picture, atol=4, err_msg=encoding)
    for encoding, pair in {"nv12": [u, v], "nv21": [v, u]}.items():
        planes = np.concatenate(
            [np.full((HEIGHT, WIDTH), y, np.uint8), np.tile(np.array(pair, np.uint8), (HEIGHT // 2, WIDTH // 2))]
        )
        np.testing.assert_allclose(image_to_rgb(message(planes, encoding)).astype(int), picture, atol=4)


def test_unpadded_rgb8_is_not_copied(rgb):
    msg = message(rgb, "rgb8")
    assert np.shares_memory(image_to_rgb(msg), np.frombuffer(msg.data, np.uint8))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"step": 7}, "step is 7"),
        ({"data": b"123"}, "truncated"),
        ({"width": 0}, "1 to 8192 pixels"),
        ({"height": 9000}, "1 to 8192 pixels"),
        ({"encoding": "purple12"}, "'purple12' is not supported"),
        ({"encoding": ""}, "not supported"),
        ({"width": 4_000_000_000}, "1 to 8192 pixels"),
    ],
)
def test_an_inconsistent_message_is_refused_with_what_is_wrong(rgb, change, words):
    msg = message(rgb, "rgb8")
    for name, value in change.items():
        setattr(msg, name, value)
    with pytest.raises(FrameError, match=words):
        image_to_rgb(msg)


def test_subsampled_colour_needs_even_sides():
    with pytest.raises(FrameError, match="even"):
        image_to_rgb(Image(height=5, width=8, step=8, encoding="nv12", data=to_data(np.zeros(64, np.uint8))))


def test_jpeg_goes_there_and_back_and_rubbish_is_refused():
    picture = smooth()
    np.testing.assert_allclose(compressed_to_rgb(array_to_jpeg(picture, HEADER, 95)).astype(int), picture, atol=4)
    for data in (b"", b"\xff\xd8rubbish", bytes(1000)):
        with pytest.raises(FrameError):
            compressed_to_rgb(CompressedImage(format="jpeg", data=data))


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(("encoding", "dtype", "unit"), [("16UC1", np.uint16, 0.001), ("32FC1", np.float32, 1.0)])
def test_depth_is_in_metres(encoding, dtype, unit, big):
    pixels = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(dtype)
    depth = image_to_depth(message(pixels, encoding, 4, big))
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, pixels * unit, rtol=1e-6)
    with pytest.raises(FrameError, match="depth encoding"):
        image_to_depth(message(pixels, "bgr8"))


def test_a_mask_is_mono8_and_nothing_else(rgb):
    mask = rgb[:, :, 0] > 100
    np.testing.assert_array_equal(image_to_mask(message(mask.astype(np.uint8) * 255, "mono8", 2)), mask)
    with pytest.raises(FrameError, match="mono8"):
        image_to_mask(message(rgb, "rgb8"))


@pytest.mark.parametrize(("dtype", "encoding"), [(np.uint8, "mono8"), (np.uint16, "mono16")])
def test_label_images_keep_values_header_and_size(dtype, encoding):
    labels = np.arange(HEIGHT * WIDTH, dtype=dtype).reshape(HEIGHT, WIDTH)[:, ::2]
    msg = array_to_image(labels, HEADER)
    assert (msg.encoding, msg.header, msg.height, msg.width) == (encoding, HEADER, HEIGHT, WIDTH // 2)
    np.testing.assert_array_equal(np.frombuffer(msg.data, dtype).reshape(labels.shape), labels)


def test_stamps_keep_their_nanoseconds():
    assert stamp_to_ns(ns_to_stamp(1_700_000_000_123_456_789)) == 1_700_000_000_123_456_789

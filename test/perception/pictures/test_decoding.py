# SPDX-License-Identifier: Apache-2.0
"""What cameras send, by its fields alone: encodings, compressed formats, deep pixels, calibration, depth."""

import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from seem_ros.errors import DataError, FrameError
from seem_ros.perception.pictures.calibration import intrinsics_of, is_rectified_topic
from seem_ros.perception.pictures.compressed_image import decode_compressed
from seem_ros.perception.pictures.decoder import PictureDecoder
from seem_ros.perception.pictures.depth_image import decode_depth
from seem_ros.perception.pictures.picture_file import read_mask_file, read_picture_file
from seem_ros.perception.pictures.raw_image import decode_image
from seem_ros.perception.structures.frame import Intrinsics

HEIGHT, WIDTH = 48, 64


def picture():
    """A red box and a blue box on grey, with soft shades."""
    rgb = np.full((HEIGHT, WIDTH, 3), 150, np.uint8)
    rgb[:16] = np.linspace(60, 210, WIDTH, dtype=np.uint8)[None, :, None]
    rgb[20:40, 8:24] = (200, 30, 30)
    rgb[22:42, 40:56] = (30, 40, 200)
    return rgb


def raw(pixels, encoding, height=HEIGHT, width=WIDTH, step=None):
    rows = np.ascontiguousarray(pixels)
    step = rows.nbytes // rows.shape[0] if step is None else step
    return SimpleNamespace(
        height=height, width=width, encoding=encoding, is_bigendian=0, step=step, data=rows.tobytes()
    )


def packed(extension, pixels, text, *options):
    return SimpleNamespace(format=text, data=cv2.imencode(extension, pixels, list(options))[1].tobytes())


def mosaic(rgb, pattern="rggb"):
    grey = np.zeros(rgb.shape[:2], rgb.dtype)
    for index, letter in enumerate(pattern):
        grey[index // 2 :: 2, index % 2 :: 2] = rgb[index // 2 :: 2, index % 2 :: 2, "rgb".index(letter)]
    return grey


def yuv_planes(rgb):
    planes = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    colours = planes[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
    return planes[:HEIGHT], colours[0], colours[1]


@pytest.mark.parametrize("padding", [0, 32])
def test_nv12_with_padded_rows_is_the_same_picture(padding):
    grey, u, v = yuv_planes(picture())
    rows = np.vstack([grey, np.dstack([u, v]).reshape(HEIGHT // 2, WIDTH)])
    got = decode_image(raw(np.pad(rows, ((0, 0), (0, padding))), "nv12", step=WIDTH + padding)).rgb
    np.testing.assert_allclose(got[28, [14, 48]].astype(int), [[200, 30, 30], [30, 40, 200]], atol=3)


def test_nv24_has_colour_at_every_pixel():
    grey, u, v = yuv_planes(picture())
    full = [cv2.resize(plane, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST) for plane in (u, v)]
    rows = np.vstack([grey, np.dstack(full).reshape(2 * HEIGHT, WIDTH)])
    got = decode_image(raw(rows, "nv24", step=WIDTH)).rgb
    np.testing.assert_allclose(got[28, [14, 48]].astype(int), [[200, 30, 30], [30, 40, 200]], atol=3)


def test_the_case_of_an_encodings_name_does_not_matter():
    np.testing.assert_array_equal(decode_image(raw(picture()[..., ::-1], "BGR8")).rgb, picture())


@pytest.mark.parametrize("extension", [".jpg", ".png"])
@pytest.mark.parametrize("text", ["bayer_rggb8; jpeg compressed ", "bayer_rggb8; png compressed"])
def test_a_compressed_mosaic_is_demosaiced_as_its_format_says(extension, text):
    msg = packed(extension, mosaic(picture()), text, *([cv2.IMWRITE_JPEG_QUALITY, 95] * (extension == ".jpg")))
    np.testing.assert_allclose(
        decode_compressed(msg).rgb[28, [14, 48]].astype(int), [[200, 30, 30], [30, 40, 200]], atol=8
    )


def test_a_mosaic_that_the_transport_made_colour_is_left_alone():
    msg = packed(".png", picture()[..., ::-1], "bayer_rggb8; png compressed bgr8")
    np.testing.assert_array_equal(decode_compressed(msg).rgb, picture())


def with_orientation(jpeg, orientation):
    entry = struct.pack(">HHHIHH", 1, 0x0112, 3, 1, orientation, 0)
    tag = b"Exif\0\0MM\0*\0\0\0\x08" + entry + b"\0\0\0\0"
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(tag) + 2) + tag + jpeg[2:]


def test_an_orientation_in_a_message_is_not_applied_and_one_in_a_file_is(tmp_path):
    jpeg = with_orientation(cv2.imencode(".jpg", picture()[..., ::-1])[1].tobytes(), 6)
    assert decode_compressed(SimpleNamespace(format="jpeg", data=jpeg)).rgb.shape == (HEIGHT, WIDTH, 3)
    (tmp_path / "phone.jpg").write_bytes(jpeg)
    assert read_picture_file(tmp_path / "phone.jpg").rgb.shape == (WIDTH, HEIGHT, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [("16UC1; compressedDepth png", "depth topic"), ("theora", "theora transport"), ("16UC1; zstd", "zstd")],
)
def test_other_transports_are_refused_by_name(text, words):
    with pytest.raises(FrameError, match=words):
        decode_compressed(SimpleNamespace(format=text, data=bytes(100)))


# ------------------------------------------------------------------------------------------------------- deep pixels


@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("mono16", picture()[..., 1].astype(np.uint16) * 4),
        ("mono16", 29000 + picture()[..., 1].astype(np.uint16) * 4),
        ("16UC1", picture()[..., 1].astype(np.uint16) * 16),
        ("rgb16", picture().astype(np.uint16) * 16),
        ("bayer_rggb16", mosaic(picture().astype(np.uint16) * 16)),
        ("32FC1", picture()[..., 1].astype(np.float32) / 255),
        ("32FC3", picture().astype(np.float32) / 255),
    ],
    ids=["10 bit", "thermal", "12 bit", "colour", "mosaic", "float", "float colour"],
)
def test_deep_pictures_are_as_bright_as_their_8_bit_versions(encoding, pixels):
    decoded = decode_image(raw(pixels, encoding))
    assert decoded.scale is not None and "values" in str(decoded.scale)
    wanted = picture() if pixels.ndim == 3 or "bayer" in encoding else np.repeat(picture()[..., 1:2], 3, axis=2)
    got, wanted = decoded.rgb[4:-4, 4:-4].astype(float), wanted[4:-4, 4:-4].astype(float)
    assert np.corrcoef(got.ravel(), wanted.ravel())[0, 1] > 0.97
    assert abs(got.mean() - wanted.mean()) < 25 and got.std() > 0.7 * wanted.std()


def test_a_picture_that_uses_its_16_bits_keeps_its_upper_byte():
    decoded = decode_image(raw(picture().astype(np.uint16) * 257, "rgb16"))
    np.testing.assert_array_equal(decoded.rgb, picture())
    assert decoded.scale.upper_byte


@pytest.mark.parametrize("offset", [0, 29000], ids=["12 bit", "thermal"])
def test_a_still_deep_scene_with_noise_stays_as_bright_as_it_was(offset):
    decoder, random, means = PictureDecoder(), np.random.default_rng(3), []
    scene = offset + picture()[..., 1].astype(np.int32) * (16 if not offset else 4)
    for _ in range(40):
        noisy = scene + random.normal(0, 12, scene.shape).astype(np.int32)
        if random.random() < 0.3:
            noisy[random.integers(HEIGHT), random.integers(WIDTH)] = 65535  # a hot pixel now and then
        means.append(decoder.decode(raw(np.clip(noisy, 0, 65535).astype(np.uint16), "mono16")).rgb.mean())
    assert np.abs(np.diff(means)).max() <= 2, means


def test_a_scene_at_the_edge_between_two_scales_does_not_flicker():
    decoder, random, means = PictureDecoder(), np.random.default_rng(4), []
    for _ in range(40):
        noisy = picture()[..., 1].astype(np.int32) * 156 + random.normal(0, 300, (HEIGHT, WIDTH)).astype(np.int32)
        means.append(decoder.decode(raw(np.clip(noisy, 0, 65535).astype(np.uint16), "mono16")).rgb.mean())
    assert np.abs(np.diff(means)).max() <= 2, means


def test_the_scale_follows_another_scene_at_once_and_a_slow_change_in_time():
    decoder = PictureDecoder()
    dark = picture()[..., 1].astype(np.uint16) * 4
    decoder.decode(raw(dark, "mono16"))
    assert decoder.decode(raw(dark * 16, "mono16")).rgb.max() < 255  # the light went on
    for step in range(60):
        last = decoder.decode(raw((dark * (16 - step / 10)).astype(np.uint16), "mono16")).rgb
    assert last.max() > 190


def test_the_same_message_decoded_again_with_its_scale_is_the_same_picture():
    decoder, scene = PictureDecoder(), raw(picture()[..., 1].astype(np.uint16) * 4, "mono16")
    first = decoder.decode(scene)
    decoder.decode(raw(picture()[..., 1].astype(np.uint16) * 200, "mono16"))
    np.testing.assert_array_equal(decoder.decode(scene, first.scale).rgb, first.rgb)


def test_a_covered_lens_does_not_become_a_picture_of_its_noise():
    noise = np.random.default_rng(5).integers(100, 106, (HEIGHT, WIDTH)).astype(np.uint16)
    assert decode_image(raw(noise, "mono16")).rgb.std() < 20


def test_not_a_number_in_a_picture_becomes_black_and_spoils_nothing():
    pixels = picture()[..., 1].astype(np.float32)
    pixels[:4] = np.nan
    pixels[4:8] = np.inf
    got = decode_image(raw(pixels, "32FC1")).rgb
    assert got[:4].max() == 0 and got[8:].std() > 30


# ------------------------------------------------------------------------------------------------------------- depth


def test_compressed_depth_is_in_metres():
    millimetres = np.full((HEIGHT, WIDTH), 1234, np.uint16)
    png = cv2.imencode(".png", millimetres)[1].tobytes()
    msg = SimpleNamespace(format="16UC1; compressedDepth png", data=bytes(12) + png)
    np.testing.assert_allclose(decode_depth(msg), 1.234, rtol=1e-6)
    # 32FC1 is stored as numerator / depth + offset
    numerator, offset, metres = 10100.0, -1009.0, 2.5
    stored = np.full((HEIGHT, WIDTH), round(numerator / metres + offset), np.uint16)
    stored[0] = 0
    data = struct.pack("<iff", 0, numerator, offset) + cv2.imencode(".png", stored)[1].tobytes()
    depth = decode_depth(SimpleNamespace(format="32FC1; compressedDepth png", data=data))
    np.testing.assert_allclose(depth[1:], metres, rtol=1e-3)
    assert np.isnan(depth[0]).all()
    with pytest.raises(FrameError, match="compressedDepth"):
        decode_depth(SimpleNamespace(format="16UC1; compressedDepth rvl", data=bytes(100)))


# ------------------------------------------------------------------------------------------------------- calibration

K = (300.0, 0.0, 320.0, 0.0, 310.0, 240.0, 0.0, 0.0, 1.0)
BENT = (-0.28, 0.09, 0.0008, -0.0005, -0.01)


def camera_info(width=640, height=480, k=K, d=BENT, p=(0.0,) * 12, binning=0, roi=(0, 0, 0, 0), model="plumb_bob"):
    x, y, w, h = roi
    return SimpleNamespace(
        width=width,
        height=height,
        k=k,
        d=d,
        p=p,
        distortion_model=model,
        binning_x=binning,
        binning_y=binning,
        roi=SimpleNamespace(x_offset=x, y_offset=y, width=w, height=h),
    )


def seen_at(x, y, z):
    """Where OpenCV says that a point is seen by the full sensor."""
    lens = np.array(K).reshape(3, 3)
    return cv2.projectPoints(np.array([[[x, y, z]]]), np.zeros(3), np.zeros(3), lens, np.array(BENT))[0].ravel()


POINT = (-0.55, 0.4, 1.2)  # in a corner, where a pinhole would be wrong by centimetres


@pytest.mark.parametrize(
    ("info", "size", "to_picture"),
    [
        (camera_info(), (480, 640), lambda u, v: (u, v)),
        (camera_info(binning=2), (240, 320), lambda u, v: (u / 2, v / 2)),
        (camera_info(roi=(40, 60, 400, 400)), (400, 400), lambda u, v: (u - 40, v - 60)),
        (camera_info(binning=2, roi=(40, 60, 400, 400)), (200, 200), lambda u, v: ((u - 40) / 2, (v - 60) / 2)),
    ],
    ids=["distortion", "binning", "region", "region and binning"],
)
def test_positions_are_right_with_distortion_binning_and_region(info, size, to_picture):
    lens = intrinsics_of(info, *size)
    column, row = to_picture(*seen_at(*POINT))
    x, y = lens.rays(np.array([column]), np.array([row]))
    np.testing.assert_allclose((x[0] * POINT[2], y[0] * POINT[2]), POINT[:2], atol=1e-4)
    np.testing.assert_allclose(lens.pixel_of(*POINT), (column, row), atol=1e-3)


def test_a_rectified_picture_has_no_distortion_left_and_uses_p():
    p = (280.0, 0, 318.0, 0, 0, 281.0, 239.0, 0, 0, 0, 1.0, 0)
    assert is_rectified_topic("/camera/image_rect_color") and not is_rectified_topic("/rectangle/image_raw")
    lens = intrinsics_of(camera_info(p=p), 480, 640, rectified=True)
    assert (lens.fx, lens.cx, lens.distortion) == (280.0, 318.0, ())
    raw_lens = intrinsics_of(camera_info(p=p), 480, 640)
    assert (raw_lens.fx, raw_lens.distortion) == (300.0, BENT)
    straight = intrinsics_of(camera_info(p=p, d=(0.0,) * 5), 480, 640)
    assert (straight.fx, straight.distortion) == (280.0, ())


def test_a_fisheye_lens_is_read_as_one():
    d = (-0.02, 0.01, -0.003, 0.0004)
    lens = intrinsics_of(camera_info(d=d, model="equidistant"), 480, 640)
    pixel = cv2.fisheye.projectPoints(
        np.array([[POINT]]), np.zeros(3), np.zeros(3), np.array(K).reshape(3, 3), np.array(d)
    )[0].ravel()
    x, y = lens.rays(pixel[:1], pixel[1:])
    np.testing.assert_allclose((x[0] * POINT[2], y[0] * POINT[2]), POINT[:2], atol=1e-4)


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (camera_info(k=(0.0,) * 9), "not calibrated"),
        (camera_info(width=1280, height=960), "is for 1280x960; the image has 640x480"),
        (camera_info(model="banana"), "'banana' is unknown"),
        (camera_info(d=(0.1, 0.2)), "coefficients"),
    ],
)
def test_a_calibration_that_does_not_fit_is_refused_with_the_reason(info, words):
    with pytest.raises(FrameError, match=words):
        intrinsics_of(info, 480, 640)


def test_a_point_behind_the_camera_has_no_pixel():
    with pytest.raises(FrameError, match="behind the camera"):
        Intrinsics(100, 100, 50, 50).pixel_of(0.1, 0.1, -1.0)


# ------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("values", [(0, 1), (0, 255), (0, 3), (0, 700)], ids=str)
def test_mask_files_mark_what_is_not_0(tmp_path, values):
    mask = np.zeros((HEIGHT, WIDTH), np.uint16 if max(values) > 255 else np.uint8)
    mask[10:20, 10:30] = values[1]
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    np.testing.assert_array_equal(read_mask_file(tmp_path / "mask.png"), mask > 0)


def test_the_speckles_of_a_jpeg_are_no_mask(tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:20, 10:30] = 255
    cv2.imwrite(str(tmp_path / "mask.jpg"), mask)
    assert (read_mask_file(tmp_path / "mask.jpg") != (mask > 0)).mean() < 0.03


def test_files_with_12_bits_are_not_black_and_heic_says_what_is_missing(tmp_path):
    cv2.imwrite(str(tmp_path / "deep.png"), picture()[..., ::-1].astype(np.uint16) * 16)
    got = read_picture_file(tmp_path / "deep.png").rgb
    assert np.abs(got[28, 14].astype(int) - (200, 30, 30)).max() < 50
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    with pytest.raises(DataError, match=r"phone\.heic.*HEIC.*heif-convert"):
        read_picture_file(tmp_path / "phone.heic")

# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from seem_ros.errors import DataError, FrameError
from seem_ros.perception.depth import add_positions, locate
from seem_ros.perception.structures.frame import Frame, Intrinsics, as_rgb
from seem_ros.perception.structures.segments import Segment, Segments
from seem_ros.perception.visualize import colour, contact_sheet, draw_overlay

CAMERA = Intrinsics(100.0, 100.0, 40.0, 30.0)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 8193, 3), np.uint8),
        None,
        [[1]],
    ],
)
def test_a_frame_that_is_not_a_usable_rgb_picture_is_refused(bad):
    with pytest.raises(FrameError):
        Frame(bad)


def test_common_pictures_become_rgb():
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert as_rgb(grey).shape == (2, 3, 3)
    assert as_rgb(np.ones((2, 3, 4), np.uint8)).shape == (2, 3, 3)
    assert as_rgb(np.full((2, 2, 3), 0.5)).tolist()[0][0] == [128, 128, 128]
    assert as_rgb(np.full((2, 2), 65535, np.uint16)).max() == 255
    assert as_rgb(np.ones((2, 2), bool)).max() == 255
    assert as_rgb(np.zeros((4, 6, 3), np.uint8)[:, ::2]).flags.c_contiguous
    floats = np.full((2, 2, 3), 2.0), np.full((2, 2, 3), np.nan)
    for bad in (*floats, np.zeros((2, 2, 5), np.uint8), np.zeros((2, 2), int)):
        with pytest.raises(FrameError):
            as_rgb(bad)


def test_depth_of_another_size_and_bad_intrinsics_are_refused():
    rgb = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(FrameError, match="5x4"):
        Frame(rgb, depth_m=np.ones((5, 4), np.float32))
    with pytest.raises(FrameError):
        Frame(rgb, depth_m=np.ones((4, 5), np.uint16))
    for bad in ((0, 1, 1, 1), (1, float("nan"), 1, 1), (-1, 1, 1, 1)):
        with pytest.raises(FrameError):
            Intrinsics(*bad)


@pytest.mark.parametrize(
    "change",
    [
        {"value": 0},
        {"value": 65536},
        {"presence": 1.5},
        {"presence": float("nan")},
        {"box_xyxy_px": (3, 0, 3, 4)},
        {"area_px": 0},
        {"area_px": 99},
        {"state": "GONE"},
        {"position_m": (1, 2)},
        {"size_m": (1, 2, float("inf"))},
        {"target_id": -1},
    ],
)
def test_a_segment_with_impossible_values_is_refused(change):
    Segment(1, box_xyxy_px=(0, 0, 2, 2))
    with pytest.raises(DataError):
        Segment(**{"value": 1, "box_xyxy_px": (0, 0, 2, 2), **change})


def test_segments_check_that_values_are_unique_and_fit_the_label_image():
    labels = np.zeros((2, 2), np.uint8)
    with pytest.raises(DataError, match="share"):
        Segments(labels, (Segment(1), Segment(1)))
    with pytest.raises(DataError, match="300"):
        Segments(labels, (Segment(300),))
    with pytest.raises(DataError):
        Segments(labels.astype(np.int32))


def _plane(depth=2.0):
    mask = np.zeros((60, 80), bool)
    mask[20:41, 30:61] = True
    return mask, np.full((60, 80), depth, np.float32)


def test_a_plate_facing_the_camera_has_its_place_and_size():
    mask, depth = _plane()
    position, size = locate(mask, depth, CAMERA)
    assert position == pytest.approx((0.1, 0.0, 2.0), abs=0.01)
    assert size == pytest.approx((28 / 100 * 2, 18 / 100 * 2, 0.0), abs=0.04)


@pytest.mark.parametrize(("height", "width"), [(130, 130), (258, 258), (322, 386), (480, 640), (514, 514)])
def test_a_plate_has_its_size_whatever_the_length_of_its_rows(height, width):
    mask = np.pad(np.ones((height, width), bool), 2)
    position, size = locate(mask, np.ones(mask.shape, np.float32), Intrinsics(500, 500, width / 2, height / 2))
    assert size[:2] == pytest.approx((0.96 * (width - 3) / 500, 0.96 * (height - 3) / 500), rel=0.02)
    assert position[:2] == pytest.approx((1.5 / 500, 1.5 / 500), abs=0.01 * width / 500)


def test_invalid_depth_and_flying_pixels_do_not_move_it():
    mask, depth = _plane()
    good = locate(mask, depth, CAMERA)
    depth[22:26] = 0
    depth[30, 30:40] = np.nan
    depth[20, 30:61] = 9.0
    depth[35, 50:60] = np.inf
    depth[30:33, 45:50] = 5.0
    position, size = locate(mask, depth, CAMERA)
    assert position == pytest.approx(good[0], abs=0.04) and position[2] == pytest.approx(2.0)
    assert size[2] < 0.01


def test_without_enough_depth_there_is_no_position():
    mask, depth = _plane()
    for empty in (np.zeros_like(depth), np.full_like(depth, np.nan), -depth):
        assert locate(mask, empty, CAMERA) is None
    assert locate(np.zeros_like(mask), depth, CAMERA) is None
    thin = np.zeros_like(mask)
    thin[30, 10:40] = True
    assert locate(thin, depth, CAMERA) is not None, "a line has no inner pixels but may be located"


def test_positions_are_added_to_the_right_segments():
    mask, depth = _plane()
    labels = mask.astype(np.uint8) * 4
    segments = Segments(labels, (Segment(4, box_xyxy_px=(30, 20, 61, 41), area_px=int(mask.sum())),))
    placed = add_positions(segments, depth, CAMERA)
    assert placed.segments[0].position_m == pytest.approx(locate(mask, depth, CAMERA)[0])
    with pytest.raises(FrameError):
        add_positions(segments, depth[1:], CAMERA)


def test_colours_are_stable_and_neighbours_differ():
    assert colour(7) == colour(7)
    for number in range(1, 60):
        gap = np.abs(np.subtract(colour(number), colour(number + 1))).sum()
        assert gap > 120, number


def test_an_overlay_changes_the_segment_and_not_its_input():
    picture = np.full((60, 80, 3), 50, np.uint8)
    labels = np.zeros((60, 80), np.uint8)
    labels[20:40, 30:50] = 3
    segments = Segments(labels, (Segment(3, label="Tasse ☕", box_xyxy_px=(30, 20, 50, 40), area_px=400),))
    drawn = draw_overlay(picture, segments, names=False)
    assert (picture == 50).all() and (drawn[30, 40] != 50).any() and (drawn[5, 5] == 50).all()
    again = draw_overlay(picture, segments, names=False, out=np.zeros_like(picture))
    assert (again == drawn).all()
    assert draw_overlay(picture, segments).shape == picture.shape
    with pytest.raises(DataError):
        draw_overlay(picture[1:], segments)


def test_a_contact_sheet_holds_pictures_of_any_size():
    sheet = contact_sheet([np.full((10, 20, 3), 9, np.uint8), np.full((30, 5, 3), 99, np.uint8)] * 3, 4, 400, ["a"])
    assert sheet.shape == (100, 400, 3)
    with pytest.raises(DataError):
        contact_sheet([])

# SPDX-License-Identifier: Apache-2.0
"""What Nav2's semantic segmentation layer and users of vision_msgs make of our messages."""

import math

import numpy as np
import pytest
from std_msgs.msg import Header

from seem_ros.perception.structures.frame import Frame, Intrinsics
from seem_ros.perception.structures.segments import Segment, Segments
from seem_ros.ros.messages import point_cloud, semantic_mask

HEIGHT, WIDTH = 60, 80
HEADER = Header(frame_id="optical")
LENS = Intrinsics(80.0, 80.0, 39.5, 29.5)


def cup(score=0.6, position=(0.1, 0.2, 1.5)):
    """A cup of 8x8 pixels that stands on nothing that was looked for."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[30:38, 40:48] = 3
    record = Segment(
        value=3,
        target_id=7,
        label="cup",
        mask_score=score,
        box_xyxy_px=(40, 30, 48, 38),
        area_px=64,
        centroid_xy_px=(43.5, 33.5),
        position_m=position,
        size_m=(0.08, 0.09, 0.02) if position else None,
    )
    return Segments(labels=labels, segments=(record,))


def tiles(cloud, classes, confidence, resolution_m=0.25):
    """The classes of a costmap's tiles as the layer chooses them.

    Pixel by pixel, rows first: what has no finite z is left out; a tile takes its first pixel, and a later one where it
    is surer. The robot's frame: x is forward, y is left.
    """
    points = np.frombuffer(cloud.data, point_cloud.POINT)
    assert cloud.height * cloud.width == classes.size == confidence.size == len(points)
    best = {}
    for pixel, (point, sure) in enumerate(zip(points, confidence.ravel(), strict=True)):
        if not math.isfinite(point["z"]):
            continue
        tile = math.floor(point["z"] / resolution_m), math.floor(-point["x"] / resolution_m)
        if tile not in best or sure > confidence.ravel()[best[tile]]:
            best[tile] = pixel
    return {tile: int(classes.ravel()[pixel]) for tile, pixel in best.items()}


@pytest.mark.parametrize("score", [0.6, 0.0], ids=["sure", "unsure"])
def test_a_tile_with_something_in_it_is_never_nothing(score):
    depth_m = np.full((HEIGHT, WIDTH), 1.5, np.float32)
    depth_m[:5] = 0
    segments, table = cup(score), semantic_mask.ClassTable()
    frame = Frame(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), depth_m=depth_m, intrinsics=LENS)
    classes, confidence = semantic_mask.class_mask(segments, table)
    chosen = tiles(point_cloud.organized_cloud(frame, segments, HEADER), classes, confidence)
    there = {(6, math.floor(-(column - LENS.cx) * 1.5 / LENS.fx / 0.25)) for column in range(40, 48)}
    assert {tile for tile, number in chosen.items() if number == table.number("cup")} == there
    assert {number for tile, number in chosen.items() if tile not in there} == {0}


def test_the_organised_cloud_has_the_masks_size_and_no_number_where_there_is_no_depth():
    depth_m = np.full((HEIGHT, WIDTH), 2.0, np.float32)
    depth_m[10, 20], depth_m[11, 21] = 0, np.nan
    frame = Frame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), depth_m=depth_m, intrinsics=LENS)
    cloud = point_cloud.organized_cloud(frame, cup(), HEADER)
    points = np.frombuffer(cloud.data, point_cloud.POINT).reshape(HEIGHT, WIDTH)
    assert (cloud.height, cloud.width, cloud.is_dense, cloud.header) == (HEIGHT, WIDTH, False, HEADER)
    assert np.isnan(points["x"][[10, 11], [20, 21]]).all() and np.isfinite(points["z"]).sum() == HEIGHT * WIDTH - 2
    assert points["x"][30, 40] == pytest.approx((40 - LENS.cx) * 2 / LENS.fx)
    assert points["label"][33, 43] == 3 and points["label"][0, 0] == 0


def test_both_clouds_are_right_under_a_lens_that_bends():
    lens = Intrinsics(80.0, 80.0, 39.5, 29.5, (-0.25, 0.05, 0.0, 0.0, 0.0))
    depth_m = np.full((HEIGHT, WIDTH), 2.0, np.float32)
    frame = Frame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), depth_m=depth_m, intrinsics=lens)
    every = np.frombuffer(point_cloud.organized_cloud(frame, cup(), HEADER).data, point_cloud.POINT)
    sparse = np.frombuffer(point_cloud.cloud(frame, cup(), HEADER, 1).data, point_cloud.POINT)
    for points in (every, sparse):
        corner = points.reshape(HEIGHT, WIDTH)[2, 3]
        assert lens.pixel_of(*(float(corner[axis]) for axis in "xyz")) == pytest.approx((3, 2), abs=0.02)


def test_markers_fade_when_nobody_renews_them():
    array, _ = point_cloud.markers(cup(), HEADER, (), lifetime_s=2.5)
    assert array.markers and all(one.lifetime.sec == 2 and one.lifetime.nanosec == 500_000_000 for one in array.markers)


vision_msgs_missing = semantic_mask.vision_msgs is None


@pytest.mark.skipif(vision_msgs_missing, reason="vision_msgs was not built (make test does)")
def test_detections_carry_the_name_and_the_position():
    detection = semantic_mask.detections(cup(), HEADER).detections[0]
    hypothesis = detection.results[0]
    assert (hypothesis.hypothesis.class_id, detection.id) == ("cup", "7")
    place = hypothesis.pose.pose
    assert (place.position.x, place.position.y, place.position.z, place.orientation.w) == (0.1, 0.2, 1.5, 1.0)
    assert (detection.bbox.center.position.x, detection.bbox.size_x) == (44.0, 8.0)


@pytest.mark.skipif(vision_msgs_missing, reason="vision_msgs was not built (make test does)")
def test_3d_detections_are_those_with_a_position():
    detection = semantic_mask.detections_3d(cup(), HEADER).detections[0]
    assert (detection.bbox.center.position.z, detection.bbox.size.y) == (1.5, 0.09)
    assert (detection.results[0].hypothesis.class_id, detection.header.frame_id) == ("cup", "optical")
    assert not semantic_mask.detections_3d(cup(position=None), HEADER).detections


def test_a_vision_msgs_without_a_message_leaves_its_topic_out(monkeypatch):
    class Older:
        Detection2DArray = object

    monkeypatch.setattr(semantic_mask, "vision_msgs", Older)
    assert semantic_mask.offered("Detection2DArray") and not semantic_mask.offered("LabelInfo")
    monkeypatch.setattr(semantic_mask, "vision_msgs", None)
    assert not semantic_mask.offered("Detection2DArray")

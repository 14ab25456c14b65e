# SPDX-License-Identifier: Apache-2.0
"""Targets and vocabulary in one label image, class masks, clouds, markers."""

import numpy as np
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from seem_ros.perception.masks.merging import empty_segments, merge, with_names
from seem_ros.perception.structures.frame import Frame, Intrinsics
from seem_ros.perception.structures.segments import Segment, Segments
from seem_ros.ros.messages.point_cloud import POINT, cloud, markers
from seem_ros.ros.messages.results import segments_to_message
from seem_ros.ros.messages.semantic_mask import UNLABELED, ClassTable, class_mask

FRAME = Frame(np.full((6, 8, 3), 100, np.uint8), 5, "optical", "camera")


def segments(*boxes, first=1, target=False, dtype=np.uint8, **more):
    """One segment per box (x0, y0, x1, y1), filled."""
    labels, records = np.zeros((6, 8), dtype), []
    for value, (x0, y0, x1, y1) in enumerate(boxes, start=first):
        labels[y0:y1, x0:x1] = value
        records.append(
            Segment(
                value,
                value + 10 if target else 0,
                f"name{value}",
                0.5,
                0.8,
                0.9,
                (x0, y0, x1, y1),
                (x1 - x0) * (y1 - y0),
                ((x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2),
                **more,
            )
        )
    return Segments(labels, tuple(records), 5, "optical", "camera")


def test_targets_keep_pixels_and_values_and_the_vocabulary_gets_the_rest():
    targets, others = segments((0, 0, 4, 4), target=True), segments((2, 2, 8, 6), (0, 0, 2, 2))
    merged = merge(targets, others, reserved=[255])
    np.testing.assert_array_equal(merged.labels == 1, targets.labels == 1)
    assert [one.value for one in merged] == [1, 254]  # 255 is a target's that is not seen now; the hidden one is gone
    rest = merged.segments[1]
    assert rest.area_px == 6 * 4 - 2 * 2 == int((merged.labels == 254).sum())
    assert rest.box_xyxy_px == (2, 2, 8, 6)


def test_users_names_win_over_the_models():
    named = with_names(segments((0, 0, 2, 2), (4, 4, 6, 6), target=True), {11: "my mug"})
    assert [one.label for one in named] == ["my mug", "name2"]


def test_a_frame_without_anything_is_a_label_image_of_zeros():
    msg = segments_to_message(empty_segments(FRAME, wide=True), Header(frame_id="optical"))
    assert (msg.labels.encoding, msg.labels.width, msg.labels.height, len(msg.segments)) == ("mono16", 8, 6, 0)


def test_classes_are_numbered_by_name_and_confidence_follows_the_mask():
    table = ClassTable()
    classes, confidence = class_mask(segments((0, 0, 2, 2), (4, 4, 6, 6)), table)
    assert classes[0, 0] == table.number("name1") == 1
    assert classes[4, 4] == table.number("name2") == 2
    assert (confidence[0, 0], confidence[3, 3], classes[3, 3]) == (round(255 * 0.8), 0, 0)
    numbers = {table.number(f"class {index}") for index in range(400)}
    assert max(numbers) == UNLABELED and len(table) == 254
    assert dict(table.items())[1] == "name1"


def test_the_cloud_lies_where_depth_says_and_carries_the_labels():
    depth = np.full((6, 8), 2.0, np.float32)
    depth[0, 0] = np.nan
    frame = Frame(FRAME.rgb, 5, "optical", "camera", depth, Intrinsics(10.0, 10.0, 4.0, 3.0))
    msg = cloud(frame, segments((2, 2, 4, 4)), Header(), stride=1)
    assert isinstance(msg, PointCloud2) and msg.width == 47
    points = np.frombuffer(msg.data, POINT)
    labelled = points[points["label"] == 1]
    np.testing.assert_allclose(sorted(set(labelled["x"])), [(2 - 4) * 0.2, (3 - 4) * 0.2], rtol=1e-6)
    assert set(points["z"]) == {2.0}


def test_markers_of_what_is_gone_are_deleted_one_by_one():
    here = segments((0, 0, 2, 2), target=True, position_m=(0.1, 0.2, 0.5), size_m=(0.1, 0.1, 0.1))
    array, shown = markers(here, Header(), set())
    assert [marker.type for marker in array.markers] == [Marker.CUBE, Marker.TEXT_VIEW_FACING]
    assert array.markers[1].text == "name1 #11"
    array, shown = markers(empty_segments(FRAME, False), Header(), shown)
    assert [marker.action for marker in array.markers] == [Marker.DELETE, Marker.DELETE]
    assert shown == set()

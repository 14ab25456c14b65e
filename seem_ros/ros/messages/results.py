# SPDX-License-Identifier: Apache-2.0
"""Segments and targets to messages. Every header is the source image's, unchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from seem_ros.msg import Box, Pixel, SegmentArray, SegmentRecord, Target, TargetArray
from seem_ros.perception.structures.oriented_box import OrientedBox
from seem_ros.perception.structures.segments import Segment, Segments
from seem_ros.ros.messages.images import array_to_image, has_data, image_to_labels, ns_to_stamp, stamp_to_ns

STATES = {"TRACKED": Target.TRACKED, "OCCLUDED": Target.OCCLUDED, "LOST": Target.LOST}
NO_NAMES: Mapping[int, str] = {}


def segments_to_message(segments: Segments, header: Header, labels: bool = True) -> SegmentArray:
    """Everything found in one picture.

    Args:
        segments: Of the picture; label image uint8 (mono8) or uint16 (mono16) [H, W].
        header: Of the source image.
        labels: Whether to put the label image in; else an empty one.
    """
    return SegmentArray(
        header=header,
        camera=segments.camera,
        position_frame=segments.position_frame or header.frame_id,
        labels=array_to_image(segments.labels, header) if labels else Image(header=header),
        segments=[record(segment) for segment in segments],
    )


def segments_from_message(msg: SegmentArray) -> Segments:
    """What a listener of ``~/segments`` sees, as the value that perception works with.

    Where the node sends records without label image (parameter ``answer_labels``) the label image is [0, 0].

    Raises:
        FrameError: The label image cannot be read.
    """
    return Segments(
        image_to_labels(msg.labels) if has_data(msg.labels) else np.zeros((0, 0), np.uint16),
        tuple(_segment(one) for one in msg.segments),
        stamp_to_ns(msg.header.stamp),
        msg.header.frame_id,
        msg.camera,
        position_frame=msg.position_frame,
    )


def _segment(msg: SegmentRecord) -> Segment:
    box, place, size = msg.box, msg.position, msg.size
    return Segment(
        value=msg.value,
        target_id=msg.target_id,
        label=msg.label,
        label_score=msg.label_score,
        mask_score=msg.mask_score,
        presence=msg.presence,
        area_px=msg.area,
        is_thing=msg.is_thing,
        box_xyxy_px=(int(box.x0), int(box.y0), int(box.x1), int(box.y1)),
        centroid_xy_px=(msg.centroid.x, msg.centroid.y),
        position_m=(place.x, place.y, place.z) if msg.has_position else None,
        size_m=(size.x, size.y, size.z) if msg.has_position else None,
        oriented_box=_oriented_box(msg) if msg.has_oriented_box else None,
    )


def _oriented_box(msg: SegmentRecord) -> OrientedBox:
    at, turn, size = msg.oriented_pose.position, msg.oriented_pose.orientation, msg.oriented_size
    return OrientedBox((at.x, at.y, at.z), (size.x, size.y, size.z), (turn.x, turn.y, turn.z, turn.w))


def record(segment: Segment) -> SegmentRecord:
    """One segment."""
    msg = SegmentRecord(
        value=segment.value,
        target_id=segment.target_id,
        is_thing=segment.is_thing,
        label=segment.label,
        label_score=float(segment.label_score),
        mask_score=float(segment.mask_score),
        presence=float(segment.presence),
        box=box_message(segment.box_xyxy_px),
        area=segment.area_px,
        centroid=Pixel(x=float(segment.centroid_xy_px[0]), y=float(segment.centroid_xy_px[1])),
    )
    fill_position(msg, segment)
    return msg


def box_message(box_xyxy_px: Sequence[float]) -> Box:
    """A box (x0, y0, x1, y1) in pixels of the source image."""
    x0, y0, x1, y1 = (float(value) for value in box_xyxy_px)
    return Box(x0=x0, y0=y0, x1=x1, y1=y1)


def fill_position(msg: SegmentRecord | Target, segment: Segment) -> None:
    """Write position and size into a record or target, where depth gave them: metres, in ``position_frame``."""
    if segment.position_m is None:
        return
    x, y, z = (float(value) for value in segment.position_m)
    msg.has_position, msg.position = True, Point(x=x, y=y, z=z)
    if segment.size_m is not None:
        x, y, z = (float(value) for value in segment.size_m)
        msg.size = Vector3(x=x, y=y, z=z)
    if segment.oriented_box is not None:
        msg.has_oriented_box, msg.oriented_pose = True, box_pose(segment.oriented_box)
        x, y, z = segment.oriented_box.size_m
        msg.oriented_size = Vector3(x=x, y=y, z=z)


def box_pose(box: OrientedBox) -> Pose:
    """Middle and axes of a box."""
    (x, y, z), (qx, qy, qz, qw) = box.centre_m, box.quaternion_xyzw
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def targets_to_message(
    targets: Sequence[Any], segments: Segments | None, header: Header, camera: str, names: Mapping[int, str] = NO_NAMES
) -> TargetArray:
    """All targets of a camera.

    Args:
        targets: The tracker's `TargetInfo` values.
        segments: What is seen in the picture of ``header``; None = nothing.
        header: Of the source image.
        camera: Its name.
        names: Names that users gave to targets, by target id.
    """
    return TargetArray(
        header=header,
        camera=camera,
        position_frame=(segments.position_frame if segments is not None else "") or header.frame_id,
        targets=[target_to_message(info, segments, names.get(info.target_id)) for info in targets],
    )


def target_to_message(info: Any, segments: Segments | None, name: str | None) -> Target:
    """One target: the tracker's `TargetInfo`, what is seen of it, and the user's name for it."""
    msg = Target(
        target_id=info.target_id,
        value=info.value,
        label=name or info.label,
        state=STATES[info.state.value],
        presence=_finite(info.presence),
        frames_tracked=info.frames_tracked,
        frames_unseen=info.frames_unseen,
        first_seen=ns_to_stamp(info.first_seen_ns),
        last_seen=ns_to_stamp(info.last_seen_ns),
    )
    segment = segments.by_target(info.target_id) if segments is not None else None
    if segment is not None:
        msg.mask_score = float(segment.mask_score)
        msg.box = box_message(segment.box_xyxy_px)
        msg.centroid = Pixel(x=float(segment.centroid_xy_px[0]), y=float(segment.centroid_xy_px[1]))
        fill_position(msg, segment)
    return msg


def _finite(value: float) -> float:
    return float(value) if np.isfinite(value) else 0.0

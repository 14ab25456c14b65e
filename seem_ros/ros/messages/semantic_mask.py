# SPDX-License-Identifier: Apache-2.0
"""What Nav2's semantic_segmentation_layer and vision_msgs users read: classes instead of segments.

vision_msgs is optional: without it the class mask and the confidence are published all the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from std_msgs.msg import Header

from seem_ros.perception.structures.segments import Segment, Segments
from seem_ros.ros.messages.results import box_pose

try:
    import vision_msgs.msg as vision_msgs
except ImportError:
    vision_msgs = None

UNLABELED = 255


class ClassTable:
    """Numbers of class names, in order of appearance and never changed: 0 is nothing, 255 everything beyond."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        """The class number of a name, 1..254, or 255 when all are given out."""
        if name not in self._numbers:
            if len(self._numbers) >= UNLABELED - 1:
                return UNLABELED
            self._numbers[name] = len(self._numbers) + 1
        return self._numbers[name]

    def __len__(self) -> int:
        return len(self._numbers)

    def items(self) -> list[tuple[int, str]]:
        """Numbers and names, 0 and 255 included."""
        return [(0, "nothing"), *((number, name) for name, number in self._numbers.items()), (UNLABELED, "unlabeled")]


def class_mask(segments: Segments, table: ClassTable) -> tuple[np.ndarray, np.ndarray]:
    """Class and confidence of every pixel.

    Returns:
        uint8 [H, W] class numbers, and uint8 [H, W] confidence: 255 = sure, 0 where nothing was found. The layer gives
        a tile the class of its surest pixel, so that "nothing" must never be surer than something.
    """
    size = int(np.iinfo(segments.labels.dtype).max) + 1
    classes, confidence = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    for segment in segments:
        classes[segment.value] = table.number(segment.label)
        # 1 at least: a segment the model is unsure of is still more than nothing
        confidence[segment.value] = max(1, round(255 * min(max(segment.mask_score, 0.0), 1.0)))
    return classes[segments.labels], confidence[segments.labels]


def label_info(table: ClassTable, header: Header) -> Any:
    """vision_msgs/LabelInfo of the class mask."""
    classes = [vision_msgs.VisionClass(class_id=number, class_name=name) for number, name in table.items()]
    return vision_msgs.LabelInfo(header=header, class_map=classes, threshold=0.0)


def offered(kind: str) -> bool:
    """Whether the vision_msgs that is installed has a message; Humble's, for one, has no LabelInfo."""
    return vision_msgs is not None and hasattr(vision_msgs, kind)


def detections(segments: Segments, header: Header) -> Any:
    """vision_msgs/Detection2DArray: boxes in pixels of the source image; class_id is the name.

    Where depth gave a position in the frame of the header it is the hypothesis' pose.
    """
    array = vision_msgs.Detection2DArray(header=header)
    posed = (segments.position_frame or header.frame_id) == header.frame_id
    for segment in segments:
        x0, y0, x1, y1 = (float(value) for value in segment.box_xyxy_px)
        detection = vision_msgs.Detection2D(header=header, id=_id(segment), results=[_hypothesis(segment, posed)])
        detection.bbox.center.position.x = (x0 + x1) / 2
        detection.bbox.center.position.y = (y0 + y1) / 2
        detection.bbox.size_x, detection.bbox.size_y = x1 - x0, y1 - y0
        array.detections.append(detection)
    return array


def detections_3d(segments: Segments, header: Header) -> Any:
    """vision_msgs/Detection3DArray of what has a position, in the frame of the positions, metres.

    Boxes are the oriented ones of targets where there are, else along the frame's axes.
    """
    header = Header(stamp=header.stamp, frame_id=segments.position_frame or header.frame_id)
    array = vision_msgs.Detection3DArray(header=header)
    for segment in segments:
        if segment.position_m is None:
            continue
        detection = vision_msgs.Detection3D(header=header, id=_id(segment), results=[_hypothesis(segment)])
        oriented = segment.oriented_box
        detection.bbox.center = detection.results[0].pose.pose if oriented is None else box_pose(oriented)
        size = (segment.size_m or (0.0, 0.0, 0.0)) if oriented is None else oriented.size_m
        detection.bbox.size.x, detection.bbox.size.y, detection.bbox.size.z = (float(value) for value in size)
        array.detections.append(detection)
    return array


def _id(segment: Segment) -> str:
    return str(segment.target_id) if segment.target_id else ""


def _hypothesis(segment: Segment, posed: bool = True) -> Any:
    hypothesis = vision_msgs.ObjectHypothesisWithPose()
    hypothesis.hypothesis.class_id = segment.label
    hypothesis.hypothesis.score = float(segment.mask_score)
    pose = hypothesis.pose.pose
    pose.orientation.w = 1.0
    if posed and segment.position_m is not None:
        pose.position.x, pose.position.y, pose.position.z = (float(value) for value in segment.position_m)
    return hypothesis

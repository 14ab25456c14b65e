# SPDX-License-Identifier: Apache-2.0
"""What Nav2's semantic_segmentation_layer and vision_msgs users read: classes instead of segments.

vision_msgs is optional: without it the class mask and the confidence are published all the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from std_msgs.msg import Header

from seem_ros.perception.structures.segments import Segments

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
        uint8 [H, W] class numbers, and uint8 [H, W] confidence, 255 = sure, also of nothing (class 0).
    """
    size = int(np.iinfo(segments.labels.dtype).max) + 1
    classes, confidence = np.zeros(size, np.uint8), np.full(size, 255, np.uint8)
    for segment in segments:
        classes[segment.value] = table.number(segment.label)
        confidence[segment.value] = round(255 * min(max(segment.mask_score, 0.0), 1.0))
    return classes[segments.labels], confidence[segments.labels]


def label_info(table: ClassTable, header: Header) -> Any:
    """vision_msgs/LabelInfo of the class mask."""
    classes = [vision_msgs.VisionClass(class_id=number, class_name=name) for number, name in table.items()]
    return vision_msgs.LabelInfo(header=header, class_map=classes, threshold=0.0)


def detections(segments: Segments, table: ClassTable, header: Header) -> Any:
    """vision_msgs/Detection2DArray: boxes in pixels of the source image; class_id is the class number as text."""
    array = vision_msgs.Detection2DArray(header=header)
    for segment in segments:
        x0, y0, x1, y1 = (float(value) for value in segment.box_xyxy_px)
        detection = vision_msgs.Detection2D(header=header, id=str(segment.target_id) if segment.target_id else "")
        detection.bbox.center.position.x = (x0 + x1) / 2
        detection.bbox.center.position.y = (y0 + y1) / 2
        detection.bbox.size_x, detection.bbox.size_y = x1 - x0, y1 - y0
        hypothesis = vision_msgs.ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = str(table.number(segment.label))
        hypothesis.hypothesis.score = float(segment.mask_score)
        detection.results.append(hypothesis)
        array.detections.append(detection)
    return array

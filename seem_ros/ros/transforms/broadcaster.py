# SPDX-License-Identifier: Apache-2.0
"""Tells /tf where the tracked targets are, each as a frame of its own."""

from __future__ import annotations

import re
from typing import Any

from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

from seem_ros.perception.structures.segments import Segments
from seem_ros.ros.transforms import listener

BROADCAST = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)


class TargetBroadcaster:
    """Publishes frames; the publisher is made with the first of them.

    Args:
        node: The rclpy node; its name is the first part of every frame's.
    """

    def __init__(self, node: Any) -> None:
        self._node = node
        self._publisher: Any = None

    def send(self, segments: Segments, header: Header) -> None:
        """Every target of a picture with a position, at the picture's stamp; its axes are those of the parent frame.

        Args:
            segments: With users' names.
            header: Of the source image.

        Raises:
            PromptError: tf2_msgs is missing.
        """
        listener.need_tf2_msgs()
        parent = Header(stamp=header.stamp, frame_id=segments.position_frame or header.frame_id)
        told = [
            TransformStamped(
                header=parent,
                child_frame_id=frame_name(self._node.get_name(), segment.label, segment.target_id),
                transform=Transform(
                    translation=Vector3(**dict(zip("xyz", map(float, segment.position_m), strict=True))),
                    rotation=Quaternion(w=1.0),
                ),
            )
            for segment in segments
            if segment.target_id and segment.position_m is not None
        ]
        if not told:
            return
        if self._publisher is None:
            self._publisher = self._node.create_publisher(listener.TFMessage, "/tf", BROADCAST)
        self._publisher.publish(listener.TFMessage(transforms=told))

    def close(self) -> None:
        """Take the publisher down."""
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
            self._publisher = None


def frame_name(node: str, label: str, target_id: int) -> str:
    """The frame of a target, as ``seem/red_mug_1``: letters, digits and _ are understood everywhere."""
    word = re.sub(r"[^a-z0-9]+", "_", label.casefold()).strip("_")[:40]
    return f"{node}/{word or 'target'}_{target_id}"

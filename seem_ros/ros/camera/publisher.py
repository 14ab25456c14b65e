# SPDX-License-Identifier: Apache-2.0
"""What is published for one camera; only what somebody listens to is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from seem_ros.msg import SegmentArray, TargetArray
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.segments import Segments
from seem_ros.perception.tracking.target import TargetInfo
from seem_ros.perception.visualize import draw_overlay
from seem_ros.ros.messages import point_cloud, semantic_mask
from seem_ros.ros.messages.images import array_to_image, array_to_jpeg
from seem_ros.ros.messages.results import segments_to_message, targets_to_message
from seem_ros.ros.monitoring.statistics import Statistics
from seem_ros.ros.parameters import Settings
from seem_ros.ros.transforms.broadcaster import TargetBroadcaster

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks

NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)

# Frames that markers outlive where the rate is limited: they fade when the node dies, and not between two frames.
MARKERS_FRAMES = 2.0

TOPICS: dict[str, tuple[type, str]] = {
    "segments": (SegmentArray, "Label image and one record per segment."),
    "labels": (Image, "The label image alone, mono8 or mono16, 0 = nothing."),
    "overlay": (Image, "The picture with coloured segments, names and ids, rgb8."),
    "overlay/compressed": (CompressedImage, "The same as JPEG."),
    "targets": (TargetArray, "All targets with their states, seen or not."),
    "markers": (MarkerArray, "A box and a name in space for each segment with a position."),
    "points": (PointCloud2, "Coloured cloud with the label image's value per point; needs depth."),
    "points_organized": (
        PointCloud2,
        "The same with a point for every pixel, NaN where there is no depth; for Nav2's semantic segmentation layer.",
    ),
    "class_mask": (Image, "Class numbers for Nav2's semantic segmentation layer, mono8."),
    "confidence": (Image, "How sure the class mask is, mono8, 255 = sure, 0 = nothing was found there."),
}
VISION_TOPICS = {
    "label_info": ("LabelInfo", "Names of the class mask's numbers, latched; needs vision_msgs."),
    "detections": ("Detection2DArray", "Boxes of the segments in pixels, class_id is the name; needs vision_msgs."),
    "detections_3d": ("Detection3DArray", "Boxes in metres of the segments with a position; needs vision_msgs."),
}


class CameraOutput:
    """The publishers of one camera.

    Args:
        node: The rclpy node.
        prefix: Of its topics: ``~/``, or ``~/<name>/`` where there are several cameras.
        camera: Its name.
        statistics: Where times are noted.
        classes: The camera's class numbers, which outlive these publishers.
    """

    def __init__(
        self, node: Any, prefix: str, camera: str, statistics: Statistics, classes: semantic_mask.ClassTable
    ) -> None:
        self._node, self._camera, self._statistics = node, camera, statistics
        kinds = {name: kind for name, (kind, _) in TOPICS.items()}
        kinds |= {
            name: getattr(semantic_mask.vision_msgs, kind)
            for name, (kind, _) in VISION_TOPICS.items()
            if semantic_mask.offered(kind)
        }
        # rclpy's executor pays for every event of every publisher each time it waits, so `watch` looks instead
        no_events = PublisherEventCallbacks(use_default_callbacks=False)
        self._publishers = {
            name: node.create_publisher(
                kind, f"{prefix}{name}", LATCHED if name == "label_info" else NEWEST, event_callbacks=no_events
            )
            for name, kind in kinds.items()
        }
        self._deaf: set[tuple[str, str]] = set()
        self._classes = classes
        self._classes_told = -1
        self._markers: set[int] = set()
        self._broadcaster = TargetBroadcaster(node)

    def wanted(self, *names: str) -> bool:
        """Whether somebody listens to one of these topics, or to any without names."""
        return any(
            self._publishers[name].get_subscription_count() > 0
            for name in names or self._publishers
            if name in self._publishers
        )

    def watch(self) -> None:
        """Look for listeners that can hear nothing, and say so once; called regularly."""
        for name, publisher in list(self._publishers.items()):
            if name == "label_info":  # latched itself
                continue
            for info in self._node.get_subscriptions_info_by_topic(publisher.topic_name):
                who = (name, f"{info.node_namespace.rstrip('/')}/{info.node_name}")
                if info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL and who not in self._deaf:
                    self._deaf.add(who)
                    self._node.get_logger().warning(
                        f"{who[1]} asks {publisher.topic_name} for transient local durability, which is offered as "
                        "volatile: it will hear nothing; set its durability to volatile"
                    )

    def publish(
        self,
        frame: Frame,
        header: Header,
        segments: Segments,
        targets: Sequence[TargetInfo],
        names: dict[int, str],
        settings: Settings,
    ) -> None:
        """Publish a frame's results to whoever listens.

        Args:
            frame: The picture.
            header: Of the source image, passed on unchanged.
            segments: Of the frame, with users' names.
            targets: All of the camera.
            names: Users' names by target id.
            settings: The node's.
        """
        with self._statistics.stage("messages"):
            if settings.broadcast_tf:
                self._broadcaster.send(segments, header)
            if self.wanted("segments"):
                self._send("segments", segments_to_message(segments, header))
            if self.wanted("labels"):
                self._send("labels", array_to_image(segments.labels, header))
            if self.wanted("targets"):
                self._send("targets", targets_to_message(targets, segments, header, self._camera, names))
            if self.wanted("markers"):
                slow_s = MARKERS_FRAMES / settings.max_rate_hz if settings.max_rate_hz else 0.0
                lifetime_s = max(settings.camera_timeout_s, slow_s)
                message, self._markers = point_cloud.markers(segments, header, self._markers, lifetime_s)
                self._send("markers", message)
            self._publish_classes(segments, header)
        if self.wanted("points") and frame.depth_m is not None and frame.intrinsics is not None:
            self._send("points", point_cloud.cloud(frame, segments, header, settings.cloud_stride))
        if self.wanted("points_organized") and frame.depth_m is not None and frame.intrinsics is not None:
            self._send("points_organized", point_cloud.organized_cloud(frame, segments, header))
        if self.wanted("overlay", "overlay/compressed"):
            with self._statistics.stage("overlay"):
                self._publish_overlay(frame, header, segments, settings)

    def _publish_classes(self, segments: Segments, header: Header) -> None:
        if self.wanted("class_mask", "confidence", "label_info"):
            classes, confidence = semantic_mask.class_mask(segments, self._classes)
            self._tell_classes(header)  # before the mask: a listener skips numbers that it was not told
            if self.wanted("class_mask"):
                self._send("class_mask", array_to_image(classes, header))
            if self.wanted("confidence"):
                self._send("confidence", array_to_image(confidence, header))
        if self.wanted("detections"):
            self._send("detections", semantic_mask.detections(segments, header))
        if self.wanted("detections_3d"):
            self._send("detections_3d", semantic_mask.detections_3d(segments, header))

    def _tell_classes(self, header: Header) -> None:
        """Latched: told once, and again when it grew."""
        if "label_info" in self._publishers and len(self._classes) != self._classes_told:
            self._send("label_info", semantic_mask.label_info(self._classes, header))
            self._classes_told = len(self._classes)

    def _publish_overlay(self, frame: Frame, header: Header, segments: Segments, settings: Settings) -> None:
        picture: np.ndarray = draw_overlay(
            frame.rgb, segments, alpha=settings.overlay_alpha, names=settings.overlay_names
        )
        if self.wanted("overlay"):
            self._send("overlay", array_to_image(picture, header))
        if self.wanted("overlay/compressed"):
            self._send("overlay/compressed", array_to_jpeg(picture, header, settings.jpeg_quality))

    def _send(self, name: str, message: Any) -> None:
        self._publishers[name].publish(message)

    def close(self) -> None:
        """Take all publishers down."""
        self._broadcaster.close()
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers.clear()

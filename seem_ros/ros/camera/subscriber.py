# SPDX-License-Identifier: Apache-2.0
"""The subscriptions of one camera: raw or compressed, with the reliability its publisher offers.

A reliable subscriber on a best-effort camera receives nothing and says nothing. So the publishers are looked at, again
and again, and the subscription follows them; what does not fit is said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from seem_ros.ros.executor import PacedGroup, StoringGroup
from seem_ros.ros.parameters import Settings

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

IMAGE_TYPE = "sensor_msgs/msg/Image"
COMPRESSED_TYPE = "sensor_msgs/msg/CompressedImage"
INFO_PERIOD_S = 0.2


@dataclass(frozen=True)
class Choice:
    """What to subscribe to.

    Attributes:
        topic: Fully resolved.
        compressed: Whether its type is CompressedImage.
        reliable: Whether to ask for reliable delivery.
    """

    topic: str
    compressed: bool
    reliable: bool

    def __str__(self) -> str:
        kind = "compressed" if self.compressed else "raw"
        return f"{self.topic} ({kind}, {'reliable' if self.reliable else 'best effort'})"


def is_best_effort(info: Any) -> bool:
    """Whether a publisher offers best effort only."""
    return info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


def choose(topic: str, raw: list[Any], same_compressed: list[Any], compressed: list[Any], settings: Settings) -> Choice:
    """Which topic, type and reliability fit the publishers there are.

    Args:
        topic: The image topic, fully resolved.
        raw: Publishers (rclpy TopicEndpointInfo) of raw images on it.
        same_compressed: Publishers of compressed images on that very topic.
        compressed: Publishers on ``<topic>/compressed``.
        settings: The node's.
    """
    if settings.transport == "raw" or (settings.transport == "auto" and (raw or not (same_compressed or compressed))):
        found, publishers, packed = topic, raw, False
    elif same_compressed or topic.endswith("/compressed"):
        found, publishers, packed = topic, same_compressed, True
    else:
        found, publishers, packed = f"{topic}/compressed", compressed, True
    if settings.reliability == "auto":
        reliable = bool(publishers) and not any(is_best_effort(info) for info in publishers)
    else:
        reliable = settings.reliability == "reliable"
    return Choice(found, packed, reliable)


class CameraInput:
    """Keeps one camera subscribed.

    Args:
        node: The rclpy node.
        name: The camera's name.
        prefix: Of its topics: empty, or ``<name>/`` where there are several cameras.
        settings: The node's.
        on_image, on_depth, on_info: Take the messages; they only store them.
    """

    def __init__(
        self,
        node: Any,
        name: str,
        prefix: str,
        settings: Settings,
        on_image: Callable[[Any], None],
        on_depth: Callable[[Any], None],
        on_info: Callable[[Any], None],
    ) -> None:
        self._node, self._name, self._prefix, self._settings = node, name, prefix, settings
        self._group = StoringGroup()
        self._on_image = on_image
        self._choice: Choice | None = None
        self._image: Any = None
        self.problem = ""
        best_effort = _qos(reliable=False)
        self._others = []
        if settings.use_depth:
            # best effort fits every publisher, so there is no event to wait for
            no_events = SubscriptionEventCallbacks(use_default_callbacks=False)
            self._others = [
                node.create_subscription(
                    kind, f"{prefix}{topic}", take, best_effort, callback_group=group, event_callbacks=no_events
                )
                for kind, topic, take, group in (
                    (Image, "depth", on_depth, self._group),
                    (CameraInfo, "camera_info", on_info, PacedGroup(INFO_PERIOD_S)),
                )
            ]
        self.watch()

    @property
    def topic(self) -> str:
        """The image topic, fully resolved."""
        return self._node.resolve_topic_name(f"{self._prefix}image")

    def watch(self) -> None:
        """Look at the publishers and follow them; called regularly."""
        topic = self.topic
        publishers = self._node.get_publishers_info_by_topic(topic)
        raw = [info for info in publishers if info.topic_type == IMAGE_TYPE]
        same = [info for info in publishers if info.topic_type == COMPRESSED_TYPE]
        packed = [
            info
            for info in self._node.get_publishers_info_by_topic(f"{topic}/compressed")
            if info.topic_type == COMPRESSED_TYPE
        ]
        foreign = {info.topic_type for info in publishers} - {IMAGE_TYPE, COMPRESSED_TYPE}
        choice = choose(topic, raw, same, packed, self._settings)
        found = raw or same or packed
        if not found and self._choice is not None:
            choice = self._choice  # nobody there now: keep the ears open as they are
        if choice != self._choice:
            self._subscribe(choice)
        users = packed if choice.topic != topic else publishers
        if foreign and not found:
            self._say(f"{topic} carries {', '.join(sorted(foreign))}, but {IMAGE_TYPE} or {COMPRESSED_TYPE} is needed")
        elif choice.reliable and any(is_best_effort(info) for info in users):
            self._say(
                f"{choice.topic} is published as best effort, and reliability is set to reliable: nothing can arrive; "
                "set it to auto or best_effort"
            )
        elif not found:
            self.problem = f"nobody publishes {topic} or {topic}/compressed"
        elif self._settings.transport == "raw" and not raw:
            self._say(f"{topic} has no raw image, only a compressed one, and transport is set to raw; set it to auto")
        elif self._settings.transport == "compressed" and not (same or packed):
            self._say(f"{topic} has no compressed image, and transport is set to compressed; set it to auto")
        else:
            self.problem = ""

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            self._node.get_logger().warning(f"camera {self._name}: {problem}")
        self.problem = problem

    def _subscribe(self, choice: Choice) -> None:
        if self._image is not None:
            self._node.destroy_subscription(self._image)
        self._image = self._node.create_subscription(
            CompressedImage if choice.compressed else Image,
            choice.topic,
            self._on_image,
            _qos(choice.reliable),
            callback_group=self._group,
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=self._on_incompatible, use_default_callbacks=False
            ),
        )
        self._choice = choice
        self._node.get_logger().info(f"camera {self._name}: listening to {choice}")

    def _on_incompatible(self, event: Any) -> None:
        self._node.get_logger().warning(
            f"camera {self._name}: a publisher of {self._choice} offers another quality of service "
            f"(policy {getattr(event, 'last_policy_kind', '?')}); looking again"
        )

    def describe(self) -> str:
        """What it listens to and what is wrong, for people."""
        return self.problem or f"listening to {self._choice}"

    def close(self) -> None:
        """Drop all subscriptions."""
        for subscription in (self._image, *self._others):
            if subscription is not None:
                self._node.destroy_subscription(subscription)
        self._image, self._others, self._choice = None, [], None


def _qos(reliable: bool) -> QoSProfile:
    return QoSProfile(
        depth=1,
        history=HistoryPolicy.KEEP_LAST,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.VOLATILE,
    )

# SPDX-License-Identifier: Apache-2.0
"""One subscription that follows what the publishers of a topic offer, and the names image_transport gives to topics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

# Last parts of topics that image_transport's plugins append to the name of the image.
TRANSPORTS = ("compressed", "compressedDepth", "theora", "ffmpeg", "zstd", "h264", "h265")


def base_topic(topic: str) -> str:
    """The image's own topic: a transport's suffix is taken off."""
    head, _, last = topic.rpartition("/")
    return head if last in TRANSPORTS and head else topic


def sibling_info(topic: str) -> str:
    """Where image_transport's cameras publish the calibration of an image topic: camera_info beside it."""
    return f"{base_topic(topic).rpartition('/')[0]}/camera_info"


def is_best_effort(info: Any) -> bool:
    """Whether a publisher (rclpy TopicEndpointInfo) offers best effort only."""
    return info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


def is_latched(info: Any) -> bool:
    """Whether a publisher keeps its last message for those that come later."""
    return info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL


@dataclass(frozen=True)
class Choice:
    """What to subscribe to.

    Attributes:
        topic: Fully resolved.
        kind: The message class.
        reliable: Whether to ask for reliable delivery.
        latched: Whether to ask for what was sent before.
        depth: Messages that may wait; 1 = only the newest counts.
    """

    topic: str
    kind: type
    reliable: bool
    latched: bool = False
    depth: int = 1

    def __str__(self) -> str:
        words = {"Image": "raw", "CompressedImage": "compressed"}
        how = [words.get(self.kind.__name__, self.kind.__name__), "reliable" if self.reliable else "best effort"]
        return f"{self.topic} ({', '.join(how + (['latched'] if self.latched else []))})"

    def qos(self) -> QoSProfile:
        """As rclpy takes it."""
        return QoSProfile(
            depth=self.depth,
            history=HistoryPolicy.KEEP_LAST,
            reliability=ReliabilityPolicy.RELIABLE if self.reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if self.latched else DurabilityPolicy.VOLATILE,
        )


def choose(topic: str, kind: type, publishers: Sequence[Any], reliability: str = "auto") -> Choice:
    """The most that all publishers offer: asking one for more would mean to hear nothing of it.

    Args:
        topic: Fully resolved.
        kind: The message class.
        publishers: rclpy TopicEndpointInfo of that type.
        reliability: auto, reliable or best_effort.
    """
    offered = bool(publishers) and not any(is_best_effort(info) for info in publishers)
    reliable = offered if reliability == "auto" else reliability == "reliable"
    return Choice(topic, kind, reliable, bool(publishers) and all(is_latched(info) for info in publishers))


class TopicFollower:
    """Holds a subscription and exchanges it when the choice changes.

    Args:
        node: The rclpy node.
        take: Called with every message.
        group: Callback group.
        events: rclpy's SubscriptionEventCallbacks.
    """

    def __init__(self, node: Any, take: Callable[[Any], None], group: Any, events: Any) -> None:
        self._node, self._take, self._group, self._events = node, take, group, events
        self._subscription: Any = None
        self.choice: Choice | None = None

    def follow(self, choice: Choice) -> bool:
        """Subscribe as chosen; whether that is a change."""
        if choice == self.choice:
            return False
        self.close()
        self._subscription = self._node.create_subscription(
            choice.kind,
            choice.topic,
            self._take,
            choice.qos(),
            callback_group=self._group,
            event_callbacks=self._events,
        )
        self.choice = choice
        return True

    def close(self) -> None:
        """Drop the subscription."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        self._subscription, self.choice = None, None

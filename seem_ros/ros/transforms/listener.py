# SPDX-License-Identifier: Apache-2.0
"""Fills the transform buffer from /tf and /tf_static, once somebody needs it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from seem_ros.errors import FrameError, PromptError
from seem_ros.perception.structures.rigid_transform import RigidTransform
from seem_ros.ros.executor import StoringGroup
from seem_ros.ros.messages.images import stamp_to_ns
from seem_ros.ros.transforms.buffer import ExtrapolationError, TransformBuffer, TransformError

try:
    from tf2_msgs.msg import TFMessage
except ImportError:
    TFMessage = None

MOVING = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
FIXED = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# As tf2's listener: a simulator that is reset, a bag that loops with /clock, another clock altogether.
ANOTHER_STORY = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True)
LOOK_S = 0.02
SAID_AT_MOST = 20  # a broken publisher repeats itself thirty times a second


def need_tf2_msgs() -> None:
    """Refuse what needs tf where its messages are not installed.

    Raises:
        PromptError: tf2_msgs is missing.
    """
    if TFMessage is None:
        raise PromptError("this needs tf2_msgs, which is not installed (apt install ros-$ROS_DISTRO-tf2-msgs)")


class TransformListener:
    """The robot's frames. It listens from the first time on that somebody asks it to: /tf is many messages a second.

    Args:
        node: The rclpy node.
        on_news: Called after every message.

    Attributes:
        buffer: What was heard.
    """

    def __init__(self, node: Any, on_news: Callable[[], None]) -> None:
        self.buffer = TransformBuffer()
        self._node, self._on_news = node, on_news
        self._lock = threading.Lock()
        self._subscriptions: list[Any] = []
        self._jumps: Any = None
        self._said: set[str] = set()

    def listen(self) -> None:
        """Begin to listen, if it does not yet.

        Raises:
            PromptError: tf2_msgs is missing.
        """
        need_tf2_msgs()
        with self._lock:
            if self._subscriptions:
                return
            self._jumps = self._node.get_clock().create_jump_callback(
                ANOTHER_STORY, post_callback=lambda _: self.buffer.forget_moving()
            )
            group = StoringGroup()
            self._subscriptions = [
                self._node.create_subscription(TFMessage, topic, take, qos, callback_group=group)
                for topic, take, qos in (
                    ("/tf", lambda msg: self._take(msg, is_static=False), MOVING),
                    ("/tf_static", lambda msg: self._take(msg, is_static=True), FIXED),
                )
            ]

    def lookup_soon(self, target: str, source: str, stamp_ns: int, timeout_s: float) -> RigidTransform:
        """A transform that may still be on its way; blocks.

        Raises:
            SeemError: It did not come in time, or never will.
        """
        self.listen()
        end = time.monotonic() + timeout_s
        while True:
            try:
                return self.buffer.lookup(target, source, stamp_ns)
            except TransformError as error:
                past = isinstance(error, ExtrapolationError) and not error.too_new
                if past or time.monotonic() > end:
                    raise
            time.sleep(LOOK_S)

    def close(self) -> None:
        """Stop listening and forget everything."""
        with self._lock:
            for subscription in self._subscriptions:
                self._node.destroy_subscription(subscription)
            self._subscriptions = []
            if self._jumps is not None:
                self._jumps.unregister()
                self._jumps = None
        self.buffer.clear()

    def _take(self, msg: Any, is_static: bool) -> None:
        for one in msg.transforms:
            at, turn = one.transform.translation, one.transform.rotation
            try:
                transform = RigidTransform(np.array([at.x, at.y, at.z]), np.array([turn.x, turn.y, turn.z, turn.w]))
                self.buffer.add(
                    one.header.frame_id, one.child_frame_id, stamp_to_ns(one.header.stamp), transform, is_static
                )
            except (TransformError, FrameError) as error:
                self._say(f"tf: {one.header.frame_id[:40]!r} -> {one.child_frame_id[:40]!r} is left out: {error}")
        self._on_news()

    def _say(self, problem: str) -> None:
        if problem not in self._said and len(self._said) < SAID_AT_MOST:
            self._said.add(problem)
            self._node.get_logger().warning(problem)

# SPDX-License-Identifier: Apache-2.0
"""The ROS side: a node on a thread of its own, and the bridge from its callbacks to the server's event loop."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions

from seem_ros.console.client.graph import FoundNode, find_nodes
from seem_ros.ros.client import SeemClient
from seem_ros.ros.executor import spin

# the node answers within its call_timeout_s, 5 s by default; this is for a node that is gone
CALL_TIMEOUT_S = 30.0
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


class _Gate(MutuallyExclusiveCallbackGroup):
    """Lets the executor wait for messages only while they are wanted.

    Args:
        is_wanted: Asked on the ROS thread.
    """

    def __init__(self, is_wanted: Callable[[], bool]) -> None:
        super().__init__()
        self._is_wanted = is_wanted

    def can_execute(self, entity: Any) -> bool:
        """Whether the executor may take a message."""
        return self._is_wanted() and super().can_execute(entity)


class RosLink:
    """A ROS node for the console. Its callbacks run on one thread, everything else may be called from any.

    Args:
        arguments: Of ROS, ``["--ros-args", ...]``.
    """

    def __init__(self, arguments: list[str] | None = None) -> None:
        self._context = rclpy.Context()
        # rclpy's own handlers would swallow the signals that the web server ends by
        rclpy.init(args=arguments, context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node(
            f"seem_console_{os.getpid()}", context=self._context, enable_rosout=False, start_parameter_services=False
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        # whatever node is asked: the console names services in full
        self._calls = SeemClient(self.node)
        self._statuses: dict[str, tuple[float, Any]] = {}
        self._lock = threading.Lock()
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._thread = threading.Thread(target=spin, args=(self._executor, self.node), daemon=True, name="ros")
        self._thread.start()

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        now = time.monotonic()
        with self._lock:
            for status in msg.status:
                # another robot software may say a lot here; only what looks like ours is kept
                if ": model" in status.name or ": camera " in status.name:
                    self._statuses[status.name] = (now, status)
            for name in [name for name, (at, _) in self._statuses.items() if now - at > 60.0]:
                del self._statuses[name]

    def nodes(self) -> tuple[FoundNode, ...]:
        """The segmentation nodes that are there now."""
        with self._lock:
            statuses = dict(self._statuses)
        return find_nodes(
            self.node.get_service_names_and_types(), self.node.get_topic_names_and_types(), statuses, time.monotonic()
        )

    def statuses(self, node: str) -> list[tuple[float, Any]]:
        """A node's newest diagnostics: age in seconds and DiagnosticStatus."""
        now, prefix = time.monotonic(), f"{node.lstrip('/')}: "
        with self._lock:
            return [(now - at, status) for name, (at, status) in self._statuses.items() if name.startswith(prefix)]

    def publishers(self, topic: str) -> list[Any]:
        """Who publishes a topic."""
        return self.node.get_publishers_info_by_topic(topic)

    def subscribe(
        self,
        kind: type,
        topic: str,
        take: Callable[[Any], None],
        qos: QoSProfile = NEWEST,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Any:
        """A subscription; ``take`` runs on the ROS thread and must only store.

        A message that is not wanted when it arrives is not even read; `look_again` tells that it is wanted now.
        """
        subscription = self.node.create_subscription(kind, topic, take, qos, callback_group=_Gate(is_wanted))
        self._executor.wake()
        return subscription

    def look_again(self) -> None:
        """What was not wanted may be wanted now."""
        self._executor.wake()

    def unsubscribe(self, subscription: Any) -> None:
        """Drop a subscription."""
        self.node.destroy_subscription(subscription)

    async def call(self, kind: type, service: str, request: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """A service's answer.

        Raises:
            ServiceTimeoutError: Nobody offers it, or no answer came in time.
        """
        return await asyncio.wrap_future(self._calls.call_async(kind, service, request, timeout_s))

    def close(self) -> None:
        """Take the node down."""
        self._calls.close()
        self._executor.shutdown(timeout_sec=2.0)
        self._context.try_shutdown()
        self._thread.join(5.0)

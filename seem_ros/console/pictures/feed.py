# SPDX-License-Identifier: Apache-2.0
"""One camera for all its viewers: subscribed while somebody looks, each picture encoded once, the newest wins."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from seem_ros.console.client.graph import CameraTopics
from seem_ros.console.client.link import RosLink
from seem_ros.console.client.message_values import to_plain
from seem_ros.console.pictures.pace import Pace
from seem_ros.console.pictures.pairing import Pair, Pairing
from seem_ros.console.pictures.wire import MAX_SIDE_PX, Runs, ShownPicture, is_plain_jpeg, jpeg_size, to_jpeg
from seem_ros.errors import PromptError, SeemError
from seem_ros.msg import SegmentArray, TargetArray
from seem_ros.ros.messages.images import compressed_to_rgb, image_to_labels, image_to_rgb, stamp_to_ns

IMAGE_TYPE, COMPRESSED_TYPE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
# a list that changes faster cannot be read
TARGETS_PERIOD_S = 0.1


@dataclass(frozen=True)
class FeedSettings:
    """How pictures go out.

    Attributes:
        max_rate_hz: Pictures a second at most; the robot's processors are for the robot.
        jpeg_quality: 1 to 100.
        max_side_px: Larger pictures are made smaller.
    """

    max_rate_hz: float = 12.0
    jpeg_quality: int = 80
    max_side_px: int = 1280

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("pictures a second", self.max_rate_hz, 0.1, 120.0),
            ("quality", self.jpeg_quality, 1, 100),
            ("the longest side in pixels", self.max_side_px, 64, MAX_SIDE_PX),
        ):
            if not low <= value <= high:
                raise PromptError(f"{name} must lie in {low:g} to {high:g}, got {value:g}")


class CameraFeed:
    """Pictures, segments and targets of one camera. All methods belong to the event loop.

    Args:
        link: The ROS side.
        camera: What to listen to.
        settings: How pictures go out.
        pool: Where pictures are encoded.
        on_targets: Told about each TargetArray, as plain values.
    """

    _sequences = itertools.count(1)

    def __init__(
        self,
        link: RosLink,
        camera: CameraTopics,
        settings: FeedSettings,
        pool: Executor,
        on_targets: Callable[[dict[str, Any]], None],
    ) -> None:
        self.camera = camera
        self._link, self._settings, self._pool, self._on_targets = link, settings, pool, on_targets
        self._loop = asyncio.get_running_loop()
        self._pairing = Pairing()
        self._wake = asyncio.Event()
        self._news = asyncio.Event()
        self._waiting = 0
        # pictures are read only while one is due and somebody waits for it: each costs as much as it is large
        self._is_open = False
        self._newest: tuple[int, bytes] | None = None
        self._image: tuple[str, str, bool] | None = None
        self._picture_subscription: Any = None
        self._targets_s = float("-inf")
        self.problem = ""
        self._others = [
            link.subscribe(SegmentArray, camera.segments_topic, self._take_segments, RELIABLE, self._wants_segments),
            link.subscribe(TargetArray, camera.targets_topic, self._take_targets, RELIABLE),
        ]
        self.follow()
        self._task = self._loop.create_task(self._work())

    # ------------------------------------------------------------------------------------------------ ROS thread

    def _take_picture(self, msg: Any) -> None:
        self._pairing.add_picture(stamp_to_ns(msg.header.stamp), msg, time.monotonic())
        self._soon(self._wake.set)

    def _wants_segments(self) -> bool:
        return self._is_open and self._pairing.wants_segments(time.monotonic())

    def _take_segments(self, msg: SegmentArray) -> None:
        self._pairing.add_segments(stamp_to_ns(msg.header.stamp), msg, time.monotonic())
        self._soon(self._wake.set)

    def _take_targets(self, msg: TargetArray) -> None:
        if (now_s := time.monotonic()) - self._targets_s < TARGETS_PERIOD_S:
            return
        self._targets_s, plain = now_s, to_plain(msg)
        self._soon(lambda: self._on_targets(plain))

    def _soon(self, action: Callable[[], Any]) -> None:
        try:
            self._loop.call_soon_threadsafe(action)
        except RuntimeError:
            pass  # the server has ended meanwhile

    # ------------------------------------------------------------------------------------------------ event loop

    def follow(self) -> None:
        """Look at who publishes the camera's pictures, and subscribe accordingly; called regularly.

        A picture that the camera has compressed itself is taken before a raw one: it goes to the page as it is.
        """
        topic = self.camera.image_topic
        if not topic:
            return
        own = self._link.publishers(topic)
        packed_topic = topic if topic.endswith("/compressed") else f"{topic}/compressed"
        packed = own if packed_topic == topic else self._link.publishers(packed_topic)
        same = [info for info in own if info.topic_type == COMPRESSED_TYPE]
        beside = [info for info in packed if info.topic_type == COMPRESSED_TYPE]
        raw = [info for info in own if info.topic_type == IMAGE_TYPE]
        users, chosen = next(
            (
                (users, (name, kind))
                for users, name, kind in (
                    (same, topic, COMPRESSED_TYPE),
                    (beside, packed_topic, COMPRESSED_TYPE),
                    (raw, topic, IMAGE_TYPE),
                )
                if users
            ),
            ([], None),
        )
        if chosen is None:
            self.problem = f"nobody publishes {topic}"
            return  # keep the ears open as they are
        self.problem = ""
        reliable = all(info.qos_profile.reliability == ReliabilityPolicy.RELIABLE for info in users)
        if (*chosen, reliable) == self._image:
            return
        if self._picture_subscription is not None:
            self._link.unsubscribe(self._picture_subscription)
        self._image = (*chosen, reliable)
        kind = Image if chosen[1] == IMAGE_TYPE else CompressedImage
        qos = RELIABLE if reliable else BEST_EFFORT
        self._picture_subscription = self._link.subscribe(
            kind, chosen[0], self._take_picture, qos, lambda: self._is_open
        )

    async def picture_after(self, sequence: int) -> tuple[int, bytes]:
        """The newest picture, packed, with its number, as soon as there is one beyond ``sequence``."""
        self._waiting += 1
        self._wake.set()
        try:
            while self._newest is None or self._newest[0] <= sequence:
                await self._news.wait()
        finally:
            self._waiting -= 1
        return self._newest

    async def _work(self) -> None:
        pace = Pace(self._settings.max_rate_hz)
        while True:
            await asyncio.sleep(pace.wait_s())
            pair = await self._next_pair()
            pace.shown()
            await self._show(pair)

    async def _next_pair(self) -> Pair:
        """The next picture for whoever waits."""
        while True:
            self._wake.clear()
            if not self._waiting:
                self._is_open = False
                await self._wake.wait()
                continue
            if not self._is_open:
                self._is_open = True
                self._link.look_again()
            now = time.monotonic()
            pair = self._pairing.take(now)
            if pair is not None:
                self._is_open = False
                return pair
            wait_s = self._pairing.wait_s(now)
            try:
                # a picture without segments becomes ready by time alone
                await asyncio.wait_for(self._wake.wait(), wait_s + 0.005 if wait_s is not None else None)
            except asyncio.TimeoutError:
                pass

    async def _show(self, pair: Pair) -> None:
        sequence = next(self._sequences)
        try:
            packed = await self._loop.run_in_executor(self._pool, self._encode, sequence, pair)
        except SeemError as error:
            self.problem = str(error)
            return
        except Exception as error:  # one broken picture must not end the camera
            self.problem = f"internal error: {type(error).__name__}: {error}"
            return
        self._newest = sequence, packed
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _encode(self, sequence: int, pair: Pair) -> bytes:
        message, settings = pair.picture, self._settings
        if isinstance(message, CompressedImage):
            data = bytes(message.data)
            if is_plain_jpeg(data):
                source = jpeg_size(data)
            else:
                rgb = compressed_to_rgb(message)
                source, data = (rgb.shape[1], rgb.shape[0]), to_jpeg(rgb, settings.jpeg_quality, settings.max_side_px)
        else:
            source = (message.width, message.height)
            data = to_jpeg(image_to_rgb(message), settings.jpeg_quality, settings.max_side_px)
        runs: Runs | None = None
        segments: tuple[dict[str, Any], ...] = ()
        if pair.segments is not None and pair.segments.labels.data:
            runs = Runs.of(image_to_labels(pair.segments.labels))
            segments = tuple(
                {
                    "value": one.value,
                    "id": one.target_id,
                    "label": one.label,
                    "presence": round(one.presence, 3) if math.isfinite(one.presence) else None,
                    "thing": one.is_thing,
                }
                for one in pair.segments.segments
            )
        more = {"camera": self.camera.name, "masks": str(pair.segments_stamp_ns)}
        return ShownPicture(sequence, pair.stamp_ns, data, runs, segments, source, more).pack()

    def close(self) -> None:
        """Drop all subscriptions."""
        self._task.cancel()
        for subscription in (self._picture_subscription, *self._others):
            if subscription is not None:
                self._link.unsubscribe(subscription)
        self._pairing.clear()

# SPDX-License-Identifier: Apache-2.0
"""The subscriptions of one camera: pictures of any transport, depth and calibration, each as its publishers offer it.

A reliable subscriber on a best-effort camera receives nothing and says nothing. So the publishers are looked at, again
and again, and the subscriptions follow them; what does not fit is said.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from seem_ros.perception.pictures.video_stream import codec_of
from seem_ros.ros.camera.starvation import StarvationWatch
from seem_ros.ros.camera.topic_follower import Choice, TopicFollower, base_topic, choose, is_best_effort, sibling_info
from seem_ros.ros.camera.video_input import PACKET_TYPE, VIDEO_CLASSES, VIDEO_TYPE, VideoInput
from seem_ros.ros.executor import PacedGroup, StoringGroup
from seem_ros.ros.messages.images import stamp_to_ns
from seem_ros.ros.parameters import Settings

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

IMAGE_TYPE = "sensor_msgs/msg/Image"
COMPRESSED_TYPE = "sensor_msgs/msg/CompressedImage"
INFO_TYPE = "sensor_msgs/msg/CameraInfo"
INFO_PERIOD_S = 0.2
# Video packets that may wait: one that is lost spoils the picture until the next key frame.
VIDEO_DEPTH = 60


@dataclass(frozen=True)
class Offers:
    """Publishers (rclpy TopicEndpointInfo) of a camera's pictures.

    Attributes:
        raw, same: Of raw and compressed images on the image topic itself.
        packed, packets: Of compressed images and of video packets on the topics that image_transport puts beside it.
        video: Of Foxglove's video on the image topic.
    """

    raw: list[Any]
    same: list[Any]
    packed: list[Any]
    packets: list[Any]
    video: list[Any]

    @property
    def pictures(self) -> list[Any]:
        """Those that send pictures one by one."""
        return [*self.raw, *self.same, *self.packed]

    @property
    def found(self) -> list[Any]:
        """All of them."""
        return [*self.pictures, *self.packets, *self.video]


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
        self._on_image, self._starvation = on_image, StarvationWatch()
        self._video = VideoInput(on_image, lambda problem: node.get_logger().warning(f"camera {name}: {problem}"))
        self.problem, self._info_topic, self._is_video = "", "", False
        # only pictures have an event worth waiting for: for the others the watching finds out
        quiet = SubscriptionEventCallbacks(use_default_callbacks=False)
        told = SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible, use_default_callbacks=False)
        group = StoringGroup()
        self._image = TopicFollower(node, self._take_image, group, told)
        self._depth = TopicFollower(node, on_depth, group, quiet) if settings.use_depth else None
        self._info = TopicFollower(node, on_info, PacedGroup(INFO_PERIOD_S), quiet)
        self.watch()

    @property
    def topic(self) -> str:
        """The image topic, fully resolved, without a transport's suffix."""
        return base_topic(self._resolved("image"))

    @property
    def depth_topic(self) -> str:
        """The depth topic, fully resolved, without a transport's suffix."""
        return base_topic(self._resolved("depth"))

    def _find_info_topic(self) -> str:
        """Where calibration is: what was asked for, else camera_info beside the image.

        Where nobody publishes it there, but somebody on camera_info in the node's own namespace, it is that.
        """
        own = self._resolved("camera_info")
        beside = sibling_info(self._resolved("image"))
        if own != self._node.resolve_topic_name(f"{self._prefix}camera_info", only_expand=True) or own == beside:
            return own
        return own if self._publishers(own, INFO_TYPE) and not self._publishers(beside, INFO_TYPE) else beside

    def _resolved(self, name: str) -> str:
        return self._node.resolve_topic_name(f"{self._prefix}{name}")

    def _publishers(self, topic: str, kind: str) -> list[Any]:
        return [info for info in self._node.get_publishers_info_by_topic(topic) if info.topic_type == kind]

    # ------------------------------------------------------------------------------------------------- watching

    def watch(self) -> None:
        """Look at the publishers and follow them; called regularly."""
        self._watch_image()
        self._info_topic = self._find_info_topic()
        self._info.follow(choose(self._info_topic, CameraInfo, self._publishers(self._info_topic, INFO_TYPE)))
        if self._depth is not None:
            self._depth.follow(self._depth_choice())

    def _depth_choice(self) -> Choice:
        topic, packed_topic = self.depth_topic, f"{self.depth_topic}/compressedDepth"
        raw, packed = self._publishers(topic, IMAGE_TYPE), self._publishers(packed_topic, COMPRESSED_TYPE)
        asked_for_packed = self._resolved("depth") == packed_topic
        if packed and (asked_for_packed or not raw):
            return choose(packed_topic, CompressedImage, packed)
        return choose(topic, Image, raw)

    def _watch_image(self) -> None:
        topic, packed_topic, packet_topic = self.topic, f"{self.topic}/compressed", f"{self.topic}/ffmpeg"
        publishers = self._node.get_publishers_info_by_topic(topic)
        offers = Offers(
            raw=[info for info in publishers if info.topic_type == IMAGE_TYPE],
            same=[info for info in publishers if info.topic_type == COMPRESSED_TYPE],
            packed=self._publishers(packed_topic, COMPRESSED_TYPE),
            packets=self._publishers(packet_topic, PACKET_TYPE),
            video=[info for info in publishers if info.topic_type == VIDEO_TYPE],
        )
        transport, reliability = self._settings.transport, self._settings.reliability
        asked_for_packed = self._resolved("image") in (packed_topic, packet_topic)
        if transport == "auto" and asked_for_packed and (offers.packed or offers.packets or not offers.raw):
            transport = "compressed"
        if transport == "raw" or (transport == "auto" and (offers.raw or not offers.found)):
            choice = choose(topic, Image, offers.raw, reliability)
        elif offers.same:
            choice = choose(topic, CompressedImage, offers.same, reliability)
        elif offers.packed or not (offers.video or offers.packets):
            choice = choose(packed_topic, CompressedImage, offers.packed, reliability)
        else:
            kind, users = (VIDEO_TYPE, offers.video) if offers.video else (PACKET_TYPE, offers.packets)
            choice = self._video_choice(topic if offers.video else packet_topic, kind, users)
        if self._is_video:
            choice = replace(choice, depth=VIDEO_DEPTH)
        if not offers.found and self._image.choice is not None:
            choice = self._image.choice  # nobody there now: keep the ears open as they are
        if self._image.follow(choice):
            self._node.get_logger().info(f"camera {self._name}: listening to {choice}")
        self._judge(choice, publishers, offers)

    def _video_choice(self, topic: str, kind: str, users: list[Any]) -> Choice:
        """Video where its messages are installed; else what is listened to already, and a word about it."""
        message = VIDEO_CLASSES[kind]
        if message is None:
            return self._image.choice or choose(self.topic, Image, [], self._settings.reliability)
        return replace(choose(topic, message, users, self._settings.reliability), depth=VIDEO_DEPTH)

    def _judge(self, choice: Choice, publishers: list[Any], offers: Offers) -> None:
        """Say what is wrong with the publishers there are."""
        topic = self.topic
        foreign = {info.topic_type for info in publishers} - {IMAGE_TYPE, COMPRESSED_TYPE, VIDEO_TYPE}
        heard = publishers if choice.topic == topic else [*offers.packed, *offers.packets]
        video = PACKET_TYPE if offers.packets else VIDEO_TYPE if offers.video else ""
        if foreign and not offers.found:
            self._say(f"{topic} carries {', '.join(sorted(foreign))}, but {IMAGE_TYPE} or {COMPRESSED_TYPE} is needed")
        elif video and not offers.pictures and VIDEO_CLASSES[video] is None:
            package = video.partition("/")[0]
            self._say(
                f"{topic} is sent as video ({video}): install {package.replace('_', '-')} and PyAV (pip install av)"
            )
        elif choice.reliable and any(is_best_effort(info) for info in heard):
            self._say(
                f"{choice.topic} is published as best effort, and reliability is set to reliable: nothing can arrive; "
                "set it to auto or best_effort"
            )
        elif not offers.found:
            self.problem = f"nobody publishes {topic} or {topic}/compressed"
        elif self._settings.transport == "raw" and not offers.raw:
            self._say(f"{topic} has no raw image, only a compressed one, and transport is set to raw; set it to auto")
        elif self._settings.transport == "compressed" and not (offers.found and offers.found != offers.raw):
            self._say(f"{topic} has no compressed image, and transport is set to compressed; set it to auto")
        else:
            self.problem = ""

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            self._node.get_logger().warning(f"camera {self._name}: {problem}")
        self.problem = problem

    # ------------------------------------------------------------------------------------------------- messages

    def _take_image(self, msg: Any) -> None:
        if codec_of(msg):
            self._is_video = True
            self._video.put(msg)
            return
        self._on_image(msg)
        choice = self._image.choice
        if choice is None or choice.reliable:
            return
        if self._starvation.note(stamp_to_ns(msg.header.stamp), len(msg.data), time.monotonic()):
            self._node.get_logger().warning(
                f"camera {self._name}: most pictures of {choice.topic} get lost on their way (best effort, "
                f"{len(msg.data) / 1e6:.1f} MB each): Fast DDS's shared memory segment is too small for them; start "
                "camera and node with config/fastdds_large_images.xml of this package as Fast DDS's default profile, "
                "or have the camera publish reliably"
            )

    def _on_incompatible(self, event: Any) -> None:
        self._node.get_logger().warning(
            f"camera {self._name}: a publisher of {self._image.choice} offers another quality of service "
            f"(policy {getattr(event, 'last_policy_kind', '?')}); looking again"
        )

    def has_publisher(self) -> bool:
        """Whether somebody publishes pictures that are listened to."""
        return not self.problem

    def topics(self) -> tuple[str, str, str]:
        """The image, depth and camera_info topics, fully resolved."""
        return self.topic, self.depth_topic, self._info_topic

    def describe(self) -> str:
        """What it listens to and what is wrong, for people."""
        return self.problem or f"listening to {self._image.choice}"

    def close(self) -> None:
        """Drop all subscriptions."""
        for follower in (self._image, self._depth, self._info):
            if follower is not None:
                follower.close()
        self._video.close()

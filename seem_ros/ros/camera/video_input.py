# SPDX-License-Identifier: Apache-2.0
"""Turns a camera's H.264 or H.265 packets into image messages, on a thread of its own.

Pictures may be dropped, packets may not: each needs the ones before it. So packets are decoded as they come, and what
follows takes the newest picture as from any other camera.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from std_msgs.msg import Header

from seem_ros.errors import FrameError
from seem_ros.perception.pictures.video_stream import VideoStream
from seem_ros.ros.messages.images import array_to_image

try:
    from ffmpeg_image_transport_msgs.msg import FFMPEGPacket
except ImportError:
    FFMPEGPacket = None
try:
    from foxglove_msgs.msg import CompressedVideo
except ImportError:
    CompressedVideo = None

PACKET_TYPE = "ffmpeg_image_transport_msgs/msg/FFMPEGPacket"
VIDEO_TYPE = "foxglove_msgs/msg/CompressedVideo"
# Message classes of video by their type; None where the package is not installed.
VIDEO_CLASSES: dict[str, type | None] = {PACKET_TYPE: FFMPEGPacket, VIDEO_TYPE: CompressedVideo}
# Two seconds at 30 a second: who is further behind begins anew with the next key frame.
MAX_PACKETS = 60
WARN_EVERY_S = 5.0
_END = None


class VideoInput:
    """Decodes packets in their order.

    Args:
        on_image: Takes each picture as sensor_msgs/Image, rgb8, with the packet's stamp and frame.
        warn: Told what goes wrong, every few seconds at most.
    """

    def __init__(self, on_image: Callable[[Any], None], warn: Callable[[str], None]) -> None:
        self._on_image, self._warn, self._warned_s = on_image, warn, float("-inf")
        self._packets: queue.Queue[Any] = queue.Queue(MAX_PACKETS)
        self._thread: threading.Thread | None = None
        self._behind = False

    def put(self, msg: Any) -> None:
        """A packet arrived; called on executor threads."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="video", daemon=True)
            self._thread.start()
        try:
            self._packets.put_nowait(msg)
        except queue.Full:
            self._behind = True

    def _run(self) -> None:
        stream = VideoStream()
        while (msg := self._packets.get()) is not _END:
            if self._behind:
                self._behind, stream = False, VideoStream()
                self._say("video packets come faster than they are decoded; going on with the next key frame")
            try:
                rgb = stream.decode(msg)
                if rgb is not None:
                    self._on_image(array_to_image(rgb, header_of(msg)))
            except FrameError as error:
                self._say(str(error))
            except Exception as error:  # nothing ends the thread but `close`
                self._say(f"internal error in video: {type(error).__name__}: {error}")

    def _say(self, problem: str) -> None:
        now = time.monotonic()
        if now - self._warned_s >= WARN_EVERY_S:
            self._warned_s = now
            self._warn(problem)

    def close(self) -> None:
        """End the thread; packets that wait are dropped."""
        if self._thread is None:
            return
        while True:
            try:
                self._packets.put_nowait(_END)
                break
            except queue.Full:
                self._packets.get()
        self._thread.join(2.0)
        self._thread = None


def header_of(msg: Any) -> Header:
    """Stamp and frame of a packet: Foxglove's messages have no header."""
    return msg.header if hasattr(msg, "header") else Header(stamp=msg.timestamp, frame_id=msg.frame_id)

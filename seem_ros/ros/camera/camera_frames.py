# SPDX-License-Identifier: Apache-2.0
"""The frames of one camera: kept as they come, completed with depth and place, encoded once, and found again by stamp.

Messages arrive on executor threads, which only store them. Everything under "inference thread" runs on the thread that
owns the model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

from seem_ros.errors import FrameError
from seem_ros.perception.pictures.decoder import PictureDecoder
from seem_ros.perception.segmenter import EncodedFrame, Segmenter
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.segments import Segments
from seem_ros.ros.camera.depth_lookup import DepthLookup
from seem_ros.ros.camera.frame_buffer import FrameRing, StoredFrame, seconds
from seem_ros.ros.camera.subscriber import CameraInput
from seem_ros.ros.camera.waiting_frame import WaitingFrame
from seem_ros.ros.messages.images import NS_PER_S
from seem_ros.ros.monitoring.statistics import Statistics
from seem_ros.ros.parameters import Settings
from seem_ros.ros.transforms.buffer import TransformBuffer
from seem_ros.runtime.interface import ImageFeatures

MEGABYTE = 1024 * 1024


class CameraFrames:
    """What a camera sent, and which of it waits to be looked at.

    Args:
        name: The camera's name.
        segmenter: Encodes frames.
        settings: Of the node.
        statistics: Where times and counts go.
        logger: An rclpy logger.
        get_input: Gives the subscriptions, or None while there are none.
        buffer: The robot's frames.

    Attributes:
        enabled: Whether frames are looked at; they are kept all the same.
        scale: How deep pictures are scaled to 8 bits; "" where they are not.
    """

    def __init__(
        self,
        name: str,
        segmenter: Segmenter,
        settings: Settings,
        statistics: Statistics,
        logger: Any,
        get_input: Callable[[], CameraInput | None],
        buffer: TransformBuffer,
    ) -> None:
        self.name, self.settings, self.statistics, self.enabled, self.scale = name, settings, statistics, False, ""
        self._segmenter, self._logger, self._input, self._buffer = segmenter, logger, get_input, buffer
        self._ring = FrameRing(settings.history_frames, settings.history_mb * MEGABYTE)
        self._depth = DepthLookup(name, logger, self._topics, buffer)
        self._decoder = PictureDecoder()
        self._waiting = WaitingFrame()
        self._first_frame = threading.Event()
        self._processed: StoredFrame | None = None
        self._encoded: tuple[StoredFrame, EncodedFrame] | None = None

    # ------------------------------------------------------------- executor threads: messages are stored, nothing else

    def on_image(self, msg: Any) -> None:
        """An image arrived; the one that still waited is dropped."""
        stored = StoredFrame(msg, self.name, decoder=self._decoder)
        self.statistics.count("received")
        jumps = self._ring.jumps
        if not self._ring.add(stored):
            self.statistics.count("late")
            return
        if self._ring.jumps > jumps:  # a bag that loops without /clock tells it by its pictures alone
            self._buffer.forget_moving(after_ns=stored.time_ns + NS_PER_S)
        first = self._waiting.peek()
        keep = (
            bool(self.settings.target_frame) and first is not None and not self._depth.is_settled(first, self.settings)
        )
        dropped = self._waiting.put(stored, keep)
        self._first_frame.set()
        if dropped and self.enabled and not self.is_idle:
            self.statistics.count("dropped")

    @property
    def is_idle(self) -> bool:
        """Whether nobody wants results, so that frames are kept and nothing else."""
        return False

    def on_depth(self, msg: Any) -> None:
        """A depth image arrived."""
        self._depth.on_depth(msg)

    def on_info(self, msg: Any) -> None:
        """Calibration arrived."""
        self._depth.on_info(msg)

    def forget_frames(self) -> None:
        """Drop all kept frames; targets stay."""
        self._waiting.clear()
        self._first_frame.clear()
        self._ring.clear()
        self._depth.clear()

    def _topics(self) -> tuple[str, str, str]:
        opened = self._input()
        return ("image", "depth", "camera_info") if opened is None else opened.topics()

    def describe_input(self) -> str:
        """What the camera listens to and what is wrong with it, for people."""
        opened = self._input()
        return "not listening" if opened is None else opened.describe()

    def is_published(self) -> bool:
        """Whether somebody publishes pictures for it, so that a first one will come."""
        opened = self._input()
        return opened is not None and opened.has_publisher()

    def no_frame_yet(self) -> FrameError:
        """What to tell a caller before the first frame."""
        return FrameError(f"camera {self.name} has sent no frame yet; {self.describe_input()}")

    def wait_for_first_frame(self, timeout_s: float) -> bool:
        """Block until a frame has arrived; False where none did in time."""
        return self._first_frame.wait(timeout_s)

    @property
    def is_still(self) -> bool:
        """Whether the camera sends one picture and then no other."""
        return self._ring.is_still

    @property
    def depth_problem(self) -> str:
        """Why there are no positions; empty where there are, or nobody wants them."""
        return self._depth.reason

    def counts(self) -> dict[str, int]:
        """What became of frames, for diagnostics."""
        return {"late": self._ring.late, "without_depth": self._depth.without, "time_jumps": self._ring.jumps}

    def newest_header(self) -> tuple[str, int] | None:
        """Frame and stamp, nanoseconds, of the newest picture; None before the first."""
        newest = self._ring.newest()
        return None if newest is None else (newest.header.frame_id, newest.stamp_ns)

    def age_s(self) -> float | None:
        """Seconds since the last frame arrived; None before the first."""
        newest = self._ring.newest()
        return None if newest is None else newest.age_s

    # ---------------------------------------------------------------------------------------------- inference thread

    def kept_stamp(self, stamp_ns: int) -> int:
        """The stamp, where a frame of it is kept; 0, the newest, where not: tools stamp with their own clock.

        Where the camera stands still, as of a paused bag, it is that of the last frame: who clicks sees that one.
        """
        try:
            self._ring.at(stamp_ns, self.settings.stamp_tolerance_s)
        except FrameError:
            newest = self._ring.newest()
            if newest is None or newest.age_s <= self.settings.camera_timeout_s:
                return 0
            return newest.time_ns
        return stamp_ns

    def pixel_of(self, x_m: float, y_m: float, z_m: float) -> tuple[float, float]:
        """Where a point of the camera's optical frame is seen in its newest picture.

        Raises:
            SeemError: No picture yet, no calibration, or the point is behind the camera.
        """
        newest = self._ring.newest()
        if newest is None:
            raise self.no_frame_yet()
        frame = newest.frame()
        return self._depth.lens(frame.height, frame.width, self.settings).pixel_of(x_m, y_m, z_m)

    def _encode(self, stored: StoredFrame, frame: Frame) -> EncodedFrame:
        if self._encoded is None or self._encoded[0] is not stored:
            encoded = self._segmenter.encode(frame)

            @cache
            def timed() -> ImageFeatures:
                with self.statistics.stage("encode"):
                    return encoded.features

            self._encoded = (stored, replace(encoded, encode=timed))
        elif self._encoded[1].frame is not frame:  # the same picture, with the depth that came since
            self._encoded = (stored, replace(self._encoded[1], frame=frame))
        return self._encoded[1]

    def _say_scale(self, stored: StoredFrame) -> None:
        """Say once that deep pictures are scaled by what they hold."""
        if stored.scale is not None and not self.scale:
            encoding = getattr(stored.msg, "encoding", "") or getattr(stored.msg, "format", "")
            self._logger.info(
                f"camera {self.name}: {encoding[:40]} has more than 8 bits; they are scaled by content, now "
                f"{stored.scale} (see /diagnostics)"
            )
        self.scale = str(stored.scale or "")

    def _remember(self, stored: StoredFrame) -> None:
        if self._processed is not None and self._processed is not stored:
            self._processed.release()
        self._processed = stored

    def _release(self, used: Sequence[StoredFrame]) -> None:
        for stored in used:
            if stored is not self._processed:
                stored.release()

    def _complete(self, stored: StoredFrame) -> Callable[[Frame], Frame]:
        return lambda frame: self._depth.complete(stored, frame, self.settings)

    def _readable(self, replay: Sequence[StoredFrame]) -> list[Frame]:
        """The pictures of frames, but for those that cannot be read: each was complained about when it came."""
        pictures = []
        for stored in replay:
            with suppress(FrameError):
                pictures.append(stored.frame(self._complete(stored)))
        return pictures

    @staticmethod
    def _shown(segments: Segments, stored: StoredFrame, replay: Sequence[StoredFrame]) -> StoredFrame:
        """The frame that a result is of: the named one where nothing was found that could be followed any further."""
        return next((one for one in replay if one.time_ns == segments.stamp_ns), stored)

    def _newest_placed(self, newest: StoredFrame) -> StoredFrame:
        """The newest frame, or one a little older whose place is known while the newest's is still on its way."""
        if not self.settings.target_frame:
            return newest
        until_ns = newest.time_ns - int(2 * self.settings.transform_wait_s * NS_PER_S)
        kept = self._ring.newest_first(until_ns)
        return next((one for one in kept if self._depth.is_placed(one, self.settings)), newest)

    def _named_frame(
        self, stamp_ns: int, before: StoredFrame | None
    ) -> tuple[StoredFrame, EncodedFrame, tuple[StoredFrame, ...]]:
        """The frame that a call means, encoded, and the frames since then.

        Args:
            stamp_ns: Of the frame; 0 = the newest.
            before: The frame that had been processed when the call came.

        Raises:
            FrameError: There is no such frame, or the camera is gone.
        """
        newest = self._ring.newest()
        if newest is None:
            raise self.no_frame_yet()
        age_s = newest.age_s
        if not stamp_ns and age_s > self.settings.camera_timeout_s and not self._ring.is_still:
            raise FrameError(
                f"camera {self.name} is gone: its last frame came {age_s:.1f} s ago (camera_timeout_s is "
                f"{self.settings.camera_timeout_s:g}); {self.describe_input()}; to use that frame name its stamp, "
                f"{seconds(newest.time_ns)}"
            )
        if stamp_ns:
            stored = self._ring.at(stamp_ns, self.settings.stamp_tolerance_s)
        else:  # a frame that arrived in between is not waited for
            after = self._processed if self._processed is not before else None
            stored = self._newest_placed(newest) if after is None else after
        until = self._processed if self._processed is not None and self.enabled else newest
        replay = self._ring.between(stored, until, self.settings.max_replay_frames) if stamp_ns else ()
        return stored, self._encode(stored, stored.frame(self._complete(stored))), replay

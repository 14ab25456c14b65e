# SPDX-License-Identifier: Apache-2.0
"""The newest frames of a camera, so that a request may name the one it was drawn on.

A message is kept as it came and becomes a picture only when somebody looks at it: a frame that is dropped costs
nothing.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seem_ros.errors import FrameError
from seem_ros.perception.pictures.decoder import PictureDecoder
from seem_ros.perception.pictures.grey_scale import GreyScale
from seem_ros.perception.structures.frame import Frame
from seem_ros.ros.messages.images import NS_PER_S, stamp_to_ns

# USB cameras and busy networks swap neighbours; further back is a bag that loops or a simulator that was reset.
LATE_S = 1.0
# Frames in a row that are late: a loop shorter than a second is late all the time, swapped neighbours are not.
LATE_IN_A_ROW = 2


@dataclass(eq=False)
class StoredFrame:
    """One image message and, once asked for, its picture.

    Attributes:
        msg: sensor_msgs Image or CompressedImage.
        camera: The camera's name.
        arrived_s: Monotonic time of arrival.
        arrived_ns: The same on the wall clock, nanoseconds: what tells frames apart where a camera sends no stamps.
        decoder: Of the camera; it keeps the brightness of deep pictures steady.
        convert_s: What the conversion took; 0 before.
        scale: How deep pixels became 8 bits; None before the conversion, and for 8-bit pictures.
    """

    msg: Any
    camera: str
    arrived_s: float = field(default_factory=time.monotonic)
    arrived_ns: int = field(default_factory=time.time_ns)
    decoder: PictureDecoder = field(default_factory=PictureDecoder)
    convert_s: float = 0.0
    scale: GreyScale | None = None
    _frame: Frame | None = None

    @property
    def header(self) -> Any:
        """Of the source image."""
        return self.msg.header

    @property
    def stamp_ns(self) -> int:
        """Of the source image, as it was sent: 0 where the camera sends no stamps."""
        return stamp_to_ns(self.msg.header.stamp)

    @property
    def time_ns(self) -> int:
        """The stamp, or the arrival on the wall clock where the camera sends none: what requests may name."""
        return self.stamp_ns or self.arrived_ns

    @property
    def age_s(self) -> float:
        """Seconds since it arrived."""
        return time.monotonic() - self.arrived_s

    @property
    def has_picture(self) -> bool:
        """Whether it was converted already."""
        return self._frame is not None

    def frame(self, complete: Callable[[Frame], Frame] | None = None) -> Frame:
        """The picture, converted on the first call. Only the inference thread calls this.

        Args:
            complete: Adds depth, lens and the camera's place, as far as they are known.

        Raises:
            FrameError: The message cannot be read.
        """
        if self._frame is None:
            begin = time.perf_counter()
            picture = self.decoder.decode(self.msg, self.scale)
            self.scale = picture.scale
            self._frame = Frame(picture.rgb, self.time_ns, self.header.frame_id, self.camera)
            self.convert_s = time.perf_counter() - begin
        lacking = self._frame.depth_m is None or (self._frame.target_frame and self._frame.target_from_camera is None)
        if complete is not None and lacking:  # also later: depth and transforms may come after their picture
            self._frame = complete(self._frame)
        return self._frame

    def release(self) -> None:
        """Forget the picture; the message stays, and makes it again when somebody asks."""
        self._frame = None

    @property
    def size_bytes(self) -> int:
        """Memory that the message takes, and its picture once it was made: of a JPEG that is twenty times as much."""
        frame = self._frame
        return len(self.msg.data) + (frame.rgb.nbytes if frame is not None else 0)


class FrameRing:
    """A bounded, thread-safe buffer of stored frames in order of their stamps.

    Time that goes far back (a bag that loops, a simulator that is reset) empties it: the old frames are another story.
    A frame that is a little older than the newest is late, and not taken: the newer one was looked at already.

    Attributes:
        jumps: How often time went back.
        late: Frames that were not taken because they came too late.
    """

    def __init__(self, max_frames: int, max_bytes: int) -> None:
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._frames: deque[StoredFrame] = deque()
        self._lock = threading.Lock()
        self._late_in_a_row = self._taken = 0
        self.jumps = self.late = 0

    def add(self, stored: StoredFrame) -> bool:
        """Keep a frame, and forget the oldest ones beyond the bounds; False for a frame that came too late."""
        with self._lock:
            back_ns = self._frames[-1].time_ns - stored.time_ns if self._frames else 0
            if 0 < back_ns <= LATE_S * NS_PER_S and self._late_in_a_row < LATE_IN_A_ROW:
                self._late_in_a_row += 1
                self.late += 1
                return False
            if back_ns > 0:
                self._frames.clear()
                self.jumps += 1
            self._late_in_a_row = 0
            self._taken += 1
            self._frames.append(stored)
            sizes = [
                frame.size_bytes for frame in self._frames
            ]  # a picture is made, and released, after its message came
            total = sum(sizes)
            for size in sizes[:-1]:
                if len(self._frames) <= self._max_frames and total <= self._max_bytes:
                    break
                self._frames.popleft()
                total -= size
            return True

    @property
    def is_still(self) -> bool:
        """Whether one picture came and no other: a still picture, latched or sent once, is never too old."""
        return self._taken == 1

    def newest(self) -> StoredFrame | None:
        """The last frame, or None before the first."""
        with self._lock:
            return self._frames[-1] if self._frames else None

    def newest_first(self, until_ns: int) -> tuple[StoredFrame, ...]:
        """The frames back to a time, the last one first."""
        with self._lock:
            return tuple(stored for stored in reversed(self._frames) if stored.time_ns >= until_ns)

    def at(self, stamp_ns: int, tolerance_s: float) -> StoredFrame:
        """The frame of a stamp, or the nearest within the tolerance.

        Raises:
            FrameError: There is none; the message gives the range that is kept.
        """
        with self._lock:
            frames = tuple(self._frames)
        if not frames:
            raise FrameError("no frame has arrived yet")
        best = min(reversed(frames), key=lambda stored: abs(stored.time_ns - stamp_ns))
        if abs(best.time_ns - stamp_ns) > tolerance_s * NS_PER_S:
            raise FrameError(
                f"there is no frame of stamp {seconds(stamp_ns)}; kept are {len(frames)} frames from "
                f"{seconds(frames[0].time_ns)} to {seconds(frames[-1].time_ns)}"
            )
        return best

    def between(self, after: StoredFrame, until: StoredFrame, at_most: int) -> tuple[StoredFrame, ...]:
        """The frames after one and up to another, thinned out evenly to ``at_most``; the last is always among them."""
        with self._lock:
            frames = [stored for stored in self._frames if after.time_ns < stored.time_ns <= until.time_ns]
        if len(frames) <= at_most:
            return tuple(frames)
        return tuple(frames[round(index)] for index in np.linspace(0, len(frames) - 1, at_most + 1)[1:])

    def clear(self) -> None:
        """Forget all frames."""
        with self._lock:
            self._frames.clear()
            self._taken = 0


def seconds(stamp_ns: int) -> str:
    """A stamp for people: seconds and nanoseconds as a request takes them."""
    return f"{stamp_ns // NS_PER_S}.{stamp_ns % NS_PER_S:09d}"

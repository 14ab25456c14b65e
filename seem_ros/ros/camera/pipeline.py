# SPDX-License-Identifier: Apache-2.0
"""One camera from image message to published targets, and the calls that concern it.

Messages arrive on executor threads, which only store them. Everything under "inference thread" runs on the thread that
owns the model.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seem_ros.errors import FrameError, SeemError
from seem_ros.perception.masks.merging import empty_segments, merge, with_names
from seem_ros.perception.segmenter import EncodedFrame, Segmenter
from seem_ros.perception.structures.frame import Frame, Intrinsics
from seem_ros.perception.structures.prompts import Prompt
from seem_ros.perception.structures.segments import Segments
from seem_ros.perception.tracking.target import IdAllocator, TargetInfo
from seem_ros.perception.tracking.tracker import Tracker
from seem_ros.ros.camera.depth_sync import DepthPairing
from seem_ros.ros.camera.frame_buffer import FrameRing, StoredFrame, seconds
from seem_ros.ros.camera.publisher import CameraOutput
from seem_ros.ros.messages.images import image_to_depth, intrinsics_of
from seem_ros.ros.parameters import Settings
from seem_ros.ros.statistics import Statistics

WARN_EVERY_S = 5.0
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Found:
    """The answer to a call.

    Attributes:
        segments: With users' names; ``answers`` one per prompt.
        header: Of the frame used.
        target_ids: One per prompt, 0 = none.
        new_ids: Targets that did not exist before the call.
        message: What to tell the user.
    """

    segments: Segments
    header: Any
    target_ids: tuple[int, ...]
    new_ids: tuple[int, ...] = ()
    message: str = ""


class CameraPipeline:
    """Frames, targets and outputs of one camera.

    Args:
        name: The camera's name.
        segmenter: Shared by all cameras.
        ids: Shared by all cameras.
        output: Publishers, or None to publish nothing.
        settings: Of the node; exchanged as a whole by `apply`.
        statistics: Where times and counts go.
        logger: An rclpy logger.
        describe_input: Says what the camera listens to, for answers before the first frame.
    """

    def __init__(
        self,
        name: str,
        segmenter: Segmenter,
        ids: IdAllocator,
        output: CameraOutput | None,
        settings: Settings,
        statistics: Statistics,
        logger: Any,
        describe_input: Callable[[], str],
    ) -> None:
        self.name, self.output, self.statistics = name, output, statistics
        self.settings, self.enabled, self.names = settings, False, {}
        self.tracker = Tracker(segmenter, settings.tracker_config(segmenter.spec.thresholds), ids)
        self.ring = FrameRing(settings.history_frames, settings.history_mb * MEGABYTE)
        self.pairing = DepthPairing()
        self.last_error = ""
        self._segmenter, self._logger, self._describe_input = segmenter, logger, describe_input
        self._lock = threading.Lock()
        self._pending: StoredFrame | None = None
        self.info: Any = None
        self._processed: StoredFrame | None = None
        self._encoded: tuple[StoredFrame, EncodedFrame] | None = None
        self._last_begin_s = self._last_warning_s = float("-inf")
        self.targets: tuple[TargetInfo, ...] = ()

    # ------------------------------------------------------------- executor threads: messages are stored, nothing else

    def on_image(self, msg: Any) -> None:
        """An image arrived; the one that still waited is dropped."""
        stored = StoredFrame(msg, self.name)
        self.ring.add(stored)
        with self._lock:
            dropped, self._pending = self._pending, stored
        self.statistics.count("received")
        if dropped is not None and self.enabled:
            self.statistics.count("dropped")

    def on_depth(self, msg: Any) -> None:
        """A depth image arrived."""
        self.pairing.add(msg)

    def on_info(self, msg: Any) -> None:
        """Calibration arrived."""
        self.info = msg

    def forget_frames(self) -> None:
        """Drop all kept frames; targets stay."""
        with self._lock:
            self._pending = None
        self.ring.clear()
        self.pairing.clear()
        self.info = None

    def apply(self, settings: Settings) -> None:
        """Use other settings from the next frame on."""
        self.tracker.config = settings.tracker_config(self._segmenter.spec.thresholds)
        self.settings = settings

    def age_s(self) -> float | None:
        """Seconds since the last frame arrived; None before the first."""
        newest = self.ring.newest()
        return None if newest is None else time.monotonic() - newest.arrived_s

    # ---------------------------------------------------------------------------------- inference thread: the frames

    def has_frame(self) -> bool:
        """Whether a frame waits."""
        return self.enabled and self._pending is not None

    def is_ready(self) -> bool:
        """Whether the waiting frame may be taken: not too early for the rate, and its depth here or not expected."""
        with self._lock:
            stored = self._pending
        if stored is None or not self.enabled:
            return False
        now, settings = time.monotonic(), self.settings
        if settings.max_rate_hz > 0 and now - self._last_begin_s < 1.0 / settings.max_rate_hz:
            return False
        if self.info is None or not self.pairing.alive or now - stored.arrived_s >= settings.depth_wait_s:
            return True
        return self.pairing.settled(stored.stamp_ns, settings.depth_tolerance_s)

    def process(self) -> None:
        """Take the waiting frame, follow the targets into it, and publish."""
        with self._lock:
            stored, self._pending = self._pending, None
        if stored is None:
            return
        self._last_begin_s = time.monotonic()
        listening = self.output is not None and self.output.wanted()
        if not listening and not len(self.tracker):
            self._remember(stored)
            return
        begin = time.perf_counter()
        try:
            self._process(stored)
        except SeemError as error:
            self._complain(error)
            return
        now = time.monotonic()
        self.statistics.took("total", time.perf_counter() - begin)
        self.statistics.took("latency", now - stored.arrived_s)
        self.statistics.published()
        self.last_error = ""

    def _process(self, stored: StoredFrame) -> None:
        fresh = not stored.has_picture
        frame = stored.frame(lambda height, width: self._depth(stored.stamp_ns, height, width))
        if fresh:
            self.statistics.took("convert", stored.convert_s)
        if len(self.tracker):
            encoded = self._encode(stored, frame)
            with self.statistics.stage("decode"):
                segments = self.tracker.step(encoded)
        else:
            segments = empty_segments(frame, self.settings.wide_labels)
        self._remember(stored)
        self.targets = self.tracker.targets()
        if self.output is None:
            return
        if self.settings.panoptic and self.output.wanted():
            encoded = self._encode(stored, frame)
            with self.statistics.stage("panoptic"):
                segments = self._with_panoptic(segments, encoded)
        segments = with_names(segments, self.names)
        self.output.publish(frame, stored.header, segments, self.targets, self.names, self.settings)

    def _remember(self, stored: StoredFrame) -> None:
        if self._processed is not None and self._processed is not stored:
            self._processed.release()
        self._processed = stored

    def _with_panoptic(self, segments: Segments, encoded: EncodedFrame) -> Segments:
        others = self._segmenter.panoptic(frame=encoded, wide=self.settings.wide_labels)
        return merge(segments, others, reserved=[target.value for target in self.tracker.targets()])

    def _encode(self, stored: StoredFrame, frame: Frame) -> EncodedFrame:
        if self._encoded is None or self._encoded[0] is not stored:
            with self.statistics.stage("encode"):
                self._encoded = (stored, self._segmenter.encode(frame))
        return self._encoded[1]

    def _depth(self, stamp_ns: int, height: int, width: int) -> tuple[np.ndarray | None, Intrinsics | None]:
        """Depth and intrinsics of an image; without them there are no positions, but everything else."""
        info = self.info
        message = self.pairing.match(stamp_ns, self.settings.depth_tolerance_s)
        if info is None or message is None:
            return None, None
        intrinsics = intrinsics_of(info, height, width)
        if intrinsics is None:
            self._complain(
                FrameError(
                    f"camera_info is for {info.width}x{info.height} or not calibrated, the image has "
                    f"{width}x{height}: no positions"
                )
            )
            return None, None
        try:
            depth_m = image_to_depth(message)
        except FrameError as error:
            self._complain(FrameError(f"depth: {error}: no positions"))
            return None, None
        if depth_m.shape != (height, width):
            self._complain(
                FrameError(
                    f"depth has {depth_m.shape[1]}x{depth_m.shape[0]} pixels, the image "
                    f"{width}x{height}; register it to the image: no positions"
                )
            )
            return None, None
        return depth_m, intrinsics

    def _complain(self, error: Exception) -> None:
        self.last_error = str(error)
        self.statistics.count("errors")
        now = time.monotonic()
        if now - self._last_warning_s >= WARN_EVERY_S:
            self._last_warning_s = now
            self._logger.warning(f"camera {self.name}: {error}")

    # ----------------------------------------------------------------------------------- inference thread: the calls

    def segment(self, prompts: Sequence[Prompt], panoptic: bool, stamp_ns: int) -> Found:
        """Answer prompts about a frame, and forget them.

        Raises:
            SeemError: No such frame, or a prompt that does not fit it.
        """
        stored, encoded, _ = self._asked_frame(stamp_ns, follow=False)
        segments = segment_picture(self._segmenter, prompts, panoptic, encoded, self.settings.wide_labels)
        return Found(segments, stored.header, (0,) * len(prompts), message=segments.message)

    def start(self, prompts: Sequence[Prompt], labels: Sequence[str], panoptic: bool, stamp_ns: int) -> Found:
        """Start a target for each prompt that finds something, on the frame it was drawn on, and bring it up to now.

        Raises:
            SeemError: No such frame, a prompt that does not fit it, or no room.
        """
        stored, encoded, replay = self._asked_frame(stamp_ns, follow=True)
        before = {target.target_id for target in self.tracker.targets()}
        result = self.tracker.start(prompts, encoded, [each.frame(self._depth_of(each)) for each in replay])
        new = tuple(one for one in dict.fromkeys(result.target_ids) if one and one not in before)
        self.names.update({one: name for one, name in zip(result.target_ids, labels) if one and name})
        segments, last = result.segments, replay[-1] if replay else stored
        if panoptic:
            segments = self._with_panoptic(segments, self._segmenter.encode(last.frame()))
        self.targets = self.tracker.targets()
        self._release((stored, *replay))
        return Found(with_names(segments, self.names), last.header, result.target_ids, new, segments.message)

    def refine(self, target_id: int, prompt: Prompt, label: str, stamp_ns: int) -> Found:
        """Another round on a target.

        Raises:
            SeemError: No such target or frame, or a prompt that does not fit it.
        """
        self.tracker.target(target_id)  # an unknown target is said before anything about frames
        stored, encoded, replay = self._asked_frame(stamp_ns, follow=True)
        result = self.tracker.refine(target_id, prompt, encoded, [each.frame(self._depth_of(each)) for each in replay])
        if label:
            self.names[target_id] = label
        self.targets = self.tracker.targets()
        last = replay[-1] if replay else stored
        self._release((stored, *replay))
        segments = with_names(result.segments, self.names)
        return Found(segments, last.header, result.target_ids, message=segments.message)

    def remove(self, ids: Sequence[int]) -> tuple[int, ...]:
        """End targets; without ids all of them.

        Raises:
            TargetError: An id is unknown; nothing was changed.
        """
        removed = self.tracker.remove(ids)
        for target_id in removed:
            self.names.pop(target_id, None)
        self.targets = self.tracker.targets()
        return removed

    def _release(self, used: Sequence[StoredFrame]) -> None:
        for stored in used:
            if stored is not self._processed:
                stored.release()

    def _depth_of(self, stored: StoredFrame) -> Callable[[int, int], tuple[np.ndarray | None, Intrinsics | None]]:
        return lambda height, width: self._depth(stored.stamp_ns, height, width)

    def _asked_frame(self, stamp_ns: int, follow: bool) -> tuple[StoredFrame, EncodedFrame, tuple[StoredFrame, ...]]:
        """The frame that a call means, encoded, and the frames since then.

        With ``follow`` the targets that live already see the newest frame first, before others start on it.
        """
        before = self._processed
        if follow and self._pending is not None and self.enabled:
            self.process()
        newest = self.ring.newest()
        if newest is None:
            raise FrameError(f"camera {self.name} has sent no frame yet; {self._describe_input()}")
        age_s = time.monotonic() - newest.arrived_s
        if not stamp_ns and age_s > self.settings.camera_timeout_s:
            raise FrameError(
                f"camera {self.name} is gone: its last frame came {age_s:.1f} s ago (camera_timeout_s is "
                f"{self.settings.camera_timeout_s:g}); {self._describe_input()}; to use that frame name its stamp, "
                f"{seconds(newest.stamp_ns)}"
            )
        if stamp_ns:
            stored = self.ring.at(stamp_ns, self.settings.stamp_tolerance_s)
        else:  # a frame that arrived in between is not waited for
            stored = self._processed if self._processed is not before else newest
        until = self._processed if self._processed is not None and self.enabled else newest
        replay = self.ring.between(stored, until, self.settings.max_replay_frames) if stamp_ns else ()
        return stored, self._encode(stored, stored.frame(self._depth_of(stored))), replay


def segment_picture(
    segmenter: Segmenter, prompts: Sequence[Prompt], panoptic: bool, frame: Frame | EncodedFrame, wide: bool
) -> Segments:
    """Answers to prompts, and the whole vocabulary where wanted, about one picture.

    Raises:
        SeemError: A prompt does not fit the picture, or the model has no vocabulary.
    """
    segments = segmenter.segment(prompts, frame, wide=wide)
    if not panoptic:
        return segments
    return merge(segments, segmenter.panoptic(frame=frame, wide=wide))

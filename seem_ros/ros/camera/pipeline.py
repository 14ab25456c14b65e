# SPDX-License-Identifier: Apache-2.0
"""One camera from image message to published targets, and the calls that concern it.

Messages arrive on executor threads, which only store them. Everything under "inference thread" runs on the thread that
owns the model.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seem_ros.errors import FrameError, SeemError
from seem_ros.perception.masks.merging import empty_segments, merge, with_names
from seem_ros.perception.objects.taught import TaughtView
from seem_ros.perception.pictures.decoder import PictureDecoder
from seem_ros.perception.segmenter import EncodedFrame, Segmenter
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Prompt
from seem_ros.perception.structures.segments import Segments
from seem_ros.perception.tracking.target import ROUNDS_KEPT, IdAllocator, TargetInfo
from seem_ros.perception.tracking.tracker import Tracker
from seem_ros.ros.camera.depth_lookup import DepthLookup
from seem_ros.ros.camera.frame_buffer import FrameRing, StoredFrame, seconds
from seem_ros.ros.camera.publisher import CameraOutput
from seem_ros.ros.camera.subscriber import CameraInput
from seem_ros.ros.camera.waiting_frame import WaitingFrame
from seem_ros.ros.find.search import Searches
from seem_ros.ros.messages.images import NS_PER_S
from seem_ros.ros.monitoring.statistics import Statistics
from seem_ros.ros.objects.lesson import view_of_mask, view_of_prompt
from seem_ros.ros.parameters import Settings
from seem_ros.ros.transforms.buffer import TransformBuffer

WARN_EVERY_S = 5.0
# Of an error that no further frame repeats or refutes, because nobody listens any more.
ERROR_SHOWN_S = 10.0
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
        get_input: Gives the subscriptions, or None while there are none.
        buffer: The robot's frames.
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
        get_input: Callable[[], CameraInput | None],
        buffer: TransformBuffer,
    ) -> None:
        self.name, self.output, self.statistics = name, output, statistics
        self.settings, self.enabled, self.names = settings, False, {}
        self._tracker = Tracker(segmenter, settings.tracker_config(segmenter.spec.postprocess), ids)
        self._ring = FrameRing(settings.history_frames, settings.history_mb * MEGABYTE)
        self._depth = DepthLookup(name, logger, self._topics, buffer)
        self._decoder = PictureDecoder()
        self._error, self._error_s = "", float("-inf")
        self._segmenter, self._logger, self._input = segmenter, logger, get_input
        self._waiting = WaitingFrame()
        self._first_frame = threading.Event()
        self._processed: StoredFrame | None = None
        self._encoded: tuple[StoredFrame, EncodedFrame] | None = None
        self.scale = ""
        self._last_begin_s = self._last_warning_s = float("-inf")
        self._names_before: dict[int, tuple[str, ...]] = {}
        self.targets: tuple[TargetInfo, ...] = ()
        self.searches = Searches(segmenter, self._tracker, self._found_one, self._why_no_frame)

    # ------------------------------------------------------------- executor threads: messages are stored, nothing else

    def on_image(self, msg: Any) -> None:
        """An image arrived; the one that still waited is dropped."""
        stored = StoredFrame(msg, self.name, decoder=self._decoder)
        self.statistics.count("received")
        if not self._ring.add(stored):
            self.statistics.count("late")
            return
        first = self._waiting.peek()
        keep = (
            bool(self.settings.target_frame) and first is not None and not self._depth.is_settled(first, self.settings)
        )
        dropped = self._waiting.put(stored, keep)
        self._first_frame.set()
        if dropped and self.enabled:
            self.statistics.count("dropped")

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
    def last_error(self) -> str:
        """What was wrong with the last frame; empty once frames are well again, or none fails for a while."""
        return self._error if time.monotonic() - self._error_s < ERROR_SHOWN_S else ""

    def apply(self, settings: Settings) -> None:
        """Use other settings from the next frame on."""
        self._tracker.config = settings.tracker_config(self._segmenter.spec.postprocess)
        self.settings = settings

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
        return None if newest is None else time.monotonic() - newest.arrived_s

    # ---------------------------------------------------------------------------------- inference thread: the frames

    def has_frame(self) -> bool:
        """Whether a frame waits."""
        return self.enabled and self._waiting.peek() is not None

    def is_ready(self) -> bool:
        """Whether the waiting frame may be taken: not too early, and its depth and place are here or not expected."""
        stored = self._waiting.peek()
        if stored is None or not self.enabled:
            return False
        now, settings = time.monotonic(), self.settings
        if settings.max_rate_hz > 0 and now - self._last_begin_s < 1.0 / settings.max_rate_hz:
            return False
        return self._depth.is_settled(stored, settings)

    def process(self) -> None:
        """Take the waiting frame, follow the targets into it, and publish."""
        stored = self._waiting.take()
        if stored is None:
            return
        self._last_begin_s = time.monotonic()
        listening = self.output is not None and self.output.wanted()
        if not listening and not len(self._tracker) and not len(self.searches):
            self._remember(stored)
            return
        begin = time.perf_counter()
        try:
            with self._segmenter.pauses.held():  # it may be the visit in another call's pause
                self._process(stored)
        except SeemError as error:
            self._complain(error)
            return
        now = time.monotonic()
        self.statistics.took("total", time.perf_counter() - begin)
        self.statistics.took("latency", now - stored.arrived_s)
        self.statistics.published()
        self._error = ""

    def _process(self, stored: StoredFrame) -> None:
        fresh = not stored.has_picture
        frame = stored.frame(self._complete(stored))
        if fresh:
            self.statistics.took("convert", stored.convert_s)
            self._say_scale(stored)
        if len(self._tracker):
            encoded = self._encode(stored, frame)
            with self.statistics.stage("decode"):
                segments = self._tracker.step(encoded)
        else:
            segments = empty_segments(frame, self.settings.wide_labels)
        if len(self.searches):
            encoded = self._encode(stored, frame)
            with self.statistics.stage("find"):
                self.searches.look(encoded, stored.header)
        self._remember(stored)
        self.targets = self._tracker.targets()
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

    def _found_one(self, target_id: int, label: str) -> None:
        """Somebody waited for this target."""
        if label:
            self.names[target_id] = label
        self.targets = self._tracker.targets()

    def _why_no_frame(self) -> str:
        if not self.enabled:
            return "the node is disabled; call ~/enable"
        return self.describe_input()

    def _with_panoptic(self, segments: Segments, encoded: EncodedFrame) -> Segments:
        others = self._segmenter.panoptic(frame=encoded, wide=self.settings.wide_labels)
        return merge(segments, others, reserved=[target.value for target in self._tracker.targets()])

    def _encode(self, stored: StoredFrame, frame: Frame) -> EncodedFrame:
        if self._encoded is None or self._encoded[0] is not stored:
            with self.statistics.stage("encode"):
                self._encoded = (stored, self._segmenter.encode(frame))
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

    def _complain(self, error: Exception) -> None:
        now = time.monotonic()
        self._error, self._error_s = str(error), now
        self.statistics.count("errors")
        if now - self._last_warning_s >= WARN_EVERY_S:
            self._last_warning_s = now
            self._logger.warning(f"camera {self.name}: {error}")

    # ----------------------------------------------------------------------------------- inference thread: the calls

    def kept_stamp(self, stamp_ns: int) -> int:
        """The stamp, where a frame of it is kept; 0, the newest, where not: tools stamp with their own clock."""
        try:
            self._ring.at(stamp_ns, self.settings.stamp_tolerance_s)
        except FrameError:
            return 0
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

    def target_at(self, x: float, y: float) -> int:
        """Id of the target that is seen at a pixel of the last picture; 0 where there is none."""
        last = self._tracker.last
        if last is None or not (0 <= x < last.labels.shape[1] and 0 <= y < last.labels.shape[0]):
            return 0
        value = int(last.labels[int(y), int(x)])
        return next((target.target_id for target in self.targets if target.value == value), 0) if value else 0

    def newest_target(self) -> int:
        """Id of the target that was started last; 0 where there is none."""
        return max((target.target_id for target in self.targets), default=0)

    def check_targets(self, ids: Sequence[int]) -> None:
        """Make sure that all of them live.

        Raises:
            TargetError: One does not.
        """
        for target_id in ids:
            self._tracker.target(target_id)

    def rounds(self, target_id: int) -> int:
        """How many rounds on a target can be taken back.

        Raises:
            TargetError: No living target has this id.
        """
        return self._tracker.rounds(target_id)

    def segment(self, prompts: Sequence[Prompt], panoptic: bool, stamp_ns: int) -> Found:
        """Answer prompts about a frame, and forget them.

        Raises:
            SeemError: No such frame, or a prompt that does not fit it.
        """
        stored, encoded, _ = self._asked_frame(stamp_ns, follow=False)
        segments = segment_picture(self._segmenter, prompts, panoptic, encoded, self.settings.wide_labels)
        return Found(segments, stored.header, (0,) * len(prompts), message=self._message(segments, stored))

    def start(self, prompts: Sequence[Prompt], labels: Sequence[str], panoptic: bool, stamp_ns: int) -> Found:
        """Start a target for each prompt that finds something, on the frame it was drawn on, and bring it up to now.

        Raises:
            SeemError: No such frame, a prompt that does not fit it, or no room.
        """
        stored, encoded, replay = self._asked_frame(stamp_ns, follow=True)
        before = {target.target_id for target in self._tracker.targets()}
        result = self._tracker.start(prompts, encoded, [each.frame(self._complete(each)) for each in replay])
        new = tuple(one for one in dict.fromkeys(result.target_ids) if one and one not in before)
        self.names.update({one: name for one, name in zip(result.target_ids, labels) if one and name})
        segments, last = result.segments, replay[-1] if replay else stored
        if panoptic:
            segments = self._with_panoptic(segments, self._segmenter.encode(last.frame()))
        self.targets = self._tracker.targets()
        self._release((stored, *replay))
        return Found(
            with_names(segments, self.names), last.header, result.target_ids, new, self._message(segments, stored)
        )

    def refine(self, target_id: int, prompt: Prompt, label: str, stamp_ns: int) -> Found:
        """Another round on a target.

        Raises:
            SeemError: No such target or frame, or a prompt that does not fit it.
        """
        self._tracker.target(target_id)  # an unknown target is said before anything about frames
        stored, encoded, replay = self._asked_frame(stamp_ns, follow=True)
        result = self._tracker.refine(target_id, prompt, encoded, [each.frame(self._complete(each)) for each in replay])
        if result.answers[0].found:
            earlier = (*self._names_before.get(target_id, ()), self.names.get(target_id, ""))
            self._names_before[target_id] = earlier[-ROUNDS_KEPT:]
        if label:
            self.names[target_id] = label
        self.targets = self._tracker.targets()
        last = replay[-1] if replay else stored
        self._release((stored, *replay))
        segments = with_names(result.segments, self.names)
        return Found(segments, last.header, result.target_ids, message=self._message(segments, stored))

    def undo(self, target_id: int) -> Found:
        """Take back the newest round on a target, and bring it up to now from where it was before.

        Raises:
            SeemError: No such target, no round to take back, or no frame.
        """
        stamp_ns = self._tracker.undo_stamp_ns(target_id)
        try:
            self._ring.at(stamp_ns, tolerance_s=0.0)
        except FrameError:
            stamp_ns = 0  # that frame is no longer kept: the newest has to do
        stored, encoded, replay = self._asked_frame(stamp_ns, follow=True)
        result = self._tracker.undo(target_id, encoded, [each.frame(self._complete(each)) for each in replay])
        *earlier, name = self._names_before[target_id]
        self._names_before[target_id] = tuple(earlier)
        self.rename(target_id, name)
        last = replay[-1] if replay else stored
        self._release((stored, *replay))
        return Found(
            with_names(result.segments, self.names), last.header, (target_id,), message=result.segments.message
        )

    def rename(self, target_id: int, name: str) -> str:
        """Call a target by another name; an empty one lets the model name it again.

        Returns:
            The name that it carries now.

        Raises:
            TargetError: No such target.
        """
        info = self._tracker.target(target_id)
        if name:
            self.names[target_id] = name
        else:
            self.names.pop(target_id, None)
        self.targets = self._tracker.targets()
        return name or info.label

    def view_of_target(self, target_id: int) -> TaughtView:
        """A target as it was seen last, to be remembered.

        Raises:
            SeemError: No such target, it is not seen now, its frame is no longer kept, or it is too small.
        """
        info = self._tracker.target(target_id)
        kept = [stored for stored in (self._processed, self._encoded and self._encoded[0]) if stored is not None]
        stored = next((one for one in kept if one.time_ns == info.last_seen_ns), None)
        if stored is None:
            stored = self._ring.at(info.last_seen_ns, tolerance_s=0.0)
        encoded = self._encode(stored, stored.frame())
        segments = self._tracker.show(target_id, encoded)
        self._release((stored,))
        return view_of_mask(encoded.frame, segments.labels == info.value)

    def view_of_prompt(self, prompt: Prompt, stamp_ns: int) -> TaughtView:
        """What a prompt finds on a frame, to be remembered.

        Raises:
            SeemError: No such frame, a prompt that does not fit it, or nothing that could be remembered.
        """
        _, encoded, _ = self._asked_frame(stamp_ns, follow=False)
        return view_of_prompt(self._segmenter, prompt, encoded)

    def remove(self, ids: Sequence[int]) -> tuple[int, ...]:
        """End targets; without ids all of them.

        Raises:
            TargetError: An id is unknown; nothing was changed.
        """
        removed = self._tracker.remove(ids)
        for target_id in removed:
            self.names.pop(target_id, None)
            self._names_before.pop(target_id, None)
        self.targets = self._tracker.targets()
        return removed

    def _message(self, segments: Segments, stored: StoredFrame) -> str:
        """What the answer says beside the segments: what is missing, and how old a still picture is."""
        age_s = time.monotonic() - stored.arrived_s
        still = self._ring.is_still and age_s > self.settings.camera_timeout_s
        parts = (
            segments.message,
            f"the camera sent this one picture only, {age_s:.0f} s ago" if still else "",
            self._depth.reason if len(segments) else "",
        )
        return "; ".join(part for part in parts if part)

    def _release(self, used: Sequence[StoredFrame]) -> None:
        for stored in used:
            if stored is not self._processed:
                stored.release()

    def _complete(self, stored: StoredFrame) -> Callable[[Frame], Frame]:
        return lambda frame: self._depth.complete(stored, frame, self.settings)

    def _newest_placed(self, newest: StoredFrame) -> StoredFrame:
        """The newest frame, or one a little older whose place is known while the newest's is still on its way."""
        if not self.settings.target_frame:
            return newest
        until_ns = newest.time_ns - int(2 * self.settings.transform_wait_s * NS_PER_S)
        kept = self._ring.newest_first(until_ns)
        return next((one for one in kept if self._depth.is_placed(one, self.settings)), newest)

    def _asked_frame(self, stamp_ns: int, follow: bool) -> tuple[StoredFrame, EncodedFrame, tuple[StoredFrame, ...]]:
        """The frame that a call means, encoded, and the frames since then.

        With ``follow`` the targets that live already see the newest frame first, before others start on it.
        """
        before = self._processed
        if follow and self._waiting.peek() is not None and self.enabled:
            self.process()
        newest = self._ring.newest()
        if newest is None:
            raise self.no_frame_yet()
        age_s = time.monotonic() - newest.arrived_s
        if not stamp_ns and age_s > self.settings.camera_timeout_s and not self._ring.is_still:
            raise FrameError(
                f"camera {self.name} is gone: its last frame came {age_s:.1f} s ago (camera_timeout_s is "
                f"{self.settings.camera_timeout_s:g}); {self.describe_input()}; to use that frame name its stamp, "
                f"{seconds(newest.time_ns)}"
            )
        if stamp_ns:
            stored = self._ring.at(stamp_ns, self.settings.stamp_tolerance_s)
        else:  # a frame that arrived in between is not waited for
            stored = self._processed if self._processed is not before else self._newest_placed(newest)
        until = self._processed if self._processed is not None and self.enabled else newest
        replay = self._ring.between(stored, until, self.settings.max_replay_frames) if stamp_ns else ()
        return stored, self._encode(stored, stored.frame(self._complete(stored))), replay


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

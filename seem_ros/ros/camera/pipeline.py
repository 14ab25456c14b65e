# SPDX-License-Identifier: Apache-2.0
"""One camera from image message to published targets, and the calls that concern it.

Messages arrive on executor threads, which only store them. Everything under "inference thread" runs on the thread that
owns the model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from seem_ros.errors import FrameError, SeemError, TargetError
from seem_ros.perception.masks.merging import empty_segments, merge, with_labels, with_names
from seem_ros.perception.objects.taught import TaughtView
from seem_ros.perception.segmenter import EncodedFrame, Segmenter
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Prompt
from seem_ros.perception.structures.segments import Segments
from seem_ros.perception.tracking.target import ROUNDS_KEPT, IdAllocator, TargetInfo, TargetState
from seem_ros.perception.tracking.tracker import Tracker
from seem_ros.ros.camera.camera_frames import CameraFrames
from seem_ros.ros.camera.frame_buffer import StoredFrame
from seem_ros.ros.camera.publisher import CameraOutput
from seem_ros.ros.camera.subscriber import CameraInput
from seem_ros.ros.find.search import Searches
from seem_ros.ros.monitoring.statistics import Statistics
from seem_ros.ros.objects.lesson import view_of_mask, view_of_prompt
from seem_ros.ros.parameters import Settings
from seem_ros.ros.transforms.buffer import TransformBuffer

WARN_EVERY_S = 5.0
# Of an error that no further frame repeats or refutes, because nobody listens any more.
ERROR_SHOWN_S = 10.0
# What a call changed is seen in the next frame; where none comes for so long, the last one is published once more.
TELL_AFTER_S = 0.2


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


class CameraPipeline(CameraFrames):
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
        super().__init__(name, segmenter, settings, statistics, logger, get_input, buffer)
        self.output = output
        self.names: dict[int, str] = {}
        self._tracker = Tracker(segmenter, settings.tracker_config(segmenter.spec.postprocess), ids)
        self._error, self._error_s = "", float("-inf")
        self._last_begin_s = self._last_warning_s = float("-inf")
        self._is_unwanted = False
        self._changed_s: float | None = None
        self._names_before: dict[int, tuple[str, ...]] = {}
        self.targets: tuple[TargetInfo, ...] = ()
        self.searches = Searches(segmenter, self._tracker, self._found_one, self._why_no_frame)

    @property
    def last_error(self) -> str:
        """What was wrong with the last frame; empty once frames are well again, or none fails for a while."""
        return self._error if time.monotonic() - self._error_s < ERROR_SHOWN_S else ""

    @property
    def is_idle(self) -> bool:
        """Whether nobody wanted the last frame, and nothing is followed or looked for since; any thread may ask."""
        return self._is_unwanted and not len(self._tracker) and not len(self.searches)

    def apply(self, settings: Settings) -> None:
        """Use other settings from the next frame on."""
        self._tracker.config = settings.tracker_config(self._segmenter.spec.postprocess)
        self.settings = settings

    # ---------------------------------------------------------------------------------- inference thread: the frames

    def has_frame(self) -> bool:
        """Whether a frame waits."""
        return self.enabled and self._waiting.peek() is not None

    def is_ready(self) -> bool:
        """Whether the waiting frame may be taken: not too early, and its depth and place are here or not expected.

        Or whether none waits, and what calls have changed was not published yet.
        """
        stored = self._waiting.peek()
        if not self.enabled:
            return False
        if stored is None:
            return self._changed_s is not None and time.monotonic() - self._changed_s >= TELL_AFTER_S
        now, settings = time.monotonic(), self.settings
        if settings.max_rate_hz > 0 and now - self._last_begin_s < 1.0 / settings.max_rate_hz:
            return False
        return self._depth.is_settled(stored, settings)

    def process(self) -> None:
        """Take the waiting frame, follow the targets into it, and publish."""
        stored = self._waiting.take()
        if stored is None:
            self._tell_changes()
            return
        self._last_begin_s = time.monotonic()
        listening = self.output is not None and self.output.wanted()
        self._is_unwanted = not listening
        if self.is_idle:
            self._remember(stored)
            return
        begin = time.perf_counter()
        try:
            with self._segmenter.pauses.held():  # it may be the visit in another call's pause
                self._process(stored)
        except SeemError as error:
            self._complain(error)
            return
        self.statistics.took("total", time.perf_counter() - begin)
        self.statistics.took("latency", stored.age_s)
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
        self.targets, self._changed_s = self._tracker.targets(), None
        self._publish(stored, frame, segments)

    def _publish(self, stored: StoredFrame, frame: Frame, segments: Segments) -> None:
        if self.output is None:
            return
        if self.settings.panoptic and self.output.wanted():
            encoded = self._encode(stored, frame)
            with self.statistics.stage("panoptic"):
                segments = self._with_panoptic(segments, encoded)
        segments = with_names(segments, self.names)
        self.output.publish(frame, stored.header, segments, self.targets, self.names, self.settings)

    def _changed(self) -> None:
        """A call has changed targets: whoever listens is told with the next frame, or soon where none comes."""
        self.targets = self._tracker.targets()
        self._changed_s = time.monotonic()

    def _tell_changes(self) -> None:
        """Publish the last frame once more: the bag is paused, the camera sends one picture, or it went away."""
        stored, self._changed_s = self._processed, None
        if stored is None or self.output is None or not self.output.wanted():
            return
        try:
            frame = stored.frame(self._complete(stored))
            self._publish(stored, frame, self._tracker.again(self._encode(stored, frame)))
        except SeemError as error:
            self._complain(error)

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

    def _complain(self, error: Exception) -> None:
        now = time.monotonic()
        self._error, self._error_s = str(error), now
        self.statistics.count("errors")
        if now - self._last_warning_s >= WARN_EVERY_S:
            self._last_warning_s = now
            self._logger.warning(f"camera {self.name}: {error}")

    # ----------------------------------------------------------------------------------- inference thread: the calls

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

    def segment(self, prompts: Sequence[Prompt], labels: Sequence[str], panoptic: bool, stamp_ns: int) -> Found:
        """Answer prompts about a frame, and forget them.

        Raises:
            SeemError: No such frame, or a prompt that does not fit it.
        """
        stored, encoded, _ = self._asked_frame(stamp_ns, follow=False)
        segments = segment_picture(self._segmenter, prompts, labels, panoptic, encoded, self.settings.wide_labels)
        return Found(segments, stored.header, (0,) * len(prompts), message=self._message(segments, stored))

    def start(self, prompts: Sequence[Prompt], labels: Sequence[str], panoptic: bool, stamp_ns: int) -> Found:
        """Start a target for each prompt that finds something, on the frame it was drawn on, and bring it up to now.

        Raises:
            SeemError: No such frame, a prompt that does not fit it, or no room.
        """
        stored, encoded, replay = self._asked_frame(stamp_ns, follow=True)
        before = {target.target_id for target in self._tracker.targets()}
        result = self._tracker.start(prompts, encoded, self._readable(replay))
        new = tuple(one for one in dict.fromkeys(result.target_ids) if one and one not in before)
        self.names.update({one: name for one, name in zip(result.target_ids, labels) if one and name})
        segments, shown = result.segments, self._shown(result.segments, stored, replay)
        if panoptic:
            segments = self._with_panoptic(segments, self._segmenter.encode(shown.frame()))
        self._changed()
        self._release((stored, *replay))
        return Found(
            with_names(segments, self.names), shown.header, result.target_ids, new, self._message(segments, stored)
        )

    def refine(self, target_id: int, prompt: Prompt, label: str, stamp_ns: int) -> Found:
        """Another round on a target.

        Raises:
            SeemError: No such target or frame, or a prompt that does not fit it.
        """
        self._tracker.target(target_id)  # an unknown target is said before anything about frames
        stored, encoded, replay = self._asked_frame(stamp_ns, follow=True)
        result = self._tracker.refine(target_id, prompt, encoded, self._readable(replay))
        if result.answers[0].found:
            earlier = (*self._names_before.get(target_id, ()), self.names.get(target_id, ""))
            self._names_before[target_id] = earlier[-ROUNDS_KEPT:]
        if label:
            self.names[target_id] = label
        self._changed()
        shown = self._shown(result.segments, stored, replay)
        self._release((stored, *replay))
        segments = with_names(result.segments, self.names)
        return Found(segments, shown.header, result.target_ids, message=self._message(segments, stored))

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
        result = self._tracker.undo(target_id, encoded, self._readable(replay))
        *earlier, name = self._names_before[target_id]
        self._names_before[target_id] = tuple(earlier)
        self.rename(target_id, name)
        shown = self._shown(result.segments, stored, replay)
        self._release((stored, *replay))
        return Found(
            with_names(result.segments, self.names), shown.header, (target_id,), message=result.segments.message
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
        self._changed()
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
            try:
                stored = self._ring.at(info.last_seen_ns, tolerance_s=0.0)
            except FrameError as error:
                if info.state is TargetState.TRACKED:
                    raise
                state = info.state.value  # the frame's stamp, which nobody has named, says nothing to a user
                raise TargetError(f"target {target_id} is not seen now, it is {state}; show it, then teach") from error
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
        self._changed()
        return removed

    def _message(self, segments: Segments, stored: StoredFrame) -> str:
        """What the answer says beside the segments: what is missing, and how old a still picture is."""
        age_s = stored.age_s
        still = self._ring.is_still and age_s > self.settings.camera_timeout_s
        parts = (
            segments.message,
            f"the camera sent this one picture only, {age_s:.0f} s ago" if still else "",
            self._depth.reason if len(segments) else "",
        )
        return "; ".join(part for part in parts if part)

    def _asked_frame(self, stamp_ns: int, follow: bool) -> tuple[StoredFrame, EncodedFrame, tuple[StoredFrame, ...]]:
        """The frame that a call means, encoded, and the frames since then.

        With ``follow`` the targets that live already see the newest frame first, before others start on it.
        """
        before = self._processed
        if follow and self._waiting.peek() is not None and self.enabled:
            self.process()
        return self._named_frame(stamp_ns, before)


def segment_picture(
    segmenter: Segmenter,
    prompts: Sequence[Prompt],
    labels: Sequence[str],
    panoptic: bool,
    frame: Frame | EncodedFrame,
    wide: bool,
) -> Segments:
    """Answers to prompts, by the user's names for them ("" = none), and the whole vocabulary where wanted.

    Raises:
        SeemError: A prompt does not fit the picture, or the model has no vocabulary.
    """
    segments = with_labels(segmenter.segment(prompts, frame, wide=wide), labels)
    if not panoptic:
        return segments
    return merge(segments, segmenter.panoptic(frame=frame, wide=wide))

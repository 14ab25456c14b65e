# SPDX-License-Identifier: Apache-2.0
"""What exists while the node is configured: the model, its thread, the cameras."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seem_ros.errors import PromptError, TargetError
from seem_ros.perception.objects.memory import ObjectMemory, objects_folder
from seem_ros.perception.segmenter import Segmenter
from seem_ros.process_memory import give_back_memory
from seem_ros.ros.camera.pipeline import CameraPipeline
from seem_ros.ros.find.search import EndedSearches
from seem_ros.ros.inference_thread import BusyError, InferenceThread
from seem_ros.ros.parameters import Settings

MAX_VOCABULARY = 1000
MAX_NAME_CHARACTERS = 200
LOAD_TIMEOUT_S = 1800.0
CLOSE_TIMEOUT_S = 1.0  # of the two seconds that taking the node down may take
# Of a call's time: the rest is for the answer itself.
SHARE_FOR_FIRST_FRAME = 0.7
LOOK_EVERY_S = 0.1


class Running:
    """The configured node, without its subscriptions.

    Args:
        load: Makes the segmenter; called on the inference thread, which owns the model from then on.
        make_camera: Makes a camera's pipeline from its name and the segmenter.
        settings: Of the node; exchanged as a whole by `apply`, from any thread.
        on_error: Told about what a frame's processing raised beyond the known errors; None = a frame went well again.

    Raises:
        SeemError: The model cannot be loaded.
    """

    def __init__(
        self,
        load: Callable[[Settings], Segmenter],
        make_camera: Callable[[str, Segmenter], CameraPipeline],
        settings: Settings,
        on_error: Callable[[BaseException | None], None],
    ) -> None:
        self.settings = settings
        self._stuff: tuple[str, ...] | None = None
        self._enabled_s = float("-inf")
        self._lock, self._waiting_for_frames = threading.Lock(), 0
        self._in_force = settings
        self.thread = InferenceThread(settings.max_waiting_calls, on_error, self._adopt, self._rest)
        self.segmenter: Segmenter
        try:
            self.thread.call(lambda: self._take(load(settings)), LOAD_TIMEOUT_S)
            self.thread.call(lambda: self._remember(objects_folder(settings.objects_dir)), LOAD_TIMEOUT_S)
            self.cameras = {name: make_camera(name, self.segmenter) for name in settings.cameras}
            self.thread.call(lambda: self._use(settings), LOAD_TIMEOUT_S)
            things, stuff = settings.vocabulary
            if things or stuff:
                self.thread.call(lambda: self.set_vocabulary(things, stuff), LOAD_TIMEOUT_S)
            self.thread.call(self._warm_up, LOAD_TIMEOUT_S)
        except BaseException:
            self.thread.stop(CLOSE_TIMEOUT_S)
            raise
        self.segmenter.pauses.let_in(self.thread.pause)
        ended = EndedSearches(lambda: [pipeline.searches for pipeline in self.cameras.values()])
        self.thread.serve((*self.cameras.values(), ended))

    def _take(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter  # on the thread, which may be at rest before the caller goes on

    def _warm_up(self) -> None:
        self.segmenter.warm_up()
        self._rest()

    def _rest(self) -> None:
        self.segmenter.rest()
        give_back_memory()

    def _remember(self, folder: Path | None) -> None:
        """Read the objects that were taught; on the inference thread."""
        self.segmenter.objects = ObjectMemory(folder)

    def call(
        self,
        work: Callable[[], Any],
        undo: Callable[[Any], object] | None = None,
        may_take_effect: bool = False,
        timeout_s: float | None = None,
    ) -> Any:
        """Run something on the inference thread and wait for it.

        Args:
            work: What to run.
            undo: Run with the result if the caller is gone by then.
            may_take_effect: Whether work that comes too late is done all the same.
            timeout_s: Time for the answer; default the parameter call_timeout_s.

        Raises:
            SeemError: What the work raised, or no answer in time.
        """
        try:
            return self.thread.call(work, self.settings.call_timeout_s if timeout_s is None else timeout_s, undo)
        except BusyError as error:
            if not error.too_late:
                raise
            outcome = "it may still take effect" if may_take_effect else "nothing was started"
            raise BusyError(f"{error}; {outcome}", too_late=True) from error

    def wait_for_first_frame(self, pipeline: CameraPipeline) -> float:
        """Wait for a camera's first frame, where one can be expected: just after the start, or while it is published.

        Returns:
            What is left of call_timeout_s, seconds.

        Raises:
            SeemError: None came in time, or too many calls wait.
        """
        timeout_s = self.settings.call_timeout_s
        begin_s = time.monotonic()
        if pipeline.age_s() is None:
            with self._lock:
                if self._waiting_for_frames + self.thread.waiting >= self.settings.max_waiting_calls:
                    raise BusyError(f"{self.settings.max_waiting_calls} calls wait for a first frame; try again")
                self._waiting_for_frames += 1
            try:
                self._expect_frame(pipeline, begin_s + SHARE_FOR_FIRST_FRAME * timeout_s)
            finally:
                with self._lock:
                    self._waiting_for_frames -= 1
        return timeout_s - (time.monotonic() - begin_s)

    def _expect_frame(self, pipeline: CameraPipeline, until_s: float) -> None:
        starting_until_s = self._enabled_s + self.settings.call_timeout_s
        while not pipeline.wait_for_first_frame(LOOK_EVERY_S):
            now = time.monotonic()
            if now > until_s or self.thread.is_stopping or not (now < starting_until_s or pipeline.is_published()):
                raise pipeline.no_frame_yet()

    def camera(self, name: str) -> CameraPipeline:
        """A camera by its name; the first one for an empty name.

        Raises:
            PromptError: There is no such camera.
        """
        if not name:
            return next(iter(self.cameras.values()))
        if name not in self.cameras:
            raise PromptError(f"there is no camera {name[:40]!r}; there are: {', '.join(self.cameras)}")
        return self.cameras[name]

    def camera_of(self, target_id: int, camera: str = "") -> CameraPipeline:
        """The camera that follows a target.

        Raises:
            TargetError: No living target has this id (on that camera, if one is named).
        """
        cameras = [self.camera(camera)] if camera else list(self.cameras.values())
        for pipeline in cameras:
            if any(target.target_id == target_id for target in pipeline.targets):
                return pipeline
        living = ", ".join(str(target.target_id) for each in cameras for target in each.targets) or "none"
        raise TargetError(f"there is no target {target_id}; living targets: {living}")

    def set_vocabulary(self, things: Sequence[str], stuff: Sequence[str]) -> tuple[str, ...]:
        """Use other names; both lists empty = the model's own. On the inference thread.

        Returns:
            Words that the model was never trained on.

        Raises:
            PromptError: A name is empty, twice there, has a comma, or there are too many.
        """
        things, stuff = ([" ".join(name.split()) for name in names] for names in (things, stuff))
        names = [*things, *stuff]
        if len(names) > MAX_VOCABULARY:
            raise PromptError(f"a vocabulary may have {MAX_VOCABULARY} names, got {len(names)}")
        for name in names:
            if not name or "," in name or len(name) > MAX_NAME_CHARACTERS:
                raise PromptError(
                    f"a vocabulary's name must have 1 to {MAX_NAME_CHARACTERS} characters and no comma, "
                    f"got {name[:40]!r}, {len(name)} characters"
                )
        lowered = [name.lower() for name in names]
        if len(set(lowered)) != len(lowered):
            twice = next(name for name in lowered if lowered.count(name) > 1)
            raise PromptError(f"a vocabulary's names must differ, {twice[:40]!r} is there twice")
        unknown = self.segmenter.set_vocabulary(names, [True] * len(things) + [False] * len(stuff))
        self._stuff = tuple(stuff) if names else None
        return unknown

    def vocabulary(self) -> tuple[list[str], list[str]]:
        """Things and stuff in use."""
        if self._stuff is None:
            entries = self.segmenter.spec.vocabulary
            things = [entry.name for entry in entries if entry.is_thing]
            return things, [entry.name for entry in entries if not entry.is_thing]
        names = self.segmenter.vocabulary
        return [name for name in names if name not in self._stuff], list(self._stuff)

    def apply(self, settings: Settings) -> None:
        """Use other settings from the next frame or call on; what runs now ends with those it began with.

        Raises:
            SeemError: They contradict what the model says; nothing is changed.
        """
        settings.tracker_config(self.segmenter.spec.postprocess)
        self.settings = settings
        self.thread.wake()

    def _adopt(self) -> None:
        """Bring model and cameras to the newest settings; on the inference thread, which alone changes them."""
        if self._in_force is not self.settings:
            self._use(self.settings)

    def _use(self, settings: Settings) -> None:
        self._in_force = settings
        self.segmenter.config = settings.segmenter_config()
        for pipeline in self.cameras.values():
            pipeline.apply(settings)

    def enable(self, on: bool) -> None:
        """Process frames or let them pass."""
        for pipeline in self.cameras.values():
            pipeline.enabled = on
        self._enabled_s = time.monotonic() if on else float("-inf")
        self.thread.wake()

    @property
    def is_enabled(self) -> bool:
        """Whether frames are processed."""
        return all(pipeline.enabled for pipeline in self.cameras.values())

    def end_searches(self, why: str) -> None:
        """Nobody needs to wait any longer for something to be seen."""

        def end() -> None:
            for pipeline in self.cameras.values():
                pipeline.searches.end_all(why)

        if any(len(pipeline.searches) for pipeline in self.cameras.values()):
            with contextlib.suppress(BusyError):  # told as soon as the model is free
                self.call(end, timeout_s=CLOSE_TIMEOUT_S)

    def close(self) -> bool:
        """End the thread and free the model, whatever it is doing.

        Returns:
            False where the thread is still busy: nothing waits for it any more, and it frees the model when it is done.
        """
        self.enable(False)
        self.thread.serve(())
        return self.thread.stop(CLOSE_TIMEOUT_S, at_end=self.segmenter.close)

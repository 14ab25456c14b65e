# SPDX-License-Identifier: Apache-2.0
"""The one thread that owns the model: it takes calls in turn with the newest frames, and neither waits for the other.

Frames are never queued: each source has one slot, and a newer frame replaces the one that nobody came to look at.
Calls wait in a bounded queue; a call whose caller went away is not run, or undone.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Any, Protocol

from seem_ros.errors import SeemError

IDLE_WAIT_S = 0.2
NOT_READY_WAIT_S = 0.002
# A call may work for so long before it lets frames in, or as long as the last frames took: most calls then end without
# a frame in between, and a robot sees nothing new for two frames of a usual camera at most.
CALL_TURN_S = 0.1
SHUTTING_DOWN = "the node is shutting down"


class BusyError(SeemError):
    """Too many calls wait already, or a call was not answered in time.

    Attributes:
        too_late: The call began to wait, and its time is up: whether it takes effect is for the caller to say.
    """

    def __init__(self, message: str, too_late: bool = False) -> None:
        super().__init__(message)
        self.too_late = too_late


class FrameSource(Protocol):
    """Something with at most one frame waiting, a camera."""

    def has_frame(self) -> bool:
        """Whether a frame waits, ready or not."""

    def is_ready(self) -> bool:
        """Whether the waiting frame may be taken now."""

    def process(self) -> None:
        """Take the waiting frame and deal with it; never raises a SeemError."""


@dataclass(eq=False)
class _Job:
    work: Callable[[], Any]
    undo: Callable[[Any], object] | None
    future: Future = field(default_factory=Future)
    abandoned: bool = False


class InferenceThread:
    """Runs calls and frames on one thread.

    Args:
        max_waiting: Calls that may wait at the same time.
        on_error: Told about whatever a frame's processing raised, the thread goes on; None = a frame went well again.
        before_work: Run on the thread before each call and each round of frames: where settings may change.
        at_rest: Run on the thread once when calls were answered and nothing more comes: to tidy up. It must not raise.
    """

    def __init__(
        self,
        max_waiting: int,
        on_error: Callable[[BaseException | None], None],
        before_work: Callable[[], None] = lambda: None,
        at_rest: Callable[[], None] = lambda: None,
    ) -> None:
        self._before_work, self._at_rest = before_work, at_rest
        self._is_tidy = True
        self._sources: tuple[FrameSource, ...] = ()
        self._max_waiting = max_waiting
        self._on_error = on_error
        self._jobs: deque[_Job] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._failing: set[int] = set()
        self._waiting = 0
        self._running_job: _Job | None = None
        self._visiting = False
        self._progress_s: float | None = None
        self._turn_ends_s = 0.0
        self._at_end: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    def serve(self, sources: tuple[FrameSource, ...]) -> None:
        """Take frames from these sources from now on."""
        self._sources = sources
        self.wake()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs, be it told to end or not."""
        return self._thread.is_alive()

    @property
    def is_stopping(self) -> bool:
        """Whether the thread was told to end."""
        return self._stopping

    @property
    def waiting(self) -> int:
        """Calls that wait for an answer now."""
        return self._waiting

    def wake(self) -> None:
        """A frame has arrived."""
        with self._wake:
            self._wake.notify()

    def call(self, work: Callable[[], Any], timeout_s: float, undo: Callable[[Any], object] | None = None) -> Any:
        """Run something on the thread and wait for its result.

        Args:
            work: Run on the thread that owns the model.
            timeout_s: After this the caller gets an answer, whatever the thread is doing.
            undo: Run with the result if the caller is gone by then.

        Raises:
            BusyError: Too many calls wait, no answer in time, or the thread ends.
            SeemError: What the work raised.
        """
        job = _Job(work, undo)
        with self._wake:
            if self._stopping:
                raise BusyError(SHUTTING_DOWN)
            if self._waiting >= self._max_waiting:
                raise BusyError(
                    f"{self._waiting} calls wait already, and max_waiting_calls is {self._max_waiting}; try again"
                )
            self._waiting += 1
            self._jobs.append(job)
            self._wake.notify()
        try:
            return job.future.result(timeout_s)
        except FutureTimeoutError as error:
            with self._wake:
                if job.future.done() and job.future.exception() is None:
                    return job.future.result()
                job.abandoned = True
            raise BusyError(f"no answer within {timeout_s:g} s, the model is busy", too_late=True) from error
        finally:
            with self._wake:
                self._waiting -= 1

    @property
    def silent_s(self) -> float:
        """How long the work that runs has shown no progress; 0 while nothing runs."""
        since = self._progress_s
        return 0.0 if since is None else time.monotonic() - since

    def pause(self) -> None:
        """Called by long work between its pieces: frames that wait are processed now, if its turn is over.

        Raises:
            BusyError: The caller is gone, or the thread is to end: the work ends here.
        """
        if threading.current_thread() is not self._thread or self._visiting:
            return
        job = self._running_job
        if self._stopping or (job is not None and job.abandoned):
            raise BusyError(SHUTTING_DOWN if self._stopping else "the caller is gone")
        self._progress_s = begin = time.monotonic()
        if begin < self._turn_ends_s:
            return
        self._visiting = True
        try:
            self._look_at_frames()
        finally:
            self._visiting = False
            self._progress_s = end = time.monotonic()
            self._turn_ends_s = end + max(end - begin, CALL_TURN_S)

    def stop(self, timeout_s: float = 30.0, at_end: Callable[[], None] | None = None) -> bool:
        """End the thread; calls that wait are answered at once, work that runs ends in its next pause.

        Args:
            timeout_s: How long it is waited for.
            at_end: Run on the thread when it has ended its work, be that later than the time-out.

        Returns:
            False if it did not end in time.
        """
        with self._wake:
            self._stopping, self._at_end = True, at_end
            running = (self._running_job,) if self._running_job is not None else ()
            for job in (*running, *self._jobs):
                job.abandoned = True
                if not job.future.done():
                    job.future.set_exception(BusyError(SHUTTING_DOWN))
            self._jobs.clear()
            self._wake.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            rests = False
            with self._wake:
                if not self._stopping and not self._jobs and not any(source.is_ready() for source in self._sources):
                    pending = any(source.has_frame() for source in self._sources)
                    rests = not self._wake.wait(NOT_READY_WAIT_S if pending else IDLE_WAIT_S) and not pending
                if self._stopping:
                    break
                job = self._jobs.popleft() if self._jobs else None
                self._running_job, self._progress_s = job, time.monotonic()
            if rests and job is None and not self._is_tidy:
                self._is_tidy = True
                self._at_rest()
            self._before_work()
            if job is not None:
                self._turn_ends_s = time.monotonic() + CALL_TURN_S
                self._do(job)
                self._running_job, self._is_tidy = None, False
            self._look_at_frames()
            self._progress_s = None
        if self._at_end is not None:
            try:
                self._at_end()
            except Exception as error:
                self._on_error(error)

    def _look_at_frames(self) -> None:
        for source in self._sources:
            if source.is_ready():
                self._progress_s = time.monotonic()
                self._process(source)

    def _process(self, source: FrameSource) -> None:
        try:
            source.process()
        except Exception as error:  # one bad frame must not end the thread
            if self._stopping:
                return  # its publishers are gone
            self._failing.add(id(source))
            self._on_error(error)
            return
        if id(source) in self._failing:
            self._failing.remove(id(source))
            if not self._failing:
                self._on_error(None)

    def _do(self, job: _Job) -> None:
        if job.abandoned:
            return
        try:
            result = job.work()
        except BaseException as error:
            with self._wake:
                if not job.future.done():
                    job.future.set_exception(error)
            return
        with self._wake:
            abandoned = job.abandoned
            if not abandoned:
                job.future.set_result(result)
        if abandoned and job.undo is not None:
            try:
                job.undo(result)
            except Exception as error:
                self._on_error(error)

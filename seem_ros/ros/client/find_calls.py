# SPDX-License-Identifier: Apache-2.0
"""Waiting for things with ``~/find``: a goal that ends, whatever becomes of the node."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any

from rclpy.action import ActionClient

from seem_ros.action import Find
from seem_ros.errors import ServiceTimeoutError
from seem_ros.msg import Target
from seem_ros.ros.client.service_calls import LOOK_S, ServiceCaller
from seem_ros.ros.messages.images import stamp_to_ns

Progress = Callable[[float, int], None]


@dataclass(frozen=True, eq=False)
class FindReply:
    """What became of a wait.

    Attributes:
        found: Whether it was seen in time.
        target: The target that is followed from now on; None where it was not found.
        stamp_ns: Of the picture that it was found in.
        position_frame: The frame of the target's position.
        frames_looked_at: Pictures that were looked at.
        best_presence: How sure the model was at best, 0..1.
        message: Why it was not found: its time was over, it was cancelled, or it was refused.
    """

    found: bool
    target: Target | None
    stamp_ns: int
    position_frame: str
    frames_looked_at: int
    best_presence: float
    message: str


class Finding:
    """A wait that is under way.

    Attributes:
        future: Of the reply.
    """

    def __init__(self) -> None:
        self.future: Future[FindReply] = Future()
        self.is_cancelled = threading.Event()

    def result(self, timeout_s: float | None = None) -> FindReply:
        """The reply, waited for.

        Raises:
            ServiceTimeoutError: The node does not answer.
            TimeoutError: It is not there after ``timeout_s``; the wait goes on.
        """
        try:
            return self.future.result(timeout_s)
        except FutureTimeoutError as error:
            if self.future.done():
                raise
            # before Python 3.11 the futures' time-out was an exception of its own
            raise TimeoutError(f"it has not ended within {timeout_s:g} s; the wait goes on") from error

    def cancel(self) -> None:
        """Do not wait any longer; the reply tells that it was cancelled."""
        self.is_cancelled.set()


def exchange(
    caller: ServiceCaller,
    actions: ActionClient,
    name: str,
    goal: Find.Goal,
    finding: Finding,
    on_progress: Progress | None,
    answer_s: float,
) -> FindReply:
    """Send a goal and wait until it has ended.

    Args:
        caller: Knows when waiting makes no sense any more.
        actions: The client of the action.
        name: Of the action, for messages.
        goal: What is waited for.
        finding: Tells when it is cancelled.
        on_progress: Called with the best presence and the pictures looked at, on the thread that spins.
        answer_s: How long the node may take for an answer, beside the goal's own time.

    Raises:
        ServiceTimeoutError: Nobody offers the action, or the node does not answer.
    """

    def wait(future: Any, end_s: float, what: str) -> Any:
        while not future.done():
            caller.look(end_s, f"no answer of {name} to {what} within {answer_s:g} s")
            time.sleep(LOOK_S)
        return future.result()

    end_s = time.monotonic() + answer_s
    while not actions.server_is_ready():
        caller.look(end_s, f"nobody offers {name} after {answer_s:g} s; is the node running?")
        time.sleep(LOOK_S)

    def pass_on(message: Any) -> None:
        if on_progress is not None:
            on_progress(message.feedback.best_presence, message.feedback.frames_looked_at)

    handle = wait(actions.send_goal_async(goal, feedback_callback=pass_on), end_s, "the goal")
    if not handle.accepted:
        raise ServiceTimeoutError("the goal was not accepted")
    pending = handle.get_result_async()
    end_s = time.monotonic() + max(goal.timeout_s, 0.0) + answer_s
    told = False
    while not pending.done():
        if finding.is_cancelled.is_set() and not told:
            handle.cancel_goal_async()
            told = True
        try:
            caller.look(end_s, f"the node did not end the wait {answer_s:g} s after its time was over")
        except BaseException:
            handle.cancel_goal_async()
            raise
        time.sleep(LOOK_S)
    result = pending.result().result
    return FindReply(
        result.success,
        result.target if result.success else None,
        stamp_to_ns(result.header.stamp),
        result.position_frame,
        result.frames_looked_at,
        result.best_presence,
        result.message,
    )

# SPDX-License-Identifier: Apache-2.0
"""The action server of ``~/find``. A goal that waits costs no thread, and every goal is answered with a result."""

from __future__ import annotations

import math
import threading
import traceback
from collections.abc import Callable
from typing import Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse

from seem_ros.action import Find
from seem_ros.errors import PromptError, SeemError
from seem_ros.perception.structures.prompts import Prompt
from seem_ros.ros.find.search import Search, Sighting
from seem_ros.ros.messages.prompts import checked_label, prompt_from_message
from seem_ros.ros.messages.results import target_to_message
from seem_ros.ros.session import Running

MAX_TIMEOUT_S = 86_400.0  # a day: whoever waits longer has forgotten it

ACTIONS: dict[str, tuple[type, str]] = {
    "find": (Find, "Wait until a camera sees what is described, and follow it from then on."),
}


class FindServer:
    """Takes goals, hands them to the camera that is to look, and passes on what became of them.

    Args:
        node: The rclpy node.
        running: Gives the configured state, or None while the node is not active.
        group: Callback group of the services.
    """

    def __init__(self, node: Any, running: Callable[[], Running | None], group: Any) -> None:
        self._node, self._running = node, running
        self._lock = threading.Lock()
        self._open: dict[bytes, Any] = {}
        self._results: dict[bytes, Find.Result] = {}
        self._server = ActionServer(
            node,
            Find,
            "~/find",
            self._finish,
            callback_group=group,
            goal_callback=lambda goal: GoalResponse.ACCEPT,  # a refusal is a result too: only that can say why
            handle_accepted_callback=self._accepted,
            cancel_callback=self._cancel,
        )

    def close(self) -> None:
        """Take the server down."""
        self._server.destroy()

    def end_all(self, why: str) -> None:
        """Nobody is looked for any more; told from here, for a busy model tells late, and one that hangs never."""
        with self._lock:
            waiting = list(self._open.values())
        for goal in waiting:
            self._end(goal, Find.Result(message=why))

    def _accepted(self, goal: Any) -> None:
        with self._lock:
            self._open[_id(goal)] = goal
        try:
            running = self._running()
            if running is None:
                raise SeemError("the node is not active; activate it (ros2 lifecycle set <node> activate)")
            search = self._search(goal)
            pipeline = running.camera(goal.request.camera)
            running.call(lambda: pipeline.searches.add(search))
            running.thread.wake()
        except SeemError as error:
            self._end(goal, Find.Result(message=str(error)))
        except Exception as error:  # nothing escapes a callback
            self._node.get_logger().error(f"internal error in ~/find:\n{traceback.format_exc()}")
            self._end(goal, Find.Result(message=f"internal error: {type(error).__name__}: {error}"))

    def _search(self, goal: Any) -> Search:
        """What a goal asks for.

        Raises:
            SeemError: It cannot be waited for.
        """
        timeout_s = goal.request.timeout_s
        if not (math.isfinite(timeout_s) and 0 < timeout_s <= MAX_TIMEOUT_S):
            raise PromptError(f"timeout_s must be above 0 and at most {MAX_TIMEOUT_S:g} seconds, got {timeout_s:g}")
        label = checked_label(goal.request.prompt.label)
        return Search(
            waitable(prompt_from_message(goal.request.prompt)),
            label,
            timeout_s,
            lambda: bool(goal.is_cancel_requested) or _id(goal) not in self._open,
            lambda search: self._progress(goal, search),
            lambda search, sighting, why: self._ended(goal, search, sighting, why),
        )

    def _cancel(self, goal: Any) -> CancelResponse:
        running = self._running()
        if running is not None:
            running.thread.wake()
        return CancelResponse.ACCEPT

    # -------------------------------------------------------------------------------------------- inference thread

    @staticmethod
    def _progress(goal: Any, search: Search) -> None:
        goal.publish_feedback(Find.Feedback(best_presence=float(search.best_presence), frames_looked_at=search.frames))

    def _ended(self, goal: Any, search: Search, sighting: Sighting | None, why: str) -> None:
        result = Find.Result(
            success=sighting is not None,
            message=why,
            frames_looked_at=search.frames,
            best_presence=float(search.best_presence),
        )
        if sighting is not None:
            result.header = sighting.header
            result.position_frame = sighting.segments.position_frame or sighting.header.frame_id
            result.target = target_to_message(sighting.target, sighting.segments, search.label or None)
        self._end(goal, result)

    # ------------------------------------------------------------------------------------------------------ the end

    def _end(self, goal: Any, result: Find.Result) -> None:
        with self._lock:
            if self._open.pop(_id(goal), None) is None:
                return  # it was answered already
            self._results[_id(goal)] = result
        try:
            goal.execute()  # `_finish`, on a thread of the executor
        except Exception:  # it was cancelled between two looks at it, or the process is ending
            if self._node.context.ok():
                self._server.notify_execute(goal, None)

    def _finish(self, goal: Any) -> Find.Result:
        with self._lock:
            result = self._results.pop(_id(goal))
        if result.success:
            goal.succeed()
        elif goal.is_cancel_requested:
            goal.canceled()
        else:
            goal.abort()
        return result


def _id(goal: Any) -> bytes:
    return bytes(goal.goal_id.uuid)


def waitable(prompt: Prompt) -> Prompt:
    """A prompt that means something on pictures to come.

    Raises:
        PromptError: It points at a place in a picture.
    """
    if prompt.shapes:
        raise PromptError(
            "find takes a text, a reference or both: clicks, boxes, strokes and masks point at a place in one picture, "
            "and say nothing about pictures to come"
        )
    return prompt

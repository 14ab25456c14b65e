# SPDX-License-Identifier: Apache-2.0
"""The node's services and topics as typed calls."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import numpy as np
from rclpy.node import Node
from std_srvs.srv import SetBool

from seem_ros.errors import PromptError, TargetError
from seem_ros.msg import SegmentArray, Target, TargetArray
from seem_ros.perception.structures.segments import Segments
from seem_ros.perception.tracking.target import TargetState
from seem_ros.ros.client.memory_calls import MemoryCalls
from seem_ros.ros.client.replies import (
    STATE_OF,
    RefineReply,
    RemoveReply,
    SegmentReply,
    message_of,
    refine_reply,
    remove_reply,
    segment_reply,
)
from seem_ros.ros.client.requests import Asked, picture_message, prompt_message, prompt_messages, stamp_message
from seem_ros.ros.client.service_calls import DEFAULT_TIMEOUT_S, LOOK_S, Reply, waits
from seem_ros.ros.messages.fields import listed, text, truth, whole
from seem_ros.ros.messages.results import segments_from_message
from seem_ros.srv import Refine, RemoveTargets, SetVocabulary
from seem_ros.srv import Segment as SegmentService


class SeemClient(MemoryCalls):
    """Calls a node and listens to it.

    Examples:
        >>> with SeemClient() as seem:
        ...     found = seem.segment(["the red mug"], track=True)
        ...     mug = seem.wait_for_target(found.target_ids[0])

    Every call exists twice: ``segment`` waits for the answer, ``segment_async`` gives a `concurrent.futures.Future`.
    Both end after ``timeout_s`` at the latest, with a `ServiceTimeoutError` where no answer came. What is given is
    checked before it is sent: numbers of numpy are as good as Python's, and a `PromptError` says what is allowed.

    Args:
        node: Create clients and subscriptions on this node, which somebody else spins, in another thread than the one
            that calls; None makes a node of its own that spins by itself.
        name: The node that is called, with its namespace if it has one.
        timeout_s: Of every call that is not given one; also bounds the search for the service.
        client_name: The name of the own node.
        while_waiting: Called again and again while a call waits; may raise to give up, e.g. because a process ended.
    """

    def __init__(
        self,
        node: Node | None = None,
        name: str = "seem",
        timeout_s: float = DEFAULT_TIMEOUT_S,
        client_name: str = "seem_client",
        while_waiting: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(node, "/" + name.strip("/"), timeout_s, client_name, while_waiting)
        self._newest: dict[str, TargetArray] = {}
        self._subscribed: set[str] = set()
        self._heard = threading.Condition()

    # ------------------------------------------------------------------------------------------------------ calls

    def segment_async(
        self,
        prompts: Asked | Sequence[Asked] = (),
        *,
        track: bool = False,
        panoptic: bool = False,
        camera: str = "",
        stamp_ns: int = 0,
        picture: np.ndarray | None = None,
        timeout_s: float | None = None,
    ) -> Future[SegmentReply]:
        """Finds what is described.

        Args:
            prompts: Words, a prompt, or a prompt message (which may carry a label); or several in a list.
            track: Start a target for each prompt that finds something.
            panoptic: The segments of the whole vocabulary as well.
            camera: By its name in the node's parameters; "" = the only, or first, one.
            stamp_ns: Of the frame that the prompts were drawn on; 0 = the newest.
            picture: uint8 [H, W, 3] RGB of your own instead of the camera's.
            timeout_s: Default the client's.

        Raises:
            ServiceError: The node refused; nothing was changed.
            ServiceTimeoutError: No answer in time.
            PromptError: A prompt has parts that a message cannot carry.
            FrameError: The picture is none.
        """
        request = SegmentService.Request(
            prompts=prompt_messages(prompts),
            track=truth(track, "track"),
            panoptic=truth(panoptic, "panoptic"),
            camera=text(camera, "camera"),
            stamp=stamp_message(stamp_ns),
        )
        if picture is not None:
            request.image = picture_message(picture)
        return self._typed(SegmentService, "segment", request, segment_reply, timeout_s)

    segment = waits(segment_async)
    """`segment_async`, waited for."""

    def refine_async(
        self, target_id: int, prompt: Asked, *, stamp_ns: int = 0, timeout_s: float | None = None
    ) -> Future[RefineReply]:
        """Another round on a target: more clicks, boxes, strokes, words.

        Args:
            target_id: A living target's.
            prompt: What is said now; what was said before is remembered.
            stamp_ns: Of the frame that it was drawn on; 0 = the newest.
            timeout_s: Default the client's.

        Raises:
            ServiceError: The node refused.
            ServiceTimeoutError: No answer in time.
            PromptError: The prompt has parts that a message cannot carry.
        """
        request = Refine.Request(
            target_id=whole(target_id, "target_id"), prompt=prompt_message(prompt), stamp=stamp_message(stamp_ns)
        )
        return self._typed(Refine, "refine", request, refine_reply, timeout_s)

    refine = waits(refine_async)
    """`refine_async`, waited for."""

    def remove_targets_async(self, target_ids: Sequence[int], *, timeout_s: float | None = None) -> Future[RemoveReply]:
        """Stops following targets. If one id is unknown none is removed.

        Raises:
            ServiceError: The node refused.
            ServiceTimeoutError: No answer in time.
        """
        request = RemoveTargets.Request(target_ids=listed(target_ids, "target_ids", whole))
        return self._typed(RemoveTargets, "remove_targets", request, remove_reply, timeout_s)

    remove_targets = waits(remove_targets_async)
    """`remove_targets_async`, waited for."""

    def remove_all_targets_async(self, camera: str = "", *, timeout_s: float | None = None) -> Future[RemoveReply]:
        """Stops following all targets, of one camera if it is named.

        Raises:
            ServiceError: The node refused.
            ServiceTimeoutError: No answer in time.
        """
        request = RemoveTargets.Request(all=True, camera=text(camera, "camera"))
        return self._typed(RemoveTargets, "remove_targets", request, remove_reply, timeout_s)

    remove_all_targets = waits(remove_all_targets_async)
    """`remove_all_targets_async`, waited for."""

    def set_vocabulary_async(
        self, things: Sequence[str] = (), stuff: Sequence[str] = (), *, timeout_s: float | None = None
    ) -> Future[str]:
        """Changes the names for segments; both empty = the model's own.

        Returns:
            What the node has to say, e.g. which words the model was never trained on.

        Raises:
            ServiceError: The node refused; the old vocabulary stays.
            ServiceTimeoutError: No answer in time.
        """
        request = SetVocabulary.Request(things=listed(things, "things", text), stuff=listed(stuff, "stuff", text))
        return self._typed(SetVocabulary, "set_vocabulary", request, message_of, timeout_s)

    set_vocabulary = waits(set_vocabulary_async)
    """`set_vocabulary_async`, waited for."""

    def enable_async(self, on: bool = True, *, timeout_s: float | None = None) -> Future[str]:
        """Has the cameras' frames processed, or lets them pass.

        Raises:
            ServiceError: The node refused.
            ServiceTimeoutError: No answer in time.
        """
        return self._typed(SetBool, "enable", SetBool.Request(data=truth(on, "on")), message_of, timeout_s)

    enable = waits(enable_async)
    """`enable_async`, waited for."""

    # ------------------------------------------------------------------------------------------------------ topics

    def listen_to_segments(self, callback: Callable[[Segments], None], camera: str = "", queue: int = 10) -> None:
        """Has a function called with everything found in each picture.

        Args:
            callback: Called on the thread that spins.
            camera: Its name where the node has several cameras.
            queue: Pictures that may wait.
        """
        self.listen(SegmentArray, self._topic("segments", camera), lambda m: callback(segments_from_message(m)), queue)

    def listen_to_targets(self, callback: Callable[[TargetArray], None], camera: str = "", queue: int = 10) -> None:
        """Has a function called with all targets of each picture; see `listen_to_segments`."""
        self.listen(TargetArray, self._topic("targets", camera), callback, queue)

    def targets(self, camera: str = "", *, timeout_s: float | None = None) -> tuple[Target, ...]:
        """All targets of the newest picture.

        Raises:
            ServiceTimeoutError: None was published in time.
        """
        newest = self._wait_for_targets(camera, lambda heard: heard, f"targets of {self._prefix}", timeout_s)
        return tuple(newest.targets)

    def wait_for_target(
        self,
        target_id: int,
        states: TargetState | Sequence[TargetState] = (TargetState.TRACKED,),
        camera: str = "",
        *,
        timeout_s: float | None = None,
    ) -> Target:
        """A target's newest message, once it is in one of these states: where it is, in pixels and, with depth, metres.

        Raises:
            TargetError: The id is 0, which is no target's: nothing was found for it.
            ServiceTimeoutError: It did not get there in time.
        """
        if not whole(target_id, "target_id"):
            raise TargetError("0 is no target's id: nothing was found, so no target was started")
        wanted = listed([states] if isinstance(states, str) else states, "states", _state)

        def there(heard: TargetArray) -> Target | None:
            mine = (one for one in heard.targets if one.target_id == target_id)
            return next((one for one in mine if STATE_OF[one.state] in wanted), None)

        what = f"target {target_id} being {' or '.join(state.value for state in wanted)}"
        return self._wait_for_targets(camera, there, what, timeout_s)

    # ------------------------------------------------------------------------------------------------------ ending

    def __enter__(self) -> SeemClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------------ inside

    def _topic(self, name: str, camera: str) -> str:
        return self.full_name(f"{text(camera, 'camera')}/{name}" if camera else name)

    def _answered(self) -> None:
        with self._heard:
            self._newest.clear()  # `targets` shall not tell what was before the call

    def _wait_for_targets(
        self, camera: str, pick: Callable[[TargetArray], Reply | None], what: str, timeout_s: float | None
    ) -> Reply:
        limit_s = self.limit_s(timeout_s)
        end = time.monotonic() + limit_s
        with self._lock:
            known = camera in self._subscribed
            self._subscribed.add(camera)
        if not known:
            self.listen_to_targets(lambda message: self._hear(camera, message), camera)
        with self._heard:
            while True:
                newest = self._newest.get(camera)
                picked = pick(newest) if newest is not None else None
                if picked is not None:
                    return picked
                self._heard.wait(LOOK_S)
                self.look(end, f"no {what} within {limit_s:g} s on {self._topic('targets', camera)}")

    def _hear(self, camera: str, message: TargetArray) -> None:
        with self._heard:
            self._newest[camera] = message
            self._heard.notify_all()


def _state(state: TargetState | str, what: str) -> TargetState:
    try:
        return TargetState(state)
    except ValueError as error:
        raise PromptError(f"{what} must be one of {', '.join(TargetState)}, got {state!r}") from error

# SPDX-License-Identifier: Apache-2.0
"""Calls about what lasts: rounds taken back, names, waits, and objects that are remembered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
from rclpy.action import ActionClient

from seem_ros.action import Find
from seem_ros.errors import ServiceError
from seem_ros.ros.client.find_calls import Finding, FindReply, Progress, exchange
from seem_ros.ros.client.replies import KnownObject, UndoReply, known_object, undo_reply
from seem_ros.ros.client.requests import Asked, picture_message, prompt_message, stamp_message
from seem_ros.ros.client.service_calls import LOOK_S, Reply, ServiceCaller, waits
from seem_ros.ros.messages.fields import listed, number, text, truth, whole
from seem_ros.srv import Forget, Objects, Rename, Teach, Undo


class MemoryCalls(ServiceCaller):
    """The part of `SeemClient` that is about what lasts."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._find: Any = None
        self._find_lock = threading.Lock()

    def undo_async(self, target_id: int, *, timeout_s: float | None = None) -> Future[UndoReply]:
        """Takes back the newest round on a target.

        Raises:
            ServiceError: The node refused: there is no such target, or no round to take back.
            ServiceTimeoutError: No answer in time.
        """
        return self._typed(Undo, "undo", Undo.Request(target_id=whole(target_id, "target_id")), undo_reply, timeout_s)

    undo = waits(undo_async)
    """`undo_async`, waited for."""

    def rename_async(self, target_id: int, label: str = "", *, timeout_s: float | None = None) -> Future[str]:
        """Gives a target another name; "" = the one that the model gives it.

        Returns:
            The name that it carries now.

        Raises:
            ServiceError: The node refused.
            ServiceTimeoutError: No answer in time.
        """
        request = Rename.Request(target_id=whole(target_id, "target_id"), label=text(label, "label"))
        return self._typed(Rename, "rename", request, lambda response: str(response.label), timeout_s)

    rename = waits(rename_async)
    """`rename_async`, waited for."""

    def find_async(
        self,
        prompt: Asked,
        seconds: float,
        camera: str = "",
        *,
        on_progress: Progress | None = None,
        timeout_s: float | None = None,
    ) -> Finding:
        """Waits until a camera sees what is described, and has it followed from then on; can be cancelled.

        Args:
            prompt: A text, a reference or both; it must not point at a place in a picture.
            seconds: How long to wait for it, by the node's clock that never stands still.
            camera: By its name in the node's parameters; "" = the only, or first, one.
            on_progress: Called with the best presence so far and the pictures looked at.
            timeout_s: How long the node may take for answers beside ``seconds``; default the client's.

        Raises:
            ServiceTimeoutError: The node does not answer.
            PromptError: The prompt has parts that a message cannot carry.
        """
        goal = Find.Goal(
            prompt=prompt_message(prompt), camera=text(camera, "camera"), timeout_s=number(seconds, "seconds")
        )
        finding, name, limit_s = Finding(), self.full_name("find"), self.limit_s(timeout_s)

        def work() -> FindReply:
            return exchange(self, self._actions(name, limit_s), name, goal, finding, on_progress, limit_s)

        self.carry(finding.future, work, "call find")
        return finding

    find = waits(find_async)
    """`find_async`, waited for."""

    def teach_async(
        self,
        name: str,
        target_id: int = 0,
        prompt: Asked | None = None,
        *,
        camera: str = "",
        stamp_ns: int = 0,
        picture: np.ndarray | None = None,
        replace: bool = False,
        timeout_s: float | None = None,
    ) -> Future[KnownObject]:
        """Has an object remembered: text that is its name finds it from now on, also after a restart.

        Args:
            name: Of the object; a known one gets one more view.
            target_id: A target that is seen now; or
            prompt: What points at it, on a frame or on ``picture``.
            camera, stamp_ns, picture: As in `segment`.
            replace: Forget the views so far.
            timeout_s: Default the client's.

        Raises:
            ServiceError: The node refused; nothing was remembered.
            ServiceTimeoutError: No answer in time.
            PromptError: The prompt has parts that a message cannot carry.
        """
        request = Teach.Request(
            name=text(name, "name"),
            target_id=whole(target_id, "target_id"),
            camera=text(camera, "camera"),
            stamp=stamp_message(stamp_ns),
            replace=truth(replace, "replace"),
        )
        if prompt is not None:
            request.prompt = prompt_message(prompt)
        if picture is not None:
            request.image = picture_message(picture)
        return self._typed(Teach, "teach", request, lambda done: known_object(done.object), timeout_s)

    teach = waits(teach_async)
    """`teach_async`, waited for."""

    def objects_async(
        self, thumbnails: bool = True, *, timeout_s: float | None = None
    ) -> Future[tuple[KnownObject, ...]]:
        """All objects that were taught.

        Raises:
            ServiceError: The node refused.
            ServiceTimeoutError: No answer in time.
        """
        request = Objects.Request(names_only=not truth(thumbnails, "thumbnails"))
        return self._typed(
            Objects, "objects", request, lambda done: tuple(known_object(one) for one in done.objects), timeout_s
        )

    objects = waits(objects_async)
    """`objects_async`, waited for."""

    def forget_async(
        self, name: str, views: Sequence[int] = (), *, timeout_s: float | None = None
    ) -> Future[tuple[str, ...]]:
        """Has an object forgotten, or some of its views by their places from 0.

        Returns:
            The names that are still remembered.

        Raises:
            ServiceError: There is no such object or view.
            ServiceTimeoutError: No answer in time.
        """
        request = Forget.Request(name=text(name, "name"), views=listed(views, "views", whole))
        return self._typed(Forget, "forget", request, lambda done: tuple(done.remaining), timeout_s)

    forget = waits(forget_async)
    """`forget_async`, waited for."""

    def close(self) -> None:
        """See `ServiceCaller.close`."""
        self.end_calls()
        if self._find is not None:
            self._find.destroy()
            self._find = None
        super().close()

    def _actions(self, name: str, timeout_s: float) -> ActionClient:
        """The client of the action, made where the node spins: rclpy adds it to the node while it is half made.

        Raises:
            ServiceTimeoutError: The node does not spin.
        """
        with self._find_lock:
            executor: Any = self.node.executor
            if self._find is None and executor is None:
                self._find = ActionClient(self.node, Find, name, callback_group=self._group)
            elif self._find is None:
                making: Any = executor.create_task(ActionClient, self.node, Find, name, callback_group=self._group)
                end_s = time.monotonic() + timeout_s
                while not making.done():
                    self.look(end_s, f"the client's own node has not run within {timeout_s:g} s")
                    time.sleep(LOOK_S)
                self._find = making.result()
            return self._find

    def _typed(
        self, kind: type, service: str, request: Any, read: Callable[[Any], Reply], timeout_s: float | None
    ) -> Future[Reply]:
        def checked(response: Any) -> Reply:
            if not response.success:
                raise ServiceError(response.message or f"{service} was refused without a word")
            self._answered()
            return read(response)

        return self.start(kind, service, request, checked, timeout_s)

    def _answered(self) -> None:
        """Called after every answer that changed something."""

# SPDX-License-Identifier: Apache-2.0
"""Service calls that end: each waits in a thread of its own for the service, the answer and the time-out alike."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import rclpy
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from seem_ros.errors import ServiceError, ServiceTimeoutError
from seem_ros.ros.executor import spin
from seem_ros.ros.messages.fields import number, settled

DEFAULT_TIMEOUT_S = 10.0
LOOK_S = 0.02  # between two looks at whether a service is there: discovery takes longer than that

Reply = TypeVar("Reply")
Given = ParamSpec("Given")
Owner = TypeVar("Owner")
Come = TypeVar("Come", covariant=True)


class Promise(Protocol[Come]):
    """What can be waited for."""

    def result(self) -> Come:
        """What came of it; raises where it failed."""


def waits(begin: Callable[Concatenate[Owner, Given], Promise[Come]]) -> Callable[Concatenate[Owner, Given], Come]:
    """A method that waits for what another one begins, with the same arguments."""

    @functools.wraps(begin)
    def wait(self: Owner, /, *args: Given.args, **more: Given.kwargs) -> Come:
        return begin(self, *args, **more).result()

    wait.__name__ = begin.__name__.removesuffix("_async")
    return wait


class ServiceCaller:
    """Calls services and listens to topics, on a node that was given or on one of its own.

    Args:
        node: Somebody else spins it, in another thread than the one that calls; None makes one that spins by itself.
        prefix: Of services and topics whose name does not begin with "/".
        timeout_s: Of every call that is not given one; also bounds the search for the service.
        client_name: The name of the own node.
        while_waiting: Called again and again while a call waits; may raise to give up.
    """

    def __init__(
        self,
        node: Node | None,
        prefix: str,
        timeout_s: float,
        client_name: str,
        while_waiting: Callable[[], None] | None,
    ) -> None:
        self._prefix, self._timeout_s, self._while_waiting = prefix, timeout_s, while_waiting
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        self._calls: set[threading.Thread] = set()
        self._closed = False
        self._own: tuple[rclpy.Context, SingleThreadedExecutor, threading.Thread] | None = None
        self._group = ReentrantCallbackGroup()
        if node is None:
            context = rclpy.Context()
            rclpy.init(context=context)
            node = rclpy.create_node(client_name, context=context)
            executor = SingleThreadedExecutor(context=context)
            executor.add_node(node)
            thread = threading.Thread(target=spin, args=(executor, node), daemon=True, name=client_name)
            thread.start()
            self._own = (context, executor, thread)
        self.node = node

    def call_async(self, kind: type, service: str, request: Any, timeout_s: float | None = None) -> Future[Any]:
        """The response of any service, as it came.

        Args:
            kind: The service's type.
            service: Its name, below the node's unless it begins with "/".
            request: What is asked.
            timeout_s: Default the client's.

        Raises:
            ServiceTimeoutError: No answer in time, or nobody offers the service.
            PromptError: A field of the request is not of its type.
        """
        return self.start(kind, service, settled(request), lambda response: response, timeout_s)

    call = waits(call_async)
    """`call_async`, waited for."""

    def listen(self, kind: type, topic: str, callback: Callable[[Any], None], queue: int = 10) -> None:
        """Has a function called with every message of a topic, on the thread that spins."""
        qos = QoSProfile(depth=queue, reliability=ReliabilityPolicy.RELIABLE)
        self.node.create_subscription(kind, self.full_name(topic), callback, qos, callback_group=self._group)

    def full_name(self, name: str) -> str:
        """Of a service or topic."""
        return name if name.startswith("/") else f"{self._prefix}/{name}"

    def limit_s(self, timeout_s: float | None) -> float:
        """A call's own time-out, or the caller's default."""
        return self._timeout_s if timeout_s is None else number(timeout_s, "timeout_s")

    def close(self) -> None:
        """Ends what waits, and takes the own node down; a node that was given stays, with what was created on it."""
        self.end_calls()
        if self._own is not None:
            context, executor, thread = self._own
            executor.shutdown(timeout_sec=2)
            thread.join(5)
            self.node.destroy_node()
            context.try_shutdown()
            self._own = None

    def end_calls(self) -> None:
        """Ends what waits."""
        self._closed = True
        for thread in list(self._calls):
            thread.join(5)  # it looks at `_closed` many times a second, and must not find its handles destroyed

    def start(
        self, kind: type, service: str, request: Any, read: Callable[[Any], Reply], timeout_s: float | None
    ) -> Future[Reply]:
        """Begins a call; ``read`` makes the future's result of the response, or raises."""
        future: Future[Reply] = Future()
        limit_s = self.limit_s(timeout_s)
        self.carry(future, lambda: read(self._exchange(kind, service, request, limit_s)), f"call {service}")
        return future

    def carry(self, future: Future[Reply], work: Callable[[], Reply], name: str) -> None:
        """Does something in a thread of its own; whoever holds the future is told what came of it."""

        future.set_running_or_notify_cancel()  # a call that has been sent cannot be cancelled any more

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            finally:
                self._calls.discard(threading.current_thread())

        thread = threading.Thread(target=run, daemon=True, name=name)
        self._calls.add(thread)
        thread.start()

    def _exchange(self, kind: type, service: str, request: Any, timeout_s: float) -> Any:
        name = self.full_name(service)
        end = time.monotonic() + timeout_s
        with self._lock:
            if name not in self._clients:
                self._clients[name] = self.node.create_client(kind, name, callback_group=self._group)
            client = self._clients[name]
        while not client.service_is_ready():
            self.look(end, f"nobody offers {name} after {timeout_s:g} s (ROS_DOMAIN_ID {_domain()}); is it running?")
            time.sleep(LOOK_S)
        answered = threading.Event()
        pending = client.call_async(request)
        pending.add_done_callback(lambda _: answered.set())
        while not answered.wait(LOOK_S):
            try:
                self.look(end, f"no answer of {name} within {timeout_s:g} s")
            except BaseException:
                client.remove_pending_request(pending)
                raise
        return pending.result()

    def look(self, end_s: float, late: str) -> None:
        """Raises when it makes no sense to wait any longer."""
        if self._while_waiting is not None:
            self._while_waiting()
        if self._closed:
            raise ServiceError("the client was closed")
        if time.monotonic() > end_s:
            raise ServiceTimeoutError(late)


def _domain() -> str:
    return os.environ.get("ROS_DOMAIN_ID") or "0"

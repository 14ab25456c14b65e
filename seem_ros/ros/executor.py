# SPDX-License-Identifier: Apache-2.0
"""A multi-threaded executor that keeps its hands off the cores that the model needs.

rclpy's own hands every callback to a pool, and until a thread of the pool has taken it up, it hands the same callback
over again and again. While the model keeps all cores busy that is most of the time: on two cores it took half of one.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.executors import (
    Executor,
    ExternalShutdownException,
    MultiThreadedExecutor,
    ShutdownException,
    TimeoutException,
)
from rclpy.impl.implementation_singleton import rclpy_implementation

RCLError = rclpy_implementation.RCLError  # rclpy gives it no public name
TAKE_UP_S = 0.005
LAST_WAIT_S = 1.0
LOOK_S = 0.1  # whether what is spun for is so


class StoringGroup(MutuallyExclusiveCallbackGroup):
    """Callbacks that only store what came: the spinning thread runs them itself."""


class PacedGroup(StoringGroup):
    """Storing callbacks of messages that hardly change: looked at no more often than every so many seconds.

    Args:
        period_s: Between two looks; what came in between is replaced by the newest.
    """

    def __init__(self, period_s: float) -> None:
        super().__init__()
        self._period_s, self._next_s = period_s, float("-inf")

    def can_execute(self, entity: Any) -> bool:
        """Whether it is time again; until then the executor does not even wait for the message."""
        return time.monotonic() >= self._next_s and super().can_execute(entity)

    def ending_execution(self, entity: Any) -> None:
        """A message was taken."""
        self._next_s = time.monotonic() + self._period_s
        super().ending_execution(entity)


class PatientExecutor(MultiThreadedExecutor):
    """Runs callbacks of a `StoringGroup` where it spins, and all others in threads, each handed over once.

    Args:
        threads: Callbacks that may run at the same time, beside the storing ones.
        context: rclpy's; default its own.
    """

    def __init__(self, threads: int, context: Any = None) -> None:
        super().__init__(threads, context=context)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="callback")
        self._handed_over: dict[int, threading.Event] = {}
        self._running: list[Any] = []

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for a callback and have it run.

        Raises:
            Exception: What a callback raised; none of the node's does.
        """
        try:
            task, entity, _ = self.wait_for_ready_callbacks(timeout_sec)
        except (ShutdownException, ExternalShutdownException, TimeoutException):
            return
        if isinstance(getattr(entity, "callback_group", None), StoringGroup):
            task()
            self._running.append(task)
        else:
            self._hand_over(task)
        for one in [one for one in self._running if one.done()]:
            self._running.remove(one)
            one.result()

    def _hand_over(self, task: Any) -> None:
        """Give a task to the pool, once, and wait a moment until a thread has it: rclpy offers it again until then."""
        started = self._handed_over.get(id(task))
        if started is None:
            started = self._handed_over[id(task)] = threading.Event()
            self._running.append(task)

            def run() -> None:
                del self._handed_over[id(task)]
                started.set()
                task()

            self._pool.submit(run)
        started.wait(TAKE_UP_S)

    def shutdown(self, timeout_sec: float | None = None, *, wait_for_threads: bool = True) -> bool:
        """See rclpy's; callbacks that still run are waited for a moment, and what they raise now is nobody's concern.

        An answer to a call that waited cannot be sent any more, and rclpy would print a line about each.
        """
        self._pool.shutdown(wait=False, cancel_futures=True)
        ended = super().shutdown(timeout_sec)  # older ones know no wait_for_threads, and their threads have no work
        until_s = time.monotonic() + (LAST_WAIT_S if wait_for_threads else 0.0)
        while any(not task.done() for task in self._running) and time.monotonic() < until_s:
            time.sleep(TAKE_UP_S)
        for task in self._running:
            if task.done():
                task.exception()
        self._running.clear()
        return ended


def spin(executor: Executor, node: Any, until: Callable[[], bool] | None = None) -> None:
    """Spin until the process is told to end, or something is so.

    rclpy's executor raises out of `spin` when a publisher or subscription is destroyed on one thread while another
    gathers what to wait for. That is no reason to end: what was ready is still ready in the next round.
    """
    while True:
        try:
            if until is None:
                executor.spin()
            while until is not None and node.context.ok() and not until():
                executor.spin_once(LOOK_S)
            return
        except (KeyboardInterrupt, ExternalShutdownException):
            return
        except rclpy_implementation.InvalidHandle:
            continue
        except Exception:
            if not node.context.ok():
                return  # the process is ending
            trace = traceback.format_exc()
            node.get_logger().error(f"internal error in the executor:\n{trace}", throttle_duration_sec=5.0)
            time.sleep(0.01)

# SPDX-License-Identifier: Apache-2.0
"""The executor: storing callbacks run where it spins, others in threads, and waiting for them costs nothing."""

import threading
import time
from types import SimpleNamespace

import pytest
import rclpy
from harness import wait_for
from rclpy.callback_groups import ReentrantCallbackGroup
from std_msgs.msg import UInt8

from seem_ros.ros.executor import LAST_WAIT_S, PacedGroup, PatientExecutor, StoringGroup, spin


@pytest.fixture
def ros(private_ros):
    """A node on an executor with two threads, spun by a thread whose name and processor time can be asked for."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("executor_test", context=context)
    executor = PatientExecutor(2, context)
    executor.add_node(node)
    thread = threading.Thread(target=spin, args=(executor, node), name="spinning", daemon=True)
    made = SimpleNamespace(node=node, executor=executor, thread=thread)
    yield made
    executor.shutdown(timeout_sec=2)
    if thread.ident is not None:
        thread.join(5)
    node.destroy_node()
    context.try_shutdown()


def test_storing_callbacks_run_where_it_spins_and_others_in_the_pool(ros):
    ran = {}
    for name, group in (("stored", StoringGroup()), ("other", ReentrantCallbackGroup())):
        ros.node.create_timer(
            0.01, lambda name=name: ran.setdefault(name, threading.current_thread().name), callback_group=group
        )
    ros.thread.start()
    wait_for(lambda: len(ran) == 2, "both callbacks")
    assert ran["stored"] == "spinning"
    assert ran["other"].startswith("callback")


def test_spinning_ends_with_the_executor_at_once(ros):
    ran: list[int] = []
    ros.node.create_timer(0.01, lambda: ran.append(1), callback_group=StoringGroup())
    ros.thread.start()
    wait_for(lambda: ran, "a callback")
    ros.executor.shutdown(timeout_sec=2)
    wait_for(lambda: not ros.thread.is_alive(), "the end of the thread", 2)


def test_shutting_down_waits_for_no_callback_that_still_runs_where_told_so(ros):
    busy, end = threading.Event(), threading.Event()

    def work() -> None:
        busy.set()
        end.wait(10)

    ros.node.create_timer(0.01, work, callback_group=ReentrantCallbackGroup())
    ros.thread.start()
    wait_for(busy.is_set, "a callback")
    begin_s = time.monotonic()
    ros.executor.shutdown(timeout_sec=0, wait_for_threads=False)
    waited_s = time.monotonic() - begin_s
    end.set()
    assert waited_s < LAST_WAIT_S / 2


def test_threads_that_are_all_busy_stop_no_storing_callback_and_what_waited_runs_later(ros):
    release, begun, stored = threading.Event(), [], []

    def busy(number):
        begun.append(number)
        release.wait(20)

    for number in range(4):  # two more than there are threads
        ros.node.create_timer(0.01, lambda number=number: busy(number), callback_group=ReentrantCallbackGroup())
    ros.node.create_timer(0.02, lambda: stored.append(0), callback_group=StoringGroup())
    ros.thread.start()
    wait_for(lambda: len(begun) == 2 and len(stored) >= 20, "storing callbacks beside busy threads")
    assert len(begun) == 2
    release.set()
    wait_for(lambda: set(begun) == {0, 1, 2, 3}, "the callbacks that waited for a thread")


def test_waiting_for_a_thread_costs_next_to_no_processor_time(ros):
    release = threading.Event()
    for _ in range(3):
        ros.node.create_timer(0.01, lambda: release.wait(20), callback_group=ReentrantCallbackGroup())
    times = []
    ros.node.create_timer(0.05, lambda: times.append(time.thread_time()), callback_group=StoringGroup())
    ros.thread.start()
    wait_for(lambda: len(times) >= 25, "a second of spinning")
    release.set()
    assert times[-1] - times[-21] < 0.5  # of a second at least; rclpy's own takes all of it


def test_a_paced_group_looks_at_a_busy_topic_now_and_then_and_sees_the_newest(ros):
    seen = []
    ros.node.create_subscription(UInt8, "busy", lambda msg: seen.append(msg.data), 1, callback_group=PacedGroup(0.2))
    publisher, count = ros.node.create_publisher(UInt8, "busy", 1), []

    def publish():
        count.append(0)
        publisher.publish(UInt8(data=len(count) % 256))

    ros.node.create_timer(0.02, publish, callback_group=StoringGroup())
    ros.thread.start()
    wait_for(lambda: len(count) >= 75, "a busy topic")
    assert 2 <= len(seen) <= len(count) / 4
    assert seen[-1] >= len(count) - 40  # none from long ago

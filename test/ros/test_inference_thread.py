# SPDX-License-Identifier: Apache-2.0
"""The thread that owns the model: calls and frames take turns, calls are bounded and answered in time."""

import threading
import time

import pytest

from seem_ros.errors import PromptError
from seem_ros.ros.inference_thread import CALL_TURN_S, IDLE_WAIT_S, BusyError, InferenceThread


class Source:
    """Always has a frame."""

    def __init__(self):
        self.processed = 0

    def has_frame(self):
        return True

    def is_ready(self):
        return True

    def process(self):
        self.processed += 1
        time.sleep(0.001)
        if self.processed == 3:
            raise ValueError("a bad frame")


@pytest.fixture
def thread():
    errors = []
    made = InferenceThread(2, errors.append)
    made.errors = errors
    yield made
    made.stop()


def test_a_call_runs_on_the_thread_and_its_result_and_error_come_back(thread):
    assert thread.call(lambda: threading.current_thread().name, 1.0) == "inference"

    def fail():
        raise PromptError("no")

    with pytest.raises(PromptError, match="no"):
        thread.call(fail, 1.0)


def test_after_calls_it_tidies_up_once_when_nothing_more_comes():
    tidied = threading.Event()
    order = []

    def tidy():
        order.append("tidy")
        tidied.set()

    thread = InferenceThread(2, lambda error: None, at_rest=tidy)
    try:
        for number in range(3):
            thread.call(lambda number=number: order.append(number), 1.0)
        assert tidied.wait(5.0)
        tidied.clear()
        assert not tidied.wait(3 * IDLE_WAIT_S)
        assert order == [0, 1, 2, "tidy"]
    finally:
        thread.stop()


@pytest.mark.parametrize("pieces", [4, 60])
def test_a_call_lets_a_frame_in_when_its_turn_is_over_and_not_after_each_piece(thread, pieces):
    source = Source()
    thread.serve((source,))

    def work():
        before, began_s, worked_s = source.processed, time.monotonic(), 0.0
        for _ in range(pieces):
            time.sleep(0.01)
            worked_s = time.monotonic() - began_s
            thread.pause()
        return source.processed - before, worked_s

    frames, worked_s = thread.call(work, 20.0)
    # 10 ms are a piece, and whoever is late by it still lets a frame in at every second one
    assert worked_s / (2 * CALL_TURN_S + 0.02) - 1 <= frames <= worked_s / CALL_TURN_S


def test_frames_go_on_while_calls_come_and_a_bad_frame_ends_nothing(thread):
    source = Source()
    thread.serve((source,))
    for _ in range(20):
        before = source.processed
        thread.call(lambda: time.sleep(0.002), 1.0)
        time.sleep(0.01)
        assert source.processed > before
    assert [type(error) for error in thread.errors] == [ValueError, type(None)]  # and it is told that all is well again


def test_of_several_cameras_none_starves_while_calls_come(thread):
    sources = [Source() for _ in range(4)]
    thread.serve(tuple(sources))
    for _ in range(10):
        thread.call(lambda: time.sleep(0.002), 1.0)
    deadline = time.monotonic() + 10
    while min(source.processed for source in sources) < 10 and time.monotonic() < deadline:
        thread.call(lambda: None, 1.0)
    counts = thread.call(lambda: [source.processed for source in sources], 1.0)
    assert min(counts) >= 10
    assert max(counts) - min(counts) <= 1  # they take turns: no camera is ever two frames ahead


def test_a_call_too_many_is_told_so_at_once(thread):
    release, threads = threading.Event(), []
    for _ in range(2):
        threads.append(threading.Thread(target=lambda: thread.call(lambda: release.wait(5), 5.0)))
        threads[-1].start()
    while thread.waiting < 2:
        time.sleep(0.001)
    begin = time.monotonic()
    with pytest.raises(BusyError, match="max_waiting_calls is 2"):
        thread.call(lambda: None, 5.0)
    assert time.monotonic() - begin < 0.5
    release.set()
    for one in threads:
        one.join()
    assert thread.call(lambda: 7, 1.0) == 7


def test_a_call_that_takes_too_long_is_answered_and_undone(thread):
    release, undone = threading.Event(), []
    with pytest.raises(BusyError, match=r"within 0\.05 s"):
        thread.call(lambda: release.wait(5), 0.05, undo=undone.append)
    ran = []
    with pytest.raises(BusyError):
        thread.call(lambda: ran.append(1), 0.05)
    release.set()
    thread.call(lambda: None, 1.0)
    assert undone == [True]
    assert ran == []  # its caller was gone before it began


def test_whoever_waits_is_answered_when_the_thread_ends():
    thread = InferenceThread(4, lambda error: None)
    begun, release, answers = threading.Event(), threading.Event(), []

    def work():
        begun.set()
        release.wait(5)

    def wait():
        try:
            thread.call(work, 5.0)
        except BusyError as error:
            answers.append(str(error))

    first = threading.Thread(target=wait)
    second = threading.Thread(target=wait)
    first.start()
    assert begun.wait(5)
    second.start()
    while thread.waiting < 2:
        time.sleep(0.001)
    stopper = threading.Thread(target=thread.stop)
    stopper.start()
    time.sleep(0.05)
    release.set()
    for one in (first, second, stopper):
        one.join(5)
    assert answers == ["the node is shutting down"] * 2  # the one whose work ran too: nobody waits for a busy model
    with pytest.raises(BusyError, match="shutting down"):
        thread.call(lambda: None, 1.0)

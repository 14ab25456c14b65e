# SPDX-License-Identifier: Apache-2.0
"""Settings change between frames and calls and never within one: only the thread that owns the model changes them."""

import threading
import weakref

import pytest
from colour_backend import ColourBackend, scene
from harness import wait_for

from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Prompt
from seem_ros.ros.inference_thread import BusyError
from seem_ros.ros.parameters import Settings
from seem_ros.ros.session import Running


class NobodyWaits:
    """No search for anything."""

    def __len__(self):
        return 0

    def has_ended(self):
        return False


class RecordingCamera:
    """A camera without pictures that notes which settings it was given, and by which thread."""

    def __init__(self):
        self.given, self.threads, self.searches, self.enabled = [], [], NobodyWaits(), False

    def apply(self, settings):
        self.given.append(settings)
        self.threads.append(threading.current_thread().name)

    def has_frame(self):
        return False

    is_ready = has_frame


@pytest.fixture
def camera():
    return RecordingCamera()


@pytest.fixture
def running(camera):
    made = Running(
        lambda settings: Segmenter(ColourBackend(), settings.segmenter_config()),
        lambda name, segmenter: camera,
        Settings(objects_dir="", call_timeout_s=0.2, depth_wait_s=0.01),
        lambda error: None,
    )
    yield made
    made.close()


def test_a_call_that_runs_keeps_the_settings_that_it_began_with(running, camera):
    began, go_on, seen = threading.Event(), threading.Event(), []

    def work():
        seen.append(running.segmenter.config.presence_threshold)
        began.set()
        go_on.wait(10)
        seen.append(running.segmenter.config.presence_threshold)
        return running.segmenter.segment([Prompt(text="red")], Frame(scene({(30, 30): "red"})))

    answers = []
    caller = threading.Thread(target=lambda: answers.append(running.call(work, timeout_s=10)))
    caller.start()
    began.wait(10)
    running.apply(running.settings.changed({"presence_threshold": 1.0}))
    go_on.set()
    caller.join(10)
    assert seen == [None, None] and answers[0].answers[0].found
    assert running.call(lambda: running.segmenter.config.presence_threshold) == 1.0


def test_cameras_are_given_settings_by_the_thread_that_owns_the_model(running, camera):
    running.apply(running.settings.changed({"max_rate_hz": 3.0}))
    wait_for(lambda: camera.given[-1].max_rate_hz == 3.0, "the camera's settings")
    assert set(camera.threads) == {"inference"}


def test_settings_that_contradict_the_model_change_nothing(running, camera):
    before = running.settings
    with pytest.raises(Exception, match="presence_lost"):
        running.apply(running.settings.changed({"tracker.presence_lost": 0.9}))
    assert running.settings is before


@pytest.mark.parametrize(("may", "words"), [(True, "it may still take effect"), (False, "nothing was started")])
def test_a_call_that_comes_too_late_is_told_what_becomes_of_it(running, may, words):
    go_on = threading.Event()
    with pytest.raises(BusyError, match=rf"no answer within 0\.2 s, the model is busy; {words}"):
        running.call(lambda: go_on.wait(10), may_take_effect=may)
    go_on.set()


def test_no_room_to_wait_is_no_call_that_came_too_late(running):
    go_on = threading.Event()
    waiting = [
        threading.Thread(target=lambda: running.call(lambda: go_on.wait(10), timeout_s=10))
        for _ in range(running.settings.max_waiting_calls)
    ]
    for one in waiting:
        one.start()
    wait_for(lambda: running.thread.waiting == len(waiting), "calls that wait")
    with pytest.raises(BusyError, match="max_waiting_calls") as told:
        running.call(lambda: None, may_take_effect=True)
    assert not told.value.too_late and "take effect" not in str(told.value)
    go_on.set()
    for one in waiting:
        one.join(10)


def test_what_a_picture_was_encoded_to_is_freed_when_no_more_calls_come(running):
    frame = Frame(scene({(30, 30): "red"}))

    def ask():
        encoded = running.segmenter.encode(frame)
        return weakref.ref(encoded.features), len(running.segmenter.segment([Prompt(text="red")], encoded))

    features, found = running.thread.call(ask, timeout_s=5)
    wait_for(lambda: features() is None, "the features to be freed")
    assert running.thread.call(ask, timeout_s=5)[1] == found == 1

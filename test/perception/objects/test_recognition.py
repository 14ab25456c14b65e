# SPDX-License-Identifier: Apache-2.0
"""A text that names a taught object finds that object, on other pictures, and says that it was taught."""

import numpy as np
import pytest
from colour_backend import ColourBackend, scene

from seem_ros.perception.objects.memory import ObjectMemory
from seem_ros.perception.objects.taught import TaughtView
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Click, Prompt
from seem_ros.perception.tracking.tracker import Tracker


def lesson(at, colour, size=16, stamp_ns=1):
    x, y = at
    mask = np.zeros((96, 128), bool)
    mask[y - size // 2 : y + size // 2, x - size // 2 : x + size // 2] = True
    return TaughtView(scene({at: colour}, size), mask, stamp_ns)


@pytest.fixture
def taught(segmenter):
    segmenter.objects = ObjectMemory()
    segmenter.objects.teach("my thing", lesson((30, 30), "yellow"))
    return segmenter


def centre(segments, index=0):
    segment = segments.answers[index].segment
    return None if segment is None else tuple(round(value + 0.5) for value in segment.centroid_xy_px)


@pytest.mark.parametrize("text", ["my thing", "the My Thing", "Please bring me my thing!"])
def test_it_is_found_elsewhere_and_larger_by_its_name_and_the_answer_says_that_it_was_taught(taught, text):
    other = scene({(90, 60): "yellow", (30, 70): "blue", (60, 20): "red"}, 20)
    found = taught.segment([Prompt(text=text)], Frame(other))
    assert centre(found) == (90, 60)
    answer = found.answers[0]
    assert answer.found and answer.unknown_words == () and "my thing" in answer.label.lower()
    assert "'my thing' is the object that was taught (1 view)" in answer.message


def test_where_it_is_not_nothing_is_found(taught):
    answer = taught.segment([Prompt(text="my thing")], Frame(scene({(30, 70): "blue", (60, 20): "red"}))).answers[0]
    assert not answer.found and answer.presence < 0.5 and "nothing found for 'my thing'" in answer.message


def test_a_taught_name_beats_the_vocabulary(segmenter):
    picture = Frame(scene({(90, 60): "yellow", (30, 70): "blue"}))
    assert centre(segmenter.segment([Prompt(text="blue")], picture)) == (30, 70)
    segmenter.objects = ObjectMemory()
    segmenter.objects.teach("blue", lesson((30, 30), "yellow"))
    assert centre(segmenter.segment([Prompt(text="blue")], picture)) == (90, 60)
    segmenter.objects.forget("blue")
    assert centre(segmenter.segment([Prompt(text="blue")], picture)) == (30, 70)


def test_one_object_with_two_views_is_found_by_either(taught):
    taught.objects.teach("my thing", lesson((60, 40), "blue", stamp_ns=2))
    for colour in ("yellow", "blue"):
        picture = Frame(scene({(90, 60): colour, (30, 70): "red"}))
        assert centre(taught.segment([Prompt(text="my thing")], picture)) == (90, 60)


def test_names_and_words_go_together_in_one_call(taught):
    picture = Frame(scene({(90, 60): "yellow", (30, 70): "blue"}))
    found = taught.segment([Prompt(text="blue"), Prompt(text="my thing"), Prompt(clicks=[Click(30, 70)])], picture)
    assert [centre(found, i) for i in range(2)] == [(30, 70), (90, 60)]


def test_it_is_followed_as_a_target_with_its_name(taught):
    tracker = Tracker(taught)
    frames = [
        Frame(scene({(30 + 4 * i, 40): "yellow", (90, 80): "red"}), stamp_ns=1 + i * 33_000_000) for i in range(6)
    ]
    started = tracker.start([Prompt(text="my thing")], frames[0])
    assert started.target_ids == (1,) and "was taught" in started.answers[0].message
    for i, frame in enumerate(frames[1:], 1):
        segment = tracker.step(frame).by_target(1)
        assert round(segment.centroid_xy_px[0] + 0.5) == 30 + 4 * i and segment.label == "my thing"


def test_views_outlive_a_change_of_model(taught):
    with Segmenter(ColourBackend(max_points=4)) as later_model:
        later_model.objects = taught.objects
        found = later_model.segment([Prompt(text="my thing")], Frame(scene({(90, 60): "yellow", (30, 70): "blue"})))
    assert centre(found) == (90, 60)


def test_what_is_forgotten_is_a_word_again(taught):
    taught.objects.forget("my thing")
    answer = taught.segment([Prompt(text="my doohickey")], Frame(scene({(90, 60): "yellow"}))).answers[0]
    assert not answer.found and answer.unknown_words == ("doohickey",)

# SPDX-License-Identifier: Apache-2.0
"""A round on a target is taken back: mask, name and memory are what they were before it."""

from dataclasses import replace

import numpy as np
import pytest
from colour_backend import scene

from seem_ros.errors import TargetError
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Click, Prompt
from seem_ros.perception.tracking.target import ROUNDS_KEPT
from seem_ros.perception.tracking.tracker import Tracker

MS = 1_000_000
RED, BLUE = (20, 30), (100, 60)


def frame(number=0, blobs=((RED, "red"), (BLUE, "blue"))):
    return Frame(scene(dict(blobs)), stamp_ns=(1 + number) * 33 * MS)


def where(segments):
    segment = segments.by_target(1)
    return None if segment is None else tuple(round(value + 0.5) for value in segment.centroid_xy_px)


@pytest.fixture
def tracker(segmenter):
    tracker = Tracker(segmenter)
    tracker.start([Prompt(text="red")], frame())
    return tracker


def test_on_the_same_picture_the_mask_is_the_very_same_again(tracker):
    before = tracker.show(1, frame()).labels
    tracker.refine(1, Prompt(clicks=[Click(*BLUE)]), frame())
    assert where(tracker.show(1, frame())) == BLUE and tracker.rounds(1) == 1
    back = tracker.undo(1, frame())
    np.testing.assert_array_equal(back.segments.labels, before)
    assert back.answers[0].found and tracker.target(1).label == "red" and tracker.rounds(1) == 0


def test_a_target_without_a_name_gets_one_from_a_round_that_makes_it_sure(backend):
    backend.spec = replace(backend.spec, postprocess=replace(backend.spec.postprocess, name_found=0.95))
    segmenter = Segmenter(backend)
    segmenter.set_vocabulary(["red", "green"])  # nothing is called blue
    tracker = Tracker(segmenter)
    tracker.start([Prompt(clicks=[Click(*BLUE)])], frame())
    assert tracker.target(1).label == "object"
    tracker.refine(1, Prompt(clicks=[Click(*RED)]), frame(1))
    assert tracker.target(1).label == "red"
    tracker.refine(1, Prompt(clicks=[Click(*BLUE)]), frame(2))
    assert tracker.target(1).label == "red"  # what has a name keeps it
    tracker.undo(1, frame(2))
    tracker.undo(1, frame(2))
    assert tracker.target(1).label == "object"


def test_it_is_followed_by_its_old_memory_from_then_on(tracker):
    tracker.refine(1, Prompt(clicks=[Click(*BLUE)]), frame())
    assert where(tracker.step(frame(1))) == BLUE
    assert where(tracker.undo(1, frame(1)).segments) == RED
    assert where(tracker.step(frame(2, [((24, 30), "red"), (BLUE, "blue")]))) == (24, 30)


def test_it_comes_up_to_now_through_the_frames_since_then(tracker):
    frames = [frame(i, [((20 + 6 * i, 30), "red"), (BLUE, "blue")]) for i in range(6)]
    tracker.refine(1, Prompt(clicks=[Click(*BLUE)]), frames[0])
    for one in frames[1:]:
        tracker.step(one)
    assert tracker.undo_stamp_ns(1) == frames[0].stamp_ns
    assert where(tracker.undo(1, frames[0], frames[1:]).segments) == (50, 30)


def test_rounds_are_taken_back_one_by_one_and_the_first_prompt_stays(tracker):
    for number, click in enumerate((BLUE, RED, BLUE), 1):
        tracker.refine(1, Prompt(clicks=[Click(*click)]), frame(number))
    places = [where(tracker.undo(1, frame(3)).segments) for _ in range(3)]
    assert places == [RED, BLUE, RED]
    with pytest.raises(TargetError, match="target 1 has no round to take back"):
        tracker.undo(1, frame(3))
    assert tracker.target(1).target_id == 1


def test_a_round_that_found_nothing_changed_nothing_and_is_not_counted(tracker):
    tracker.refine(1, Prompt(text="yellow"), frame())
    assert tracker.rounds(1) == 0


def test_the_last_ten_rounds_are_kept(tracker):
    for i in range(ROUNDS_KEPT + 5):
        tracker.refine(1, Prompt(clicks=[Click(*(RED, BLUE)[i % 2])]), frame(i))
    assert tracker.rounds(1) == ROUNDS_KEPT


def test_after_a_bag_looped_its_look_finds_it_though_its_old_place_says_nothing(tracker):
    tracker.step(frame(5))
    tracker.refine(1, Prompt(clicks=[Click(*BLUE)]), frame(5))
    earlier = frame(0, [((60, 20), "red"), (BLUE, "blue")])
    tracker.step(earlier)
    tracker.undo(1, earlier)
    for number in range(1, 8):
        seen = where(tracker.step(frame(number, [((60, 20), "red"), (BLUE, "blue")])))
    assert seen == (60, 20)


def test_an_unknown_target_is_named(tracker):
    for ask in (tracker.undo, tracker.rounds, tracker.undo_stamp_ns):
        with pytest.raises(TargetError, match="there is no target 9; living targets: 1"):
            ask(9)


def test_a_target_is_shown_only_in_the_picture_it_was_last_seen_in(tracker):
    with pytest.raises(TargetError, match="target 1 is not seen in this picture"):
        tracker.show(1, frame(3))

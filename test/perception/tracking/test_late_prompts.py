# SPDX-License-Identifier: Apache-2.0
"""Prompts on a picture that the camera has left behind: what they mean may be followed already."""

import numpy as np
import pytest
from colour_backend import scene

from seem_ros.errors import FrameError, TargetError
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Click, Prompt
from seem_ros.perception.tracking.config import TrackerConfig
from seem_ros.perception.tracking.target import IdAllocator
from seem_ros.perception.tracking.tracker import Tracker

MS = 1_000_000
BLUE, GREEN = (100, 60), (100, 20)


def film(count, stamped=True):
    """A red thing goes right, a blue one and a green one lie still."""
    pictures = [scene({(20 + 4 * i, 40): "red", BLUE: "blue", GREEN: "green"}) for i in range(count)]
    return [Frame(picture, stamp_ns=(1 + i) * 33 * MS if stamped else 0) for i, picture in enumerate(pictures)]


def click(x, y):
    return Prompt(clicks=[Click(x, y)])


def where(segments, target_id):
    segment = segments.by_target(target_id)
    return None if segment is None else tuple(round(value + 0.5) for value in segment.centroid_xy_px)


def followed(segmenter, frames, config=None, ids=None):
    """A tracker that has followed the red thing through the frames."""
    tracker = Tracker(segmenter, config, ids)
    tracker.start([click(20, 40)], frames[0])
    for frame in frames[1:]:
        tracker.step(frame)
    return tracker


def let_in(segmenter, tracker, frame):
    """Has the tracker see a frame in the next pause; the list is empty once it has."""
    waiting = [frame]

    def visit():
        with segmenter.pauses.held():
            while waiting:
                tracker.step(waiting.pop())

    segmenter.pauses.let_in(visit)
    return waiting


@pytest.mark.parametrize("stamped", [True, False], ids=["stamps", "none"])
def test_a_click_on_an_older_picture_of_a_followed_thing_names_its_target(segmenter, stamped):
    frames = film(8, stamped)
    tracker = followed(segmenter, frames)
    before, value = tracker.target(1), tracker.target(1).value
    result = tracker.start([click(36, 40)], frames[4], replay=frames[5:])
    assert result.target_ids == (1,) and result.answers[0].message == "this is target 1 already"
    assert result.answers[0].segment.target_id == 1 and where(result.segments, 1) == (48, 40)
    assert [one.value for one in result.segments] == [value] and result.segments.stamp_ns == frames[-1].stamp_ns
    assert tracker.targets() == (before,), "it is followed as before, by nobody else"


def test_the_followed_target_goes_on_and_its_rounds_can_be_taken_back(segmenter):
    frames = film(12)
    tracker = followed(segmenter, frames[:8])
    tracker.refine(1, click(48, 40), frames[7])
    tracker.start([click(36, 40)], frames[4], replay=frames[5:8])
    for i, frame in enumerate(frames[8:], 8):
        segments = tracker.step(frame)
        assert [one.target_id for one in segments] == [1] and where(segments, 1) == (20 + 4 * i, 40)
    assert tracker.rounds(1) == 1 and tracker.undo(1, frames[-1]).answers[0].found


def test_of_several_clicks_on_an_older_picture_only_new_things_get_targets(segmenter):
    frames = film(8)
    tracker = followed(segmenter, frames)
    prompts = [click(36, 40), click(*BLUE), Prompt(text="red"), Prompt(text="yellow"), Prompt(text="blue")]
    result = tracker.start(prompts, frames[4], replay=frames[5:])
    old, new = result.target_ids[:2]
    assert result.target_ids == (1, new, 1, 0, new) and new != old and len(tracker) == 2
    assert [answer.message for answer in result.answers[:3]] == [
        "this is target 1 already",
        "",
        "this is target 1 already",
    ]
    assert result.answers[4].message == f"this is target {new} already"
    assert where(result.segments, 1) == (48, 40) and where(result.segments, new) == BLUE
    assert [answer.segment and answer.segment.target_id for answer in result.answers] == [1, new, 1, None, new]


def test_the_pixel_value_of_the_second_target_is_free_again(segmenter):
    frames, ids = film(8), IdAllocator()
    tracker = followed(segmenter, frames, ids=ids)
    for _ in range(300):
        assert tracker.start([click(36, 40)], frames[4], replay=frames[5:]).target_ids == (1,)
    assert ids.free == 254


def test_a_click_on_an_older_picture_of_a_thing_that_nobody_follows_starts_a_target(segmenter):
    frames = film(8)
    tracker = followed(segmenter, frames)
    (new,) = tracker.start([click(*BLUE)], frames[4], replay=frames[5:]).target_ids
    assert new != 1 and where(tracker.step(film(9)[-1]), new) == BLUE


def test_a_target_that_a_click_on_an_older_picture_names_is_not_looked_for_a_second_time_since_then(segmenter):
    frames = film(3) + [Frame(scene({}), stamp_ns=(4 + i) * 33 * MS) for i in range(3)]
    tracker = followed(segmenter, frames, TrackerConfig(occlude_after=5))
    before = tracker.target(1)
    result = tracker.start([click(28, 40)], frames[2], replay=frames[3:])
    assert result.target_ids == (1,) and tracker.target(1) == before
    assert len(result.segments) == 0 and result.segments.stamp_ns == frames[-1].stamp_ns


# ------------------------------------------------------------------ a full tracker


def test_a_full_tracker_answers_prompts_that_mean_what_it_follows(segmenter):
    frames = film(8)
    tracker = followed(segmenter, frames, TrackerConfig(max_targets=1))
    assert tracker.start([click(48, 40), Prompt(text="red")], frames[-1]).target_ids == (1, 1)
    assert tracker.start([click(36, 40)], frames[4], replay=frames[5:]).target_ids == (1,)


def test_a_full_tracker_says_that_a_prompt_finds_nothing(segmenter):
    frames = film(2)
    tracker = followed(segmenter, frames, TrackerConfig(max_targets=1))
    result = tracker.start([Prompt(text="yellow")], frames[-1])
    assert result.target_ids == (0,) and "best presence" in result.answers[0].message


def test_prompts_that_mean_one_new_thing_need_room_for_one(segmenter):
    tracker = Tracker(segmenter, TrackerConfig(max_targets=1))
    assert tracker.start([click(*BLUE), Prompt(text="blue")], film(1)[0]).target_ids == (1, 1)


@pytest.mark.parametrize("late", [False, True], ids=["now", "older picture"])
def test_a_full_tracker_refuses_new_things_and_changes_nothing(segmenter, late):
    frames, ids = film(8), IdAllocator()
    tracker = followed(segmenter, frames, TrackerConfig(max_targets=2), ids)
    tracker.start([click(*BLUE)], frames[-1])
    before, free = tracker.targets(), ids.free
    frame, replay, red = (frames[4], frames[5:], click(36, 40)) if late else (frames[-1], (), click(48, 40))
    with pytest.raises(TargetError, match=r"1 more targets were asked for, room is left for 0 \(2 live, max_targets"):
        tracker.start([red, click(*GREEN)], frame, replay)
    assert tracker.targets() == before and ids.free == free
    assert tracker.start([red, click(*BLUE)], frame, replay).target_ids == (1, 2)


def test_more_than_could_ever_be_known_are_refused_before_a_replay(segmenter, backend):
    frames = film(8)
    tracker = followed(segmenter, frames, TrackerConfig(max_targets=2))
    encoded = backend.encoded
    with pytest.raises(TargetError, match="3 more targets were asked for, room is left for 1"):
        tracker.start([click(36, 40), click(*BLUE), click(*GREEN)], frames[4], frames[5:])
    assert backend.encoded == encoded + 1 and len(tracker) == 1


def test_without_a_pixel_value_left_a_new_thing_is_refused(segmenter):
    frames, ids = film(8), IdAllocator()
    tracker = followed(segmenter, frames, ids=ids)
    while ids.free:
        ids.take()
    for late in (False, True):
        with pytest.raises(TargetError, match="1 more targets were asked for, room is left for 0"):
            tracker.start([click(*BLUE)], frames[4 if late else 7], frames[5:] if late else ())
    assert len(tracker) == 1


def test_a_frame_that_is_let_in_while_a_prompt_is_asked_does_not_hide_who_is_followed(segmenter):
    frames = film(4)
    tracker = followed(segmenter, frames[:3])
    waiting = let_in(segmenter, tracker, frames[3])
    result = tracker.start([click(28, 40)], frames[2])
    assert not waiting and result.target_ids == (1,)
    assert "this is target 1 already" in result.answers[0].message and len(tracker.targets()) == 1


def test_who_is_followed_already_is_shown_beside_a_new_target_of_the_same_call(segmenter):
    frames = film(5)
    tracker = followed(segmenter, frames[:3])
    let_in(segmenter, tracker, frames[3])
    result = tracker.start([click(28, 40), click(*BLUE)], frames[2], replay=frames[3:4])
    assert result.target_ids == (1, 2)
    assert [answer.segment.target_id for answer in result.answers] == [1, 2]


def test_a_replay_that_fails_leaves_no_new_target(segmenter):
    frames = film(3)
    tracker = followed(segmenter, frames, TrackerConfig(max_targets=1))
    with pytest.raises(FrameError):
        tracker.start([click(*BLUE)], frames[1], replay=[np.zeros((0, 0, 3), np.uint8)])
    assert [target.target_id for target in tracker.targets()] == [1]

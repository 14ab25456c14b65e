# SPDX-License-Identifier: Apache-2.0
"""Pictures far apart: time-lapses, slow links, and pictures whose size changes all the time."""

import numpy as np
import pytest
from colour_backend import scene

from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Click, Prompt
from seem_ros.perception.tracking.config import TrackerConfig
from seem_ros.perception.tracking.target import TargetState
from seem_ros.perception.tracking.tracker import Tracker

S = 1_000_000_000
HERE, THERE = (30, 40), (100, 40)


def places(tracker, *blobs, step_s=3.0):
    """Where the target that is clicked at in the first picture is seen in each of the others."""
    frames = [Frame(scene(one), stamp_ns=int((1 + i * step_s) * S)) for i, one in enumerate(blobs)]
    tracker.start([Prompt(clicks=[Click(*HERE)])], frames[0])
    return [where(tracker.step(frame)) for frame in frames[1:]]


def where(segments):
    segment = segments.by_target(1)
    return None if segment is None else tuple(round(value + 0.5) for value in segment.centroid_xy_px)


@pytest.fixture
def tracker(segmenter):
    return Tracker(segmenter)


def test_a_thing_that_stays_is_seen_in_every_picture_of_a_time_lapse(tracker):
    assert places(tracker, *[{HERE: "red"}] * 6) == [HERE] * 5
    assert tracker.time_jumps == 5 and tracker.target(1).state is TargetState.TRACKED


def test_a_thing_that_moves_a_little_is_followed_through_a_time_lapse(tracker):
    way = [(30 + 6 * i, 40) for i in range(8)]
    assert places(tracker, *({at: "red"} for at in way)) == way[1:]


def test_a_thing_that_was_put_elsewhere_in_a_time_lapse_is_found_when_two_pictures_agree(tracker):
    assert places(tracker, *[{HERE: "red"}] * 2, *[{THERE: "red"}] * 3) == [HERE, None, THERE, THERE]


def test_a_thing_taken_away_in_a_time_lapse_is_not_seen_in_a_look_alike_that_was_there_before(tracker):
    both, one = {HERE: "red", THERE: "red"}, {THERE: "red"}
    assert places(tracker, both, both, *[one] * 6, both) == [HERE, *[None] * 6, HERE]


def test_a_thing_of_another_look_in_its_place_is_not_taken_for_it_after_a_gap(tracker):
    assert places(tracker, {HERE: "red"}, *[{HERE: "blue"}] * 4) == [None] * 4


def test_what_was_seen_before_a_bag_looped_does_not_agree_with_what_is_seen_after(tracker):
    assert places(tracker, {HERE: "red"}, {}, {THERE: "red"}, step_s=0.03) == [None, None]
    again = [Frame(scene({THERE: "red"}), stamp_ns=1 + i) for i in range(2)]
    assert [where(tracker.step(frame)) for frame in again] == [None, THERE]


def test_what_a_bag_showed_before_it_looped_makes_nothing_a_look_alike(segmenter):
    tracker = Tracker(segmenter, TrackerConfig(unchanged_difference=255.0))  # all that shows where a thing was not
    assert places(tracker, *[{HERE: "red"}] * 2, step_s=0.03) == [HERE]
    again = [Frame(scene({THERE: "red"}), stamp_ns=1 + i) for i in range(3)]
    assert [where(tracker.step(frame)) for frame in again] == [None, THERE, THERE]


def test_a_thing_is_seen_in_pictures_whose_size_changes_all_the_time(tracker):
    small = scene({HERE: "red"})
    large = np.repeat(np.repeat(small, 2, 0), 2, 1)
    tracker.start([Prompt(clicks=[Click(*HERE)])], Frame(small, stamp_ns=S))
    seen = [where(tracker.step(Frame((large, small)[i % 2], stamp_ns=S + (1 + i) * S // 30))) for i in range(6)]
    assert seen == [(60, 80), HERE] * 3 and tracker.time_jumps == 0


def test_pictures_cut_out_in_another_way_say_nothing_of_where_a_thing_was(tracker):
    tracker.start([Prompt(clicks=[Click(*HERE)])], Frame(scene({HERE: "red"}), stamp_ns=S))
    wide = [Frame(scene({HERE: "red"}, width=256), stamp_ns=S + (1 + i) * S // 30) for i in range(3)]
    assert [where(tracker.step(frame)) for frame in wide] == [None, HERE, HERE]

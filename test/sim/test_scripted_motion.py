# SPDX-License-Identifier: Apache-2.0
"""Stories: paths of the hand, and clips in which something really is hidden."""

import numpy as np
import pytest

from seem_ros.errors import DataError
from seem_ros.sim.clips import hidden_frames, make_clip
from seem_ros.sim.live_camera import TabletopCamera
from seem_ros.sim.scripted_motion import Story, Waypoint, hand_at

PATH = (Waypoint(1.0, (0, 0, 0)), Waypoint(2.0, (1, 0, 0)), Waypoint(3.0, (1, 1, 0)))


@pytest.mark.parametrize(
    ("time_s", "tip"),
    [(0, (0, 0, 0)), (1, (0, 0, 0)), (1.5, (0.5, 0, 0)), (2, (1, 0, 0)), (3, (1, 1, 0)), (9, (1, 1, 0))],
)
def test_the_hand_follows_its_waypoints_and_rests_outside_their_times(time_s, tip):
    assert np.allclose(hand_at(PATH, time_s)[0], tip)


def test_one_waypoint_is_a_place_to_stay():
    assert np.allclose(hand_at(PATH[:1], 5.0)[0], 0)


def test_times_that_go_back_are_refused():
    with pytest.raises(DataError, match="must rise"):
        Story(PATH[::-1])


@pytest.mark.slow
def test_an_evaluation_clip_hides_an_object_fully_and_shows_it_again(gl):
    shots, facts = make_clip(950, 60, 15.0, 120, 160)
    assert len(shots) == 60 and len(facts["hidden_frames"]) >= 4
    assert facts["hidden_frames"] == hidden_frames(shots, facts["hidden_id"])
    assert 0 not in facts["hidden_frames"] and 59 not in facts["hidden_frames"]
    assert shots[59].stamp_ns == pytest.approx(59 / 15 * 1e9, abs=1e3)


def test_the_camera_never_runs_dry_and_repeats_with_its_seed(gl):
    def watch():
        with TabletopCamera(3, height_px=60, width_px=80, rate_hz=2.0) as camera:
            return [camera.read() for _ in range(16)]

    first, second = watch(), watch()
    assert [frame.stamp_ns for frame in first] == [index * 500_000_000 for index in range(16)]
    assert np.array_equal(first[-1].rgb, second[-1].rgb)


def test_a_rate_out_of_range_is_refused():
    with pytest.raises(DataError, match="1 to 120 frames per second"):
        TabletopCamera(rate_hz=0)

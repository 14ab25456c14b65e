# SPDX-License-Identifier: Apache-2.0
"""Frames kept for prompts that race the camera, and depth paired with images."""

import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from seem_ros.errors import FrameError
from seem_ros.ros.camera.depth_sync import MAX_DEPTHS, DepthPairing
from seem_ros.ros.camera.frame_buffer import FrameRing, StoredFrame
from seem_ros.ros.messages.images import array_to_image, ns_to_stamp

MS = 1_000_000
PICTURE = np.zeros((4, 5, 3), np.uint8)


def stored(stamp_ms):
    return StoredFrame(array_to_image(PICTURE, Header(stamp=ns_to_stamp(stamp_ms * MS))), "camera")


def ring_of(*stamps_ms, frames=10, size=10**9):
    ring = FrameRing(frames, size)
    for stamp in stamps_ms:
        ring.add(stored(stamp))
    return ring


def test_the_oldest_frames_go_when_there_are_too_many_or_they_are_too_large():
    ring = ring_of(*range(100, 120), frames=5)
    with pytest.raises(FrameError, match=r"kept are 5 frames from 0\.115000000 to 0\.119000000"):
        ring.at(50 * MS, 0.001)
    small = ring_of(100, 200, 300, size=PICTURE.nbytes * 2)
    assert small.at(200 * MS, 0).stamp_ns == 200 * MS
    with pytest.raises(FrameError, match="2 frames"):
        small.at(100 * MS, 0)
    assert ring_of(100, 200, size=1).newest().stamp_ns == 200 * MS  # one is kept whatever it takes


def test_frames_of_a_camera_that_sends_no_stamps_are_told_apart_by_their_arrival():
    first, second = stored(0), stored(0)
    assert first.stamp_ns == 0 and first.header.stamp == second.header.stamp  # what is published stays as it came
    assert 0 < first.frame().stamp_ns < second.frame().stamp_ns
    assert stored(5).frame().stamp_ns == 5 * MS


def test_a_stamp_means_the_nearest_frame_within_the_tolerance():
    ring = ring_of(100, 200, 300)
    assert ring.at(195 * MS, 0.01).stamp_ns == 200 * MS
    with pytest.raises(FrameError, match="no frame of stamp"):
        ring.at(250 * MS, 0.01)
    with pytest.raises(FrameError, match="no frame has arrived"):
        FrameRing(3, 100).at(0, 1)


def test_time_going_backwards_empties_the_ring_and_an_equal_stamp_does_not():
    ring = ring_of(5100, 5200, 5200, 50, 60)
    assert ring.jumps == 1 and ring.late == 0
    assert [frame.stamp_ns // MS for frame in ring.between(ring.at(50 * MS, 0), ring.newest(), 9)] == [60]


def test_neighbours_in_swapped_order_are_late_and_nothing_is_forgotten():
    ring = ring_of(100, 200, 400, 300, 500, 700, 600, 800)
    assert (ring.late, ring.jumps) == (2, 0)
    assert ring.at(100 * MS, 0).stamp_ns == 100 * MS and ring.newest().stamp_ns == 800 * MS


def test_a_loop_shorter_than_a_second_is_a_loop_and_not_late_for_ever():
    ring = ring_of(*[100, 200, 300, 400, 500] * 3)
    assert ring.jumps == 2 and ring.late <= 2 * 2
    assert ring.newest().stamp_ns == 500 * MS


def test_a_frame_without_a_stamp_can_be_named_by_its_arrival():
    ring = ring_of(0)
    assert ring.is_still
    with pytest.raises(FrameError, match="no frame of stamp") as refused:
        ring.at(5 * MS, 0.02)
    named = str(refused.value).rsplit(" ", 1)[1].split(".")
    assert ring.at(int(named[0]) * 1000 * MS + int(named[1]), 0.001) is ring.newest()


def test_a_replay_is_thinned_out_evenly_and_ends_now():
    ring = ring_of(*range(100, 200, 10), frames=50)
    got = [frame.stamp_ns // MS for frame in ring.between(ring.at(100 * MS, 0), ring.newest(), 3)]
    assert got == [140, 160, 190]


def test_a_frame_becomes_a_picture_once_and_again_after_it_was_released():
    frame = stored(100)
    picture = frame.frame()
    assert frame.frame() is picture
    frame.release()
    assert not frame.has_picture
    assert frame.frame().stamp_ns == 100 * MS


def depth_at(stamp_ms):
    return Image(header=Header(stamp=ns_to_stamp(stamp_ms * MS)))


def test_the_nearest_depth_within_the_tolerance_is_the_partner():
    pairing = DepthPairing()
    for stamp in (100, 133, 166):
        pairing.add(depth_at(stamp))
    assert pairing.match(135 * MS, 0.01).header.stamp.nanosec == 133 * MS
    assert pairing.match(150 * MS, 0.01) is None
    assert pairing.settled(150 * MS, 0.01)  # time went past it: nothing better will come
    assert not pairing.settled(199 * MS, 0.01)


def test_three_passes_of_a_looping_bag_pair_equally_often():
    pairing, matches = DepthPairing(), []
    for _ in range(3):
        count = 0
        for frame in range(90):  # images at 30 Hz, depth at 10 Hz
            if frame % 3 == 0:
                pairing.add(depth_at(1 + frame * 33))
            count += pairing.match((1 + frame * 33) * MS, 0.005) is not None
        matches.append(count)
    assert matches == [30, 30, 30]
    assert pairing.jumps == 2


def test_depth_that_is_kept_is_bounded():
    pairing = DepthPairing()
    for stamp in range(1000):
        pairing.add(depth_at(stamp))
    assert pairing.match((999 - MAX_DEPTHS) * MS, 0.0) is None


@pytest.mark.parametrize("stamp_ms", [0, 1000], ids=["zero", "always_the_same"])
def test_depth_without_usable_stamps_is_paired_by_arrival_the_newest_of_equals(stamp_ms):
    pairing = DepthPairing()
    for index in range(6):
        pairing.add(depth_at(stamp_ms), arrived_s=10.0 + 0.1 * index)
    newest = pairing._depths[-1].msg
    assert pairing.match(stamp_ms * MS, 0.02, arrived_s=10.52) is newest
    assert pairing.match(stamp_ms * MS, 0.02, arrived_s=10.41) is not newest
    assert pairing.match(stamp_ms * MS, 0.02, arrived_s=12.0) is None  # depth has stopped
    assert pairing.match(stamp_ms * MS, 0.02) is newest


def test_depth_that_comes_late_is_used_and_only_a_large_step_back_forgets():
    pairing = DepthPairing()
    for stamp in (1100, 1300, 1200):
        pairing.add(depth_at(stamp))
    assert (pairing.late, pairing.jumps) == (1, 0)
    assert pairing.match(1200 * MS, 0.01) and pairing.match(1100 * MS, 0.01) and pairing.settled(1250 * MS, 0.01)

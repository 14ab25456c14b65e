# SPDX-License-Identifier: Apache-2.0
"""Which frame is looked at next while pictures come faster than they are looked at."""

from sensor_msgs.msg import Image

from seem_ros.ros.camera.frame_buffer import StoredFrame
from seem_ros.ros.camera.waiting_frame import WaitingFrame


def frames(count):
    return [StoredFrame(Image(), "camera") for _ in range(count)]


def test_a_newer_frame_replaces_the_one_nobody_looked_at():
    waiting, (first, second) = WaitingFrame(), frames(2)
    assert not waiting.put(first, keep_first=False) and waiting.put(second, keep_first=False)
    assert waiting.take() is second and waiting.take() is None


def test_a_frame_that_waits_for_its_transform_is_not_pushed_out_by_those_behind_it():
    waiting, (first, second, third) = WaitingFrame(), frames(3)
    assert not waiting.put(first, keep_first=True) and not waiting.put(second, keep_first=True)
    assert waiting.put(third, keep_first=True)  # the second is dropped
    assert waiting.peek() is first
    assert [waiting.take() for _ in range(3)] == [first, third, None]


def test_when_nothing_is_waited_for_any_more_the_newest_alone_counts():
    waiting, (first, second, third) = WaitingFrame(), frames(3)
    waiting.put(first, keep_first=True)
    waiting.put(second, keep_first=True)
    waiting.put(third, keep_first=False)
    assert [waiting.take(), waiting.take()] == [third, None]

# SPDX-License-Identifier: Apache-2.0
"""The transform buffer by tf2's documented rules: what is interpolated, and what is refused by which name."""

import numpy as np
import pytest

from seem_ros.perception.structures.rigid_transform import RigidTransform
from seem_ros.ros.transforms.buffer import (
    ExtrapolationError,
    TransformBuffer,
    TransformError,
    UnconnectedError,
    UnknownFrameError,
)

S = 1_000_000_000
HALF = np.sqrt(0.5)


def at(x, y=0.0, z=0.0, quaternion=(0, 0, 0, 1)):
    return RigidTransform((x, y, z), quaternion)


def robot():
    """map -> odom (static) -> base, which drives 1 m/s along x from second 100 to 104 -> camera (static, turned)."""
    buffer = TransformBuffer()
    buffer.add("map", "odom", 0, at(10), is_static=True)
    for second in range(5):
        buffer.add("odom", "base", (100 + second) * S, at(second), is_static=False)
    buffer.add("base", "camera", 0, at(0, 0, 1, (0, 0, HALF, HALF)), is_static=True)
    return buffer


def test_a_chain_is_followed_up_and_interpolated_at_the_asked_time():
    got = robot().lookup("map", "camera", 102 * S + S // 2)
    np.testing.assert_allclose(got.translation_m, (12.5, 0, 1))
    np.testing.assert_allclose(got.apply(np.array([1.0, 0, 0])), (12.5, 1, 1), atol=1e-12)


def test_the_way_down_is_the_inverse_of_the_way_up():
    buffer = robot()
    up, down = buffer.lookup("map", "camera", 101 * S), buffer.lookup("camera", "map", 101 * S)
    np.testing.assert_allclose(down.after(up).translation_m, 0, atol=1e-12)


def test_siblings_meet_at_their_common_parent_and_nothing_above_it_matters():
    buffer = TransformBuffer()
    buffer.add("base", "left", 0, at(0, 1), is_static=True)
    buffer.add("base", "right", 0, at(0, -1), is_static=True)
    buffer.add("map", "base", 5 * S, at(50), is_static=False)
    np.testing.assert_allclose(buffer.lookup("left", "right", 9 * S).translation_m, (0, -2, 0))


def test_time_zero_is_the_newest_time_that_the_whole_chain_reaches():
    buffer = robot()
    buffer.add("camera", "tool", 103 * S, at(0), is_static=False)
    np.testing.assert_allclose(buffer.lookup("map", "tool", 0).translation_m, (13, 0, 1), atol=1e-12)


@pytest.mark.parametrize("stamp_ns", [100 * S, 104 * S])
def test_the_first_and_last_moment_are_known(stamp_ns):
    assert robot().lookup("odom", "base", stamp_ns).translation_m[0] == stamp_ns // S - 100


def test_the_future_is_not_guessed_and_may_still_come():
    with pytest.raises(ExtrapolationError, match=r"'base' is known up to 104.000000000 s.*in the future") as caught:
        robot().lookup("map", "camera", 104 * S + 1)
    assert caught.value.too_new


def test_the_past_is_not_guessed_and_will_not_come():
    with pytest.raises(ExtrapolationError, match=r"from 100.000000000 s on.*in the past") as caught:
        robot().lookup("map", "camera", 99 * S)
    assert not caught.value.too_new


def test_one_transform_alone_holds_at_its_own_time_only():
    buffer = TransformBuffer()
    buffer.add("map", "base", 7 * S, at(1), is_static=False)
    assert buffer.lookup("map", "base", 7 * S).translation_m[0] == 1
    with pytest.raises(ExtrapolationError, match=r"at 7.000000000 s only"):
        buffer.lookup("map", "base", 8 * S)


def test_a_missing_frame_is_named_with_those_that_are_known():
    with pytest.raises(UnknownFrameError, match="no frame 'gripper' in tf; known frames: base, camera, map, odom"):
        robot().lookup("gripper", "camera", 101 * S)
    with pytest.raises(UnknownFrameError, match="known frames: none"):
        TransformBuffer().lookup("a", "b", 0)


def test_two_trees_are_told_apart_with_both_their_roots():
    buffer = robot()
    buffer.add("world", "table", 0, at(0), is_static=True)
    for stamp_ns in (0, 101 * S):
        with pytest.raises(UnconnectedError, match=r"'table' are in two trees.*'map'|'table'.*'world'"):
            buffer.lookup("camera", "table", stamp_ns)


def test_a_tree_that_goes_in_a_circle_is_named_and_does_not_hang():
    buffer = TransformBuffer()
    for parent, child in (("a", "b"), ("b", "c"), ("c", "a")):
        buffer.add(parent, child, 0, at(1), is_static=True)
    buffer.add("other", "x", 0, at(0), is_static=True)
    for stamp_ns in (0, 5 * S):
        with pytest.raises(UnconnectedError, match="circle: a -> c -> b -> a"):
            buffer.lookup("x", "a", stamp_ns)


def test_a_frame_that_is_its_own_parent_or_has_no_name_is_refused():
    buffer = TransformBuffer()
    for parent, child in (("a", "a"), ("", "a"), ("a", ""), ("/a", "a")):
        with pytest.raises(TransformError):
            buffer.add(parent, child, 0, at(0), is_static=True)
    assert buffer.frames() == ()


def test_leading_slashes_of_old_publishers_make_no_difference():
    buffer = TransformBuffer()
    buffer.add("/map", "/base", 0, at(3), is_static=True)
    assert buffer.lookup("map", "/base", 5 * S).translation_m[0] == 3


def test_what_arrives_in_another_order_is_sorted_in_and_what_is_said_twice_counts_once():
    buffer = TransformBuffer()
    for second in (2, 0, 1, 1):
        buffer.add("map", "base", (50 + second) * S, at(second), is_static=False)
    buffer.add("map", "base", 51 * S, at(99), is_static=False)
    assert buffer.lookup("map", "base", 51 * S).translation_m[0] == 1
    assert buffer.lookup("map", "base", 50 * S + S // 2).translation_m[0] == pytest.approx(0.5)


def test_ten_seconds_are_kept():
    buffer = TransformBuffer()
    for second in range(30):
        buffer.add("map", "base", (100 + second) * S, at(second), is_static=False)
    assert buffer.lookup("map", "base", 119 * S).translation_m[0] == 19
    with pytest.raises(ExtrapolationError, match=r"from 119.000000000 s"):
        buffer.lookup("map", "base", 118 * S)


def test_a_bag_that_starts_over_is_a_new_story():
    buffer = TransformBuffer()
    for start in (100, 20):
        for second in range(15):
            buffer.add("map", "base", (start + second) * S, at(second), is_static=False)
    assert buffer.lookup("map", "base", 30 * S).translation_m[0] == 10
    with pytest.raises(ExtrapolationError):
        buffer.lookup("map", "base", 110 * S)


def test_when_time_goes_back_a_little_what_moved_is_forgotten_and_what_is_fixed_stays():
    buffer = robot()
    buffer.forget_moving()
    np.testing.assert_allclose(buffer.lookup("map", "odom", 101 * S).translation_m, (10, 0, 0))
    for stamp_ns in (0, 101 * S):
        with pytest.raises(ExtrapolationError, match="'base' has not been told again since time went back") as caught:
            buffer.lookup("map", "camera", stamp_ns)
        assert caught.value.too_new
    for second in range(2):
        buffer.add("odom", "base", (100 + second) * S, at(50 + second), is_static=False)
    np.testing.assert_allclose(buffer.lookup("map", "camera", 100 * S + S // 2).translation_m, (60.5, 0, 1))


def test_when_pictures_tell_that_time_went_back_what_was_told_since_stays():
    buffer = robot()
    buffer.add("map", "arm", 100 * S, at(7), is_static=False)  # of the new round already
    buffer.forget_moving(after_ns=102 * S)
    np.testing.assert_allclose(buffer.lookup("map", "arm", 100 * S).translation_m, (7, 0, 0))
    with pytest.raises(ExtrapolationError, match="'base' has not been told again"):
        buffer.lookup("map", "camera", 101 * S)


def test_a_frame_that_is_handed_over_belongs_to_the_old_parent_until_the_new_one_speaks():
    buffer = TransformBuffer()
    buffer.add("table", "cup", 10 * S, at(1), is_static=False)
    buffer.add("hand", "cup", 12 * S, at(2), is_static=False)
    assert buffer.lookup("table", "cup", 11 * S).translation_m[0] == 1
    assert buffer.lookup("hand", "cup", 12 * S).translation_m[0] == 2


def test_a_frame_is_itself_at_any_time():
    np.testing.assert_array_equal(robot().lookup("base", "base", 1).translation_m, 0)

# SPDX-License-Identifier: Apache-2.0
"""Rotations and translations between frames, against matrices."""

import numpy as np
import pytest

from seem_ros.errors import FrameError
from seem_ros.perception.structures.rigid_transform import RigidTransform, quaternion_of

HALF = np.sqrt(0.5)


def random_transform(seed):
    random = np.random.default_rng(seed)
    return RigidTransform(random.normal(size=3), random.normal(size=4))


def matrix(transform):
    full = np.eye(4)
    full[:3, :3], full[:3, 3] = transform.rotation, transform.translation_m
    return full


def test_a_quarter_turn_about_z_takes_x_to_y_and_then_moves():
    turn = RigidTransform((1, 2, 3), (0, 0, HALF, HALF))
    np.testing.assert_allclose(turn.apply(np.array([1.0, 0, 0])), (1, 3, 3), atol=1e-12)
    np.testing.assert_allclose(turn.apply(np.array([[0.0, 1, 0], [0, 0, 1]])), [(0, 2, 3), (1, 2, 4)], atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_chains_and_inverses_are_those_of_the_matrices(seed):
    one, two = random_transform(seed), random_transform(seed + 100)
    np.testing.assert_allclose(matrix(one.after(two)), matrix(one) @ matrix(two), atol=1e-12)
    np.testing.assert_allclose(matrix(one.inverse()), np.linalg.inv(matrix(one)), atol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_a_rotation_matrix_gives_its_quaternion_back(seed):
    turn = random_transform(seed)
    again = quaternion_of(turn.rotation)
    assert abs(again @ turn.quaternion_xyzw) == pytest.approx(1.0) and again[3] >= 0


def test_halfway_is_half_the_angle_on_the_shorter_arc_whatever_the_sign_of_the_quaternion():
    start = RigidTransform((0, 0, 0), (0, 0, 0, 1))
    for sign in (1, -1):
        end = RigidTransform((2, 0, 0), sign * np.array([0, 0, HALF, HALF]))
        middle = start.towards(end, 0.5)
        np.testing.assert_allclose(middle.translation_m, (1, 0, 0))
        angle = 2 * np.arccos(abs(middle.quaternion_xyzw[3]))
        assert np.degrees(angle) == pytest.approx(45.0)


def test_between_equal_rotations_nothing_turns():
    turn = random_transform(3)
    np.testing.assert_allclose(turn.towards(turn, 0.3).rotation, turn.rotation, atol=1e-9)


@pytest.mark.parametrize(
    ("translation", "quaternion"),
    [((0, 0, np.nan), (0, 0, 0, 1)), ((0, 0, 0), (0, 0, 0, 0)), ((0, 0), (0, 0, 0, 1)), ((0, 0, 0), (0, 0, np.inf, 1))],
)
def test_numbers_that_are_no_transform_are_refused(translation, quaternion):
    with pytest.raises(FrameError, match="a transform needs"):
        RigidTransform(translation, quaternion)

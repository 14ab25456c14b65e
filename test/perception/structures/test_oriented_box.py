# SPDX-License-Identifier: Apache-2.0
"""Boxes around what a depth camera sees of things whose size is known."""

import numpy as np
import pytest

from seem_ros.perception.structures.oriented_box import fit_oriented_box, spread_evenly
from seem_ros.perception.structures.rigid_transform import RigidTransform


def seen_faces(size_m, pose, count=1500, noise_m=0.0, seed=0):
    """Points on the faces of a box that a camera at the origin sees."""
    random = np.random.default_rng(seed)
    half = np.array(size_m) / 2
    eye = pose.inverse().apply(np.zeros(3))
    points = []
    for axis in range(3):
        for side in (1, -1):
            if side * eye[axis] > half[axis]:
                face = random.uniform(-1, 1, (count, 3)) * half
                face[:, axis] = side * half[axis]
                points.append(face)
    found = pose.apply(np.concatenate(points))
    return found * (1 + random.normal(0, noise_m, (len(found), 1)))


def pose(seed, distance_m=0.8):
    random = np.random.default_rng(seed)
    return RigidTransform((0.1, -0.05, distance_m), random.normal(size=4))


def angle_degrees(box, turned):
    """Between the box's axes and the true ones, whatever they are called."""
    mine = RigidTransform((0, 0, 0), box.quaternion_xyzw).rotation
    return np.degrees(np.arccos(np.clip(np.abs(mine.T @ turned.rotation).max(axis=0), 0, 1))).max()


def corner_views():
    """Ten poses at which three faces are seen."""
    poses = (pose(seed) for seed in range(100))
    return [where for where in poses if len(seen_faces((0.20, 0.12, 0.07), where, count=1)) == 3][:10]


@pytest.mark.parametrize("where", corner_views())
def test_a_box_seen_at_a_corner_has_its_sides_within_eight_percent_and_its_turn_within_five_degrees(where):
    box = fit_oriented_box(seen_faces((0.20, 0.12, 0.07), where, noise_m=0.001))
    assert sorted(box.size_m) == pytest.approx((0.07, 0.12, 0.20), rel=0.08)
    assert angle_degrees(box, where) < 5


def test_a_flat_thing_has_no_thickness_and_keeps_its_length_and_width():
    where = RigidTransform((0, 0, 0.6), (0.3, 0.1, 0.2, 0.9))
    flat = np.random.default_rng(1).uniform(-0.5, 0.5, (2000, 3)) * (0.2, 0.1, 0.0)
    box = fit_oriented_box(where.apply(flat))
    assert sorted(box.size_m)[1:] == pytest.approx((0.1, 0.2), rel=0.06) and min(box.size_m) < 0.002


def test_an_upright_box_is_named_by_the_frames_axes():
    points = np.random.default_rng(2).uniform(-0.5, 0.5, (4000, 3)) * (0.3, 0.1, 0.2) + (1, 2, 3)
    box = fit_oriented_box(points)
    assert box.size_m == pytest.approx((0.3, 0.1, 0.2), rel=0.06)
    assert box.centre_m == pytest.approx((1, 2, 3), abs=0.005)
    assert abs(box.quaternion_xyzw[3]) > 0.998


def test_some_wrong_points_do_not_stretch_it():
    random = np.random.default_rng(3)
    points = random.uniform(-0.5, 0.5, (3000, 3)) * (0.2, 0.1, 0.05)
    wild = random.uniform(-0.5, 0.5, (30, 3)) * 2
    box = fit_oriented_box(np.concatenate([points, wild]))
    assert sorted(box.size_m) == pytest.approx((0.05, 0.1, 0.2), rel=0.12)


@pytest.mark.parametrize("row", [8, 64, 100, 128, 512])
def test_a_plate_has_its_width_whatever_the_length_of_its_rows_of_pixels(row):
    index = np.arange(row * 256)
    points = np.stack([0.3 * (index % row) / (row - 1), 0.2 * (index // row) / 255, np.ones(len(index))], axis=1)
    assert fit_oriented_box(points).size_m[:2] == pytest.approx((0.3, 0.2), rel=0.07)


@pytest.mark.parametrize("count", [1025, 1500, 2048, 5000, 307_200])
def test_points_are_taken_one_of_each_stretch_and_none_twice(count):
    taken = spread_evenly(count, 1024)
    assert (np.diff(taken) > 0).all() and np.array_equal(taken, spread_evenly(count, 1024))
    assert ((taken >= np.arange(1024) * count // 1024) & (taken < np.arange(1, 1025) * count // 1024)).all()


def test_a_handful_of_points_has_no_box():
    assert fit_oriented_box(np.zeros((11, 3))) is None
    assert fit_oriented_box(np.zeros((12, 3))).size_m == (0, 0, 0)

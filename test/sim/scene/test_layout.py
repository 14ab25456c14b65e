# SPDX-License-Identifier: Apache-2.0
"""Resting orientations and footprints."""

import numpy as np
import pytest

from seem_ros.sim.scene import layout
from seem_ros.sim.scene.meshes import make_mesh, slab
from seem_ros.sim.vocabulary import SHAPES


def test_the_gap_between_two_boxes_is_the_distance_between_their_sides():
    support, low, high = layout.footprint(slab(0.05, 0.05, 0.1).vertices_m, np.eye(3))
    assert (low, high) == (0, pytest.approx(0.1))
    assert layout.gap(support, np.zeros(2), support, np.array([0.13, 0])) == pytest.approx(0.03)
    assert layout.gap(support, np.zeros(2), support, np.array([0.08, 0])) < 0


def test_sliding_stops_when_something_is_touched():
    support, _, _ = layout.footprint(slab(0.05, 0.05, 0.1).vertices_m, np.eye(3))
    others = [(support, np.array([0.3, 0.0]))]
    at = layout.slide_until_touching(support, np.zeros(2), np.array([0.4, 0.0]), others)
    assert 0.18 < at[0] <= 0.2


def test_sliding_with_nothing_in_the_way_arrives():
    support, _, _ = layout.footprint(slab(0.05, 0.05, 0.1).vertices_m, np.eye(3))
    assert np.allclose(layout.slide_until_touching(support, np.zeros(2), np.array([0.4, 0.1]), []), [0.4, 0.1])


@pytest.mark.parametrize("shape", SHAPES)
def test_resting_orientations_are_rotations_and_lying_is_obeyed(shape):
    vertices = make_mesh(shape, np.random.default_rng(0)).vertices_m
    for lying in (True, False):
        rotation = layout.rest_rotation(shape, vertices, np.random.default_rng(1), lying)
        assert np.allclose(rotation @ rotation.T, np.eye(3)) and np.linalg.det(rotation) == pytest.approx(1)
        assert lying or np.array_equal(rotation, np.eye(3))


def test_a_lying_cone_touches_the_table_along_a_whole_line():
    vertices = make_mesh("cone", np.random.default_rng(0)).vertices_m
    turned = vertices @ layout.rest_rotation("cone", vertices, np.random.default_rng(1), True).T
    touching = turned[turned[:, 2] < turned[:, 2].min() + 1e-3]
    assert np.ptp(touching[:, 1]) > 0.05
